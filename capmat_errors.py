"""The one family of errors that capmat raises on purpose.

Every message says what happened, where (take, camera, frame or file) and what to do next, on one line. Only several
mistakes in one file of settings have a line each. Each
class also inherits the builtin that a caller would catch, so `except FileNotFoundError` still works. This
module stands alone at the top because storage and capmat_models both raise these and never import each other.
"""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but tab and new line, marks that turn the direction of writing, and bytes that are no text."""


_BULLET = "\n- "
"""Begins a mistake that has a line of its own."""


class CapmatError(Exception):
    """Base of the family.

    Args:
        what: what happened, in words, without a full stop.
        where: the take, camera, frame or file that it happened at.
        fix: what the reader should do next, as a sentence.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str = "", fix: str = "") -> None:
        self.what, self.where, self.fix = what, where, fix
        text = f"{where}: {what}" if where else what
        super().__init__(f"{text}. {fix}" if fix else text)

    def __str__(self) -> str:
        return "\n  ".join(plain(" ".join(line.split())) for line in str(self.args[0]).split(_BULLET))

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.what, self.where, self.fix)


def plain(text: str) -> str:
    r"""The text with all that steers a terminal written out, as in `\x1b[2J`; names of files may hold it."""
    return _STEERING.sub(lambda hit: hit[0].encode("unicode_escape").decode(), text)


def _rebuild(cls: type[CapmatError], what: str, where: str, fix: str) -> CapmatError:
    """Make the error again on the other side of a process boundary (Dask pickles exceptions)."""
    return cls(what, where=where, fix=fix)


class ConfigError(CapmatError, ValueError):
    """A setting is unknown, of the wrong type or out of range."""


class SessionError(CapmatError, ValueError):
    """A session descriptor, or the folder that it describes, cannot be used."""


class CameraMissing(CapmatError, LookupError):
    """A camera is calibrated but not recorded, or the other way round."""


class FrameGap(CapmatError, ValueError):
    """Frames are missing, doubled, or differ between cameras."""


class ImageUnreadable(CapmatError, OSError):
    """A file is not an image, is truncated, or holds values that no camera makes."""


class SizeMismatch(CapmatError, ValueError):
    """Two pictures that must have one size do not."""


class PlateMissing(CapmatError, FileNotFoundError):
    """The empty stage of a camera was not recorded."""


class PlateMismatch(CapmatError, ValueError):
    """A plate does not belong to the camera or take it is used with."""


class CalibrationError(CapmatError, ValueError):
    """A calibration cannot be read, or does not describe the cameras at hand."""


class ScribbleError(CapmatError, ValueError):
    """A scribble overlay cannot be used as labels."""


class CheckpointError(CapmatError, ValueError):
    """Weights cannot be read, or belong to another network."""


class StoreError(CapmatError, OSError):
    """The store cannot be written to or read from: disk full, read-only, out of reach."""


class Overtaken(StoreError):
    """Another model was put in use in the meantime."""


class NotFound(CapmatError, LookupError):
    """Something that was asked for by name is not in the store."""


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """A question that proposes the nearest of the known names, such as "Did you mean walk?"; "" if none is near."""
    names = {str(one).lower(): str(one) for one in known}
    near = get_close_matches(str(name).lower(), names, n=1)
    return f"Did you mean {names[near[0]]}?" if near and not str(name).isdigit() else ""


def listed(known: Iterable[object], most: int = 20) -> str:
    """The names for a message: all of them, or the first and how many more there are."""
    names = [str(name) for name in known]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}" or "none"


def together(kind: type[CapmatError], mistakes: Sequence[CapmatError], where: str, fix: str) -> CapmatError:
    """One error for all mistakes that were found at once: the only one as it is, or a line for each."""
    if len(mistakes) == 1:
        (only,) = mistakes
        return kind(only.what, where=only.where or where, fix=f"{only.fix} {fix}".lstrip())
    return kind(f"{len(mistakes)} mistakes. {fix}{''.join(f'{_BULLET}{one}' for one in mistakes)}", where=where)


def no_such(
    kind: str,
    name: object,
    known: Iterable[object],
    *,
    where: str,
    fix: str = "Check the name.",
    holder: str = "the store",
) -> NotFound:
    """The error for a name that `holder` does not have; the message lists its names and proposes the nearest."""
    known = list(known)
    what = f"no {kind} is called {name}; {holder} has: {listed(known)}"
    return NotFound(what, where=where, fix=did_you_mean(name, known) or fix)


class MatteError(CapmatError, ValueError):
    """A matte is missing, empty or broken, so what needs it cannot go on."""


class WorkerLost(CapmatError, RuntimeError):
    """The worker that a task ran on died every time, most likely for want of memory."""


class NeedsHuman(CapmatError, RuntimeError):
    """A night did what it could, and something of it was refused or failed: a person must look."""

    exit_code = 3


class TrainingError(CapmatError, RuntimeError):
    """Training cannot go on: no data, or a loss that is not a number."""
