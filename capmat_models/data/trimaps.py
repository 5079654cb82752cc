"""Trimaps from true mattes while training runs: the soft pixels, widened at random."""

import numpy as np
import torch
from numpy.random import Generator
from torch import Tensor
from torch.nn import functional as F

_WIDEST = 29 / 2 / 512  # ViTMatte erodes with kernels of 1..29 px, at the size of its 512 px crops
_SURE = 0.5 / 255  # nearer than half an 8-bit step to 0 or 1 counts as known


def random_radii(rng: Generator, count: int, crop: int) -> np.ndarray:
    """Draw how far sure foreground and sure background shrink: (count,2) in pixels.

    In proportion to the crop, but at least up to 3 pixels, as fine as a hand can draw.
    """
    return rng.integers(0, max(3, round(_WIDEST * crop)) + 1, (count, 2))


def trimap_from_alpha(pha: Tensor, radii: np.ndarray) -> Tensor:
    """Make trimaps.

    Args:
        pha: true mattes (N,1,H,W) in 0..1.
        radii: (N,2) pixels by which sure foreground and sure background are eroded, with a square.

    Returns:
        (N,1,H,W): exactly 0 background, 0.5 unknown, 1 foreground.
    """
    below, above = (pha < 1 - _SURE).to(pha.dtype), (pha > _SURE).to(pha.dtype)
    not_fg = torch.cat([_grow(x[None], int(r)) for x, r in zip(below, radii[:, 0], strict=True)])
    not_bg = torch.cat([_grow(x[None], int(r)) for x, r in zip(above, radii[:, 1], strict=True)])
    return (1 - not_fg) + 0.5 * not_fg * not_bg


def _grow(region: Tensor, radius: int) -> Tensor:
    """Dilate by a square; two one-dimensional passes cost less than one."""
    size = 2 * radius + 1
    wide = F.max_pool2d(region, (1, size), 1, (0, radius))
    return F.max_pool2d(wide, (size, 1), 1, (radius, 0))
