"""Mattes that do not fit together are found, in the right camera, and mattes that do are left alone."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from capmat_errors import MatteError
from capmat_models.geometry.hull import signed_distance
from capmat_models.geometry.hull_check import ViewCheck, check_hull, witnesses
from capmat_models.geometry.views import View, finest, shrunk, shrunk_picture, working_fold
from storage.export.read_scene import placed_in_box
from tasks.geometry.box import torch_view
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, cutout, ring

RESOLUTION = 96
DEFECT = 0.02
"""Of the silhouette."""


@cache
def stage(count: int) -> tuple[list[View], list[Tensor]]:
    cameras = ring(count, 120, 160)
    views = [torch_view(placed_in_box(camera, np.array(BOX_CENTRE), BOX_SIZE)) for camera in cameras]
    return views, [torch.from_numpy(cutout(camera).alpha) for camera in cameras]


@dataclass(frozen=True)
class Defect:
    view: int
    hole: bool
    pixels: Tensor

    def into(self, matte: Tensor) -> Tensor:
        return torch.where(self.pixels, 0.0 if self.hole else 1.0, matte)

    def found(self, checked: ViewCheck) -> bool:
        """Whether a tenth of it is called."""
        called = checked.hole if self.hole else checked.halo
        return float((called >= 0.5)[self.pixels].float().mean()) >= 0.1


def defects(matte: Tensor, view: int, rng: np.random.Generator) -> Iterator[Defect]:
    """Discs of 2 % of the silhouette: holes inside it, halos that touch it."""
    solid = matte.numpy() >= 0.5
    near = ndimage.binary_dilation(matte.numpy() > 0.1, iterations=2)
    area = DEFECT * solid.sum()
    row, column = np.mgrid[: solid.shape[0], : solid.shape[1]]
    while True:
        y, x = rng.integers(0, solid.shape[0]), rng.integers(0, solid.shape[1])
        disc = (row - y) ** 2 + (column - x) ** 2 <= area / math.pi
        if disc.sum() < 0.75 * area:  # it leaves the picture
            continue
        inside = solid[disc].mean()
        if inside > 0.9 or (inside < 0.1 and near[disc].any()):
            yield Defect(view, bool(inside > 0.5), torch.from_numpy(disc))


def test_true_mattes_of_the_solids_fit_together() -> None:
    for count in (4, 12):
        assert [one.score for one in check_hull(*stage(count), RESOLUTION)] == [0] * count


def test_true_mattes_behind_lenses_that_fold_in_the_picture_fit_together() -> None:
    barrel = np.array([-0.3, -1.6, 0.0, 0.0, 0.0])
    cameras = [replace(camera, dist=barrel) for camera in ring(12, 120, 160)]
    views = [torch_view(placed_in_box(camera, np.array(BOX_CENTRE), BOX_SIZE)) for camera in cameras]
    mattes = [torch.from_numpy(cutout(camera).alpha) for camera in cameras]
    dirty = [matte.clone() for matte in mattes]
    for matte in dirty:
        matte[:4, :4] = 1  # nobody can say anything of this corner
    for one in check_hull(views, dirty, RESOLUTION):
        assert one.score == 0
        assert bool(one.unknown[:4, :4].all())
    assert witnesses(views, mattes, 0, (1, 1), RESOLUTION) == (0, 0)


def test_holes_and_halos_of_2_percent_are_found_and_nothing_else_is_said() -> None:
    views, mattes = stage(24)
    wanted, found, false = 0, 0, 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        made = [next(defects(mattes[view], view, rng)) for view in rng.choice(24, 8, replace=False)]
        broken = list(mattes)
        for defect in made:
            broken[defect.view] = defect.into(broken[defect.view])
        checked = check_hull(views, broken, RESOLUTION)
        wanted += len(made)
        found += sum(defect.found(checked[defect.view]) for defect in made)
        for index, one in enumerate(checked):
            wrong = ((one.halo >= 0.5) | (one.hole >= 0.5)).numpy()
            own = [ndimage.binary_dilation(d.pixels.numpy(), iterations=2) for d in made if d.view == index]
            spots, count = ndimage.label(wrong)
            false += sum(not any(mask[spots == spot].any() for mask in own) for spot in range(1, count + 1))
    assert found / wanted >= 0.95
    assert false <= 2 * 24 / 10  # one in ten views


def test_the_score_is_the_share_that_is_wrong() -> None:
    views, mattes = stage(24)
    hole = next(d for d in defects(mattes[3], 3, np.random.default_rng(1)) if d.hole)
    checked = check_hull(views, [*mattes[:3], hole.into(mattes[3]), *mattes[4:]], RESOLUTION)
    assert checked[3].score == pytest.approx(DEFECT, rel=0.5)
    assert [one.score for one in checked if one.name != "C03"] == [0] * 23


def test_an_empty_matte_is_all_hole_and_blames_nobody_else() -> None:
    views, mattes = stage(24)
    checked = check_hull(views, [torch.zeros_like(mattes[0]), *mattes[1:]], RESOLUTION)
    assert checked[0].score > 0.9
    assert float(checked[0].hole[mattes[0] >= 0.5].mean()) > 0.7
    assert max(one.score for one in checked[1:]) == 0


def test_a_view_has_no_vote_on_voxels_it_does_not_see() -> None:
    views, mattes = stage(12)
    half = []
    for view, matte in zip(views, mattes, strict=True):
        # all but one camera see only the lower half, so no view can deny what that one sees above
        K = view.K.clone()
        if view.name != "C00":
            K[1, 2] -= 80
            view, matte = View(view.name, 120, 80, K, view.dist, view.camera_to_world), matte[80:]
        half.append((view, matte))
    lamp = half[0][1].clone()
    lamp[2:20, 50:70] = 1
    checked = check_hull([view for view, _ in half], [lamp, *(matte for _, matte in half[1:])], RESOLUTION)
    assert [one.score for one in checked] == [0] * 12
    assert bool(checked[0].unknown[2:20, 50:70].all())
    everybody = check_hull(views, [lamp, *mattes[1:]], RESOLUTION)
    assert everybody[0].score > 0.05


def test_witnesses_are_those_that_see_foreground_on_the_ray() -> None:
    views, mattes = stage(12)
    body = (int(0.6 * 160), 60)
    assert mattes[0][body] == 1
    assert witnesses(views, mattes, 0, body, RESOLUTION) == (11, 11)
    seen, of = witnesses(views, mattes, 0, (5, 5), RESOLUTION)
    assert seen < of


def test_smaller_views_say_the_same() -> None:
    views, mattes = stage(12)
    holed = [next(d for d in defects(mattes[2], 2, np.random.default_rng(0)) if d.hole).into(mattes[2])]
    mattes = [*mattes[:2], *holed, *mattes[3:]]
    fold = 2
    assert working_fold(views[0], 32) == fold
    small = [shrunk_picture(matte[None], fold)[0] for matte in mattes]
    checked = check_hull([shrunk(view, fold) for view in views], small, finest(views, RESOLUTION) // 2)
    assert [one.name for one in checked if one.score > 0] == ["C02"]


def test_mattes_that_agree_on_no_place_are_refused() -> None:
    views, mattes = stage(4)
    with pytest.raises(MatteError, match="no place"):
        check_hull(views, [torch.zeros_like(matte) for matte in mattes], 64)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9))
def test_the_distance_is_the_one_to_the_nearest_pixel_beyond_the_edge(seed: int, reach: int) -> None:
    matte = np.random.default_rng(seed).choice([0.0, 0.3, 1.0], (11, 14), p=[0.5, 0.1, 0.4]).astype(np.float32)
    if matte.max() < 0.5 or matte.min() > 0.1:
        return
    inner = ndimage.distance_transform_edt(matte >= 0.5).clip(0, reach)
    outer = ndimage.distance_transform_edt(matte <= 0.1).clip(0, reach)
    expected = (inner - 0.5).clip(0) - (outer - 0.5).clip(0)
    np.testing.assert_allclose(signed_distance(torch.from_numpy(matte), reach), expected, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_says_the_same() -> None:
    views, mattes = stage(12)
    broken = [torch.zeros_like(mattes[0]), *mattes[1:]]
    on_gpu = [one.cpu() for one in check_hull(views, [matte.cuda() for matte in broken], 64)]
    for on_cpu, other in zip(check_hull(views, broken, 64), on_gpu, strict=True):
        assert on_cpu.score == pytest.approx(other.score, abs=2e-3)
