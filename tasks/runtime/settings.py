"""Reads the settings: `capmat.toml`, then `CAPMAT_*` variables, then the command line; and describes them.

`make settings` writes docs/settings.md with `python -m tasks.runtime.settings`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from capmat_errors import ConfigError
from storage.store.toml import parse_toml
from tasks.config import Config

_PATHS = ("store", "session", "base_data", "weights", "scribbles", "truth", "inbox", "exports")


def load_config(
    path: Path | None = None,
    overrides: Sequence[str] = (),
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Read the configuration. Paths in the file are relative to its folder.

    Args:
        path: the file; None reads `capmat.toml` of the working folder if it exists.
        overrides: `key=value` pairs of the command line, nested keys with dots (`teacher.iterations=50`).
        environ: where `CAPMAT_<KEY>` variables are read; nested keys with two underscores.

    Raises:
        ConfigError: unreadable file, unknown key, value of the wrong type or out of range.
    """
    file = path or Path("capmat.toml")
    values: dict[str, Any] = {}
    if path is not None or file.exists():
        if file.exists() and not file.is_file():
            raise ConfigError("this is not a file", where=str(file), fix="Name a capmat.toml.")
        try:
            values = parse_toml(file.read_text(encoding="utf-8-sig"))
        except OSError as e:
            raise ConfigError(f"cannot be read ({e.strerror})", where=str(file)) from e
        except ValueError as e:  # TOML, or text that is not UTF-8
            raise ConfigError(f"is not valid TOML ({e})", where=str(file), fix="Correct that line.") from e
    base = file.resolve().parent
    cluster = values.get("cluster")
    for section, keys in ((values, _PATHS), (cluster if isinstance(cluster, dict) else {}, ("tls",))):
        for key in keys:
            if isinstance(text := section.get(key), str) and text and "://" not in text:
                section[key] = str((base / text).resolve())
    for name, text in sorted(environ.items()):
        if name.startswith("CAPMAT_"):
            _put(values, name.removeprefix("CAPMAT_").lower().split("__"), text, name)
    for pair in overrides:
        key, equals, text = pair.partition("=")
        if not equals:
            raise ConfigError("is not of the form key=value", where=f"--set {pair}", fix="Write --set KEY=VALUE.")
        _put(values, key.split("."), text, f"--set {pair}")
    try:
        return Config.model_validate(values)
    except ValidationError as e:
        first = e.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(
            f"{key}: {first['msg'].lower()}", where=str(file), fix="docs/settings.md lists all settings."
        ) from e


def _put(values: dict[str, Any], keys: Sequence[str], text: str, where: str) -> None:
    """Set one value by its nested keys; commas separate the parts of a list."""
    node: Any = values
    for key in keys[:-1]:
        node = node.setdefault(key, {})
        if not isinstance(node, dict):
            raise ConfigError(f"{key} has no settings below it", where=where)
    fields = Config.model_fields
    for key in keys[:-1]:
        if key in fields and isinstance(sub := fields[key].annotation, type) and issubclass(sub, BaseModel):
            fields = sub.model_fields
    is_list = keys[-1] in fields and str(fields[keys[-1]].annotation).startswith("tuple")
    node[keys[-1]] = [part for part in text.split(",") if part] if is_list else text


_KINDS = {
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "string": "text",
    "object": "table",
}
_HEAD = ("| key | value | default | |", "|---|---|---|---|")
_RANGES = {
    "minimum": "at least",
    "exclusiveMinimum": "above",
    "maximum": "at most",
    "exclusiveMaximum": "below",
    "multipleOf": "a multiple of",
}
_PAGE = """# Settings

Every setting of capmat. `make settings` makes this page from `tasks/config.py`; edit the texts there.

A setting stands in `capmat.toml`, in a variable, or on the command line; the later one counts:

    [teacher]
    iterations = 50                                # capmat.toml, or the file of --config

    CAPMAT_TEACHER__ITERATIONS=50 capmat ...
    capmat --set teacher.iterations=50 ...

In variables and on the command line, commas separate the parts of a list. Paths in a file are relative to its folder.
"""


def settings_page() -> str:
    """docs/settings.md: all settings as Markdown, one table for each section."""
    schema = Config.model_json_schema()
    sections = {"": (schema["description"], schema["properties"])}
    for name, field in schema["properties"].items():
        if "$ref" in field:
            section = schema["$defs"][field["$ref"].rpartition("/")[2]]
            sections[name] = (section["description"], section["properties"])
    parts = [_PAGE]
    for name, (text, fields) in sections.items():
        rows = [_row(key, field) for key, field in fields.items() if "$ref" not in field]
        title = f"[{name}]" if name else "At the top of the file"
        parts.append("\n".join([f"## {title}", "", _line(text), "", *_HEAD, *rows, ""]))
    return "\n".join(parts)


def _row(key: str, field: Mapping[str, Any]) -> str:
    kind = f"{len(field['prefixItems'])} numbers" if "prefixItems" in field else _kind(field.get("items", field))
    if field["type"] == "array" and "prefixItems" not in field:
        kind = f"list: {kind}"
    default = json.dumps(field["default"]).replace(f"{Path(__file__).resolve().parents[2]}/", "")
    return f"| `{key}` | {kind} | `{default}` | {_line(field['description'])} |"


def _kind(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    limits = [f"{words} {field[key]:g}" for key, words in _RANGES.items() if key in field]
    return ", ".join([_KINDS[field["type"]], *limits])


def _line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    print(settings_page(), end="")
