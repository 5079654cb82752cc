"""Reads the settings: `capmat.toml`, then `CAPMAT_*` variables, then the command line; and describes them.

`make settings` writes docs/settings.md with `python -m tasks.runtime.settings`.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from capmat_errors import CapmatError, ConfigError, together
from storage.store.toml import Mistake, mistakes, parse_toml
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
        ConfigError: unreadable file, or all keys that are unknown, of the wrong type or out of range, each with the
            file, variable or option that it comes from.
    """
    file = path or Path("capmat.toml")
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}  # of keys that do not come from the file
    wrong: list[CapmatError] = []
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
    given = [(name, name.removeprefix("CAPMAT_").lower().replace("__", "."), "=", text)
             for name, text in sorted(environ.items()) if name.startswith("CAPMAT_")]  # fmt: skip
    for where, key, equals, text in [*given, *((f"--set {pair}", *pair.partition("=")) for pair in overrides)]:
        try:
            if not equals:
                raise ConfigError("is not of the form KEY=VALUE", where=where)
            _put(values, key.split("."), text, where)
            sources[key] = where
        except ConfigError as error:
            wrong.append(error)
    try:
        config = Config.model_validate(values)
    except ValidationError as error:
        wrong += [_refused(mistake, sources, str(file)) for mistake in mistakes(error, Config)]
    if wrong:
        raise together(ConfigError, wrong, "settings", "docs/settings.md lists all settings.")
    return config


def _refused(mistake: Mistake, sources: dict[str, str], file: str) -> ConfigError:
    """A mistake where it was made: the file, the variable or the option, and the right key as it is written there."""
    key = f"{mistake.key}."
    known = [one for one in sources if key.startswith(f"{one}.") or one.startswith(key)]
    where = sources[known[-1]] if known else file
    near = mistake.near
    if where.startswith("CAPMAT_"):
        near = tuple(f"CAPMAT_{one.upper().replace('.', '__')}" for one in near)
    what = mistake.what if mistake.key in known else f"{mistake.key}: {mistake.what}"
    return ConfigError(what, where=where, fix=f"Did you mean {' or '.join(near)}?" if near else "")


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
