"""The visual hull of a set of mattes on a voxel grid, and the distances and filters that hulls are judged with.

The rule is softer than the textbook's: a voxel is empty if two or more of the views that see it say empty. One view
alone may be wrong (a hole in its matte) and must not drill through the subject. Voxels that fewer than three views
see are left out, because nothing tells their depth; so are those whose views all look along about the same line, such
as a camera, a place before it, and the cameras opposite.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_errors import MatteError
from capmat_models.geometry.cells import CHILDREN
from capmat_models.geometry.views import View, project

ENOUGH_TO_CARVE = 2
ENOUGH_TO_KEEP = 3  # views that must see a voxel; fewer cannot tell where on their rays a thing stands
SPREAD = 0.4  # least spread of a voxel's views, as a share of the best voxel's
COVERED = 0.1  # alpha above which a pixel may show the subject
SOLID = 0.5  # alpha from which a pixel belongs to the silhouette


def visual_hull(views: Sequence[View], resolution: int) -> tuple[Tensor, Tensor]:
    """The voxels that the subject may fill, found from coarse to fine.

    Args:
        views: cameras with cut-outs.
        resolution: voxels along the edge of the box -1..1.

    Returns:
        cells: (K, 3) int64 voxel indices, and doubted: (K,) bool, True where one view says empty.

    Raises:
        MatteError: the mattes agree on no place inside the box.
    """
    edge = resolution
    while edge % 2 == 0 and edge > 32:
        edge //= 2
    cells = torch.cartesian_prod(*[torch.arange(edge)] * 3)
    while True:
        seen, empty = _votes(views, (cells + 0.5) * (2 / edge) - 1, math.sqrt(3) / edge)
        last = edge == resolution
        keep = (empty < ENOUGH_TO_CARVE) & ((seen >= ENOUGH_TO_KEEP) if last else True)
        cells, empty = cells[keep], empty[keep]
        if len(cells) == 0:
            raise nowhere(views)
        if last:
            held = _held(views, (cells + 0.5) * (2 / edge) - 1)
            return cells[held], empty[held] > 0
        cells = (2 * cells[:, None] + CHILDREN).reshape(-1, 3)
        edge *= 2


def _votes(views: Sequence[View], centres: Tensor, radius: float) -> tuple[Tensor, Tensor]:
    """How many views see each voxel (K,), and how many of these say that it is empty (K,)."""
    seen = torch.zeros(len(centres), dtype=torch.int64)
    empty = torch.zeros_like(seen)
    for view in views:
        pixels, inside = project(view, centres)
        depth = -((centres[inside].double() - view.centre) @ view.camera_to_world[:3, 2])
        if len(depth) == 0:
            continue
        # a voxel is empty only if all of its footprint is
        reach = math.ceil(float(view.K[0, 0]) * radius / max(float(depth.min()), radius))
        alpha = view.cutout()[None, 3:]
        alpha = F.max_pool2d(alpha, (2 * reach + 1, 1), 1, (reach, 0)) if reach else alpha
        alpha = F.max_pool2d(alpha, (1, 2 * reach + 1), 1, (0, reach)) if reach else alpha
        column, row = pixels[inside].long().unbind(1)
        seen[inside] += 1
        empty[inside] += (alpha[0, 0, row, column] <= COVERED).long()
    return seen, empty


def _held(views: Sequence[View], centres: Tensor) -> Tensor:
    """Whether the views of each voxel (K,) look from sides that differ enough to tell its depth.

    The measure is the mean squared sine of the angles between the views, compared with that of the best voxel.
    """
    lines = torch.zeros(len(centres), 3, 3)
    for view in views:
        inside = project(view, centres)[1]
        way = F.normalize(view.centre - centres[inside].double(), dim=1).float()
        lines[inside] += way[:, :, None] * way[:, None]
    spread = 1 - lines.square().sum((1, 2)) / lines.diagonal(dim1=1, dim2=2).sum(1).square()
    return spread >= SPREAD * spread.max()


def nowhere(views: Sequence[View]) -> MatteError:
    """The error of mattes whose hull is empty."""
    return MatteError(
        "the mattes agree on no place inside the subject box",
        where=", ".join(view.name for view in views),
        fix="Check the box, the calibration and the mattes.",
    )


def signed_distance(matte: Tensor, reach: int) -> Tensor:
    """Pixels to the edge of the silhouette of a matte (h, w): positive inside, 0 at its soft rim, negative outside.

    Inside, the edge is where alpha falls below one half; outside, where it rises above 0.1. The border of the picture
    is not an edge. Distances are cut at `reach`.
    """
    inner = (distance(matte < SOLID, reach) - 0.5).clamp_min(0)
    outer = (distance(matte > COVERED, reach) - 0.5).clamp_min(0)
    return inner - outer


def distance(target: Tensor, reach: int) -> Tensor:
    """Euclidean distance to the nearest True pixel of (h, w), at most `reach`; exact, by rows and then columns."""
    squares = torch.where(target, 0.0, float(reach * reach))
    for axis in (0, 1):
        length, best = squares.shape[axis], squares.clone()
        for step in range(1, min(reach, length - 1) + 1):
            for to, start in ((0, step), (step, 0)):
                nearer = best.narrow(axis, to, length - step)
                torch.minimum(nearer, squares.narrow(axis, start, length - step) + step * step, out=nearer)
        squares = best
    return squares.sqrt()


def widened(grid: Tensor, reach: int) -> Tensor:
    """Maximum of a map (h, w) over squares of 2 * reach + 1 pixels."""
    size = 2 * reach + 1
    return F.max_pool2d(F.max_pool2d(grid[None, None], (size, 1), 1, (reach, 0)), (1, size), 1, (0, reach))[0, 0]


def opened(grid: Tensor, side: int) -> Tensor:
    """A map (h, w) without spots thinner than `side` pixels."""
    return widened(-widened(-grid, side // 2), side // 2)
