"""Write the session.toml of a folder whose layout is known.

The user states what a folder cannot say, such as the frame rate of pictures or the unit of a reconstruction. All open
fields are asked for at once.
"""

import json
import re
import tempfile
import tomllib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel

from capmat_errors import SessionError
from storage.descriptor import Session, read_session
from storage.session.layouts.datasets import actorshq, easyvolcap, n3dv, opencv, pose2sim, smc
from storage.session.layouts.parts import Draft
from storage.session.layouts.scenes import colmap, nerfstudio

LAYOUTS: dict[str, Callable[[Path], Draft | None]] = {
    "easyvolcap": easyvolcap,
    "actorshq": actorshq,
    "smc": smc,
    "n3dv": n3dv,
    "pose2sim": pose2sim,
    "colmap": colmap,
    "nerfstudio": nerfstudio,
    "opencv": opencv,
}


def describe(
    folder: Path, *, root: str, layout: str | None = None, name: str | None = None, stated: Sequence[str] = ()
) -> tuple[str, list[str]]:
    """Write the session.toml of a folder in a known layout.

    Args:
        folder: the recordings.
        root: how the descriptor names the folder.
        layout: one of `LAYOUTS`; None to recognise it.
        name: of the session, its stage and its take; None for the folder's own.
        stated: "KEY=VALUE", what the folder does not say; the key is a field's dotted name, such as take.first.

    Returns:
        The text, which `read_session` accepts, and what was assumed.

    Raises:
        SessionError: no layout fits, or several do; a field is open and not stated, or is stated wrongly.
        CalibrationError, ImageUnreadable: a file that describes the session is broken.
    """
    kind, draft = _recognised(folder, layout)
    given = dict(_stated(item) for item in stated)
    own = name or re.sub(r"[^A-Za-z0-9._-]+", "-", folder.name).strip("-._") or "session"
    missing = [f"--state {keys[0]}=... ({what})" for keys, what in draft.open if not given.keys() & {*keys}]
    if missing:
        raise SessionError(
            f"the folder has the layout {kind}, which leaves open: {'; '.join(missing)}",
            where=str(folder),
            fix="State each of them once.",
        )
    values = {"name": own, "stage": own, "root": root, **draft.fields, **given}
    text = _session_toml({_path(key, own): value for key, value in values.items()})
    _check(text, folder)
    return text, [f"the folder is read as layout {kind}", *draft.notes]


def _recognised(folder: Path, layout: str | None) -> tuple[str, Draft]:
    if not folder.is_dir():
        what = "this is a file; a folder is needed" if folder.exists() else "the folder does not exist"
        raise SessionError(what, where=str(folder), fix="Check the path.")
    if layout is not None and layout not in LAYOUTS:
        raise SessionError(f"the layout {layout!r} is not known", fix=f"Use one of {', '.join(LAYOUTS)}.")
    wanted = [layout] if layout else list(LAYOUTS)
    fits = {name: draft for name in wanted if (draft := LAYOUTS[name](folder)) is not None}
    if not fits:
        raise SessionError(
            f"the folder has no session.toml, and does not have the layout {' or '.join(wanted)}",
            where=str(folder),
            fix="Write a session.toml (docs/ingest.md), or give the folder that holds the calibration.",
        )
    if len(fits) > 1:
        raise SessionError(f"the layouts {', '.join(fits)} all fit", where=str(folder), fix="Choose with --layout.")
    return next(iter(fits.items()))


def _stated(item: str) -> tuple[str, Any]:
    """KEY=VALUE as a pair; the value is read as TOML, or else as text."""
    key, equals, value = item.partition("=")
    if not equals or not key:
        raise SessionError(f"--state {item!r} is not KEY=VALUE", fix="Write it like --state fps=50.")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def _path(key: str, take: str) -> tuple[str, ...]:
    first, *rest = key.split(".")
    return ("takes", take, *rest) if first == "take" and rest else (first, *rest)


def _check(text: str, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "session.toml"
        file.write_text(text, encoding="utf-8")
        try:
            read_session(file)
        except SessionError as error:
            raise SessionError(error.what, where=f"{folder}, as stated", fix="Correct --state or --name.") from error


def _session_toml(values: Mapping[tuple[str, ...], Any]) -> str:
    """The text of a session.toml, with the first sentence of each field's docstring as a comment.

    Args:
        values: by the path of the field: ("fps",), ("colour", "bits"), ("takes", "walk", "path").
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
    """The first sentence of the field's docstring; "" for an unknown field."""
    fields = Session.model_fields
    if section in fields:
        kind = fields[section].annotation  # a section, a section or None, or sections by name
        models = [part for part in (kind, *get_args(kind)) if isinstance(part, type) and issubclass(part, BaseModel)]
        fields = models[0].model_fields if models else {}
    text = " ".join((fields[field].description or "").split()) if field in fields else ""
    return text.split(". ")[0].split("; ")[0].rstrip(".")


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else json.dumps(name)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(name)} = {_value(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    # JSON writes texts, numbers, true and false as TOML does.
    return json.dumps(value, ensure_ascii=False)
