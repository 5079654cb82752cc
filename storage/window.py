"""A part of a picture, without reading the rest of it."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.pictures.colour import Colour
from storage.store.frame_array import Window


def display_window(
    colour: Colour, size: tuple[int, int], window: Window, read: Callable[[Window], NDArray[Any]]
) -> NDArray[np.float32]:
    """The display-referred picture within a window; the same numbers as cut out of the whole one.

    Args:
        colour: what the stored numbers mean.
        size: height and width of the picture.
        window: (y0, y1, x0, x1), inside the picture.
        read: gives the stored numbers (C, y, x) within a window.

    Returns:
        (3, y1 - y0, x1 - x0) float32, 0..1.
    """
    if not colour.cfa:
        return colour.display(read(window))
    # Colours are interpolated from the neighbouring blocks, so one more of them is read all around.
    y0, y1, x0, x1 = window
    top, left = max(y0 - 1, 0), max(x0 - 1, 0)
    around = (top, min(y1 + 1, size[0]), left, min(x1 + 1, size[1]))
    picture = colour.display(read(around))
    return np.ascontiguousarray(picture[:, y0 - top : y1 - top, x0 - left : x1 - left])
