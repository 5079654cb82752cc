"""Are the numbers of a take's frames a count?

Names that are times, or a stray file among numbered ones, would make a take of billions of missing frames. They are
found before anything is made that long.
"""

from bisect import bisect
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from capmat_errors import FrameGap, SessionError
from storage.descriptor import Session
from storage.recordings.recording import Recording
from storage.recordings.sidecar import moments, unit_of

_LACKING = 10_000
"""Frames that no camera has, at most."""
_LARGEST = 2**31 - 1
"""The largest whole number that the header of an EXR file holds."""
_UNITS = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**7: "ticks of 100 ns", 10**9: "nanoseconds"}


def check_numbers(session: Session, take: str, recordings: Mapping[str, Recording], first: int, last: int) -> None:
    """Refuse a take that would lack far more frames than anybody loses.

    Args:
        session: the descriptor.
        take: its name.
        recordings: by camera.
        first: first frame of the take, as recorded or as the session says.
        last: last frame.

    Raises:
        SessionError: the session chooses frames far from all that were recorded.
        FrameGap: the numbers are times, or a stray file has a number of its own.
    """
    section = session.takes[take]
    found = sorted({n for recording in recordings.values() for n in recording.frames if first <= n <= last})
    lacking = (last - first) // section.step + 1 - sum((n - first) % section.step == 0 for n in found)
    counted = all(recording.placed is None for recording in recordings.values())
    longest = max((recording.frames for recording in recordings.values()), key=len)
    if counted and (lacking > len(found) or last > _LARGEST) and (times := _as_times(longest, session.fps)):
        raise FrameGap(
            f"the numbers of the frames are times: {times}",
            where=_where(take, recordings, longest[0]),
            fix='Set [sync] by = "timestamp", or number the files 0, 1, 2.',
        )
    if lacking <= _LACKING and last <= _LARGEST:
        return
    ends = [first, *found, last]
    steps = np.diff(np.array(ends, object))
    gap = int(np.argmax(steps))
    before, after = ends[gap], ends[gap + 1]
    if gap in (0, len(steps) - 1) and before != after:
        key = "last" if gap else "first"
        what = f"{key} = {last if gap else first} is {after - before} frames away from the nearest that was recorded"
        raise SessionError(what, where=f"take {take}", fix=f"Correct {key} of the take.")
    if last > _LARGEST and lacking <= _LACKING:
        what = f"frame {last} has a larger number than pictures can carry ({_LARGEST})"
        fix = 'Set [sync] by = "timestamp" if it is a time, or number the files 0, 1, 2.'
        raise FrameGap(what, where=_where(take, recordings, last), fix=fix)
    stray = after if bisect(found, before) >= len(found) / 2 else before
    raise FrameGap(
        f"frame {stray} is {after - before} frames away from frame {before if stray == after else after}",
        where=_where(take, recordings, stray),
        fix="Remove or rename this file, or set first= and last= of the take.",
    )


def _as_times(numbers: Sequence[int], fps: float) -> str:
    """How numbers read as times in steps of a frame; "" if they do not."""
    if not numbers or (len(numbers) == 1 and numbers[0] <= _LARGEST):
        return ""
    if moments(numbers):
        return f"{', '.join(map(str, numbers[:2]))} are written dates"
    unit = unit_of([numbers], fps)
    steps = np.diff(np.array(numbers, object)).astype(float)
    period = float(np.median(steps)) * float(unit) if len(steps) else 1 / fps
    if unit == Fraction(1) or not 0.8 < period * fps < 1.25:
        return ""
    return f"{', '.join(map(str, numbers[:2]))} in {_UNITS[unit.denominator]} are {1000 * period:.4g} ms apart"


def _where(take: str, recordings: Mapping[str, Recording], frame: int) -> str:
    camera, recording = next((id, one) for id, one in recordings.items() if frame in one.frames)
    return f"take {take} camera {camera}, {recording.file(frame)}"
