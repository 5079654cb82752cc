"""The voxel grid recovers an exact scene, forgives one bad view, and punishes holes. Figures are of one core."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from capmat_errors import CheckpointError, ConfigError, MatteError
from capmat_models.geometry import field as voxel_grid
from capmat_models.geometry.cells import VoxelGrid
from capmat_models.geometry.field import VoxelConfig, fit, render
from capmat_models.geometry.field_state import VoxelState
from capmat_models.geometry.hull import visual_hull
from capmat_models.geometry.views import View, directions, packed_steps, project
from tests.ellipsoids import BOX_CENTRE, BOX_SIZE, SOLIDS, cutout, ring

SMALL = VoxelConfig(resolution=48, iterations=90, rays=1024)
HELD_OUT = ("C02", "C07")


def _view(index_or_camera, alpha: np.ndarray | None = None) -> View:
    seen = cutout(index_or_camera)
    camera = seen.camera
    pose = np.eye(4)
    pose[:3, :3] = camera.R.T @ np.diag([1.0, -1.0, -1.0])
    pose[:3, 3] = (camera.centre() - np.array(BOX_CENTRE)) * 2 / BOX_SIZE
    K = camera.K.copy()
    K[:2, 2] += 0.5
    rgba = np.concatenate([seen.image, (seen.alpha if alpha is None else alpha)[None]])
    tensors = (torch.from_numpy(a) for a in (K, np.array(camera.dist), pose, rgba))
    return View(camera.id, camera.width, camera.height, *tensors)


@pytest.fixture(scope="module")
def views() -> dict[str, View]:
    torch.set_num_threads(1)
    return {camera.id: _view(camera) for camera in ring(10)}


def _split(views: dict[str, View]) -> tuple[list[View], list[View]]:
    train = [view for name, view in views.items() if name not in HELD_OUT]
    return train, [views[name] for name in HELD_OUT]


def _psnr(grid: VoxelGrid, views: list[View]) -> float:
    """Mean PSNR of held-out cameras against their true cut-outs on black."""
    scores = []
    for view in views:
        rgb, _ = render(grid, view)
        truth = view.cutout()[:3] * view.cutout()[3:]
        scores.append(-10 * math.log10(float((rgb - truth).square().mean())))
    return sum(scores) / len(scores)


@pytest.fixture(scope="module")
def grid(views: dict[str, View]) -> VoxelGrid:
    return fit(_split(views)[0], SMALL)


def test_held_out_cameras_are_far_better_than_black(views: dict[str, View], grid: VoxelGrid) -> None:
    _, test = _split(views)
    black = [-10 * math.log10(float((v.cutout()[:3] * v.cutout()[3:]).square().mean())) for v in test]
    assert sum(black) / len(black) < 15  # 14.7 dB
    assert _psnr(grid, test) > 29  # 31.1 dB when this was written


def test_accumulation_is_the_silhouette(views: dict[str, View], grid: VoxelGrid) -> None:
    for view in _split(views)[1]:
        rgb, accumulation = render(grid, view)
        assert float((accumulation - view.cutout()[3]).abs().mean()) < 0.03
        assert bool((rgb <= accumulation + 1e-5).all())  # premultiplied: no light without matter


def test_holes_in_the_mattes_cost_decibels(views: dict[str, View], grid: VoxelGrid) -> None:
    train, test = _split(views)
    pierced = []
    for view in train:
        rgba = view.cutout().clone()
        rgba[3, 28:38, 20:28] = 0
        pierced.append(replace(view, rgba=rgba))
    assert _psnr(fit(pierced, SMALL), test) < _psnr(grid, test) - 4  # 24.2 dB


def test_a_seed_repeats_a_run(views: dict[str, View]) -> None:
    config = replace(SMALL, iterations=6)
    first, again, other = (fit(_split(views)[0], c).values for c in (config, config, replace(config, seed=1)))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


class _Killed:
    """Keeps what is saved, and dies with the n-th time."""

    where = "memory"

    def __init__(self, saves: int) -> None:
        self.left, self.data = saves, None

    def load(self) -> bytes | None:
        return self.data

    def save(self, data: bytes) -> None:
        self.data = data
        self.left -= 1
        if self.left == 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("step", [1, 6, 7, 12, 19])
def test_a_fit_that_is_killed_at_any_step_ends_with_the_same_numbers(
    views: dict[str, View], monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    short = VoxelConfig(resolution=32, iterations=20, rays=256)  # refined after steps 6 and 12
    train, _ = _split(views)
    whole = fit(train, short)
    monkeypatch.setattr(voxel_grid, "SAVE_S", 0)
    keeper = _Killed(step)
    with pytest.raises(KeyboardInterrupt):
        fit(train, short, checkpointer=keeper)
    again = fit(train, short, checkpointer=keeper)
    assert keeper.left == step - 20  # what was done was not done again
    assert torch.equal(again.values, whole.values)
    assert torch.equal(again.cells, whole.cells)


def test_a_checkpoint_of_other_mattes_or_settings_is_not_gone_on_with(
    views: dict[str, View], monkeypatch: pytest.MonkeyPatch
) -> None:
    short = VoxelConfig(resolution=32, iterations=4, rays=256)
    train, _ = _split(views)
    monkeypatch.setattr(voxel_grid, "SAVE_S", 0)
    for fewer, config in ((train[1:], short), (train, replace(short, background="black"))):
        keeper = _Killed(2)
        with pytest.raises(KeyboardInterrupt):
            fit(train, short, checkpointer=keeper)
        assert torch.equal(fit(fewer, config, checkpointer=keeper).values, fit(fewer, config).values)
    with pytest.raises(CheckpointError, match="work/voxel-grid.pt: .*cannot be read"):
        VoxelState.unpacked(b"half a file", "work/voxel-grid.pt", "")


def test_before_black_a_run_differs_and_other_backgrounds_are_refused(views: dict[str, View]) -> None:
    train, _ = _split(views)
    short = VoxelConfig(resolution=32, iterations=4, rays=256)
    assert not torch.equal(fit(train, short).values, fit(train, replace(short, background="black")).values)
    with pytest.raises(ConfigError, match="random or black"):
        VoxelConfig(background="white")


def test_progress_tells_the_loss(views: dict[str, View]) -> None:
    said: list[tuple[int, float]] = []
    fit(_split(views)[0], replace(SMALL, iterations=30), lambda step, loss: said.append((step, loss)))
    assert said[0][0] == 0
    assert said[-1][0] == 29
    assert all(math.isfinite(loss) for _, loss in said)


def _kept(cells: torch.Tensor, edge: int) -> torch.Tensor:
    kept = torch.zeros(edge, edge, edge, dtype=torch.bool)
    kept[tuple(cells.T)] = True
    return kept


def _solid(edge: int) -> torch.Tensor:
    """Voxels whose middle is inside the subject."""
    axis = (torch.arange(edge) + 0.5) * 2 / edge - 1
    points = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1) * BOX_SIZE / 2
    points += torch.tensor(BOX_CENTRE)
    solid = torch.zeros(edge, edge, edge, dtype=torch.bool)
    for centre, half, _ in SOLIDS:
        solid |= (((points - torch.tensor(centre)) / torch.tensor(half)) ** 2).sum(-1) < 1
    return solid


def test_the_hull_holds_the_subject_and_little_else(views: dict[str, View]) -> None:
    cells, _ = visual_hull(list(views.values()), 48)
    solid = _solid(48)
    assert bool(_kept(cells, 48)[solid].all())
    assert len(cells) < 4 * solid.sum()


def test_one_view_that_says_empty_carves_nothing_away_and_two_do(views: dict[str, View]) -> None:
    everything = list(views.values())
    blank = torch.zeros_like(everything[0].cutout())
    cells, doubted = visual_hull([replace(everything[0], rgba=blank), *everything[1:]], 32)
    assert bool(_kept(cells, 32)[_solid(32)].all())
    assert bool(doubted.all())
    cells, _ = visual_hull([replace(view, rgba=blank) for view in everything[:2]] + everything[2:], 32)
    assert not bool(_kept(cells, 32)[_solid(32)].any())


def test_mattes_that_agree_on_no_place_are_refused(views: dict[str, View]) -> None:
    with pytest.raises(MatteError, match="agree on no place"):
        visual_hull([replace(view, rgba=torch.zeros_like(view.cutout())) for view in views.values()], 32)


def test_pixels_and_rays_agree_through_a_bent_lens() -> None:
    view = _view(ring(3)[1])
    bent = replace(view, dist=torch.tensor([-0.12, 0.05, 0.003, -0.002, 0.01], dtype=torch.float64))
    pixels = torch.rand(200, 2, generator=torch.Generator().manual_seed(0)).double() * torch.tensor([48.0, 64.0])
    points = bent.centre + directions(bent, pixels).double() * 2.5
    back, inside = project(bent, points)
    assert bool(inside.all())
    assert float((back - pixels).abs().max()) < 1e-3  # rays are float32


def test_a_picture_behind_a_lens_that_folds_is_learned_where_the_lens_reaches() -> None:
    barrel = np.array([-0.3, -1.6, 0.0, 0.0, 0.0])
    bent = [_view(replace(camera, dist=barrel)) for camera in ring(10)]
    assert _psnr(fit(bent[2:], SMALL), bent[:2]) > 22


def test_samples_lie_inside_their_ray_and_empty_rays_have_none() -> None:
    near, far = torch.tensor([1.0, math.inf, 2.0]), torch.tensor([1.35, -math.inf, 2.1])
    ray, distance = packed_steps(near, far, 0.1, torch.zeros(3))
    assert ray.tolist() == [0, 0, 0, 0, 2]
    assert torch.allclose(distance, torch.tensor([1.0, 1.1, 1.2, 1.3, 2.0]))


def test_a_resolution_that_cannot_be_halved_is_refused() -> None:
    with pytest.raises(ConfigError, match="Use 96"):
        VoxelConfig(resolution=100)
