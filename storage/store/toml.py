"""TOML that somebody else wrote, and what is wrong with it in words."""

import re
import tomllib
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any, NamedTuple, get_args, get_origin

from pydantic import BaseModel, ValidationError

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


class Mistake(NamedTuple):
    """A value that a model does not accept: its key ("teacher.crop"), what is wrong, and right keys that are near."""

    key: str
    what: str
    near: tuple[str, ...] = ()


_EXPECTED = {
    # type of a pydantic error: what was expected instead, with figures of the error's context
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "tuple": "a list",
    "dict": "a table",
    "model": "a table",
    "literal_error": "{expected}",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "at most {le:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "too_long": "at most {max_length} values",
    "too_short": "at least {min_length}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "finite_number": "a finite number",
}


def mistakes(error: ValidationError, model: type[BaseModel]) -> list[Mistake]:
    """All that a model does not accept, unknown keys first; what such a key was meant to be is not missing, too."""
    keys = list(_keys(model))
    wrong = []
    for item in error.errors():
        path = tuple(str(part) for part in item["loc"] if part != "[key]")
        if item["type"] == "extra_forbidden":
            wrong.append(Mistake(".".join(path), "no such key", _near(path, keys)))
        else:
            wrong.append(Mistake(".".join(path), _words(item)))
    wrong.sort(key=lambda one: one.what != "no such key")
    meant = {near for one in wrong for near in one.near}
    return [one for one in wrong if one.what != _MISSING or one.key not in meant]


_MISSING = "is missing"


def _words(item: Any) -> str:
    """What is wrong with a known key."""
    kind, context = item["type"], item.get("ctx", {})
    if kind == "missing":
        return _MISSING
    if kind == "value_error":
        return str(context["error"])
    expected = _EXPECTED.get(kind) or _EXPECTED.get(kind.partition("_")[0])
    if not expected:
        return str(item["msg"]).lower()
    return f"expected {expected.format(**context)}, got {item['input']!r}"


def _near(path: tuple[str, ...], keys: list[tuple[str, ...]]) -> tuple[str, ...]:
    """Right keys: the nearest of the same section, else keys of other sections whose last part is the nearest."""
    *section, last = path
    beside = [key[-1] for key in keys if len(key) == len(path) and _fits(key[:-1], section)]
    if near := get_close_matches(last, beside, n=1):
        return (".".join([*section, near[0]]),)
    ends = get_close_matches(last, {key[-1] for key in keys}, n=1)
    return tuple(".".join(key) for key in keys if key[-1] in ends and "*" not in key)[:3]


def _fits(pattern: tuple[str, ...], path: list[str]) -> bool:
    return all(known in (part, "*") for known, part in zip(pattern, path, strict=True))


def _keys(model: type[BaseModel], *above: str) -> Iterator[tuple[str, ...]]:
    """The keys of a model and of the models in it; "*" stands for a name, such as that of a take."""
    for name, field in model.model_fields.items():
        yield (*above, name)
        types = [one for one in (field.annotation, *get_args(field.annotation)) if get_origin(one) is None]
        for below in (one for one in types if isinstance(one, type) and issubclass(one, BaseModel)):
            yield from _keys(below, *above, name, *(["*"] if get_origin(field.annotation) is dict else []))
