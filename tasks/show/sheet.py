"""Contact sheets: image, plate, mattes before and after, and where they are wrong.

Nobody sees alpha error in two mattes side by side, so a sheet also shows a signed error picture. The ground is dark
and neutral: black alpha, white alpha and a red stroke all keep their edges on it, on a light page and on a dark one.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from capmat_errors import SizeMismatch

RGB = npt.NDArray[np.uint8]
Picture = npt.NDArray[Any]
T = TypeVar("T")

GROUND = (28, 29, 31)
EMPTY = (38, 39, 42)
INK = (236, 236, 234)
QUIET = (158, 160, 164)
GREEN_SCREEN = (0, 177, 64)
# Orange and blue differ for every common kind of colour blindness.
TOO_MUCH, TOO_LITTLE = (255, 148, 40), (64, 156, 255)
BROKEN = (255, 0, 255)
SCRIBBLE = {0: (255, 40, 40), 1: (40, 230, 70)}
GAP = 6
PAGE = 1120


@dataclass(frozen=True)
class Row:
    """One line of a contact sheet.

    Args:
        label: what the row shows, for example a camera.
        pictures: one per column; None leaves the cell empty. (H,W,3) or (3,H,W) is RGB, (H,W) is alpha; uint8
            0..255, bool, or float 0..1 display-referred. NaN and infinity become magenta.
        captions: a short line under each picture, for example its MSE; it may be shorter than `pictures`.
    """

    label: str
    pictures: Sequence[Picture | None]
    captions: tuple[str, ...] = ()


def contact_sheet(rows: list[Row], columns: list[str], *, cell_height: int = 216) -> RGB:
    """Rows of pictures under column headings: (H,W,3) uint8 sRGB.

    Args:
        rows: from top to bottom. Cameras of different size and orientation may be mixed.
        columns: the headings, from left to right; every row has as many pictures.
        cell_height: height of every picture in pixels. Nothing is stretched or cropped.

    Raises:
        SizeMismatch: a row has more or fewer pictures than there are columns, or an array is not a picture.
    """
    for row in rows:
        if len(row.pictures) != len(columns):
            raise SizeMismatch(
                f"{len(row.pictures)} pictures for {len(columns)} columns",
                where=f"contact sheet row {row.label!r}",
                fix="Use None for a cell that stays empty.",
            )
    cells = [[None if p is None else fit_height(rgb8(p), cell_height) for p in row.pictures] for row in rows]
    widths = [max((c.shape[1] for c in column if c is not None), default=0) for column in zip(*cells, strict=True)]
    widths = widths or [0] * len(columns)
    # A page shows the sheet about PAGE pixels wide, so a wider sheet needs larger letters.
    em = max(13, round(13 * (sum(widths) + 80) / PAGE))
    font = ImageFont.load_default(em)
    widths = [max(w, _width(font, name)) for w, name in zip(widths, columns, strict=True)]
    label_width = max([_width(font, row.label) for row in rows], default=0) + (GAP + em if rows else 0)
    line = 2 * em
    pitch = cell_height + GAP + (line - GAP if any(any(row.captions) for row in rows) else 0)
    lefts = [GAP + label_width + sum(widths[:i]) + i * GAP for i in range(len(columns))]
    width = GAP + label_width + sum(widths) + len(columns) * GAP
    sheet = np.full((line + len(rows) * pitch + GAP, width, 3), GROUND, np.uint8)
    for r, drawn in enumerate(cells):
        y = line + r * pitch
        for x, w, cell in zip(lefts, widths, drawn, strict=True):
            if cell is None:
                sheet[y : y + cell_height, x : x + w] = EMPTY
            else:
                sheet[y : y + cell_height, x : x + cell.shape[1]] = cell
    canvas = Image.fromarray(sheet)
    draw = ImageDraw.Draw(canvas)
    for x, name in zip(lefts, columns, strict=True):
        draw.text((x, line // 2), name, fill=INK, font=font, anchor="lm")
    for r, named in enumerate(rows):
        y = line + r * pitch
        draw.text((2 * GAP, y + cell_height // 2), named.label, fill=INK, font=font, anchor="lm")
        for x, caption in zip(lefts, named.captions, strict=False):
            draw.text((x, y + cell_height + em * 0.85), caption, fill=QUIET, font=font, anchor="lm")
    return np.asarray(canvas)


def error_picture(pred: Picture, true: Picture) -> RGB:
    """Where a matte is wrong, and in which direction: (H,W,3) uint8.

    Orange: alpha too high (background kept). Blue: alpha too low (foreground lost). Black: equal.
    Brightness is the square root of |pred - true|: an error of 0.04 shows in a composite, but not on a linear scale.

    Args:
        pred: (H,W) alpha, float 0..1 or uint8.
        true: (H,W) alpha that it is compared with.

    Raises:
        SizeMismatch: the two differ in size.
    """
    if pred.shape != true.shape:
        raise SizeMismatch(f"alpha of shape {pred.shape} against {true.shape}", where="error picture")
    error = _unit(pred) - _unit(true)
    broken = ~np.isfinite(error)
    strength = np.sqrt(np.clip(np.abs(np.where(broken, 0, error)), 0, 1))[..., None]
    hue = np.where((error > 0)[..., None], np.array(TOO_MUCH, np.float32), np.array(TOO_LITTLE, np.float32))
    picture = np.rint(strength * hue).astype(np.uint8)
    picture[broken] = BROKEN
    return picture


def overlay_picture(src: Picture, label: npt.NDArray[np.uint8]) -> RGB:
    """Scribbles over a faded image, green foreground and red background: (H,W,3) uint8.

    Args:
        src: the image, any form that `Row` takes.
        label: (H,W) uint8, 0 background, 1 foreground, anything else unpainted.

    Raises:
        SizeMismatch: image and label differ in size.
    """
    image = rgb8(src)
    if image.shape[:2] != label.shape:
        raise SizeMismatch(f"labels of shape {label.shape} over an image of {image.shape[:2]}", where="overlay")
    grey = image.mean(axis=2, keepdims=True)
    picture = np.rint(0.35 * image + 0.4 * grey).astype(np.uint8)
    for value, colour in SCRIBBLE.items():
        picture[label == value] = colour
    return picture


def comp_on_green(src: Picture, pha: Picture) -> RGB:
    """An image over a green screen, where holes and leftovers show: (H,W,3) uint8, mixed in display values.

    With a whole frame as the foreground (Eq. 1 with F = I) half-transparent edges keep the colour of the stage. That
    judges the matte; a finished composite needs `storage.pictures.foreground`.

    Args:
        src: the image, any form that `Row` takes.
        pha: (H,W) alpha, float 0..1 or uint8.

    Raises:
        SizeMismatch: image and alpha differ in size.
    """
    image = rgb8(src)
    if image.shape[:2] != pha.shape:
        raise SizeMismatch(f"alpha of shape {pha.shape} for an image of {image.shape[:2]}", where="comp")
    alpha = _unit(pha)[..., None]
    broken = ~np.isfinite(alpha[..., 0])
    alpha = np.clip(np.where(np.isfinite(alpha), alpha, 0), 0, 1)
    picture = np.rint(alpha * image + (1 - alpha) * np.array(GREEN_SCREEN, np.float32)).astype(np.uint8)
    picture[broken] = BROKEN
    return picture


def to_jpeg(array: RGB, quality: int = 85) -> bytes:
    """A JPEG of (H,W,3) uint8 with full colour resolution, so that thin coloured strokes survive."""
    buffer = io.BytesIO()
    # Not with `optimize`: PIL would use a buffer of one byte per pixel, which strong grain overflows.
    Image.fromarray(array).save(buffer, "JPEG", quality=quality, subsampling=0)
    return buffer.getvalue()


def at_most(jpeg: bytes, size: int) -> bytes:
    """The JPEG, made smaller until it has at most `size` bytes, but never below 64 pixels."""
    while len(jpeg) > size:
        image = Image.open(io.BytesIO(jpeg))
        width, height = (side * 4 // 5 for side in image.size)
        if min(width, height) < 64:
            break
        jpeg = to_jpeg(np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.LANCZOS)))
    return jpeg


def rgb8(picture: Picture) -> RGB:
    """Any picture that `Row` takes as (H,W,3) uint8; raises SizeMismatch for another array."""
    if picture.ndim == 3 and picture.shape[2] != 3 and picture.shape[0] in (1, 3):
        picture = np.moveaxis(picture, 0, -1)
    if picture.ndim == 3 and picture.shape[2] == 1:
        picture = picture[..., 0]
    if picture.ndim == 2:
        picture = np.repeat(picture[..., None], 3, axis=2)
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.size == 0:
        raise SizeMismatch(f"an array of shape {picture.shape} is not a picture", where="contact sheet")
    if picture.dtype == np.uint8:
        return picture
    unit = _unit(picture)
    broken = ~np.isfinite(unit).all(axis=2)
    out = np.rint(np.clip(np.where(np.isfinite(unit), unit, 0), 0, 1) * 255).astype(np.uint8)
    out[broken] = BROKEN
    return out


def fit_height(image: RGB, height: int) -> RGB:
    """(H,W,3) at another height, by area averaging: a hair or a stroke fades but never vanishes."""
    if image.shape[0] == height:
        return image
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    rows, cols = _area_weights(image.shape[0], height), _area_weights(image.shape[1], width)
    tall = np.tensordot(rows, image.astype(np.float32), axes=(1, 0))  # (height, W, 3)
    return np.rint(np.einsum("hwc,vw->hvc", tall, cols, optimize=True)).clip(0, 255).astype(np.uint8)


def _area_weights(n: int, m: int) -> npt.NDArray[np.float32]:
    """Weights (m,n) by which n old pixels cover each of m new ones; rows sum to 1."""
    edges, old = np.arange(m + 1) * (n / m), np.arange(n)
    cover = np.minimum(edges[1:, None], old + 1) - np.maximum(edges[:-1, None], old)
    return (np.clip(cover, 0, None) * (m / n)).astype(np.float32)


def _unit(values: Picture) -> npt.NDArray[np.float32]:
    """Float 0..1 of a uint8, bool or float array."""
    return np.asarray(values, np.float32) / np.float32(255 if values.dtype == np.uint8 else 1)


def _width(font: Any, text: str) -> int:
    return int(np.ceil(font.getlength(text)))


def spread(values: Sequence[T], count: int) -> list[T]:
    """`count` of the values, evenly spread, including the first."""
    step = max(1, len(values) // count)
    return list(values[::step][:count])
