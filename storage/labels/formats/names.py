"""Which frame a picture of an export is: its name, read by a template.

    {take}/{camera}/{frame}     the default: the last three parts of the path
    {take}_{camera}_{frame}     one name for all; * stands for anything

The template is compared with as many parts at the end of the path as it has itself. Names that hold what parts the
fields are no trouble: the takes and cameras that there are decide.
"""

import re
from collections.abc import Callable, Iterable
from typing import NamedTuple

from capmat_errors import ConfigError

DEFAULT = "{take}/{camera}/{frame}"
_FIELD = re.compile(r"(\{take\}|\{camera\}|\{frame\}|\*)")
_ANY = {
    "{take}": r"(?P<take>[^/]+)",
    "{camera}": r"(?P<camera>[^/]+)",
    "{frame}": r"(?P<frame>[0-9]{1,15})",
    "*": "[^/]*?",
}


class Named(NamedTuple):
    """A frame that a name may mean."""

    take: str
    camera: str
    frame: int


def check_template(template: str, take: str = "", camera: str = "") -> None:
    """Refuse a template that does not say everything, or says it twice.

    Raises:
        ConfigError: a field is missing that was not given otherwise, is there twice, or is unknown.
    """
    for field, given in (("{take}", take), ("{camera}", camera), ("{frame}", "")):
        if template.count(field) + bool(given) != 1:
            how = "twice" if field in template else "not"
            raise ConfigError(f"{template!r} says {field} {how}", where="--names", fix=f"Such as {DEFAULT}.")
    if re.search(r"[{}]", _FIELD.sub("", template)):
        raise ConfigError(f"{template!r} has other fields", where="--names", fix="There are take, camera and frame.")


def readings(
    template: str,
    name: str,
    takes: Iterable[str],
    cameras: Callable[[str], Iterable[str]],
    take: str = "",
    camera: str = "",
) -> list[Named]:
    """The frames that a name may mean, in the order of takes and cameras.

    Args:
        template: see the module.
        name: of a picture, a path without ending.
        takes: those that there are.
        cameras: those of a take; asked only where the rest of the name fits.
        take: of all pictures; then the template has no {take}.
        camera: of all pictures; then the template has no {camera}.
    """
    found: list[Named] = []
    for known in [take] if take else takes:
        if not _match(template, name, {"{take}": re.escape(known)}):
            continue
        found += [
            Named(known, id, int(hit["frame"]))
            for id in ([camera] if camera else cameras(known))
            if (hit := _match(template, name, {"{take}": re.escape(known), "{camera}": re.escape(id)}))
        ]
    return found


def meant(template: str, name: str, take: str = "", camera: str = "") -> Named | None:
    """What a name says when nothing is known of takes; for errors. None: it does not fit the template."""
    hit = _match(template, name, {})
    return Named(take or hit["take"], camera or hit["camera"], int(hit["frame"])) if hit else None


def _match(template: str, name: str, known: dict[str, str]) -> re.Match[str] | None:
    tail = "/".join(name.split("/")[-(template.count("/") + 1) :])
    fields = _ANY | known
    return re.fullmatch("".join(fields.get(piece, re.escape(piece)) for piece in _FIELD.split(template)), tail)
