"""Bayer mosaics: split into their four colour planes without loss, and made into pictures of half the size.

A sensor with colour filters records one number per photosite. Its mosaic is kept as four planes, one per photosite of
the 2x2 block; pictures are derived on reading. All colours must be at the centre of the block, or hair gets coloured
fringes. So red and blue are interpolated to it (weights 9-3-3-1), and the two greens are averaged.
"""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import SizeMismatch

CFA = ("RGGB", "GRBG", "GBRG", "BGGR")
"""Colours of the block's photosites: top left, top right, bottom left, bottom right."""


def split(mosaic: NDArray[Any]) -> NDArray[Any]:
    """The four planes of a mosaic: (H, W) to (4, H/2, W/2), in the order of the block's photosites.

    Raises:
        SizeMismatch: a side is odd.
    """
    if mosaic.ndim != 2 or mosaic.shape[0] % 2 or mosaic.shape[1] % 2:
        raise SizeMismatch(
            f"a Bayer mosaic of {mosaic.shape[::-1]} pixels has no whole blocks",
            fix="Give the sensor's own size, which is even.",
        )
    height, width = mosaic.shape[0] // 2, mosaic.shape[1] // 2
    out = np.empty((4, height, width), mosaic.dtype)
    for y, rows in enumerate(np.ascontiguousarray(mosaic).reshape(height, 2, width, 2).transpose(1, 0, 2, 3)):
        _channels(rows, out[2 * y : 2 * y + 2])
    return out


def stored_planes(picture: NDArray[Any]) -> NDArray[Any]:
    """A picture as a take keeps it: (H, W, 3) to (3, H, W), a mosaic (H, W) to (4, H/2, W/2)."""
    if picture.ndim == 2:
        return split(picture)
    out = np.empty((picture.shape[2], *picture.shape[:2]), picture.dtype)
    _channels(picture, out)
    return out


def superpixel(planes: NDArray[Any], cfa: str) -> NDArray[np.float32]:
    """One RGB pixel per block, all colours at the block's centre.

    Args:
        planes: (4, h, w) numbers of the sensor, black level included.
        cfa: order of the colours, one of `CFA`.

    Returns:
        (3, h, w) float32 on the same scale. Borders repeat their last photosite.
    """
    return _filtered(planes, cfa, power=1)


def superpixel_noise(noise: NDArray[np.float32], cfa: str) -> NDArray[np.float32]:
    """Standard deviation of `superpixel` from that of the planes: (4, h, w) to (3, h, w)."""
    return np.sqrt(_filtered(noise * noise, cfa, power=2))


def _channels(picture: NDArray[Any], out: NDArray[Any]) -> None:
    """Copy the channels of (H, W, C) into planes (C, H, W), five times as fast as numpy."""
    import cv2

    for number, plane in enumerate(out):
        cv2.extractChannel(picture, number, plane)


def _filtered(planes: NDArray[Any], cfa: str, power: int) -> NDArray[np.float32]:
    import cv2

    out = np.empty((3, *planes.shape[1:]), np.float32)
    for colour, indices in enumerate(planes_of(cfa)):
        if len(indices) == 2:
            first, second = (planes[index].astype(np.float32) for index in indices)
            out[colour] = (first + second) * np.float32(0.5**power)
        else:
            (index,) = indices
            rows, columns = (_taps(offset, power) for offset in divmod(index, 2))
            cv2.sepFilter2D(planes[index], cv2.CV_32F, columns, rows, out[colour], borderType=cv2.BORDER_REPLICATE)
    return out


@lru_cache(maxsize=8)
def planes_of(cfa: str) -> tuple[tuple[int, ...], ...]:
    """Indices of the planes that hold red, green and blue."""
    return tuple(tuple(index for index, colour in enumerate(cfa) if colour == wanted) for wanted in "RGB")


def _taps(offset: int, power: int) -> NDArray[np.float32]:
    """Weights of the photosites before, in and behind a block, for one that lies first or second in it.

    Either lies a quarter of a block from the centre.
    """
    taps = np.array((0, 0.75, 0.25) if offset == 0 else (0.25, 0.75, 0), np.float32)
    return taps**power
