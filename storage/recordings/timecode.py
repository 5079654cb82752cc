"""Frame rates as exact fractions, and the clock of film and television.

A rate is kept as a float such as 29.97, which stands for 30000/1001; a file needs the fraction.
"""

from fractions import Fraction


def exact_rate(fps: float) -> Fraction:
    """The rate that `fps` stands for: 29.97 is 30000/1001, 23.976 is 24000/1001."""
    whole = Fraction(round(fps))
    slow = whole * 1000 / 1001
    if fps != whole and abs(fps - slow) < 0.005:
        return slow
    return Fraction(fps).limit_denominator(1000)


def timecode_after(start: str, frames: int, fps: float) -> tuple[int, int, int, int] | None:
    """Hours, minutes, seconds and frame of the frame `frames` after `start`; no numbers are dropped.

    Args:
        start: "HH:MM:SS:FF", or "" if it is not known.
        frames: how many frames later.
        fps: frames per second; the clock counts the nearest whole number of them.

    Returns:
        None if `start` is "".
    """
    if not start:
        return None
    hours, minutes, seconds, frame = (int(part) for part in start.split(":"))
    per = round(fps)
    total = ((hours * 60 + minutes) * 60 + seconds) * per + frame + frames
    seconds, frame = divmod(total, per)
    return seconds // 3600 % 24, seconds // 60 % 60, seconds % 60, frame
