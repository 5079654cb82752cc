"""A sparse voxel grid: values at the corners of those voxels that may hold something.

A person fills a hundredth of the box around them. Only kept voxels have values; a dense table of row numbers
finds them. Values lie at corners, so that they are continuous across voxels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from capmat_errors import ConfigError, TrainingError

CHILDREN = torch.tensor([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)])
"""The 8 corners of a voxel, and the 8 voxels it splits into."""


def checked_resolution(resolution: int) -> int:
    """A number of voxels along the edge of the box, as given.

    Raises:
        ConfigError: it is not a multiple of 16.
    """
    if resolution < 16 or resolution % 16:
        raise ConfigError(
            f"the resolution {resolution} is not a multiple of 16",
            fix=f"Use {max(16, round(resolution / 16) * 16)}.",
        )
    return resolution


@dataclass
class VoxelGrid:
    """Corner values of the voxels that are kept.

    Attributes:
        resolution: voxels along the edge R of the box -1..1.
        cells: (K, 3) int64 indices of the voxels that are kept.
        lookup: ((R + 2)^3,) int32, row in `cells`, or -1; a rim of -1 stands for all that is outside.
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
        lookup = torch.full(((resolution + 2) ** 3,), -1, dtype=torch.int32)
        lookup[flat(cells + 1, resolution + 2)] = torch.arange(len(cells), dtype=torch.int32)
        at = flat(cells[:, None] + CHILDREN, resolution + 1)
        vertices, corners = at.unique(return_inverse=True)
        return cls(resolution, cells, lookup, corners, torch.zeros(len(vertices), 4))

    def find(self, points: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Which of the points (N, 3) lie in a kept voxel, and how its corners make up their value.

        Returns:
            inside: (M,) int64, rows of `points`; corners: (M, 8) int64, rows of `values`; weights: (M, 8).
        """
        scaled = ((points + 1) * (self.resolution / 2) + 1).clamp_(0, self.resolution + 1)
        index = scaled.int()
        rows = self.lookup[flat(index, self.resolution + 2)]
        inside = (rows >= 0).nonzero()[:, 0]
        return inside, self.corners[rows[inside]], trilinear(scaled[inside] - index[inside])

    def at(self, corners: Tensor, weights: Tensor, channels: slice) -> Tensor:
        """Trilinear values (M, C) from what `find` found."""
        values = self.values[:, channels]
        index = corners.reshape(-1, 1).expand(-1, values.shape[1])
        # gather, not indexing: its backward adds in one order, so a seed repeats a run
        return (values.gather(0, index).view(*corners.shape, values.shape[1]) * weights[..., None]).sum(1)

    def refined(self, hull: Tensor, resolution: int) -> VoxelGrid:
        """A grid of voxels half as large: those of the hull whose parents are not clear.

        Args:
            hull: (K, 3) voxels that may hold something.
            resolution: of `hull`.

        Raises:
            TrainingError: all voxels are clear.
        """
        edge = 2 * self.resolution
        alive = self.values[self.corners, 0].amax(1) > 0
        cells = unflat(flat(hull // (resolution // edge), edge).unique(), edge)
        rows = self.lookup[flat(cells // 2 + 1, self.resolution + 2)].long()
        kept = (rows >= 0) & alive[rows]
        cells, rows = cells[kept], rows[kept]
        if len(cells) == 0:
            raise TrainingError(
                "the reconstruction is empty", fix="Check the mattes: holes in most views leave nothing."
            )
        fine = VoxelGrid.over(edge, cells)
        for corner, offset in enumerate(CHILDREN):
            # where this corner lies in the parent: 0, 1/2 or 1 along each edge
            weights = trilinear((cells % 2 + offset).float() / 2)
            fine.values[fine.corners[:, corner]] = self.at(self.corners[rows], weights, slice(0, 4))
        return fine


def trilinear(part: Tensor) -> Tensor:
    """Weights (M, 8) of a voxel's corners at points (M, 3) 0..1 inside it."""
    x, y, z = torch.stack([1 - part, part], 1).unbind(2)
    return (x[:, :, None, None] * y[:, None, :, None] * z[:, None, None, :]).view(-1, 8)


def flat(index: Tensor, edge: int) -> Tensor:
    """One number for each voxel (..., 3) of a grid with this edge."""
    return (index[..., 0] * edge + index[..., 1]) * edge + index[..., 2]


def unflat(number: Tensor, edge: int) -> Tensor:
    """Undo `flat`: (K,) to (K, 3)."""
    return torch.stack([number // edge**2, number // edge % edge, number % edge], 1)
