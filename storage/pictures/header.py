"""What a picture file says about itself before it is decoded, and which way is up.

A calibration belongs to the pixels as they are stored. So a picture or video of a session that asks to be turned is
refused; only a single photograph, which has no calibration, is turned.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import Declared

MOST_PIXELS = 2**28
"""More than any sensor has; a few bytes can ask for all memory."""
_ORIENTATION = 0x0112
_ASKS = {
    2: "mirrored",
    3: "turned by 180 degrees",
    4: "flipped upside down",
    5: "turned by 90 degrees and mirrored",
    6: "turned clockwise by 90 degrees",
    7: "turned by 90 degrees and mirrored",
    8: "turned counter-clockwise by 90 degrees",
}


@dataclass(frozen=True)
class Header:
    """The size and meaning of a picture's numbers.

    Attributes:
        width: pixels.
        height: pixels.
        channels: 1 grey or mosaic, 2 grey and alpha, 3 colour, 4 colour and alpha.
        dtype: "uint8", "uint16" or "float16" (EXR).
        bits: bits that carry signal, if the file states fewer than the type has; else 0.
        cfa: order of a mosaic's colours, if the file states it; else "".
        black: the number that stands for no light, if the file states it.
        orientation: what makes the stored pixels upright, 1 to 8 as in EXIF; 1 (or 0, unknown) for nothing.
        declared: what the file says about its colours; None if it says nothing.
    """

    width: int
    height: int
    channels: int
    dtype: str
    bits: int = 0
    cfa: str = ""
    black: int | None = None
    orientation: int = 1
    declared: Declared | None = None

    def upright(self) -> "Header":
        """What the header says once the picture is turned."""
        if self.orientation < 5:
            return self
        return replace(self, width=self.height, height=self.width)


def check_upright(orientation: int, where: str, what: str = "picture") -> None:
    """Refuse a file that asks viewers to turn it.

    Args:
        orientation: as in `Header`.
        where: the file, for the error.
        what: kind of file.

    Raises:
        ImageUnreadable: it asks to be turned or mirrored.
    """
    if orientation not in (0, 1):
        raise ImageUnreadable(
            f"the {what} asks to be {_ASKS.get(orientation, 'turned')} (orientation {orientation})",
            where=where,
            fix="Remove that tag if the pixels lie as calibrated; else turn the pixels. Switch auto-rotation off in "
            "the camera.",
        )


def check_square(sides: Iterable[float], source: str, where: str) -> None:
    """Refuse pixels that are not square; calibrations and networks are for square ones.

    Args:
        sides: pixels per unit of length, or the other way round, across and down; 0 if the file does not say it.
        source: what says so, for the message.
        where: the file.

    Raises:
        ImageUnreadable: the two differ by more than rounding.
    """
    across, down = sides
    if across > 0 and down > 0 and abs(across / down - 1) > 0.005:
        raise ImageUnreadable(
            f"the picture says that its pixels are not square ({source} {across:g} x {down:g})",
            where=where,
            fix="Export it with square pixels, or correct this entry of the file.",
        )


def exif_orientation(image: Any) -> int:
    """The orientation that the EXIF or XMP of an opened Pillow image states; 1 if it is missing or damaged."""
    from PIL import Image

    try:
        # Pillow's own method for PNG decodes the whole picture, to find chunks behind it.
        return int(Image.Image.getexif(image).get(_ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, KeyError, OSError, struct.error):
        return 1


def turned(picture: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn stored pixels (H, W, ...) upright, as EXIF 2.32 (4.6.5, Orientation) says.

    Raises:
        ValueError: the orientation is not 0 to 8.
    """
    if not 0 <= orientation <= 8:
        raise ValueError(f"orientation {orientation} is not known")
    if orientation >= 5:
        picture = picture.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    return np.ascontiguousarray(picture)
