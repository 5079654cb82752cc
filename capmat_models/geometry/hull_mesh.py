"""The visual hull as a surface: what all mattes of one frame agree on, for a look before anything is trained.

The surface is where a field of alpha over space is one half. At a point, the field is the second smallest alpha of
the views that see it: as in `visual_hull`, one view alone may be wrong. Where few views see the point, at the rim of
the stage, two could agree on a ghost by chance, so it is the smallest. Colours, which are for the eye, come from the
views that face the surface and see it unhidden.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from capmat_models.geometry.hull import ENOUGH_TO_CARVE, ENOUGH_TO_KEEP, nowhere, visual_hull
from capmat_models.geometry.views import View, project

_SURFACE = 0.5
_FEW = 6
"""Views of a point below which all of them must agree."""
_FACING = 0.2
"""Cosine between normal and view below which the view is too flat to give a colour."""


@dataclass(frozen=True)
class HullMesh:
    """A closed surface.

    Attributes:
        vertices: (V, 3) float32 in box units.
        faces: (F, 3) int64, counter-clockwise seen from outside.
        colours: (V, 3) uint8, sRGB; grey where no view sees the surface.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64]
    colours: NDArray[np.uint8]


@torch.no_grad()
def hull_mesh(views: Sequence[View], resolution: int) -> HullMesh:
    """The surface of the visual hull.

    Args:
        views: cameras with cut-outs, 3 or more. A pixel should be half a voxel or smaller; much smaller is waste.
        resolution: voxels along the edge of the box -1..1.

    Raises:
        MatteError: the mattes agree on no place inside the box.
    """
    from skimage.measure import marching_cubes

    cells, _ = visual_hull(views, resolution)
    low, high = cells.amin(0) - 1, cells.amax(0) + 2
    field = torch.zeros(tuple((high - low).tolist()))
    field[tuple((cells - low).T)] = _agreed(views, (cells + 0.5) * (2 / resolution) - 1)
    if field.max() <= _SURFACE:
        raise nowhere(views)
    at, faces, normals, _ = marching_cubes(field.numpy(), _SURFACE, gradient_direction="ascent")
    vertices = (torch.from_numpy(at.copy()) + low + 0.5) * (2 / resolution) - 1
    colours = _colours(views, vertices, torch.from_numpy(normals.copy()), 2 / resolution)
    return HullMesh(vertices.numpy(), faces.astype(np.int64), colours)


def volume(mesh: HullMesh) -> float:
    """The volume inside the surface, in cubic box units (divergence theorem)."""
    a, b, c = (mesh.vertices[mesh.faces[:, i]].astype(np.float64) for i in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


def _agreed(views: Sequence[View], points: Tensor) -> Tensor:
    """The alpha (K,) that the views of each point agree on; 0 where too few see it."""
    smallest = torch.full((ENOUGH_TO_CARVE, len(points)), torch.inf)
    seen = torch.zeros(len(points), dtype=torch.int64)
    for view in views:
        pixels, inside = project(view, points)
        alpha = torch.where(inside, sample(view.cutout()[3:], pixels)[0], torch.inf)
        smallest = torch.cat([smallest, alpha[None]]).topk(ENOUGH_TO_CARVE, dim=0, largest=False).values
        seen += inside
    agreed = torch.where(seen < _FEW, smallest[0], smallest[-1])
    return torch.where(seen >= ENOUGH_TO_KEEP, agreed, 0).float()


def sample(picture: Tensor, pixels: Tensor) -> Tensor:
    """Bilinear values (C, N) of a picture (C, H, W) at pixels (N, 2), whose centres are half integers."""
    size = torch.tensor(picture.shape[:0:-1])
    grid = (2 * pixels / size - 1).float().clamp(-2, 2)
    return F.grid_sample(picture[None], grid[None, None], padding_mode="border", align_corners=False)[0, :, 0]


def _colours(views: Sequence[View], vertices: Tensor, normals: Tensor, voxel: float) -> NDArray[np.uint8]:
    total, weight = torch.zeros(len(vertices), 3), torch.zeros(len(vertices))
    for view in views:
        way = view.centre.float() - vertices
        distance = way.norm(dim=1)
        pixels, inside = project(view, vertices)
        facing = ((way / distance[:, None]) * normals).sum(1)
        use = inside & (facing > _FACING)
        # a vertex behind the nearest one of its cell is hidden; a cell is `fold` pixels wide, two voxels
        fold = max(1, round(float(view.K[0, 0]) * 2 * voxel / float(distance.min())))
        wide = view.width // fold + 1
        column, row = (pixels.clamp_min(0) / fold).long().unbind(1)
        cell = torch.where(inside, row * wide + column, 0)
        nearest = torch.full((wide * (view.height // fold + 1),), torch.inf)
        nearest.scatter_reduce_(0, cell[inside], distance[inside], "amin")
        use &= distance < nearest[cell] + 3 * voxel
        rgba = sample(view.cutout(), pixels)
        amount = torch.where(use, facing.clamp_min(0) ** 2 * rgba[3], 0)
        total += amount[:, None] * rgba[:3].T
        weight += amount
    grey = torch.full((3,), 0.5)
    colours = torch.where(weight[:, None] > 1e-3, total / weight.clamp_min(1e-9)[:, None], grey)
    shown: NDArray[np.uint8] = (colours.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    return shown
