"""The state of a fit of the voxel grid, so that a killed fit goes on and ends with the same numbers."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from capmat_models.geometry.cells import VoxelGrid
from capmat_models.geometry.views import View
from capmat_models.training.resume import pack, read_saved


@dataclass
class VoxelState:
    """All that the next step depends on.

    Attributes:
        step: the next one.
        grid: as learnt so far.
        mean: Adam's first moment of the grid's values, since the grid was last refined.
        square: its second moment.
        random: what draws rays and backgrounds.
    """

    step: int
    grid: VoxelGrid
    mean: Tensor
    square: Tensor
    random: torch.Generator

    def refine(self, cells: Tensor, resolution: int) -> None:
        """Go on with voxels half as large; Adam starts anew."""
        self.grid = self.grid.refined(cells, resolution)
        self.mean, self.square = torch.zeros_like(self.grid.values), torch.zeros_like(self.grid.values)

    def packed(self, recipe: str) -> bytes:
        """The state as bytes for a checkpointer."""
        return pack(
            recipe,
            step=self.step,
            resolution=self.grid.resolution,
            cells=self.grid.cells,
            values=self.grid.values.detach(),
            mean=self.mean,
            square=self.square,
            random=self.random.get_state(),
        )

    @classmethod
    def unpacked(cls, data: bytes, where: str, recipe: str) -> VoxelState | None:
        """Read what `packed` wrote; None if that was another fit.

        Raises:
            CheckpointError: the bytes are damaged.
        """
        saved = read_saved(data, where)
        if saved["recipe"] != recipe:
            return None
        grid = VoxelGrid.over(saved["resolution"], saved["cells"])  # the tables follow from the cells
        grid.values = saved["values"]
        random = torch.Generator()
        random.set_state(saved["random"])
        return cls(saved["step"], grid, saved["mean"], saved["square"], random)


def recipe_of(config: object, views: Sequence[View]) -> str:
    """A text that only the same fit has: its settings, its cameras and a checksum of what they see."""
    checksum = 0
    for view in views:
        for tensor in (view.K, view.dist, view.camera_to_world, view.cutout()):
            checksum = zlib.crc32(tensor.numpy().tobytes(), checksum)
    return f"{config} of {', '.join(view.name for view in views)}, {checksum:08x}"
