"""Time codes count as SMPTE ST 12-1 says, with and without skipped numbers."""

import pytest

from storage.recordings.timecode import Timecode


@pytest.mark.parametrize(
    ("start", "frames", "fps", "then"),
    [
        ("00:00:59;28", 2, 29.97, "00:01:00;02"),
        ("00:09:59;29", 1, 29.97, "00:10:00;00"),
        ("00:00:00;00", 107892, 29.97, "01:00:00;00"),  # an hour of drop-frame, by the standard
        ("00:00:59;59", 1, 59.94, "00:01:00;04"),
        ("00:00:59:29", 1, 29.97, "00:01:00:00"),
        ("23:59:59;29", 1, 29.97, "00:00:00;00"),
        ("10:00:00:24", 1, 25, "10:00:01:00"),
        ("00:01:00.02", -1, 29.97, "00:00:59;29"),
    ],
)
def test_a_time_code_goes_on_as_the_standard_says(start: str, frames: int, fps: float, then: str) -> None:
    assert str(Timecode.parse(start, fps) + frames) == then


def test_a_drop_frame_clock_shows_every_number_but_two_in_nine_of_ten_minutes() -> None:
    zero = Timecode.parse("00:00:00;00", 29.97)
    shown = [(zero + count).parts for count in range(17982 + 30)]
    wanted = [
        (0, m, s, f) for m in range(11) for s in range(60) for f in range(30) if not (f < 2 and s == 0 and m % 10)
    ]
    assert shown == wanted[: len(shown)]
    assert all(Timecode.parse(str(zero + count), 29.97) - zero == count for count in range(0, 17982, 7))


def test_midnight_may_lie_between_two_cameras() -> None:
    late, early = Timecode.parse("00:00:00:02", 25), Timecode.parse("23:59:59:24", 25)
    assert (late - early, early - late) == (3, -3)


@pytest.mark.parametrize(
    ("code", "fps"),
    [("00:01:00;00", 29.97), ("25:00:00:00", 25), ("10:00:00:25", 25), ("10:60:00:00", 25), ("1:2:3:4", 25)]
    + [("10:00:00;00", 25), ("10:00:00;00", 30), ("10:00:00;00", 23.976)],
)
def test_a_time_code_that_no_clock_shows_is_refused(code: str, fps: float) -> None:
    with pytest.raises(ValueError, match="the time code"):
        Timecode.parse(code, fps)
