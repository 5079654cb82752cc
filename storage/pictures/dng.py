"""DNG: the sensor's mosaic as LibRaw unpacks it, and what the file says about its numbers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.header import Header

_FLIPS = (1, 2, 4, 3, 5, 8, 6, 7)
"""EXIF orientation by LibRaw's flip: 1 mirrors, 2 flips upside down, 4 swaps rows and columns first."""


def dng_header(path: Path) -> Header:
    """Size, depth, order of colours and black of the visible part of the sensor.

    Raises:
        ImageUnreadable: the file does not hold a Bayer mosaic, or it has a black level per colour.
    """
    with _opened(path) as raw:
        return _header(raw, path)


def read_dng(path: Path) -> NDArray[np.uint16]:
    """The visible mosaic, (H, W)."""
    with _opened(path) as raw:
        _header(raw, path)
        # rawpy returns LibRaw's own memory, which closing the file frees.
        return np.array(raw.raw_image_visible)


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    import rawpy

    try:
        with rawpy.imread(str(path)) as raw:
            yield raw
    except rawpy.LibRawError as error:
        reason = error.args[0].decode() if error.args and isinstance(error.args[0], bytes) else error
        raise ImageUnreadable(
            f"the picture is damaged, or not a DNG ({reason})", where=str(path), fix="Copy or export it again."
        ) from error


def _header(raw: Any, path: Path) -> Header:
    image, pattern = raw.raw_image_visible, raw.raw_pattern
    if image is None or image.ndim != 2 or pattern is None or pattern.shape != (2, 2):
        raise ImageUnreadable(
            "the DNG does not hold a Bayer mosaic", where=str(path), fix="Export the sensor data as it is."
        )
    cfa = "".join(chr(raw.color_desc[index]) for index in pattern.ravel())
    blacks = {int(level) for level in raw.black_level_per_channel}
    if len(blacks) != 1:
        raise ImageUnreadable(
            f"the DNG has a black level per colour: {', '.join(map(str, sorted(blacks)))}",
            where=str(path),
            fix="Export it with one black level.",
        )
    height, width = image.shape
    bits, orientation = int(raw.white_level).bit_length(), _FLIPS[raw.sizes.flip]
    return Header(width, height, 1, "uint16", bits, cfa, blacks.pop(), orientation)
