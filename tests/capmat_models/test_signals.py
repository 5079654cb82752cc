"""Every signal sees what it is for, and is silent where nothing is wrong."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from capmat_models import mining as signals

SIZE = 64


def subject(rim: int = 1) -> Tensor:
    """A soft-edged disc."""
    row, column = np.mgrid[:SIZE, :SIZE]
    away = np.hypot(row - 32, column - 32)
    return torch.from_numpy(np.clip((20 - away) / rim + 0.5, 0, 1).astype(np.float32))


SPOT = (slice(28, 38), slice(28, 38))


def spoiled(value: float) -> Tensor:
    pha = subject()
    pha[SPOT] = value
    return pha


def only_in_the_spot(found: Tensor) -> bool:
    outside = found.clone()
    outside[SPOT] = 0
    return bool(found[SPOT].mean() > 0.3 and outside.max() < 0.05)


def test_two_mattes_disagree_where_one_lost_a_part_and_not_along_a_shifted_edge() -> None:
    assert only_in_the_spot(signals.disagreement(spoiled(0), subject()))
    assert signals.disagreement(subject(), subject().roll(1, 1)).max() < 0.05


def test_a_picture_that_its_layers_do_not_explain_leaves_a_rest() -> None:
    fgr, bgr = torch.full((3, SIZE, SIZE), 0.9), torch.full((3, SIZE, SIZE), 0.2)
    src = subject() * fgr + (1 - subject()) * bgr
    assert signals.residual(src, bgr, fgr, subject()).max() < 1e-5
    assert only_in_the_spot(signals.residual(src, bgr, fgr, spoiled(0)))


def test_soft_alpha_counts_in_areas_and_not_at_edges() -> None:
    assert only_in_the_spot(signals.softness(spoiled(0.5)))
    assert signals.softness(subject(rim=2)).max() < 0.05


def test_mattes_that_change_with_the_view_are_unsteady() -> None:
    assert only_in_the_spot(signals.unsteadiness(torch.stack([subject(), subject(), spoiled(0)])))
    assert signals.unsteadiness(subject().expand(3, -1, -1)).max() == 0


def test_a_matte_jumps_only_where_the_picture_stands_still() -> None:
    still, moving = torch.zeros(3, SIZE, SIZE), torch.zeros(3, SIZE, SIZE)
    moving[:, 20:45, 20:45] = 0.5
    assert only_in_the_spot(signals.jump(spoiled(0), subject(), still, still))
    assert signals.jump(spoiled(0), subject(), moving, still).max() == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_signals_stay_between_0_and_1(seed: int) -> None:
    torch.manual_seed(seed)
    a, b, src, bgr = torch.rand(32, 40), torch.rand(32, 40), torch.rand(3, 32, 40), torch.rand(3, 32, 40)
    for found in (
        signals.disagreement(a, b),
        signals.residual(src, bgr, bgr.flip(0), a),
        signals.softness(a),
        signals.unsteadiness(torch.stack([a, b, a])),
        signals.jump(a, b, src, src),
    ):
        assert found.shape == a.shape
        assert 0 <= float(found.min()) <= float(found.max()) <= 1


def test_small_maps_are_brought_to_the_size_of_the_picture() -> None:
    assert signals.enlarged(torch.eye(4), (12, 16)).shape == (12, 16)
    assert float(signals.enlarged(torch.full((4, 4), 0.25), (9, 9)).mean()) == pytest.approx(0.25)
