"""Small pictures to look at: a quarter of the size, sRGB, eight bits. Made once, while a take comes in."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.pictures.bayer import planes_of
from storage.pictures.colour import Colour
from storage.store.shards import Window


def preview_size(height: int, width: int) -> tuple[int, int]:
    """Height and width of the preview of a picture."""
    return max(height // 4, 1), max(width // 4, 1)


def make_preview(colour: Colour, planes: NDArray[Any]) -> NDArray[np.uint8]:
    """Average the stored numbers over areas, then show them.

    Args:
        colour: what the numbers mean.
        planes: (3, H, W), or the (4, H, W) planes of a mosaic.

    Returns:
        (3, H/4, W/4) uint8, sRGB.
    """
    import cv2

    height, width = preview_size(*planes.shape[1:])
    # OpenCV knows no half floats; integers it averages with exact rounding.
    wide = planes.astype(np.float32) if planes.dtype == np.float16 else planes
    small = np.stack([cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA) for plane in wide])
    if colour.cfa:
        # A quarter of a block aside is a sixteenth of a preview's pixel: the colours need no centring here.
        colours = [small[list(planes)].mean(axis=0, dtype=np.float32) for planes in planes_of(colour.cfa)]
        small = np.stack(colours)
    shown = replace(colour, cfa="").display(small)
    return np.rint(shown * 255).astype(np.uint8)


def display(
    colour: Colour, size: tuple[int, int], window: Window | None, read: Callable[[Window | None], NDArray[Any]]
) -> NDArray[np.float32]:
    """The display-referred picture, or a window of it; the same numbers as cut out of the whole one.

    Args:
        colour: what the stored numbers mean.
        size: height and width of the picture.
        window: (y0, y1, x0, x1), inside the picture; None for all of it.
        read: gives the stored numbers (C, y, x) within a window.

    Returns:
        (3, y1 - y0, x1 - x0) float32, 0..1.
    """
    if window is None or not colour.cfa:
        return colour.display(read(window))
    # Colours are interpolated from the neighbouring blocks, so one more of them is read all around.
    y0, y1, x0, x1 = window
    top, left = max(y0 - 1, 0), max(x0 - 1, 0)
    around = (top, min(y1 + 1, size[0]), left, min(x1 + 1, size[1]))
    picture = colour.display(read(around))
    return np.ascontiguousarray(picture[:, y0 - top : y1 - top, x0 - left : x1 - left])
