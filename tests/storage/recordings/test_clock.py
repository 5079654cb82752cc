"""What a clock says of its frames: their rate, the dropped ones, and what is only late."""

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.recordings.clock import Clock
from storage.recordings.timecode import exact_rate

RATES = (23.976, 24, 25, 29.97, 30, 48, 50, 59.94, 60, 120)
TICKS = (Fraction(1, 1000), Fraction(1, 90000), Fraction(1, 12800), Fraction(1, 10**9))


@settings(max_examples=60, deadline=None)
@given(
    fps=st.sampled_from(RATES),
    tick=st.sampled_from(TICKS),
    lost=st.lists(st.integers(2, 5), max_size=2),
    jitter=st.floats(0, 0.22),
    seed=st.integers(0, 9),
)
def test_dropped_frames_are_found_and_late_ones_are_not(
    fps: float, tick: Fraction, lost: list[int], jitter: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    moments = np.arange(40)
    for number, missing in enumerate(lost):
        moments[12 * (number + 1) :] += missing
    times = (moments + rng.uniform(-jitter, jitter, 40)) / float(exact_rate(fps))
    clock = Clock("stamps", tuple(range(40)), np.rint(times / float(tick)).astype(np.int64), tick)
    assert clock.runs_at(fps)
    assert clock.jitter < 0.9 / fps
    jump = clock.jump()
    if lost:
        assert jump is not None
        assert (jump.frame, jump.missing) == (12, lost[0])
    else:
        assert jump is None
    assert (clock.slots() == moments).all()


@settings(max_examples=40, deadline=None)
@given(fps=st.sampled_from(RATES), other=st.sampled_from(RATES), tick=st.sampled_from(TICKS[1:]))
def test_another_rate_is_told_from_a_few_frames(fps: float, other: float, tick: Fraction) -> None:
    times = np.arange(12) / float(exact_rate(other)) / float(tick)
    clock = Clock("stamps", tuple(range(12)), np.rint(times).astype(np.int64), tick, (exact_rate(other),))
    assert clock.runs_at(fps) == (fps == other)


@settings(max_examples=20, deadline=None)
@given(at=st.integers(1, 18), late=st.sampled_from([-0.8, -0.6, 0.6, 0.8]))
def test_one_late_frame_is_not_a_dropped_one(at: int, late: float) -> None:
    times = np.arange(20.0)
    times[at] += late
    clock = Clock("stamps", tuple(range(20)), np.rint(times * 1000).astype(np.int64), Fraction(1, 25000))
    assert clock.jump() is None
    assert abs(clock.jitter * 25 - abs(late)) < 0.1


def test_times_since_1970_in_nanoseconds_keep_their_last_digit() -> None:
    ticks = np.array([1700483211123456789, 1700483211163456788], np.int64)
    clock = Clock("names", (0, 1), ticks, Fraction(1, 10**9))
    assert abs(clock.period - 39999999) < 0.01
