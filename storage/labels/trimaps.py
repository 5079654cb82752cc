"""Hand-drawn trimaps, and alphas that are known, as files of a folder: what they are named, and what is refused.

A trimap says background, foreground, or that a supervisor has to decide; scribbles say the same with far more left
open. Every fault is found on reading, before a supervisor runs.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, NotFound, SizeMismatch
from storage.labels.raster import BACKGROUND, FOREGROUND
from storage.pictures.files import read_grey, read_photograph

Places = dict[tuple[str, int], Path]
"""Files by (camera, frame)."""


def trimap_files(folder: Path) -> Places:
    """Every `<camera>/<frame>.png` of a folder.

    Raises:
        NotFound: there is none.
        MatteError: a picture's place or name says no camera and frame, or two mean the same frame.
    """
    return _places(folder, sorted(folder.rglob("*.png")), "")


def truth_files(folder: Path, take: str) -> Places:
    """Every known alpha: `<camera>/<frame>.png`, or `<take>/<camera>/<frame>_alpha.png` of a rendered session.

    Raises:
        NotFound: there is none.
        MatteError: two files mean the same frame.
    """
    rendered = sorted((folder / take).glob("*/*_alpha.png"))
    if rendered:
        return _places(folder / take, rendered, "_alpha")
    return _places(folder, sorted(folder.glob("*/*.png")), "")


def read_trimap(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """One trimap; colour with equal channels is taken too, since many programs save nothing else.

    Args:
        path: the file.
        size: (height, width) of the frame that it was drawn for.

    Returns:
        (H, W) uint8 of 0 background, 128 unknown, 255 foreground.

    Raises:
        ImageUnreadable: it is no whole picture.
        MatteError: it holds other values, colours, or no unknown band.
        SizeMismatch: it is of another size.
    """
    image = read_photograph(path)
    if (image != image[..., :1]).any():
        raise MatteError("the trimap is coloured", where=str(path), fix="Use black, grey and white.")
    check_trimap(image[..., 0], str(path))
    return _sized(image[..., 0].astype(np.uint8), size, str(path))


def read_truth(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """One known alpha: (H, W) float32 0..1; arguments and errors as in `read_trimap`."""
    image = read_grey(path)
    full = 1 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    alpha = image.astype(np.float32) / np.float32(full)
    check_alpha(alpha, str(path))
    return _sized(alpha, size, str(path))


def trimap_of(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The trimap that scribbles make: what is not painted is unknown. (H, W) labels of `storage.labels.freeze`."""
    trimap = np.full(label.shape, 128, np.uint8)
    trimap[label == BACKGROUND] = 0
    trimap[label == FOREGROUND] = 255
    return trimap


def check_trimap(trimap: NDArray[Any], where: str) -> None:
    """Refuse what is no trimap.

    Args:
        trimap: (H, W).
        where: take, camera and frame, or file, for errors.

    Raises:
        MatteError: other values than 0, 128 and 255, or no unknown band.
    """
    values = set(np.unique(trimap).tolist())
    if trimap.ndim != 2 or not values <= {0, 128, 255}:
        strange = ", ".join(str(value) for value in sorted(values - {0, 128, 255})[:4])
        raise MatteError(
            f"the trimap holds {strange or 'more than one channel'}",
            where=where,
            fix="Use 0 for background, 128 for unknown, 255 for foreground, without soft edges.",
        )
    if 128 not in values:
        raise MatteError("the trimap has no unknown band", where=where, fix="Paint 128 over hair and edges.")


def check_alpha(alpha: NDArray[Any], where: str) -> None:
    """Refuse an alpha that cannot be measured against; where as in `check_trimap`.

    Raises:
        MatteError: it holds nan or values outside 0..1.
    """
    # Written so that nan fails too.
    if not (alpha.min() >= 0 and alpha.max() <= 1):
        raise MatteError("the matte holds nan or values outside 0..1", where=where, fix="Compute it again.")


def _places(folder: Path, files: list[Path], tail: str) -> Places:
    places: Places = {}
    for file in files:
        parts = file.relative_to(folder).parts
        found = re.fullmatch(rf"([0-9]+){tail}", file.stem)
        if len(parts) != 2 or not found:
            raise MatteError(
                "its place does not say what it is for", where=str(file), fix="Name it <camera>/<frame>.png."
            )
        key = parts[0], int(found[1])
        if key in places:
            raise MatteError(f"{places[key]} is for the same frame", where=str(file), fix="Remove one of them.")
        places[key] = file
    if not places:
        raise NotFound("holds no picture", where=str(folder), fix="Put them there as <camera>/<frame>.png.")
    return places


def _sized(picture: NDArray[Any], size: tuple[int, int], where: str) -> NDArray[Any]:
    if picture.shape != size:
        raise SizeMismatch(
            f"the picture is {picture.shape[1]}x{picture.shape[0]}, the frame {size[1]}x{size[0]}",
            where=where,
            fix="Draw it on the frame at its full size.",
        )
    return picture


Reference = Callable[[str, int], np.ndarray]
"""(camera, frame) -> alpha (H,W) float32 0..1 that a matte is compared with."""


def truth_of(folder: str, take: str) -> Reference:
    """The true alphas of a take, from `<folder>/<take>/<camera>/<frame>_alpha.png`."""

    def read(camera: str, frame: int) -> np.ndarray:
        picture = read_grey(Path(folder) / take / camera / f"{frame:04d}_alpha.png")
        return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)

    return read
