"""What changes outside the subject is told apart: shadows from reflections, the subject from its mirror image."""

import numpy as np
import pytest

from capmat_models.stage.change import (
    changed,
    largest_piece,
    may_be_subject,
    pieces,
    signed_change,
    silhouettes,
    structured,
)

SIGMA = 0.004


@pytest.fixture
def noise() -> np.ndarray:
    return np.random.default_rng(0).normal(0, SIGMA, (100, 120)).astype(np.float32)


def test_a_soft_shadow_changes_but_has_no_structure(noise: np.ndarray) -> None:
    rows, columns = np.mgrid[:100, :120]
    change = noise - 0.08 * np.exp(-((rows - 50) ** 2 + (columns - 60) ** 2) / (2 * 15**2)).astype(np.float32)
    assert changed(change, SIGMA).sum() > 400
    assert not structured(change, SIGMA, 5).any()
    assert not may_be_subject(change, SIGMA, 5).any()


def test_a_reflection_has_structure_and_noise_is_no_change(noise: np.ndarray) -> None:
    change = noise.copy()
    change[30:60, 40:70] += 0.06 * (np.arange(30) // 4 % 2).astype(np.float32)
    found = structured(change, SIGMA, 5)
    assert found[30:60, 40:70].mean() > 0.3
    found[28:62, 38:72] = False
    assert not found.any()


def test_change_takes_the_channel_that_differs_most_with_its_sign() -> None:
    plate = np.full((3, 1, 1), 0.25, np.float32)
    shot = np.array([0.25, 0.09, 0.36], np.float32)[:, None, None]
    assert signed_change(plate, shot)[0, 0] == pytest.approx(-0.2)


def test_pieces_are_counted_by_pixels() -> None:
    mask = np.zeros((40, 40), bool)
    mask[2:8, 2:8] = mask[20:22, 20:22] = mask[30:40, 5:15] = True
    assert [int(piece.sum()) for piece in pieces(mask, 10)] == [36, 100]
    assert largest_piece(mask, 0).sum() == 100
    assert not largest_piece(np.zeros((5, 5), bool), 3).any()


def ring(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Where voxels of the box -1..1 fall in cameras around a ball of radius 0.4, and how each of them sees it."""
    axis = (np.arange(48) + 0.5) / 24 - 1
    points = np.stack(np.meshgrid(axis, axis, axis), -1).reshape(-1, 3)
    rows, columns = np.mgrid[:64, :64]
    ball = np.hypot(rows - 31.5, columns - 31.5) < 60 * 0.4 / np.sqrt(9 - 0.16)
    places = []
    for number in range(count):
        angle = 2 * np.pi * number / count
        depth = 3 - points @ [np.cos(angle), np.sin(angle), 0]
        right = points @ [-np.sin(angle), np.cos(angle), 0]
        places.append(np.stack([31.5 + 60 * right / depth, 31.5 - 60 * points[:, 2] / depth], 1))
    return places, [ball.copy() for _ in range(count)]


@pytest.mark.parametrize("count", [4, 9])
def test_the_hull_holds_the_subject_and_not_its_reflection(count: int) -> None:
    places, masks = ring(count)
    ball = masks[0].copy()
    masks[1][50:56, 28:36] = True  # a spot that one camera alone sees
    found = silhouettes(places, masks, [1] * count, margin=1)
    assert found is not None
    for mask in found:
        assert mask[ball].all()
        assert mask.mean() < 2.5 * ball.mean()
        assert not mask[50:56, 28:36].any()


def test_of_many_cameras_one_may_be_blind_for_the_subject() -> None:
    places, masks = ring(9)
    ball = masks[0].copy()
    masks[4][:] = False
    found = silhouettes(places, masks, [1] * 9, margin=1)
    assert found is not None
    assert found[4][ball].all()


def test_views_that_agree_on_nothing_or_see_nothing_have_no_hull() -> None:
    places, masks = ring(4)
    assert silhouettes(places, [np.zeros_like(mask) for mask in masks], [1] * 4, margin=1) is None
    assert silhouettes([np.full_like(place, np.nan) for place in places], masks, [1] * 4, margin=1) is None
