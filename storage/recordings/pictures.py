"""Recordings of one picture file per frame."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, SessionError
from storage.pictures.files import check_source, read_header, read_image, read_mosaic
from storage.pictures.header import Header
from storage.pictures.moment import read_moment
from storage.recordings.check import Frame, located
from storage.recordings.clock import Clock
from storage.recordings.timecode import Timecode, exact_rate


@dataclass(frozen=True)
class PictureFiles:
    """A `storage.recordings.recording.Source` of pictures that say themselves what they are."""

    def pictures(self, frames: Sequence[Frame], mosaic: bool) -> Iterator[NDArray[Any]]:
        """Read every frame's file."""
        read = read_mosaic if mosaic else read_image
        return (read(frame.path) for frame in frames)

    def headers(self, frames: Sequence[Frame]) -> Iterator[tuple[str, Header]]:
        """Yield the header of every file."""
        for frame in frames:
            with located(frame.where):
                header = read_header(frame.path)
                check_source(frame.path)
            yield frame.where, header


def clock_of_headers(camera: str, files: Mapping[int, Path], fps: float) -> Clock | None:
    """The clock of pictures that carry time codes or a rate (EXR, DPX, DNG); None if they carry neither.

    Args:
        camera: its name.
        files: by the camera's own frame numbers, rising.
        fps: of the session.

    Raises:
        SessionError: only some files have a time code, or one that does not exist at `fps`.
    """
    try:
        moments = {number: read_moment(path) for number, path in files.items()}
    except ImageUnreadable:
        return None  # the check of all headers says which file is broken
    codes = {number: moment.timecode for number, moment in moments.items() if moment.timecode}
    rates = tuple({moment.rate for moment in moments.values() if moment.rate})
    if len({*codes.values()}) == 1 < len(files) and set(codes.values()) == {"00:00:00:00"}:
        codes = {}  # a header that was filled with zeros
    if not (codes or rates) or max(files) >= 2**62:  # numbers that are no count are refused elsewhere
        return None
    numbers, tick = np.array([*files], np.int64), 1 / (rates[0] if rates else exact_rate(fps))
    if len(rates) > 1:
        what = f"the pictures state several rates: {', '.join(f'{float(rate):.6g}' for rate in sorted(rates))}"
        raise SessionError(what, where=f"camera {camera}", fix="Export all of them alike.")
    if not codes:
        return Clock("rate", tuple(files), numbers, Fraction(tick), rates, together=numbers)
    if bare := [number for number in files if number not in codes]:
        rare, has, others = (bare, "no", "one") if len(bare) <= len(codes) else ([*codes], "a", "none")
        what = f"the picture has {has} time code, others of the camera have {others}"
        where = f"camera {camera} frame {rare[0]}, {files[rare[0]]}"
        raise SessionError(what, where=where, fix="Export all of them alike.")
    counts = [_code(camera, number, path, codes[number], fps) for number, path in files.items()]
    since = np.array([code - counts[0] for code in counts], np.int64)
    return Clock(
        "codes", tuple(files), since, Fraction(tick), rates, codes[int(numbers[0])], together=since + numbers[0]
    )


def _code(camera: str, number: int, path: Path, code: str, fps: float) -> Timecode:
    where = f"camera {camera} frame {number}, {path}"
    try:
        return Timecode.parse(code, fps)
    except ValueError as error:
        fix = 'Correct fps, or set [sync] by = "count".'
        raise SessionError(str(error), where=where, fix=fix) from error
