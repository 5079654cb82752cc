"""The text of a session.toml, every field with what the descriptor says about it."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from storage.descriptor import (
    BenchmarkSection,
    CalibrationSection,
    ColourSection,
    PlatesSection,
    RawSection,
    Session,
    TakeSection,
    VideoSection,
)

_SECTIONS: dict[str, type[BaseModel]] = {
    "colour": ColourSection,
    "calibration": CalibrationSection,
    "plates": PlatesSection,
    "takes": TakeSection,
    "raw": RawSection,
    "video": VideoSection,
    "benchmark": BenchmarkSection,
}


def session_toml(values: Mapping[tuple[str, ...], Any]) -> str:
    """Write a descriptor.

    Args:
        values: by the path of the field: ("fps",), ("colour", "bits"), ("takes", "walk", "path").

    Returns:
        The text; comments are the first sentences of the fields' docstrings.
    """
    sections: dict[tuple[str, ...], list[str]] = {}
    for path, value in values.items():
        line = f"{_key(path[-1])} = {_value(value)}"
        about = _about(path[0] if len(path) > 1 else "", path[-1])
        sections.setdefault(path[:-1], []).append(f"{line:<44}  # {about}" if about else line)
    parts = sections.pop((), [])
    for section, lines in sections.items():
        parts += ["", f"[{'.'.join(map(_key, section))}]", *lines]
    return "\n".join(parts) + "\n"


def _about(section: str, field: str) -> str:
    fields = (_SECTIONS.get(section, Session) if section else Session).model_fields
    text = " ".join((fields[field].description or "").split()) if field in fields else ""
    return text.split(". ")[0].split("; ")[0].rstrip(".")


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # A text, a number or a truth of json is one of toml.
    return json.dumps(value, ensure_ascii=False)
