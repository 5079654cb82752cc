"""A plate is changed only if it does not fit, and then it fits; subjects and noise never change it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates

from capmat_models.stage.mend import Change, find_change

SIZE = (144, 192)
MARGIN = 40


def world(seed: int) -> np.ndarray:
    """A stage of panels, lines and texture, larger than the picture: (3, H + 80, W + 80), display-referred."""
    rng = np.random.default_rng(seed)
    shape = (SIZE[0] + 2 * MARGIN, SIZE[1] + 2 * MARGIN)
    panels = rng.uniform(0.15, 0.75, (3, shape[0] // 16, shape[1] // 16)).repeat(16, axis=1).repeat(16, axis=2)
    out = np.full((3, *shape), 0.4)
    out[:, : panels.shape[1], : panels.shape[2]] = panels
    out += 0.1 * gaussian_filter(rng.normal(0, 1, (3, *shape)), (0, 1.5, 1.5))
    return gaussian_filter(out, (0, 0.8, 0.8))


def seen(stage: np.ndarray, matrix: np.ndarray | None = None) -> np.ndarray:
    """The stage by a camera that moved by a homography (3, 3) of pixels (x, y)."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    points = np.stack([columns, rows, np.ones_like(rows)]).reshape(3, -1)
    x, y, w = np.linalg.inv(np.eye(3) if matrix is None else matrix) @ points
    at = np.stack([y / w, x / w]).reshape(2, *SIZE) + MARGIN
    return np.clip([map_coordinates(plane, at, order=3) for plane in stage], 0, 1).astype(np.float32)


def about_middle(x: float = 0, y: float = 0, turn: float = 0, scale: float = 0, tilt: float = 0) -> np.ndarray:
    middle = np.array([[1, 0, (SIZE[1] - 1) / 2], [0, 1, (SIZE[0] - 1) / 2], [0, 0, 1]])
    return middle @ np.array([[1 + scale, -turn, x], [turn, 1 + scale, y], [tilt, -tilt, 1]]) @ np.linalg.inv(middle)


def occupied(picture: np.ndarray, seed: int, share: float = 0.3, noise: float = 0.008) -> np.ndarray:
    """The picture with noise, a striped subject over a share of it, and a soft shadow beside it."""
    rng = np.random.default_rng(seed)
    height, width = SIZE
    tall, wide = (int(side * np.sqrt(share)) for side in SIZE)
    top, left = rng.integers(0, height - tall + 1), rng.integers(0, width - wide + 1)
    shadow = np.zeros(SIZE)
    shadow[top : top + tall, left : left + wide] = 1
    out = picture * (1 - 0.4 * gaussian_filter(shadow, 6))
    stripes = rng.uniform(0, 1, (3, 1, wide)) * np.ones((3, tall, 1))
    out[:, top : top + tall, left : left + wide] = stripes
    return np.clip(out + rng.normal(0, noise, out.shape), 0, 1).astype(np.float32)


def noisy(picture: np.ndarray, seed: int, noise: float) -> np.ndarray:
    return np.clip(picture + np.random.default_rng(seed).normal(0, noise, picture.shape), 0, 1).astype(np.float32)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.floats(0, 0.05), st.integers(1, 2))
def test_noise_alone_changes_nothing(seed: int, noise: float, frames: int) -> None:
    plate = seen(world(seed))
    change = find_change(noisy(plate, seed, noise), [noisy(plate, seed + 100 + n, noise) for n in range(frames)])
    assert change == Change()


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.floats(0.02, 0.5), st.integers(1, 2))
def test_a_subject_and_its_shadow_change_nothing(seed: int, share: float, frames: int) -> None:
    plate = seen(world(seed))
    assert find_change(plate, [occupied(plate, seed + n, share) for n in range(frames)]) == Change()


@pytest.mark.parametrize(
    ("matrix", "kind"),
    [
        (about_middle(1.6, -1.2), "shift"),
        (about_middle(-20, 11), "shift"),
        (about_middle(scale=0.01), "similarity"),
        (about_middle(1, 1, turn=0.01, scale=-0.006), "similarity"),
        (about_middle(1, 2, turn=0.004, tilt=6e-5), "homography"),
    ],
)
@pytest.mark.parametrize("seed", [1, 2])
def test_a_plate_is_laid_under_a_camera_that_moved(matrix: np.ndarray, kind: str, seed: int) -> None:
    stage = world(seed)
    plate, true = seen(stage), seen(stage, matrix)
    change = find_change(noisy(plate, 8, 0.003), [occupied(true, seed)])
    assert change.moved is not None
    assert (change.moved.kind, change.tone) == (kind, None)
    laid, valid = change.apply(plate, np.ones(SIZE, bool))
    assert np.abs(laid - true)[:, valid].mean() < 0.15 * np.abs(plate - true)[:, valid].mean()
    assert valid.mean() > 0.8
    assert not valid.all() or kind == "similarity"


@pytest.mark.parametrize("levels", [8, -8])
def test_exposure_and_colour_are_matched(levels: int) -> None:
    plate = seen(world(4))
    tinted = np.clip(plate * np.array([1.04, 1, 0.97])[:, None, None] + levels / 255, 0, 1).astype(np.float32)
    change = find_change(plate, [occupied(tinted, 3)])
    assert change.moved is None
    matched, _ = change.apply(plate, np.ones(SIZE, bool))
    assert np.abs(matched - tinted).mean() < 1.2 / 255


def test_clipped_lamps_stay_clipped() -> None:
    plate = seen(world(4))
    plate[:, 20:50, 30:80] = 1
    darker = np.where(plate < 1, plate - np.float32(0.04), plate).astype(np.float32)
    change = find_change(plate, [occupied(darker, 3)])
    assert change.tone is not None
    assert (change.apply(plate, np.ones(SIZE, bool))[0][:, 25:45, 35:75] == 1).all()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("level", [0.0, 0.01, 1.0])
def test_a_channel_that_is_black_or_white_everywhere_is_left_as_it_is(level: float) -> None:
    """The red of a green screen; warnings of numpy would reach the terminal."""
    plate = seen(world(3))
    plate[0] = level
    shot = plate + np.float32([[[0]], [[0.04]], [[0]]])
    change = find_change(plate, [shot])
    assert "green +10.2" in change.words
    assert "red +0.0" in change.words
    assert np.allclose(change.apply(plate, np.ones(SIZE, bool))[0], np.minimum(shot, 1), atol=0.01)


def test_another_stage_is_refused_and_a_bare_wall_is_not() -> None:
    assert "another stage" in find_change(seen(world(1)), [occupied(seen(world(2)), 1)]).warning
    wall = np.full((3, *SIZE), 0.4, np.float32)
    assert find_change(noisy(wall, 1, 0.01), [occupied(wall, 1)]) == Change()


def test_a_camera_that_moves_within_the_take_is_told_and_not_mended() -> None:
    stage = world(5)
    shots = [occupied(seen(stage, about_middle(x)), 1) for x in (0, 2)]
    change = find_change(seen(stage), shots)
    assert "moves within the take, by 2 px" in change.warning
    assert (change.moved, change.tone, change.words) == (None, None, "")


def test_a_change_is_told_and_travels_as_plain_json() -> None:
    import json

    stage = world(6)
    change = find_change(seen(stage), [occupied(seen(stage, about_middle(2, 0)) - np.float32(0.04), 1)])
    assert change.moved is not None
    assert str(change.moved) in change.words
    assert "red -" in change.words
    again = Change.from_json(json.loads(json.dumps(change.to_json())))
    plate, valid = seen(stage), np.ones(SIZE, bool)
    for one, other in zip(change.apply(plate, valid), again.apply(plate, valid), strict=True):
        np.testing.assert_array_equal(one, other)
