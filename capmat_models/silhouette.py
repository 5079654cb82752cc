"""The silhouette of a soft matte, as a distance in pixels; on any device."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_models.geometry.hull import COVERED

SOLID = 0.5
"""Alpha from which a pixel belongs to the silhouette."""


def signed_distance(matte: Tensor, reach: int) -> Tensor:
    """Pixels to the edge of the silhouette of a matte (h, w): positive inside, 0 at its soft rim, negative outside.

    Inside, the edge is where alpha falls below one half; outside, where it comes above 0.1. Nothing lies beyond the
    border of the picture, and distances are cut at `reach`.
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
            for here, there in ((0, step), (step, 0)):
                nearer = best.narrow(axis, here, length - step)
                torch.minimum(nearer, squares.narrow(axis, there, length - step) + step * step, out=nearer)
        squares = best
    return squares.sqrt()


def widened(grid: Tensor, reach: int) -> Tensor:
    """Maximum of a map (h, w) over squares of 2 * reach + 1 pixels."""
    size = 2 * reach + 1
    return F.max_pool2d(F.max_pool2d(grid[None, None], (size, 1), 1, (reach, 0)), (1, size), 1, (0, reach))[0, 0]


def opened(grid: Tensor, side: int) -> Tensor:
    """A map (h, w) without what is thinner than `side` pixels."""
    return widened(-widened(-grid, side // 2), side // 2)
