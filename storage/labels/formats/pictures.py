"""Labels that are pictures of the frame's size: label pictures, trimaps, and overlays painted over a frame.

A label picture holds 0 background, 1 foreground, 255 open. A trimap is black background, white foreground, and
anything between is open. An overlay has one colour per side, on transparency or on a ground of a third colour. All
are PNG or TIFF, because a lossy format does not keep exact values.
"""

import re
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, ImageUnreadable
from storage.labels.formats.parse import refused
from storage.labels.raster import BACKGROUND, FOREGROUND, GREEN, OPEN, RED, Colour
from storage.pictures.files import read_grey, read_header, read_photograph, read_rgba
from storage.pictures.png import decode_png

# Programs save colours within a few levels; a soft brush leaves mixtures at its rim, which are left open.
_TOLERANCE = 40
_MOST_UNKNOWN = 0.2


def read_label(path: Path, where: str) -> NDArray[np.uint8]:
    """Read a label picture, (H, W) uint8 of 0, 1 and 255; of a PNG with a palette, the indices.

    Raises:
        ImageUnreadable: the picture is broken.
        ScribbleError: it holds other values, leaves nothing open, or labels nothing.
    """
    grey = _indices(path) if has_palette(path) else _grey(path, where)
    if grey.dtype != np.uint8 or not np.isin(grey, (BACKGROUND, FOREGROUND, OPEN)).all():
        other = grey[~np.isin(grey, (BACKGROUND, FOREGROUND, OPEN))]
        what = f"it holds {int(other[0])}" if other.size else "it is not 8-bit"
        raise refused(what, where, "A label picture holds 0 background, 1 foreground, 255 open.")
    return _checked(grey, where)


def read_trimap(path: Path, where: str) -> NDArray[np.uint8]:
    """Read a trimap as a label, (H, W) uint8 of 0, 1 and 255.

    Raises:
        ImageUnreadable: the picture is broken.
        ScribbleError: it is not grey, leaves nothing open, or labels nothing.
    """
    grey = _grey(path, where)
    label = np.full(grey.shape, OPEN, np.uint8)
    label[grey == 0] = BACKGROUND
    label[grey == np.iinfo(grey.dtype).max] = FOREGROUND
    return _checked(label, where)


def read_overlay(
    path: Path, where: str, foreground: Colour, background: Colour, ground: Colour | None
) -> NDArray[np.uint8]:
    """Read a painted overlay as a label, (H, W) uint8 of 0, 1 and 255.

    Args:
        path: the picture.
        where: the file, for errors.
        foreground: colour of the subject.
        background: colour of everything else.
        ground: colour that means nothing, of a picture without alpha; None for pictures with alpha.

    Raises:
        ImageUnreadable: the picture is broken.
        ScribbleError: it has no alpha and no ground is given, or `overlay_to_label` refuses it.
    """
    channels = read_header(path).channels
    if ground is None:
        if channels != 4 and not has_palette(path):
            raise refused("the picture has no alpha", where, "Name the colour under the strokes: --ground black.")
        return overlay_to_label(read_rgba(path), where, foreground, background)
    painted = read_rgba(path) if channels == 4 else np.insert(read_photograph(path), 3, 255, axis=2)
    painted[_near(painted, ground), 3] = 0
    return overlay_to_label(painted, where, foreground, background)


def overlay_to_label(
    rgba: NDArray[Any], where: str = "the overlay", foreground: Colour = GREEN, background: Colour = RED
) -> NDArray[np.uint8]:
    """Turn the pixels of an overlay into a label.

    Args:
        rgba: (H, W, 4) uint8, painted with a hard brush.
        where: the file, for errors.
        foreground: colour of the subject.
        background: colour of everything else.

    Returns:
        (H, W) uint8: 0 background, 1 foreground, 255 open.

    Raises:
        ScribbleError: nothing or everything is painted, or more than a fifth in other colours.
    """
    if rgba.dtype != np.uint8:
        raise refused("the overlay is not 8-bit", where, "Save it as PNG, 8 bits, RGBA.")
    solid = rgba[..., 3] >= 128
    colours = f"{_name(foreground)} on the subject and {_name(background)} on the background"
    if not (rgba[..., 3] > 0).any():
        raise refused("nothing is painted", where, f"Paint {colours}.")
    label = np.full(rgba.shape[:2], OPEN, np.uint8)
    label[solid & _near(rgba, foreground)] = FOREGROUND
    label[solid & _near(rgba, background)] = BACKGROUND
    unknown = float((solid & (label == OPEN)).sum()) / max(int(solid.sum()), 1)
    if unknown > _MOST_UNKNOWN or not solid.any():
        what = f"{unknown:.0%} of what is painted is neither {_name(foreground)} nor {_name(background)}"
        raise refused(what, where, f"Use a hard brush: {colours}.")
    if (label != OPEN).all():
        raise refused("every pixel is painted", where, "Save the strokes alone, on a transparent layer.")
    return label


def colour_of(text: str) -> Colour:
    """Return `00ff00`, with or without # before it, or a name of CSS as (red, green, blue); "green" is 00ff00 here.

    Raises:
        ConfigError: it is something else.
    """
    from PIL import ImageColor

    try:
        if re.fullmatch(r"#?[0-9a-fA-F]{6}", text):
            red, green, blue = bytes.fromhex(text.removeprefix("#"))
        else:
            red, green, blue = GREEN if text.casefold() == "green" else ImageColor.getrgb(text)[:3]
    except ValueError as error:
        raise ConfigError(f"{text!r} is not a colour", where="painted overlays", fix="Write it as 00ff00.") from error
    return red, green, blue


def overlay_colours(foreground: Sequence[str], background: Sequence[str], ground: str) -> list[Colour | None]:
    """Return the colours of subject, background and ground (None for transparency).

    Raises:
        ConfigError: a side has no colour or several, or two of the three are too alike to be told apart.
    """
    if len(foreground) != 1 or len(background) != 1:
        raise ConfigError("an overlay has one colour for each side", where="painted overlays", fix="Give one each.")
    colours = [colour_of(foreground[0]), colour_of(background[0]), *([colour_of(ground)] if ground else [])]
    if any(bool(_near(np.array([[one]]), other)) for one, other in combinations(colours, 2)):
        raise ConfigError("two of its colours are too alike", where="painted overlays", fix="Give others.")
    return [*colours, *([] if ground else [None])]


def has_palette(path: Path) -> bool:
    """Return whether a file is a PNG whose pixels are indices of a palette."""
    with path.open("rb") as file:
        start = file.read(26)
    return start[1:4] == b"PNG" and start[25] == 3


def flat_channel(path: Path, where: str) -> NDArray[Any] | None:
    """Return the one channel of a picture that is opaque and has equal channels; None for other pictures."""
    picture = decode_png(path.read_bytes(), where) if path.suffix.lower() == ".png" else read_grey(path)
    if picture.ndim == 2:
        return picture
    opaque = picture.shape[2] == 3 or (picture[..., 3] == np.iinfo(picture.dtype).max).all()
    return picture[..., 0] if opaque and (picture[..., :3] == picture[..., :1]).all() else None


def _grey(path: Path, where: str) -> NDArray[Any]:
    grey = flat_channel(path, where)
    if grey is None:
        raise refused("it is coloured or partly transparent", where, "Save it in grey, or import it as an overlay.")
    return grey


def _indices(path: Path) -> NDArray[Any]:
    from PIL import Image

    read_header(path)
    try:
        with Image.open(path) as picture:
            return np.asarray(picture, np.uint8)
    except (OSError, SyntaxError, ValueError) as error:
        what = f"the picture is damaged or cut off ({error})"
        raise ImageUnreadable(what, where=str(path), fix="Copy or export it again.") from error


def _checked(label: NDArray[np.uint8], where: str) -> NDArray[np.uint8]:
    if (label != OPEN).all():
        raise refused("every pixel is labelled", where, "Leave open what is not certain: edges and hair at least.")
    if (label == OPEN).all():
        raise refused("nothing is labelled", where)
    return label


def _near(rgba: NDArray[Any], colour: Colour) -> NDArray[np.bool_]:
    difference = np.abs(rgba[..., :3].astype(np.int16) - np.array(colour, np.int16))
    return np.all(difference <= _TOLERANCE, axis=2)


def _name(colour: Colour) -> str:
    return {GREEN: "green", RED: "red"}.get(colour, "{:02x}{:02x}{:02x}".format(*colour))
