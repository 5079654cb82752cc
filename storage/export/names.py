"""The formats and the file names of an export of mattes.

A name is a template such as `{take}/{camera}/{camera}_{what}.{frame:06d}.{ext}`. A video holds all frames, so its
name is the same without {frame} and the dot, dash or underscore before it.
"""

import re
import string
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from capmat_errors import ConfigError

NAME = "{take}/{camera}/{camera}_{what}.{frame:06d}.{ext}"
WHAT = ("alpha", "rgba", "fg", "comp")
_FIELDS = ("take", "camera", "run", "what", "frame", "ext")
_FRAME = re.compile(r"[._-]?\{frame[^}]*\}")


@dataclass(frozen=True)
class Format:
    """A kind of file: its ending, what it can hold, what it holds by default, and whether it is a video."""

    ext: str
    holds: tuple[str, ...]
    usual: tuple[str, ...]
    video: bool = False


FORMATS = {
    "exr": Format("exr", WHAT, ("rgba",)),
    "png": Format("png", WHAT, ("alpha", "rgba")),
    "tiff": Format("tif", WHAT, ("alpha", "rgba")),
    "mp4": Format("mp4", ("alpha", "fg", "comp"), ("comp",), video=True),
    "prores": Format("mov", WHAT, ("rgba",), video=True),
}


@dataclass(frozen=True)
class Output:
    """One file per frame, or per camera for a video: its format, what it holds, and the template of its name."""

    form: str
    what: str
    template: str

    @property
    def video(self) -> bool:
        """Whether all frames of a camera go into one file."""
        return FORMATS[self.form].video

    def name(self, take: str, run: str, camera: str, frame: int) -> str:
        """Return the file's name below the folder of the export."""
        ext = FORMATS[self.form].ext
        return self.template.format(take=take, run=run, camera=camera, what=self.what, frame=frame, ext=ext)


def outputs(formats: Sequence[str], what: Sequence[str] | None, template: str) -> list[Output]:
    """Return what an export writes.

    Args:
        formats: of FORMATS.
        what: of WHAT, for all formats; None for what is usual in each.
        template: of file names.

    Raises:
        ConfigError: a word is unknown, a format cannot hold what is wanted, or the template is not valid.
    """
    for word in formats:
        if word not in FORMATS:
            raise ConfigError(f"the export format {word} is not known", fix=f"Use {', '.join(FORMATS)}.")
    _check_template(template)
    wanted = []
    for form in dict.fromkeys(formats):
        kind = FORMATS[form]
        for item in dict.fromkeys(kind.usual if what is None else what):
            if item not in kind.holds:
                raise ConfigError(f"{form} cannot hold {item}", fix=f"It holds {', '.join(kind.holds)}.")
            wanted.append(Output(form, item, _FRAME.sub("", template).lstrip("/") if kind.video else template))
    return wanted


def check_names(names: Iterable[str]) -> None:
    """Refuse names that leave the folder, and two files of one name.

    Raises:
        ConfigError: it says which name.
    """
    count = Counter(names)
    for name, times in count.items():
        parts = name.split("/")
        if any(part.startswith(".") or not part for part in parts) or "\\" in name:
            raise ConfigError(
                f"{name} does not lie below the folder of the export",
                where="--name",
                fix="Remove empty parts, and parts that start with a dot.",
            )
        if times > 1:
            raise ConfigError(f"{times} files would be called {name}", where="--name", fix="Add {what} or {ext}.")


def _check_template(template: str) -> None:
    try:
        fields = [
            (name, spec or "", how) for _, name, spec, how in string.Formatter().parse(template) if name is not None
        ]
    except ValueError as error:
        what = f"{template!r} is not a template ({error})"
        raise ConfigError(what, where="--name", fix=f"Example: {NAME}.") from error
    for name, spec, how in fields:
        if name not in _FIELDS:
            raise ConfigError(f"{{{name}}} is not a field", where="--name", fix=f"Use {', '.join(_FIELDS)}.")
        if how or (spec and not (name == "frame" and re.fullmatch(r"0\d{1,2}d", spec))):
            raise ConfigError(
                f"{{{name}}} cannot be written as {spec or how!r}", where="--name", fix="Example: {frame:06d}."
            )
    missing = {"camera", "frame"} - {name for name, _, _ in fields}
    if missing or not template.endswith(".{ext}"):
        raise ConfigError(
            f"{template!r} has no {', '.join(sorted(f'{{{m}}}' for m in missing)) or '.{ext} at its end'}",
            where="--name",
            fix=f"Example: {NAME}.",
        )
