"""A small radiance field for machines without a GPU: density and colour on a sparse voxel grid.

It shows on any computer what better mattes do to a reconstruction. It is not Instant-NGP, and its figures are
not the paper's (Sec. 5.4). It starts from the visual hull of the mattes, learns a density and a colour per
voxel corner by volume rendering (Mildenhall et al. 2020, eq. 3) and forgets voxels that turn out empty, so
work goes with the surface of the subject and not with the volume of the stage. Colour does not depend on the
direction of view: a dozen cameras cannot tell gloss from wrong geometry.

Space is the box of -1..1 that the export made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_errors import TrainingError
from capmat_models.visual_hull import CHILDREN, visual_hull
from capmat_models.voxel_rays import View, directions, packed_steps, project, spans

STEP = 0.5  # between samples, as part of a voxel's edge
SHIFT = 4.0  # raw density 0 means opacity 0.02 per voxel: unknown space starts clear
HIDDEN = 1e-3  # light that still gets through; samples behind this are not worth their time
POOL = 4  # voxels per edge of the balls that bound a ray's way through the subject


@dataclass(frozen=True)
class VoxelConfig:
    """How fine and how long.

    Attributes:
        resolution: voxels along the edge of the box, a multiple of 8. A voxel the size of a pixel at the
            subject is best: raise it with the resolution of the pictures.
        iterations: steps of Adam; a third of them run at half resolution.
        rays: rays per step.
        smoothness: weight of the total variation; raise it with fewer cameras.
        seed: makes a run repeatable on one machine.
    """

    resolution: int = 192
    iterations: int = 300
    rays: int = 4096
    smoothness: float = 1e-2
    seed: int = 0


@dataclass
class VoxelGrid:
    """Corner values of the voxels that may hold something.

    Attributes:
        resolution: voxels along the edge of the box.
        cells: (K, 3) int64 indices of the voxels that are kept.
        lookup: (R*R*R,) int32, row in `cells`, or -1.
        corners: (K, 8) int64, rows in `values`.
        values: (V, 4) float32, raw density and raw colour.
    """

    resolution: int
    cells: Tensor
    lookup: Tensor
    corners: Tensor
    values: Tensor

    @classmethod
    def over(cls, resolution: int, cells: Tensor) -> VoxelGrid:
        """Lay out a grid of zeros over voxels (K, 3)."""
        edge = resolution
        lookup = torch.full((edge**3,), -1, dtype=torch.int32)
        lookup[_flat(cells, edge)] = torch.arange(len(cells), dtype=torch.int32)
        at = _flat(cells[:, None] + CHILDREN, edge + 1)
        vertices, corners = at.unique(return_inverse=True)
        return cls(edge, cells, lookup, corners, torch.zeros(len(vertices), 4))

    def find(self, points: Tensor) -> Tensor:
        """Row in `cells` of the voxel that holds each point (N, 3), or -1: (N,) int64."""
        index = ((points + 1) * (self.resolution / 2)).floor().long()
        within = ((index >= 0) & (index < self.resolution)).all(1)
        flat = _flat(index.clamp(0, self.resolution - 1), self.resolution)
        return torch.where(within, self.lookup[flat].long(), -1)

    def at(self, points: Tensor, rows: Tensor, channels: slice) -> Tensor:
        """Trilinear values (N, C) at points (N, 3) inside voxels `rows` (N,)."""
        f = ((points + 1) * (self.resolution / 2) - self.cells[rows]).clamp(0, 1)
        sides = torch.stack([1 - f, f], 1)
        weights = sides[:, CHILDREN, torch.arange(3)].prod(2)
        values = self.values[:, channels]
        index = self.corners[rows].reshape(-1, 1).expand(-1, values.shape[1])
        # gather, not indexing: its backward adds in one order, so a seed repeats a run
        return (values.gather(0, index).view(len(rows), 8, -1) * weights[..., None]).sum(1)


def fit(
    views: Sequence[View], config: VoxelConfig, progress: Callable[[int, float], None] | None = None
) -> VoxelGrid:
    """Reconstruct the subject from cut-outs.

    Args:
        views: cameras with cut-outs, 3 or more.
        config: how fine and how long.
        progress: called with the step and its loss, every 20 steps.

    Returns:
        The grid.

    Raises:
        MatteError: the mattes agree on no place inside the box.
        TrainingError: the loss is not a number.
    """
    random = torch.Generator().manual_seed(config.seed)
    cells, doubted = visual_hull(views, config.resolution)
    coarse = _start(views, config.resolution // 2, cells, doubted)
    _train(coarse, views, config, range(config.iterations // 3), random, progress)
    grid = _refine(coarse, cells, config.resolution)
    _train(grid, views, config, range(config.iterations // 3, config.iterations), random, progress)
    return grid


@torch.no_grad()
def render(grid: VoxelGrid, view: View, chunk: int = 16384) -> tuple[Tensor, Tensor]:
    """Render a view.

    Returns:
        rgb: (3, H, W) float32 on black, that is, premultiplied; accumulation: (H, W) float32, 0..1.
    """
    origins, ways, near, far, place = _rays(grid, view)
    out = torch.zeros(view.height * view.width, 4)
    for part in torch.arange(len(place)).split(chunk):
        half = torch.full((len(part),), 0.5)
        out[place[part]] = march(grid, origins[part], ways[part], near[part], far[part], half)
    out = out.T.view(4, view.height, view.width).clamp(0, 1)
    return out[:3], out[3]


def march(
    grid: VoxelGrid, origins: Tensor, ways: Tensor, near: Tensor, far: Tensor, jitter: Tensor
) -> Tensor:
    """Volume rendering of B rays: (B, 4), premultiplied colour and accumulation."""
    ray, distance = packed_steps(near, far, STEP * 2 / grid.resolution, jitter)
    points = origins[ray] + ways[ray] * distance[:, None]
    rows = grid.find(points)
    kept = rows >= 0
    ray, points, rows = ray[kept], points[kept], rows[kept]
    with torch.no_grad():
        through = _transmittance(_thickness(grid.at(points, rows, slice(0, 1))[:, 0]), ray)
        kept = through > HIDDEN
    ray, points, rows = ray[kept], points[kept], rows[kept]
    raw = grid.at(points, rows, slice(0, 4))
    thickness = _thickness(raw[:, 0])
    weights = _transmittance(thickness, ray) * (1 - torch.exp(-thickness))
    colour = torch.cat([raw[:, 1:].sigmoid(), torch.ones_like(raw[:, :1])], 1)
    index = ray[:, None].expand(-1, 4)
    return torch.zeros(len(near), 4).scatter_add(0, index, weights[:, None] * colour)


def _thickness(raw: Tensor) -> Tensor:
    """Optical thickness of one step."""
    return F.softplus(raw - SHIFT) * STEP


def _transmittance(thickness: Tensor, ray: Tensor) -> Tensor:
    """Light left in front of each sample; samples of a ray are neighbours and ordered."""
    if len(ray) == 0:
        return thickness
    before = thickness.double().cumsum(0) - thickness.double()
    first = torch.searchsorted(ray, ray)
    return torch.exp(before[first] - before).float()


def _flat(index: Tensor, edge: int) -> Tensor:
    return (index[..., 0] * edge + index[..., 1]) * edge + index[..., 2]


def _rays(grid: VoxelGrid, view: View) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Origins, directions, near, far and place (in the flat picture) of the rays that can meet the grid."""
    pooled = (grid.cells // POOL).unique(dim=0)
    centres = (pooled + 0.5) * (2 * POOL / grid.resolution) - 1
    near, far = spans(view, centres, POOL * 3**0.5 / grid.resolution)
    place = near.flatten().isfinite().nonzero()[:, 0]
    pixels = torch.stack([place % view.width, place // view.width], 1) + 0.5
    origins = view.centre.float().expand(len(place), 3)
    return origins, directions(view, pixels), near.flatten()[place], far.flatten()[place], place


def _start(views: Sequence[View], edge: int, cells: Tensor, doubted: Tensor) -> VoxelGrid:
    """A coarse grid over the hull: grey fog where all views agree, clear where one doubts, mean colours."""
    parents, inverse = (cells // 2).unique(dim=0, return_inverse=True)
    grid = VoxelGrid.over(edge, parents)
    sure = torch.zeros(len(parents)).scatter_add(0, inverse, (~doubted).float()) > 0
    grid.values[grid.corners[sure].flatten(), 0] = 2.0
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


def _refine(grid: VoxelGrid, cells: Tensor, edge: int) -> VoxelGrid:
    """Halve the voxels, keeping those of the hull whose parents are not clear."""
    alive = grid.values[grid.corners, 0].amax(1) > 0
    rows = grid.lookup[_flat(cells // 2, grid.resolution)].long()
    cells, rows = cells[alive[rows]], rows[alive[rows]]
    fine = VoxelGrid.over(edge, cells)
    for corner, offset in enumerate(CHILDREN):
        points = (cells + offset) * (2 / edge) - 1
        fine.values[fine.corners[:, corner]] = grid.at(points, rows, slice(0, 4))
    return fine


def _train(
    grid: VoxelGrid,
    views: Sequence[View],
    config: VoxelConfig,
    steps: range,
    random: torch.Generator,
    progress: Callable[[int, float], None] | None,
) -> None:
    parts = [(*_rays(grid, view), view.cutout().flatten(1).T) for view in views]
    origins, ways, near, far = (torch.cat([p[i] for p in parts]) for i in range(4))
    truth = torch.cat([rgba[place] for *_, place, rgba in parts])
    grid.values.requires_grad_()
    adam = torch.optim.Adam([grid.values], lr=0.1, betas=(0.9, 0.99), eps=1e-8)
    for step in steps:
        adam.param_groups[0]["lr"] = 0.1 * 0.1 ** (step / config.iterations)
        pick = torch.randint(len(near), (config.rays,), generator=random)
        jitter = torch.rand(config.rays, generator=random)
        # a new background for every ray: a hole or a halo can hide before black, not before all colours
        backdrop = torch.rand(config.rays, 3, generator=random)
        got = march(grid, origins[pick], ways[pick], near[pick], far[pick], jitter)
        want = truth[pick]
        seen = got[:, :3] + (1 - got[:, 3:]) * backdrop
        target = want[:, :3] * want[:, 3:] + (1 - want[:, 3:]) * backdrop
        loss = F.mse_loss(seen, target)
        some = torch.randint(len(grid.cells), (config.rays * 4,), generator=random)
        corner = grid.values[grid.corners[some]].view(-1, 2, 2, 2, 4)
        rough = sum(corner.diff(dim=axis).square().mean() for axis in (1, 2, 3))
        adam.zero_grad()
        (loss + config.smoothness * rough).backward()
        adam.step()
        if step % 20 == 0 or step == steps[-1]:
            if not torch.isfinite(loss):
                raise TrainingError(f"the loss is not a number at step {step}", fix="Look at the cut-outs.")
            if progress:
                progress(step, float(loss))
    grid.values.requires_grad_(False)
