"""Which frame a picture of an export shows: its name, read with a template.

    {take}/{camera}/{frame}     the default: the last three parts of the path, or less if take or camera are given
    {take}_{camera}_{frame}     one part for all; * stands for anything

The template is compared with the end of the path, as many parts as it has itself. Takes and cameras may have names
that hold the separator, because only names that exist in the store can match.
"""

import re
from collections.abc import Callable, Iterable

from capmat_errors import ConfigError
from storage.labels.label_set import Key

_FIELD = re.compile(r"(\{take\}|\{camera\}|\{frame\}|\*)")
_MOST_STARS = 3  # with more, a name that does not fit can take hours
_ANY = {
    "{take}": r"(?P<take>[^/]+)",
    "{camera}": r"(?P<camera>[^/]+)",
    "{frame}": r"(?P<frame>[0-9]{1,15})",
    "*": "[^/]*?",
}


def usual_template(take: str = "", camera: str = "") -> str:
    """Return the default template without the parts that are given for all pictures."""
    return "/".join(field for field, given in (("{take}", take), ("{camera}", camera), ("{frame}", "")) if not given)


def check_template(template: str, take: str = "", camera: str = "") -> None:
    """Refuse a template that does not determine take, camera and frame, each once.

    Raises:
        ConfigError: a field is missing and not given, is given twice, or is unknown.
    """
    for field, given in (("{take}", take), ("{camera}", camera), ("{frame}", "")):
        if template.count(field) + bool(given) != 1:
            what = f"{template!r} gives {field} twice" if field in template else f"{template!r} lacks {field}"
            raise ConfigError(what, where="--names", fix=f"Example: {usual_template(take, camera)}.")
    if re.search(r"\*\*", template) or template.count("*") > _MOST_STARS:
        what = f"{template!r} has more than {_MOST_STARS} stars, or two side by side"
        raise ConfigError(what, where="--names", fix="Write what the names have in common.")
    if re.search(r"[{}]", _FIELD.sub("", template)):
        raise ConfigError(f"{template!r} has other fields", where="--names", fix="Use take, camera and frame.")


def readings(
    template: str,
    name: str,
    takes: Iterable[str],
    cameras: Callable[[str], Iterable[str]],
    take: str = "",
    camera: str = "",
) -> list[Key]:
    """Return the frames that a name may mean, in the order of takes and cameras.

    Args:
        template: see the module.
        name: of a picture, a path without ending.
        takes: the takes of the store.
        cameras: returns the cameras of a take; called only where the rest of the name fits.
        take: of all pictures; then the template has no {take}.
        camera: of all pictures; then the template has no {camera}.
    """
    keys: list[Key] = []
    for known in [take] if take else takes:
        if not _match(template, name, {"{take}": re.escape(known)}):
            continue
        keys += [
            (known, id, int(hit["frame"]))
            for id in ([camera] if camera else cameras(known))
            if (hit := _match(template, name, {"{take}": re.escape(known), "{camera}": re.escape(id)}))
        ]
    return keys


def meant(template: str, name: str, take: str = "", camera: str = "") -> Key | None:
    """Return what a name says without knowledge of the takes, for errors; None if it does not fit the template."""
    hit = _match(template, name, {})
    return (take or hit["take"], camera or hit["camera"], int(hit["frame"])) if hit else None


def _match(template: str, name: str, known: dict[str, str]) -> re.Match[str] | None:
    tail = "/".join(name.split("/")[-(template.count("/") + 1) :])
    fields = _ANY | known
    return re.fullmatch("".join(fields.get(piece, re.escape(piece)) for piece in _FIELD.split(template)), tail)
