"""Labels and trimaps as grey pictures, of the frame's size.

A label picture holds 0 background, 1 foreground, 255 open. A trimap is black background, white foreground, and
anything between is open; PNG or TIFF, since what a lossy format makes of black and white is neither.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, ScribbleError
from storage.labels.formats.parse import refused
from storage.labels.raster import BACKGROUND, FOREGROUND, GREEN, OPEN, RED, Colour
from storage.pictures.files import read_grey, read_header, read_rgba
from storage.pictures.png import decode_png


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


# Programs save colours within a few levels; a soft brush leaves mixtures at its rim, which mean nothing.
_TOLERANCE = 40
_MOST_UNKNOWN = 0.2


def colour_of(text: str) -> Colour:
    """`00ff00`, with or without # before it, as (red, green, blue).

    Raises:
        ConfigError: it is no such text.
    """
    digits = text.removeprefix("#")
    if not re.fullmatch(r"[0-9a-fA-F]{6}", digits):
        raise ConfigError(f"{text!r} is no colour", where="painted overlays", fix="Write it as 00ff00.")
    red, green, blue = bytes.fromhex(digits)
    return red, green, blue


def read_overlay(
    path: Path, size: tuple[int, int], foreground: Colour = GREEN, background: Colour = RED
) -> NDArray[np.uint8]:
    """Read a scribble overlay: a PNG or TIFF with alpha, painted over a frame.

    Args:
        path: the file.
        size: (height, width) of the frame that it was painted on.
        foreground: colour of the subject.
        background: colour of everything else.

    Returns:
        (H, W) uint8: 0 background, 1 foreground, 255 open.

    Raises:
        ImageUnreadable: it is no whole picture with alpha.
        ScribbleError: wrong size, nothing painted, all painted, or more than a fifth in other colours.
    """
    rgba = read_rgba(path)
    where = str(path)
    if rgba.shape[:2] != size:
        raise ScribbleError(
            f"the overlay is {rgba.shape[1]}x{rgba.shape[0]}, the frame {size[1]}x{size[0]}",
            where=where,
            fix="Paint on the frame at its full size.",
        )
    return overlay_to_label(rgba, where, foreground, background)


def overlay_to_label(
    rgba: NDArray[Any], where: str = "the overlay", foreground: Colour = GREEN, background: Colour = RED
) -> NDArray[np.uint8]:
    """Turn an overlay's pixels, (H, W, 4) uint8, into labels; see `read_overlay`."""
    if rgba.dtype != np.uint8:
        raise ScribbleError("the overlay is not 8-bit", where=where, fix="Save it as PNG, 8 bits, RGBA.")
    solid = rgba[..., 3] >= 128
    painted = rgba[..., 3] > 0
    said = f"{_name(foreground)} on the subject and {_name(background)} on the background"
    if not painted.any():
        raise ScribbleError("nothing is painted", where=where, fix=f"Paint {said}.")
    label = np.full(rgba.shape[:2], OPEN, np.uint8)
    label[solid & _near(rgba, foreground)] = FOREGROUND
    label[solid & _near(rgba, background)] = BACKGROUND
    unknown = float((solid & (label == OPEN)).sum()) / max(int(solid.sum()), 1)
    if unknown > _MOST_UNKNOWN or not solid.any():
        raise ScribbleError(
            f"{unknown:.0%} of what is painted is neither {_name(foreground)} nor {_name(background)}",
            where=where,
            fix=f"Use a hard brush: {said}.",
        )
    if (label != OPEN).all():
        raise ScribbleError(
            "every pixel is painted", where=where, fix="Save the strokes alone, on a transparent layer."
        )
    return label


def _near(rgba: NDArray[Any], colour: Colour) -> NDArray[np.bool_]:
    off = np.abs(rgba[..., :3].astype(np.int16) - np.array(colour, np.int16))
    return np.all(off <= _TOLERANCE, axis=2)


def _name(colour: Colour) -> str:
    return {GREEN: "green", RED: "red"}.get(colour, "{:02x}{:02x}{:02x}".format(*colour))
