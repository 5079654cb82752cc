"""What a plan knows of one camera in one take, and how its faults are gathered.

A stage that was recorded badly is mended once, not once per fault: everything is looked at, and what is wrong is
listed in the order in which it was found.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from capmat_errors import CapmatError


@dataclass
class CameraRow:
    """One camera of one take, filled in as far as it could be read.

    Attributes:
        first: first frame number that will be stored.
        last: last one.
        count: how many are there of those.
        gaps: which are missing, "12, 20-31"; "" if none.
        width: pixels.
        height: pixels.
        dtype: of the numbers in the files.
        source: kind of file, "png".
        plate: frames of the empty stage; 0 if there is none.
        distance: how badly the plate explains the background, 0..0.15 (`plate_check.plate_distance`).
        owner: the camera whose plate fits clearly better; "" if its own does.
        raw: bytes of pixels, before compression.
        encoded: bytes that a frame takes in the store, as measured.
        seconds: to decode and encode a frame on one core, as measured.
        measured: frames that were measured.
    """

    first: int = 0
    last: int = 0
    count: int = 0
    gaps: str = ""
    width: int = 0
    height: int = 0
    dtype: str = ""
    source: str = ""
    plate: int = 0
    distance: float | None = None
    owner: str = ""
    raw: int = 0
    encoded: int = 0
    seconds: float = 0.0
    measured: int = 0


@contextmanager
def gathered(problems: list[CapmatError], what: str = "") -> Iterator[None]:
    """Put a refusal on the list instead of stopping at it; `what` names the take or plate before the camera."""
    try:
        yield
    except CapmatError as error:
        problems.append(named(error, what))


def named(error: CapmatError, what: str) -> CapmatError:
    """The same error, with the take or plate put before the camera."""
    return type(error)(error.what, where=f"{what} {error.where}".strip(), fix=error.fix)


def ranges(numbers: Sequence[int], step: int = 1) -> str:
    """Rising numbers as "12, 20-31"; neighbours are `step` apart."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + step:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in runs)
