"""A camera that moved is found to a twentieth of a pixel, with a subject in the way and another exposure."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from capmat_models.stage.registration import Registration, detail_ratio, lay_under, register

SIZE = (96, 128)
ALL = np.ones(SIZE, bool)


def world(seed: int) -> np.ndarray:
    """Something with edges of all sizes, larger than the picture: (H + 80, W + 80)."""
    rng = np.random.default_rng(seed)
    shape = (SIZE[0] + 80, SIZE[1] + 80)
    picture = sum(gaussian_filter(rng.normal(0, 1, shape), s) * s for s in (1.2, 3, 8))
    return 0.05 + 0.5 * (picture - picture.min()) / np.ptp(picture)


def seen(stage: np.ndarray, x: float = 0, y: float = 0, turn: float = 0, scale: float = 0) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    u, v = columns - (SIZE[1] - 1) / 2, rows - (SIZE[0] - 1) / 2
    at = np.stack([rows - y - scale * v - turn * u + 40, columns - x - scale * u + turn * v + 40])
    return map_coordinates(stage, at, order=3).astype(np.float32)


def occupied(picture: np.ndarray, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    out = picture + rng.normal(0, 0.004, picture.shape)
    out[20:, 45:75] = 0.02 + 0.3 * (np.arange(30) % 7 == 0)
    return np.clip(out, 0, 1).astype(np.float32)


@settings(max_examples=8, deadline=None)
@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(0.85, 1.15), st.integers(0, 50))
def test_a_shift_is_found_through_subject_noise_and_exposure(x: float, y: float, gain: float, seed: int) -> None:
    stage = world(seed)
    found = register(seen(stage), occupied(gain * seen(stage, x, y), seed), ALL)
    assert found is not None
    assert found.x == pytest.approx(x, abs=0.05)
    assert found.y == pytest.approx(y, abs=0.05)
    assert found.error < 0.05


def test_a_camera_that_was_knocked_far_is_found_too() -> None:
    stage = world(3)
    found = register(seen(stage), occupied(seen(stage, 17, -9), 1), ALL)
    assert found is not None
    assert (found.x, found.y) == (pytest.approx(17, abs=0.1), pytest.approx(-9, abs=0.1))


def test_turn_and_size_are_told_from_a_shift() -> None:
    stage = world(5)
    found = register(seen(stage), occupied(seen(stage, 0.5, 0, turn=0.004, scale=-0.003), 1), ALL)
    assert found is not None
    assert found.turn == pytest.approx(0.004, abs=3e-4)
    assert found.scale == pytest.approx(-0.003, abs=3e-4)


def test_laying_the_plate_under_the_shot_undoes_the_move() -> None:
    stage = world(6)
    matrix = np.array([[1.001, -0.002, 1.3], [0.002, 1.001, -0.6], [0, 0, 1]])
    middle = np.array([[1, 0, (SIZE[1] - 1) / 2], [0, 1, (SIZE[0] - 1) / 2], [0, 0, 1]])
    moved = lay_under(seen(stage), Registration(middle @ matrix @ np.linalg.inv(middle), "similarity", SIZE, 0, 1))
    inside = (slice(6, -6), slice(6, -6))
    np.testing.assert_allclose(moved[inside], seen(stage, 1.3, -0.6, 0.002, 0.001)[inside], atol=0.01)


@pytest.mark.parametrize("plate", [np.zeros(SIZE, np.float32), np.full(SIZE, 0.3, np.float32)])
def test_a_stage_without_edges_is_not_registered(plate: np.ndarray) -> None:
    assert register(plate, plate.copy(), ALL) is None
    assert detail_ratio(plate, plate.copy(), ALL) is None


def test_what_is_masked_away_is_not_registered() -> None:
    picture = seen(world(1))
    assert register(picture, picture.copy(), np.zeros(SIZE, bool)) is None


def test_defocus_is_lost_detail_and_noise_is_no_detail() -> None:
    picture = seen(world(2))
    noisy = picture + np.random.default_rng(0).normal(0, 0.01, SIZE).astype(np.float32)
    same, soft, sharp = (
        detail_ratio(*pair, ALL)
        for pair in (
            (picture, noisy),
            (picture, gaussian_filter(picture, 1.0)),
            (gaussian_filter(picture, 1.0), picture),
        )
    )
    assert same == pytest.approx(1, abs=0.1)
    assert soft is not None
    assert soft < 0.7
    assert sharp is not None
    assert sharp > 1.4
