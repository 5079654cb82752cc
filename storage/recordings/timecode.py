"""Frame rates as exact fractions, and the clock of film and television.

A rate is kept as a float such as 29.97, which stands for 30000/1001; a file needs the fraction. A time code counts
whole numbers of frames per second. At 29.97 it falls behind the wall clock, so the drop-frame form (written with ";")
skips the first two numbers of every minute but the tenth (SMPTE ST 12-1, 5.2.2). No frame is dropped by this.
"""

import re
from dataclasses import dataclass, replace
from fractions import Fraction

_CODE = re.compile(r"(\d\d):(\d\d):(\d\d)([:;.,])(\d\d\d?)")


def exact_rate(fps: float) -> Fraction:
    """The rate that `fps` stands for: 29.97 is 30000/1001, 23.976 is 24000/1001."""
    whole = Fraction(round(fps))
    slow = whole * 1000 / 1001
    if fps != whole and abs(fps - slow) < 0.005:
        return slow
    return Fraction(fps).limit_denominator(1000)


@dataclass(frozen=True)
class Timecode:
    """A time of day in frames.

    Attributes:
        count: frames since midnight.
        per: numbers in a second.
        drop: whether it skips numbers.
    """

    count: int
    per: int
    drop: bool = False

    @classmethod
    def parse(cls, text: str, fps: float) -> "Timecode":
        """Read "HH:MM:SS:FF"; ";" or "." before the frame number means drop-frame.

        Raises:
            ValueError: no clock at this rate shows it; the message is a clause.
        """
        match = _CODE.fullmatch(text)
        if not match:
            raise ValueError(f"the time code {text!r} is not HH:MM:SS:FF")
        hours, minutes, seconds, frame = (int(match[part]) for part in (1, 2, 3, 5))
        per, drop = round(fps), match[4] != ":"
        if drop and (per % 30 or exact_rate(fps).denominator == 1):
            raise ValueError(f"the time code {text} is drop-frame, which {fps:g} frames per second do not have")
        skipped = per // 15 if drop else 0
        if hours > 23 or minutes > 59 or seconds > 59 or frame >= per:
            raise ValueError(f"the time code {text} does not exist at {fps:g} frames per second")
        if drop and frame < skipped and not seconds and minutes % 10:
            raise ValueError(f"the time code {text} does not exist, because drop-frame skips it")
        minutes += 60 * hours
        return cls((60 * minutes + seconds) * per + frame - skipped * (minutes - minutes // 10), per, drop)

    def __add__(self, frames: int) -> "Timecode":
        return replace(self, count=(self.count + frames) % self._day)

    def __sub__(self, other: "Timecode") -> int:
        """Frames from `other` to this, at most half a day either way: midnight may lie between them."""
        return (self.count - other.count + self._day // 2) % self._day - self._day // 2

    @property
    def parts(self) -> tuple[int, int, int, int]:
        """Hours, minutes, seconds and frame, as they are shown."""
        count, skipped = self.count, self.per // 15 if self.drop else 0
        if skipped:
            minute = 60 * self.per - skipped
            tens, rest = divmod(count, 10 * minute + skipped)
            count += skipped * (9 * tens + max(0, rest - skipped) // minute)
        seconds, frame = divmod(count, self.per)
        return seconds // 3600, seconds // 60 % 60, seconds % 60, frame

    def __str__(self) -> str:
        hours, minutes, seconds, frame = (f"{part:02d}" for part in self.parts)
        return f"{hours}:{minutes}:{seconds}{';' if self.drop else ':'}{frame}"

    @property
    def _day(self) -> int:
        return 24 * 60 * (60 * self.per) - (self.per // 15 * 24 * 54 if self.drop else 0)


def timecode_after(start: str, frames: int, fps: float) -> Timecode | None:
    """The time code of the frame `frames` after `start`; None if `start` is "".

    Raises:
        ValueError: no clock at this rate shows `start`.
    """
    return Timecode.parse(start, fps) + frames if start else None
