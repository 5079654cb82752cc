"""TOML that somebody else wrote."""

import re
import tomllib
from typing import Any

_DEEP = re.compile(r"""(?:\.[ \t]*(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*){50}""")
"""Python's reader takes ten seconds for a key of 20,000 parts; no table of ours has more than three."""


def parse_toml(text: str) -> dict[str, Any]:
    """Return what the text holds.

    Raises:
        ValueError: it is not TOML, or is nested too deeply.
    """
    if deep := _DEEP.search(text):
        raise ValueError(f"line {text.count(chr(10), 0, deep.start()) + 1} has a key of more than 50 parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
