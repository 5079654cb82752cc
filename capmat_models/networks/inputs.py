"""Frames of any size in networks that want multiples of a stride.

Padding goes to the bottom and the right, so pixel (0, 0) stays where it is and cropping is a slice.
"""

from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F


def padded_size(size: Sequence[int], stride: int, rule: Literal["minimal", "official"]) -> tuple[int, int]:
    """The size a frame grows to before it enters the network.

    Args:
        size: height and width.
        stride: what both must be a multiple of.
        rule: `minimal` grows each side to the next multiple. `official` is ViTMatte's released code: if
            either side is no multiple, both grow by `stride - side % stride`, so that a side that already
            fits grows by a whole stride (96x150 becomes 128x160).
    """
    if rule == "official" and any(side % stride for side in size):
        height, width = (side + stride - side % stride for side in size)
    else:
        height, width = (-(-side // stride) * stride for side in size)
    return height, width


def pad_to(x: torch.Tensor, size: Sequence[int], *, mode: str = "constant") -> torch.Tensor:
    """Pad (N, C, H, W) at the bottom and the right to `size`; a no-op when it already has that size."""
    grow_h, grow_w = size[0] - x.shape[-2], size[1] - x.shape[-1]
    return F.pad(x, (0, grow_w, 0, grow_h), mode=mode) if grow_h or grow_w else x
