"""Every signal sees what it is for; boxes stand where signals are, do not overlap and do not repeat one error."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from capmat_models import mining
from capmat_models.mining import SAME_CAMERA, SAME_PLACE, diversified, shadow, spots

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


def only_in_the_spot(signal: Tensor) -> bool:
    outside = signal.clone()
    outside[SPOT] = 0
    return bool(signal[SPOT].mean() > 0.3 and outside.max() < 0.05)


def test_two_mattes_disagree_where_one_lost_a_part_and_not_along_a_shifted_edge() -> None:
    assert only_in_the_spot(mining.disagreement(spoiled(0), subject()))
    assert mining.disagreement(subject(), subject().roll(1, 1)).max() < 0.05


def test_a_picture_that_its_layers_do_not_explain_leaves_a_rest() -> None:
    fgr, bgr = torch.full((3, SIZE, SIZE), 0.9), torch.full((3, SIZE, SIZE), 0.2)
    src = subject() * fgr + (1 - subject()) * bgr
    assert mining.residual(src, bgr, fgr, subject()).max() < 1e-5
    assert only_in_the_spot(mining.residual(src, bgr, fgr, spoiled(0)))


def test_soft_alpha_counts_in_areas_and_not_at_edges() -> None:
    assert only_in_the_spot(mining.softness(spoiled(0.5)))
    assert mining.softness(subject(rim=2)).max() < 0.05


def test_mattes_that_change_with_the_view_are_unsteady() -> None:
    assert only_in_the_spot(mining.unsteadiness(torch.stack([subject(), subject(), spoiled(0)])))
    assert mining.unsteadiness(subject().expand(3, -1, -1)).max() == 0


def test_a_matte_jumps_only_where_the_picture_stands_still() -> None:
    still, moving = torch.zeros(3, SIZE, SIZE), torch.zeros(3, SIZE, SIZE)
    moving[:, 20:45, 20:45] = 0.5
    assert only_in_the_spot(mining.jump(spoiled(0), subject(), still, still))
    assert mining.jump(spoiled(0), subject(), moving, still).max() == 0


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6))
def test_signals_stay_between_0_and_1(seed: int) -> None:
    torch.manual_seed(seed)
    a, b, src, bgr = torch.rand(32, 40), torch.rand(32, 40), torch.rand(3, 32, 40), torch.rand(3, 32, 40)
    for signal in (
        mining.disagreement(a, b),
        mining.residual(src, bgr, bgr.flip(0), a),
        mining.softness(a),
        mining.unsteadiness(torch.stack([a, b, a])),
        mining.jump(a, b, src, src),
    ):
        assert signal.shape == a.shape
        assert 0 <= float(signal.min()) <= float(signal.max()) <= 1


def test_small_maps_are_brought_to_the_size_of_the_picture() -> None:
    assert mining.enlarged(torch.eye(4), (12, 16)).shape == (12, 16)
    assert float(mining.enlarged(torch.full((4, 4), 0.25), (9, 9)).mean()) == pytest.approx(0.25)


def maps() -> dict[str, torch.Tensor]:
    a, b = torch.zeros(80, 64), torch.zeros(80, 64)
    a[10:20, 10:20] = 0.5
    b[10:20, 10:20] = 0.5
    b[60:70, 40:50] = 0.8
    return {"a": a, "b": b}


def test_signals_that_meet_come_before_one_that_is_alone() -> None:
    first, second, *_ = spots(maps(), 5)
    assert (first.box, second.box) == ((10, 10, 20, 20), (40, 60, 50, 70))
    assert first.signals == {"a": 0.5, "b": 0.5}
    assert first.score == pytest.approx(1 - math.exp(-1))
    assert second.score == pytest.approx(1 - math.exp(-0.8))


def test_a_signal_that_is_missing_costs_nothing() -> None:
    assert spots({"b": maps()["b"]}, 1)[0].score == pytest.approx(1 - math.exp(-0.8))


def test_nothing_is_made_up_where_no_signal_is() -> None:
    assert spots({"a": torch.zeros(80, 64)}, 5) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(8, 90), st.integers(8, 90))
def test_boxes_lie_in_the_picture_and_never_overlap(seed: int, height: int, width: int) -> None:
    torch.manual_seed(seed)
    found = spots({"a": torch.rand(height, width)}, 8)
    covered = torch.zeros(height, width, dtype=torch.int64)
    for spot in found:
        x0, y0, x1, y1 = spot.box
        assert 0 <= x0 < x1 <= width
        assert 0 <= y0 < y1 <= height
        covered[y0:y1, x0:x1] += 1
    assert int(covered.max()) == 1
    assert [spot.score for spot in found] == sorted((spot.score for spot in found), reverse=True)


def test_another_camera_comes_before_more_of_the_same() -> None:
    boxes = [
        ("C01", 1, (0, 0, 10, 10), 0.9),
        ("C01", 1, (20, 0, 30, 10), 0.8),
        ("C01", 2, (0, 0, 10, 10), 0.9),
        ("C02", 1, (0, 0, 10, 10), 0.75),
    ]
    order = diversified(boxes, 4)
    assert [index for index, _ in order] == [0, 3, 1, 2]
    left = {index: score for index, score in order}
    assert left[1] == pytest.approx(0.8 * SAME_CAMERA)
    assert left[2] == pytest.approx(0.9 * SAME_PLACE * SAME_CAMERA)


def test_what_people_looked_at_in_vain_does_not_come_again() -> None:
    place, away = (0, 0, 9, 9), (50, 50, 59, 59)
    boxes = [("A", 1, place, 0.9), ("A", 2, place, 0.8), ("A", 1, away, 0.7), ("B", 1, place, 0.6)]
    left = dict(diversified(boxes, 4, [("A", 1, (2, 2, 11, 11))]))
    assert 0 not in left
    assert left[1] == pytest.approx(0.8 * SAME_PLACE * SAME_CAMERA)
    assert left[2] == pytest.approx(0.7)
    assert left[3] == pytest.approx(0.6)


@given(st.lists(st.tuples(st.sampled_from("ABC"), st.integers(1, 3), st.floats(0, 1)), max_size=20))
def test_what_is_left_falls_and_nothing_comes_twice(boxes: list[tuple[str, int, float]]) -> None:
    order = diversified([(camera, frame, (0, 0, 9, 9), score) for camera, frame, score in boxes], 12)
    scores = [score for _, score in order]
    assert scores == sorted(scores, reverse=True)
    assert len({index for index, _ in order}) == len(order) <= 12
    assert all(score <= boxes[index][2] for index, score in order)


def test_a_shadow_is_the_plate_but_darker_and_a_subject_is_not() -> None:
    plate = torch.tensor([0.6, 0.5, 0.4])[:, None, None].expand(3, 8, 8)
    everywhere = torch.ones(8, 8)
    assert shadow(0.7 * plate, plate, everywhere) == pytest.approx(0.3, abs=1e-4)
    assert shadow(1.2 * plate, plate, everywhere) == 0
    assert shadow(plate.flip(0) * 0.7, plate, everywhere) == 0
