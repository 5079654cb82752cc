"""Blurring, warping and resizing of (C, H, W) float32 pictures, as the composites need it: fast, and good enough."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

Plane = NDArray[np.float32]


def blurred(picture: Plane, sigma: float) -> Plane:
    """Blur by about a Gaussian of `sigma` pixels; below 0.3 nothing happens, and wide blurs run on a smaller copy."""
    if sigma < 0.3:
        return picture
    tensor = torch.from_numpy(np.ascontiguousarray(picture))[None]
    size = tensor.shape[-2:]
    shrink = max(1, min(int(sigma / 2.5), min(size) // 8))
    if shrink > 1:
        tensor = F.avg_pool2d(tensor, shrink, ceil_mode=True, count_include_pad=False)
    half = int(3 * sigma / shrink + 1)
    kernel = torch.exp(-(torch.arange(-half, half + 1) ** 2) / (2 * (sigma / shrink) ** 2))
    kernel /= kernel.sum()
    channels = tensor.shape[1]
    across, down = kernel.view(1, 1, 1, -1), kernel.view(1, 1, -1, 1)
    for taps, border in ((across, (half, half, 0, 0)), (down, (0, 0, half, half))):
        wide = F.pad(tensor, border, mode="replicate")
        tensor = F.conv2d(wide, taps.expand(channels, 1, -1, -1), groups=channels)
    return (F.interpolate(tensor, size, mode="bilinear", align_corners=False) if shrink > 1 else tensor)[0].numpy()


def warped(
    picture: Plane,
    scale: tuple[float, float] = (1.0, 1.0),
    skew: float = 0.0,
    offset: tuple[float, float] = (0.0, 0.0),
    padding: str = "zeros",
) -> Plane:
    """Scale and skew a square picture about its centre and move it by `offset`; both pairs are (y, x)."""
    half = picture.shape[-1] / 2
    matrix = [[1 / scale[1], skew, -offset[1] / half], [0, 1 / scale[0], -offset[0] / half]]
    return sampled(picture, np.array(matrix), padding)


def sampled(picture: Plane, matrix: NDArray[np.float64], padding: str) -> Plane:
    """Look a picture up where a 2x3 `matrix` leads from (x, y, 1), which run from -1 to 1 across the frame."""
    theta = torch.from_numpy(matrix.astype(np.float32))[None]
    grid = F.affine_grid(theta, [1, *picture.shape], align_corners=False)
    chw = torch.from_numpy(np.ascontiguousarray(picture))[None]
    return F.grid_sample(chw, grid, padding_mode=padding, align_corners=False)[0].numpy()


def resized(picture: Plane, side: int) -> Plane:
    """Make it a square of `side` pixels."""
    chw = torch.from_numpy(np.ascontiguousarray(picture))[None]
    return F.interpolate(chw, (side, side), mode="bilinear", align_corners=False)[0].numpy()
