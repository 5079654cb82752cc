"""Markdown for the Prefect UI and for files: tables, pictures, and text without marks."""

import base64
import re
from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], numbers: str = "---:") -> str:
    """A table whose first column is text; the others are aligned as `numbers` says."""
    lines = [f"| {' | '.join(line)} |" for line in (heads, *rows)]
    return "\n".join([lines[0], "|---|" + f"{numbers}|" * (len(heads) - 1), *lines[1:]])


def plain(text: str) -> str:
    """Text in which markdown finds no marks."""
    return re.sub(r"([\\`*_\[\]<>|])", r"\\\1", " ".join(text.split()))


def picture(title: str, data: bytes, kind: str = "jpeg") -> str:
    """A picture that the text itself holds."""
    return f"![{title}](data:image/{kind};base64,{base64.b64encode(data).decode()})"
