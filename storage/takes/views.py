"""Small pictures to look at: a quarter of the size, sRGB, eight bits. Made once, while a take comes in."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.pictures.bayer import places_of
from storage.pictures.colour import Colour


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
        colours = [small[list(places)].mean(axis=0, dtype=np.float32) for places in places_of(colour.cfa)]
        small = np.stack(colours)
    shown = replace(colour, cfa="").display(small)
    return np.rint(shown * 255).astype(np.uint8)
