"""What networks share: enlarging and padding, normalisation, exact trimaps, and bands of rows that bound the memory.

Padding goes to the bottom and the right, so pixel (0, 0) stays in place and cropping is a slice.
"""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# (123.675, 116.28, 103.53) / 255 and (58.395, 57.12, 57.375) / 255: the released ViTMatte code trains with
# them. The `transformers` port uses 0.5, for which the weights were not made.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
_HALO = 6  # rows on each side, even; an upsampling and three 3x3 convolutions need five
_PIXELS_CPU = 2**19  # of a band; 150 MB for 70 channels, and fewer cache misses than in one go
_PIXELS_GPU = 2**23


def padded_size(size: Sequence[int], stride: int, rule: Literal["minimal", "official"]) -> tuple[int, int]:
    """The size a frame grows to before it enters the network.

    Args:
        size: height and width.
        stride: what both must be a multiple of.
        rule: `minimal` grows each side to the next multiple. `official` is ViTMatte's released code: if
            either side is not a multiple, both grow by `stride - side % stride`, so a side that already fits
            grows by a whole stride (96x150 becomes 128x160).
    """
    if rule == "official" and any(side % stride for side in size):
        height, width = (side + stride - side % stride for side in size)
    else:
        height, width = (-(-side // stride) * stride for side in size)
    return height, width


def pad_to(x: Tensor, size: Sequence[int], *, mode: str = "constant") -> Tensor:
    """Pad (N, C, H, W) at the bottom and the right to `size`; a no-op when it already has that size."""
    grow_h, grow_w = size[0] - x.shape[-2], size[1] - x.shape[-1]
    return F.pad(x, (0, grow_w, 0, grow_h), mode=mode) if grow_h or grow_w else x


class SmallFrames(nn.Module):
    """A network that sees small frames doubled.

    A network of fixed strides sees a frame of few pixels coarsely, whatever it was trained on. So both sides of a
    frame with fewer pixels than a square of the side `config.double_below` are doubled; alpha is averaged back.

    Attributes:
        enlarge: how many times frames are enlarged, if it is not 0. A training on crops sets it, since a crop does
            not say how large its frame is.
    """

    config: Any
    enlarge: int = 0

    def times(self, size: Sequence[int]) -> int:
        """How many times a frame of (H, W) is enlarged: 1 or 2."""
        return self.enlarge or (2 if size[0] * size[1] < self.config.double_below**2 else 1)


def enlarged(x: Tensor, times: int) -> Tensor:
    """(N, C, H, W) -> (N, C, times * H, times * W), bilinear."""
    return x if times == 1 else F.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)


def reduced(x: Tensor, times: int) -> Tensor:
    """The mean of each block of times x times pixels: (N, C, H, W) -> (N, C, H / times, W / times)."""
    return x if times == 1 else F.avg_pool2d(x, times)


def imagenet(rgb: Tensor) -> Tensor:
    """Normalise display-referred RGB (N, 3, H, W) in 0..1 per channel."""
    mean = rgb.new_tensor(MEAN).view(3, 1, 1)
    std = rgb.new_tensor(STD).view(3, 1, 1)
    return (rgb - mean) / std


def in_strips(block: Callable[[Tensor, Tensor | None], Tensor], coarse: Tensor, fine: Tensor | None = None) -> Tensor:
    """Run a block that doubles the size of its input, in bands if that saves memory.

    With gradients the block runs in one go, because they keep everything anyway.

    Args:
        block: block(coarse, fine) -> (N,D,2h,2w); each row of the output must depend on rows of the input
            nearer than `_HALO` output rows. BatchNorm in eval mode.
        coarse: (N,C,h,w).
        fine: (N,B,2h,2w), or None.

    Returns:
        The same as block(coarse, fine).
    """
    height, width = 2 * coarse.shape[2], 2 * coarse.shape[3]
    pixels = _PIXELS_CPU if coarse.device.type == "cpu" else _PIXELS_GPU
    rows = max(4 * _HALO, pixels // (len(coarse) * width) // 2 * 2)
    if torch.is_grad_enabled() or rows >= height:
        return block(coarse, fine)
    out: Tensor | None = None
    for top in range(0, height, rows):
        bottom = min(height, top + rows)
        first, last = max(0, top - _HALO), min(height, bottom + _HALO)
        band = block(coarse[:, :, first // 2 : last // 2], None if fine is None else fine[:, :, first:last])
        if out is None:
            out = band.new_empty((*band.shape[:2], height, width))
        out[:, :, top:bottom] = band[:, :, top - first : bottom - first]
    assert out is not None
    return out


def snap(trimap: torch.Tensor) -> torch.Tensor:
    """Make a trimap's values exact: below 85/255 -> 0, from 170/255 on -> 1, the rest -> 0.5."""
    levels = (trimap * 255).round()
    return torch.where(levels < 85, 0.0, torch.where(levels >= 170, 1.0, 0.5)).to(trimap.dtype)
