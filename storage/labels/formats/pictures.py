"""Labels and trimaps as grey pictures, of the frame's size.

A label picture holds 0 background, 1 foreground, 255 open. A trimap is black background, white foreground, and
anything between is open; PNG or TIFF, since what a lossy format makes of black and white is neither.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.labels.formats.parse import refused
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN
from storage.pictures.files import decode_png, read_grey, read_header


def read_label(path: Path, where: str) -> NDArray[np.uint8]:
    """A label picture, (H, W) uint8 of 0, 1 and 255; of a PNG with a palette, the indices.

    Raises:
        ImageUnreadable: it is no whole picture.
        ScribbleError: it holds something else.
    """
    grey = _indices(path) if has_palette(path) else _grey(path, where)
    if grey.dtype != np.uint8 or not np.isin(grey, (BACKGROUND, FOREGROUND, OPEN)).all():
        other = grey[~np.isin(grey, (BACKGROUND, FOREGROUND, OPEN))]
        held = f"it holds {int(other[0])}" if other.size else "it is not 8-bit"
        raise refused(held, where, "A label picture holds 0 background, 1 foreground, 255 open.")
    return _with_something_open(grey, where)


def read_trimap(path: Path, where: str) -> NDArray[np.uint8]:
    """A trimap, (H, W) uint8 of 0, 1 and 255.

    Raises:
        ImageUnreadable: it is no whole picture.
        ScribbleError: it is not grey, or nothing in it is.
    """
    if read_header(path).channels > 4 or path.suffix.lower() in (".jpg", ".jpeg"):
        raise refused("a JPEG keeps no exact black and white", where, "Save trimaps as PNG or TIFF.")
    grey = _grey(path, where)
    label = np.full(grey.shape, OPEN, np.uint8)
    label[grey == 0] = BACKGROUND
    label[grey == np.iinfo(grey.dtype).max] = FOREGROUND
    return _with_something_open(label, where)


def _with_something_open(label: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    if (label != OPEN).all():
        raise refused("every pixel is labelled", where, "Leave open what is not certain: edges and hair at least.")
    if (label == OPEN).all():
        raise refused("nothing is labelled", where)
    return label


def read_flat(path: Path, where: str) -> NDArray[Any] | None:
    """The one channel of a picture that is grey in several, and opaque; None if it is not."""
    picture = decode_png(path.read_bytes(), where) if path.suffix.lower() == ".png" else read_grey(path)
    if picture.ndim == 2:
        return picture
    opaque = picture.shape[2] == 3 or (picture[..., 3] == np.iinfo(picture.dtype).max).all()
    return picture[..., 0] if opaque and (picture[..., :3] == picture[..., :1]).all() else None


def _grey(path: Path, where: str) -> NDArray[Any]:
    grey = read_flat(path, where)
    if grey is None:
        raise refused("it is coloured or partly transparent", where, "Save it in grey, or import it as an overlay.")
    return grey


def has_palette(path: Path) -> bool:
    """Whether a file is a PNG whose pixels are numbers of colours in a list."""
    with path.open("rb") as file:
        start = file.read(26)
    return start[1:4] == b"PNG" and start[25] == 3


def _indices(path: Path) -> NDArray[Any]:
    from PIL import Image

    read_header(path)
    with Image.open(path) as picture:
        return np.asarray(picture, np.uint8)
