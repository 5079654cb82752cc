"""Cutting the same square out of several pictures, so that they stay aligned."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray


def crop_aligned(
    pictures: Mapping[str, NDArray[Any]], top: int, left: int, size: int, *, flip: bool
) -> dict[str, NDArray[Any]]:
    """Cut one square out of every picture.

    Args:
        pictures: (C,H,W) each, all with the same H and W.
        top: first row; moved so that the square lies inside where the picture is large enough.
        left: first column, likewise.
        size: side in pixels. A smaller picture is continued by its last row and column.
        flip: mirror left to right.

    Returns:
        (C,size,size) each, contiguous.
    """
    height, width = next(iter(pictures.values())).shape[-2:]
    top, left = max(0, min(top, height - size)), max(0, min(left, width - size))
    missing = ((0, 0), (0, max(0, size - height)), (0, max(0, size - width)))
    out = {}
    for name, picture in pictures.items():
        square = picture[:, top : top + size, left : left + size]
        if size > height or size > width:
            square = np.pad(square, missing, mode="edge")
        out[name] = np.ascontiguousarray(square[..., ::-1] if flip else square)
    return out


def random_corner(rng: Generator, shape: tuple[int, ...], size: int) -> tuple[int, int]:
    """Draw top and left of a square so that it lies inside a picture of shape (...,H,W)."""
    height, width = shape[-2:]
    return int(rng.integers(max(1, height - size + 1))), int(rng.integers(max(1, width - size + 1)))
