"""What changes outside the subject is told apart: shadows from reflections, the subject from its mirror image."""

import numpy as np
import pytest
import torch

from capmat_models.stage_change import (
    changed,
    largest_piece,
    may_be_subject,
    pieces,
    signed_change,
    silhouettes,
    structured,
)
from capmat_models.voxel_rays import View

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


def ring(count: int, extra: int | None = None) -> list[View]:
    """Cameras around a ball of radius 0.4; one of them also sees a spot beside it that no other sees."""
    views = []
    for number in range(count):
        angle = 2 * np.pi * number / count
        back = torch.tensor([np.cos(angle), np.sin(angle), 0.0], dtype=torch.float64)
        up = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64)
        pose = torch.eye(4, dtype=torch.float64)
        pose[:3, 0], pose[:3, 1], pose[:3, 2], pose[:3, 3] = torch.linalg.cross(up, back), up, back, 3 * back
        K = torch.tensor([[60.0, 0, 32], [0, 60.0, 32], [0, 0, 1]], dtype=torch.float64)
        rows, columns = np.mgrid[:64, :64] + 0.5
        alpha = np.hypot(rows - 32, columns - 32) < 60 * 0.4 / np.sqrt(9 - 0.16)
        if number == extra:
            alpha[50:56, 28:36] = True
        rgba = torch.zeros(4, 64, 64)
        rgba[3] = torch.from_numpy(alpha.astype(np.float32))
        views.append(View(f"c{number}", 64, 64, K, torch.zeros(5, dtype=torch.float64), pose, rgba))
    return views


@pytest.mark.parametrize("count", [4, 9])
def test_the_hull_holds_the_subject_and_not_its_reflection(count: int) -> None:
    views = ring(count, extra=1)
    masks = silhouettes(views, 48, margin=1)
    assert masks is not None
    for view, mask in zip(views, masks, strict=True):
        ball = view.cutout()[3].numpy() > 0.5
        ball[48:] = False
        assert mask[ball].all()
        assert mask.mean() < 2.5 * ball.mean()
        assert not mask[50:56, 28:36].any()


def test_views_that_agree_on_nothing_have_no_hull() -> None:
    views = ring(4)
    for view in views:
        view.cutout()[3] = 0
    assert silhouettes(views, 16, margin=1) is None
