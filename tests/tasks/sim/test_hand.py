"""The simulated annotator paints like a person: sparse, on failures, and never a wrong label."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import label

from tasks.sim.hand import BACKGROUND, FOREGROUND, SOLID, annotate, strokes_on

GREEN, RED = (0, 255, 0, 255), (255, 0, 0, 255)


def _disc(size: int, middle: tuple[float, float], radius: float, soft: float = 1.5) -> np.ndarray:
    y, x = np.mgrid[:size, :size]
    return np.clip((radius - np.hypot(y - middle[0], x - middle[1])) / soft + 0.5, 0, 1)


def _painted(overlay: np.ndarray, colour: tuple[int, ...]) -> np.ndarray:
    return (overlay == colour).all(axis=-1)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(15, 40), st.floats(0, 20))
def test_strokes_touch_only_what_is_solid_or_background(seed: int, radius: float, shift: float) -> None:
    true = _disc(128, (64, 64), radius)
    overlay = annotate(true, _disc(128, (64 + shift, 64), radius), np.random.default_rng(seed))
    assert (true[_painted(overlay, GREEN)] >= SOLID).all()
    assert (true[_painted(overlay, RED)] == 0).all()
    assert (_painted(overlay, GREEN) | _painted(overlay, RED) | ~overlay.any(axis=-1)).all()


def test_a_shadow_taken_for_foreground_gets_red_strokes_inside_it() -> None:
    true = _disc(160, (50, 80), 35)
    shadow = _disc(160, (125, 80), 25)
    overlay = annotate(true, np.maximum(true, shadow), np.random.default_rng(1))
    assert _painted(overlay, RED)[shadow > 0.5].sum() > 20


def test_a_hole_in_the_foreground_gets_green_strokes_inside_it() -> None:
    true = _disc(160, (80, 80), 60)
    hole = _disc(160, (80, 80), 25)
    overlay = annotate(true, true * (1 - hole), np.random.default_rng(2))
    assert _painted(overlay, GREEN)[hole > 0.5].sum() > 20


def test_dense_hair_that_is_missing_gets_green_strokes_and_thin_hair_none() -> None:
    dense = _disc(160, (80, 80), 60) * np.random.default_rng(7).uniform(SOLID, 0.998, (160, 160))
    for thinner, painted in ((1, True), (0.8, False)):
        overlay = annotate(thinner * dense, np.zeros_like(dense), np.random.default_rng(2))
        assert _painted(overlay, GREEN).any() == painted


def test_a_few_percent_are_painted_and_a_right_prediction_is_confirmed() -> None:
    true = _disc(256, (128, 128), 70)
    overlay = annotate(true, true, np.random.default_rng(3))
    assert _painted(overlay, GREEN).any()
    assert _painted(overlay, RED).any()
    assert 0 < overlay.any(axis=-1).mean() < 0.08


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_an_empty_or_full_picture_is_no_special_case(value: float) -> None:
    true = np.full((48, 64), value)
    overlay = annotate(true, 1 - true, np.random.default_rng(4))
    assert _painted(overlay, GREEN if value else RED).any()
    assert not _painted(overlay, RED if value else GREEN).any()


def test_the_same_hand_paints_the_same_strokes() -> None:
    true, wrong = _disc(96, (48, 48), 30), _disc(96, (56, 48), 30)
    one, two = (annotate(true, wrong, np.random.default_rng(5)) for _ in range(2))
    assert (one == two).all()


def test_a_large_failure_gets_three_strokes_and_what_is_right_gets_three_each_in_one_piece() -> None:
    true = _disc(256, (128, 128), 70)
    drawn = strokes_on(true, np.maximum(true, _disc(256, (40, 60), 30)), np.random.default_rng(6))
    assert [colour for _, colour in drawn] == [BACKGROUND] * 3 + [FOREGROUND] + [BACKGROUND] * 2
    assert all(label(where, np.ones((3, 3)))[1] == 1 for where, _ in drawn)
