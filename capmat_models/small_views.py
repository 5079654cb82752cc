"""Cameras with fewer pixels: for voxels, a picture finer than they are is waste."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from capmat_models.geometry.views import View


def working_fold(view: View, resolution: int) -> int:
    """How many times smaller a view may be: a pixel is then about half a voxel at the middle of the box."""
    return max(1, int(float(view.K[0, 0]) * (2 / resolution) / float(view.centre.norm()) / 2))


def finest(views: Sequence[View], most: int) -> int:
    """Voxels along the edge of the box, a multiple of 16 up to `most`, that are no smaller than a pixel there."""
    pixels = min(2 * float(view.K[0, 0]) / float(view.centre.norm()) for view in views)
    return max(16, min(most, int(pixels)) // 16 * 16)


def shrunk(view: View, fold: int) -> View:
    """The same camera, without a picture, with `fold` times fewer pixels a side; one stands for what is left over."""
    K = view.K.clone()
    K[:2] /= fold  # centres are half integers here, so the whole of it scales
    return replace(view, width=-(-view.width // fold), height=-(-view.height // fold), K=K, rgba=None)


def shrunk_picture(picture: Tensor, fold: int) -> Tensor:
    """Means (C, h, w) over squares of `fold` pixels of (C, H, W), as `shrunk` counts them."""
    return F.avg_pool2d(picture[None], fold, ceil_mode=True, count_include_pad=False)[0]


def on_device(view: View, device: torch.device) -> View:
    """The same camera where the work is to be done."""
    each = {f.name: getattr(view, f.name) for f in fields(view)}
    moved: dict[str, Any] = {name: value.to(device) for name, value in each.items() if isinstance(value, Tensor)}
    return replace(view, **moved)
