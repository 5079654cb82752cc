"""A small radiance field for machines without a GPU: density and colour on a sparse voxel grid.

It shows on any computer what better mattes do to a reconstruction. It is not Instant-NGP, and its figures are
not the paper's (Sec. 5.4). The fit starts from the visual hull of the mattes, learns a density and a colour
per voxel corner by volume rendering (Mildenhall et al. 2020, eq. 3) and drops voxels that turn out empty, so the
work grows with the surface of the subject and not with the volume of the stage. Colour does not depend on the
direction of view: a dozen cameras cannot tell gloss from wrong geometry. Space is the box -1..1 of the export.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_errors import ConfigError, TrainingError
from capmat_models.geometry.cells import CHILDREN, VoxelGrid, checked_resolution, flat, unflat
from capmat_models.geometry.field_state import VoxelState, recipe_of
from capmat_models.geometry.hull import visual_hull
from capmat_models.geometry.views import View, directions, packed_steps, project, spans
from capmat_models.training.resume import Checkpointer

SHARES = (0.3, 0.6, 1.0)  # of the iterations that end at a quarter, a half and all of the resolution
RATES = torch.tensor([1.0, 0.1, 0.1, 0.1])  # of density and colour; they end at a tenth
SHIFT = 4.0  # a raw density of 0 is an opacity of 0.02 per voxel: unknown space starts clear
FOG = 2.0  # raw density where all mattes agree: an opacity of 0.12 per voxel
HIDDEN = 1e-3  # share of light left; samples behind are skipped
POOL = 4  # voxels along the edge of the cells whose balls bound a ray
SAVE_S = 5.0  # seconds between two checkpoints


@dataclass(frozen=True)
class VoxelConfig:
    """How fine and how long.

    Attributes:
        resolution: voxels along the edge of the box, a multiple of 16. A voxel as large as a pixel at the subject
            is best, so raise it with the resolution of the pictures.
        iterations: steps of Adam.
        rays: rays per step.
        smoothness: weight of the total variation; raise it with fewer cameras or rougher mattes.
        background: `random`, another colour behind every ray, or `black`. A hole or a halo can hide in front of
            black, but not in front of every colour.
        seed: makes a run repeatable on one machine.

    Raises:
        ConfigError: the resolution is not a multiple of 16, or the background is neither.
    """

    resolution: int = 160
    iterations: int = 300
    rays: int = 4096
    smoothness: float = 1e-3
    background: str = "random"
    seed: int = 0

    def __post_init__(self) -> None:
        checked_resolution(self.resolution)
        if self.background not in ("random", "black"):
            raise ConfigError(f"the background {self.background} is not known", fix="Use random or black.")


def fit(
    views: Sequence[View],
    config: VoxelConfig,
    progress: Callable[[int, float], None] | None = None,
    checkpointer: Checkpointer | None = None,
) -> VoxelGrid:
    """The radiance field of the subject, learned from cut-outs.

    Args:
        views: cameras with cut-outs, 3 or more.
        config: how fine and how long.
        progress: called with the step and its loss, every 20 steps.
        checkpointer: keeps the state every few seconds; a killed fit goes on from there, to the same grid.

    Raises:
        MatteError: the mattes agree on no place inside the box.
        TrainingError: the loss is not a number.
        CheckpointError: what the checkpointer kept is damaged.
    """
    cells, doubted = visual_hull(views, config.resolution)
    levels = [config.resolution >> halvings for halvings in range(len(SHARES) - 1, -1, -1)]
    ends = [round(config.iterations * share) for share in SHARES]
    recipe = recipe_of(config, views)
    saved = checkpointer.load() if checkpointer else None
    state = VoxelState.unpacked(saved, checkpointer.where, recipe) if checkpointer and saved is not None else None
    if state is None:
        grid = _start(views, levels[0], cells, doubted, config.resolution)
        moments = torch.zeros_like(grid.values), torch.zeros_like(grid.values)
        state = VoxelState(0, grid, *moments, torch.Generator().manual_seed(config.seed))
    last = time.monotonic()

    def done(step: int, loss: Tensor, end: int) -> None:
        nonlocal last
        state.step = step + 1
        if step % 20 == 0 or state.step == end:
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is not a number at step {step}", fix="Look at the cut-outs.")
            if progress:
                progress(step, loss.item())
        if checkpointer and time.monotonic() - last >= SAVE_S:
            checkpointer.save(state.packed(recipe))
            last = time.monotonic()

    for level, begin, end in zip(levels, [0, *ends], ends, strict=False):
        if level < state.grid.resolution:
            continue  # a checkpoint is past this level
        if level > state.grid.resolution:
            state.refine(cells, config.resolution)
        _train(state, views, config, begin, end, done)
    return state.grid


@torch.no_grad()
def render(grid: VoxelGrid, view: View, chunk: int = 16384) -> tuple[Tensor, Tensor]:
    """Render a view.

    Returns:
        rgb: (3, H, W) float32 on black, that is, premultiplied; accumulation: (H, W) float32, 0..1.
    """
    origins, ways, near, far, pixels = _rays(grid, view)
    out = torch.zeros(view.height * view.width, 4)
    for part in torch.arange(len(pixels)).split(chunk):
        half = torch.full((len(part),), 0.5)
        out[pixels[part]] = march(grid, origins[part], ways[part], near[part], far[part], half)
    out = out.T.view(4, view.height, view.width).clamp(0, 1)
    return out[:3], out[3]


def march(grid: VoxelGrid, origins: Tensor, ways: Tensor, near: Tensor, far: Tensor, jitter: Tensor) -> Tensor:
    """Volume rendering of B rays: (B, 4), premultiplied colour and accumulation."""
    ray, distance = packed_steps(near, far, 2 / grid.resolution, jitter)
    inside, corners, weights = grid.find(origins[ray] + ways[ray] * distance[:, None])
    ray = ray[inside]
    with torch.no_grad():
        density = grid.at(corners, weights, slice(0, 1))[:, 0]
        reached = (_transmittance(_thickness(density), ray) > HIDDEN).nonzero()[:, 0]
    ray = ray[reached]
    raw = grid.at(corners[reached], weights[reached], slice(0, 4))
    thickness = _thickness(raw[:, 0])
    weights = _transmittance(thickness, ray) * (1 - torch.exp(-thickness))
    colour = torch.cat([raw[:, 1:].sigmoid(), torch.ones_like(raw[:, :1])], 1)
    index = ray[:, None].expand(-1, 4)
    return torch.zeros(len(near), 4).scatter_add(0, index, weights[:, None] * colour)


def _thickness(raw: Tensor) -> Tensor:
    """Optical thickness of one step, which is as long as a voxel."""
    return F.softplus(raw - SHIFT)


def _transmittance(thickness: Tensor, ray: Tensor) -> Tensor:
    """Light left in front of each sample; samples of a ray are neighbours and ordered."""
    if len(ray) == 0:
        return thickness
    before = thickness.double().cumsum(0) - thickness.double()
    first = torch.searchsorted(ray, ray)
    return torch.exp(before[first] - before).float()


def _rays(grid: VoxelGrid, view: View) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Origins, directions, near, far and flat pixel of the rays that can meet the grid."""
    edge = grid.resolution // POOL
    centres = (unflat(flat(grid.cells // POOL, edge).unique(), edge) + 0.5) * (2 / edge) - 1
    near, far = spans(view, centres, POOL * 3**0.5 / grid.resolution)
    pixel = near.flatten().isfinite().nonzero()[:, 0]
    ways = directions(view, torch.stack([pixel % view.width, pixel // view.width], 1) + 0.5)
    pixel, ways = pixel[ways.any(1)], ways[ways.any(1)]
    origins = view.centre.float().expand(len(pixel), 3)
    return origins, ways, near.flatten()[pixel], far.flatten()[pixel], pixel


def _start(views: Sequence[View], edge: int, cells: Tensor, doubted: Tensor, resolution: int) -> VoxelGrid:
    """A coarse grid over the hull: grey fog where all views agree, clear where one doubts, mean colours."""
    fold = resolution // edge
    parents, inverse = flat(cells // fold, edge).unique(return_inverse=True)
    grid = VoxelGrid.over(edge, unflat(parents, edge))
    sure = torch.zeros(len(parents)).scatter_add(0, inverse, (~doubted).float()) > 0
    grid.values[grid.corners[sure].flatten(), 0] = FOG
    vertices = torch.zeros(len(grid.values), 3, dtype=torch.int64)
    vertices[grid.corners] = grid.cells[:, None] + CHILDREN
    total, weight = torch.zeros(len(vertices), 3), torch.full((len(vertices), 1), 1e-3)
    for view in views:
        pixels, inside = project(view, vertices * (2 / edge) - 1)
        column, row = pixels[inside].long().unbind(1)
        rgba = view.cutout()[:, row, column].T
        total[inside] += rgba[:, :3] * rgba[:, 3:]
        weight[inside] += rgba[:, 3:]
    grid.values[:, 1:] = ((total + 0.5e-3) / weight).logit(1e-2)
    return grid


def _train(
    state: VoxelState,
    views: Sequence[View],
    config: VoxelConfig,
    begin: int,
    end: int,
    done: Callable[[int, Tensor, int], None],
) -> None:
    """The steps of one level, from where the state is."""
    grid, random, mean, square = state.grid, state.random, state.mean, state.square
    parts = [(*_rays(grid, view), view.cutout().flatten(1).T) for view in views]
    origins, ways, near, far = (torch.cat([p[i] for p in parts]) for i in range(4))
    truth = torch.cat([rgba[pixel] for *_, pixel, rgba in parts])
    grid.values.requires_grad_()
    for step in range(max(begin, state.step), end):
        pick = torch.randint(len(near), (config.rays,), generator=random)
        jitter = torch.rand(config.rays, generator=random)
        # another background for every ray, see VoxelConfig
        backdrop = torch.rand(config.rays, 3, generator=random)
        if config.background == "black":
            backdrop = torch.zeros_like(backdrop)
        got = march(grid, origins[pick], ways[pick], near[pick], far[pick], jitter)
        want = truth[pick]
        seen = got[:, :3] + (1 - got[:, 3:]) * backdrop
        target = want[:, :3] * want[:, 3:] + (1 - want[:, 3:]) * backdrop
        loss = F.mse_loss(seen, target)
        some = torch.randint(len(grid.cells), (config.rays * 4,), generator=random)
        corner = grid.values[grid.corners[some]].view(-1, 2, 2, 2, 4)
        rough = sum(corner.diff(dim=axis).square().mean() for axis in (1, 2, 3))
        (grad,) = torch.autograd.grad(loss + config.smoothness * rough, grid.values)
        # Adam by hand: torch.optim imports the compiler, which takes longer than a small reconstruction
        age = step - begin + 1
        mean.lerp_(grad, 0.1)
        square.lerp_(grad.square(), 0.01)
        move = mean / (1 - 0.9**age) / ((square / (1 - 0.99**age)).sqrt() + 1e-8)
        with torch.no_grad():
            grid.values -= RATES * 0.1 ** (step / config.iterations) * move
        done(step, loss, end)
    grid.values.requires_grad_(False)
