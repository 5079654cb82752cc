"""When the frames of a recording were taken, as far as its files say it.

Times are kept in the ticks of the file, as whole numbers, because a float cannot hold nanoseconds since 1970. A frame
that was dropped leaves a lasting step between the times and the count of frames, and a late one only a blip.
"""

from bisect import bisect_right
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.recordings.timecode import exact_rate

_SAME_RATE = 5e-4
"""29.97 and 30 differ by 0.001, the clocks of two cameras by less than 0.0001."""
_MOST_DOUBT = 0.1  # of a few frames with coarse times


class Jump(NamedTuple):
    """Where a clock and the count of its frames part: the frame, its time, and when it was due, in seconds."""

    frame: int
    time: float
    due: float
    missing: int


@dataclass(frozen=True, eq=False)
class Clock:
    """The times of one camera's frames.

    Attributes:
        kind: what says them: "stamps" of a video, "names" of pictures, or the name of a file beside the recording.
        numbers: the camera's own frame numbers, rising, as many as there are times.
        ticks: (n) int64, the time of every frame.
        tick: seconds.
        stated: rates that the file states; the times decide which is meant.
        timecode: of the first frame, or "".
        together: (n) which frame of the stage each one belongs to, where a recorder of several cameras says so.
        shared: whether the ticks of all cameras start at the same moment.
        exact: whether every time is that of its frame; else gaps are near where they seem to be.
    """

    kind: str
    numbers: tuple[int, ...]
    ticks: NDArray[np.int64]
    tick: Fraction
    stated: tuple[Fraction, ...] = ()
    timecode: str = ""
    together: NDArray[np.int64] | None = None
    shared: bool = False
    exact: bool = True

    @cached_property
    def period(self) -> float:
        """Ticks from frame to frame, without the gaps; 0 of a single frame."""
        slots = self.slots()
        return float(np.polyfit(slots, self.ticks - self.ticks[0], 1)[0]) if np.ptp(slots) else 0.0

    @cached_property
    def _lost(self) -> NDArray[np.int64]:
        """(n): how many frames were dropped before each one; less than before where one comes too soon."""
        steps = np.diff(self.ticks).astype(np.float64)
        usual = np.quantile(steps, 0.25)  # more than a quarter of the steps are a single frame long
        for _ in range(2):
            near = steps[np.abs(steps - usual) <= abs(usual) / 2]
            usual = near.mean() if len(near) else usual
        steps /= max(usual, 1.0)
        ahead, lost = np.concatenate([[0.0], np.cumsum(steps - 1)]), np.zeros(len(steps) + 1)
        odd = [0, *(np.flatnonzero(np.rint(steps) != 1) + 1).tolist(), len(ahead)]
        for before, at, after in zip(odd, odd[1:], odd[2:], strict=False):
            # A few frames on both sides, because one may be late; those beyond the next odd step do not count.
            lost[at] = np.rint(np.median(ahead[at : min(at + 3, after)]) - np.median(ahead[max(before, at - 3) : at]))
        lost = np.cumsum(lost)
        if len(lost) > 2:
            lost[1:-1] = np.median([lost[:-2], lost[1:-1], lost[2:]], axis=0)
        return lost.astype(np.int64)

    @property
    def rate(self) -> float:
        """Frames per second: a stated rate that the times do not contradict, or else what they say; 0 if unknown."""
        if self.period <= 0:  # one frame, or times that run backwards
            return float(self.stated[0]) if self.stated else 0.0
        measured = 1 / (self.period * float(self.tick))
        fits = (float(rate) for rate in self.stated if abs(float(rate) / measured - 1) <= self._doubt)
        return next(fits, measured)

    def runs_at(self, fps: float, tolerance: float = _SAME_RATE) -> bool:
        """Whether the frames come at `fps`, as well as the times can tell; a single frame comes at any rate."""
        rate = self.rate
        doubt = 0.0 if rate in map(float, self.stated) else self._doubt
        return len(self.ticks) < 2 or abs(rate / float(exact_rate(fps)) - 1) <= tolerance + doubt

    def until(self, last: int) -> "Clock":
        """The clock of the frames up to the camera's own number `last`."""
        count = bisect_right(self.numbers, last)
        together = None if self.together is None else self.together[:count]
        return replace(self, numbers=self.numbers[:count], ticks=self.ticks[:count], together=together)

    def seconds(self, index: int) -> float:
        """The time of the `index`-th frame, from the clock's zero."""
        return float(int(self.ticks[index]) * self.tick)

    @property
    def since_first(self) -> NDArray[np.float64]:
        """(n): seconds from the first frame."""
        return (self.ticks - self.ticks[0]) * float(self.tick)

    def slots(self) -> NDArray[np.int64]:
        """(n): frames since the first one, with those that were dropped."""
        if self.together is not None:
            return self.together - self.together[0]
        return np.arange(len(self.ticks)) + (self._lost if len(self.ticks) > 1 else 0)

    @property
    def jitter(self) -> float:
        """The longest distance of a frame from where it was due, in seconds."""
        if not self.period:
            return 0.0
        off = (self.ticks - self.ticks[0]) / self.period - self.slots()
        return float(np.abs(off - np.median(off)).max() * self.period * float(self.tick))

    def jump(self) -> Jump | None:
        """The first frame before which frames are missing, or that comes too soon; None of an even recording."""
        steps = np.diff(self.slots()) - np.diff(self.numbers if self.kind != "names" else np.arange(len(self.ticks)))
        if not steps.any():
            return None
        index = int(np.flatnonzero(steps)[0])
        due = self.seconds(index) + self.period * float(self.tick)
        return Jump(self.numbers[index + 1], self.seconds(index + 1), due, int(steps[index]))

    @property
    def _doubt(self) -> float:
        """Relative error of a rate that was measured with these ticks."""
        doubt = 2 * (1 + self.jitter / float(self.tick)) / max(1, int(self.ticks[-1]) - int(self.ticks[0]))
        return min(_MOST_DOUBT, doubt)
