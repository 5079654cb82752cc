"""The last steps of a decoder, a band of rows at a time.

At full resolution the maps between two convolutions are what fills the memory: 1.7 GB each at 6 megapixels. A
convolution sees a few rows only, so a band with some rows around it gives exactly the rows of the whole. This
is not tiling: whatever sees the whole frame (attention, norms over the frame) has run before.
"""

from collections.abc import Callable

import torch
from torch import Tensor

_HALO = 6  # rows on each side, even; an upsampling and three 3x3 convolutions need five
_PIXELS_CPU = 2**19  # of a band; 150 MB for 70 channels, and fewer cache misses than in one go
_PIXELS_GPU = 2**23


def in_strips(block: Callable[[Tensor, Tensor | None], Tensor], coarse: Tensor, fine: Tensor | None = None) -> Tensor:
    """Run a block that doubles the size of its input, in bands where that saves memory.

    With gradients the block runs in one go: what they need would be kept anyway.

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
