"""Where the fit of a voxel grid is, saved so that a killed one goes on and ends with the same numbers."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from capmat_models.geometry.cells import VoxelGrid
from capmat_models.geometry.views import View
from capmat_models.training.resume import read_saved


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


def recipe_of(config: Any, views: Sequence[View]) -> str:
    """A text that is the same for the same fit only."""
    seen = 0
    for view in views:
        for tensor in (view.K, view.dist, view.camera_to_world, view.cutout()):
            seen = zlib.crc32(tensor.numpy().tobytes(), seen)
    return f"{config} of {', '.join(view.name for view in views)}, {seen:08x}"


def pack(state: VoxelState, recipe: str) -> bytes:
    """Serialise a fit."""
    buffer = io.BytesIO()
    torch.save(
        {
            "recipe": recipe,
            "step": state.step,
            "resolution": state.grid.resolution,
            "cells": state.grid.cells,
            "values": state.grid.values.detach(),
            "mean": state.mean,
            "square": state.square,
            "random": state.random.get_state(),
        },
        buffer,
    )
    return buffer.getvalue()


def unpack(data: bytes, recipe: str) -> VoxelState | None:
    """Read what `pack` wrote; None where that was another fit.

    Raises:
        CheckpointError: the bytes are damaged.
    """
    saved = read_saved(data, "checkpoint of the voxel grid", "reconstruction")
    if saved["recipe"] != recipe:
        return None
    grid = VoxelGrid.over(saved["resolution"], saved["cells"])  # the tables follow from the cells
    grid.values = saved["values"]
    random = torch.Generator()
    random.set_state(saved["random"])
    return VoxelState(saved["step"], grid, saved["mean"], saved["square"], random)
