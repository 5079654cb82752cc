"""Hand-drawn trimaps and known alphas as files of a folder: how they are named, and what is refused.

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
from storage.pictures.files import read_coverage, read_grey

Files = dict[tuple[str, int], Path]
"""Files by (camera, frame)."""
Reference = Callable[[str, int], NDArray[np.float32]]
"""(camera, frame) -> alpha (H, W) 0..1 that a matte is compared with."""


def trimap_files(folder: Path) -> Files:
    """Return every `<camera>/<frame>.png` of a folder.

    Raises:
        NotFound: the folder holds no picture.
        MatteError: a path does not name a camera and a frame, or two name the same frame.
    """
    # rglob follows no links to folders
    return _by_frame(folder, sorted({*folder.rglob("*.png"), *folder.glob("*/*.png")}), "")


def truth_files(folder: Path, take: str) -> Files:
    """Return every known alpha: `<camera>/<frame>.png`, or `<take>/<camera>/<frame>_alpha.png` of a rendered session.

    Raises:
        NotFound: the folder holds no picture.
        MatteError: a path does not name a camera and a frame, or two name the same frame.
    """
    if rendered := sorted((folder / take).glob("*/*_alpha.png")):
        return _by_frame(folder / take, rendered, "_alpha")
    return _by_frame(folder, sorted(folder.glob("*/*.png")), "")


def _by_frame(folder: Path, files: list[Path], tail: str) -> Files:
    by_frame: Files = {}
    for file in files:
        parts = file.relative_to(folder).parts
        number = re.fullmatch(rf"([0-9]+){tail}", file.stem)
        if len(parts) != 2 or not number:
            fix = "Name it <camera>/<frame>.png."
            raise MatteError("its path does not name a camera and a frame", where=str(file), fix=fix)
        key = parts[0], int(number[1])
        if key in by_frame:
            raise MatteError(f"{by_frame[key]} is for the same frame", where=str(file), fix="Remove one of them.")
        by_frame[key] = file
    if not by_frame:
        fix = "Put pictures there as <camera>/<frame>.png."
        raise NotFound("the folder holds no picture", where=str(folder), fix=fix)
    return by_frame


def read_trimap(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read one trimap; colour with equal channels is accepted, because many programs save nothing else.

    Args:
        path: the file.
        size: (height, width) of the frame that it was drawn for.

    Returns:
        (H, W) uint8 of 0 background, 128 unknown, 255 foreground.

    Raises:
        ImageUnreadable: the picture is broken, or has colours.
        MatteError: it holds other values, or has no unknown band.
        SizeMismatch: it is of another size.
    """
    image = read_coverage(path)
    check_trimap(image, str(path))
    return _sized(image.astype(np.uint8), size, str(path))


def read_truth(path: Path, size: tuple[int, int]) -> NDArray[np.float32]:
    """Read one known alpha: (H, W) float32 0..1; arguments and errors as in `read_trimap`."""
    alpha = _alpha(path)
    check_alpha(alpha, str(path))
    return _sized(alpha, size, str(path))


def truth_of(folder: str, take: str) -> Reference:
    """Return a reader of the true alphas of a rendered take, `<folder>/<take>/<camera>/<frame>_alpha.png`."""
    return lambda camera, frame: _alpha(Path(folder) / take / camera / f"{frame:04d}_alpha.png")


def _alpha(path: Path) -> NDArray[np.float32]:
    image = read_grey(path)
    full = 1 if image.dtype.kind == "f" else np.iinfo(image.dtype).max
    return image.astype(np.float32) / np.float32(full)


def trimap_of(label: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the trimap of a label, (H, W) uint8 of 0, 128 and 255: open pixels are unknown."""
    trimap = np.full(label.shape, 128, np.uint8)
    trimap[label == BACKGROUND] = 0
    trimap[label == FOREGROUND] = 255
    return trimap


def check_trimap(trimap: NDArray[Any], where: str) -> None:
    """Refuse an array (H, W) that is not a trimap.

    Args:
        trimap: the array.
        where: take, camera and frame, or file, for errors.

    Raises:
        MatteError: other values than 0, 128 and 255, or no unknown band.
    """
    values = set(np.unique(trimap).tolist())
    if trimap.ndim != 2 or not values <= {0, 128, 255}:
        other = ", ".join(str(value) for value in sorted(values - {0, 128, 255})[:4])
        raise MatteError(
            f"the trimap holds {other or 'more than one channel'}",
            where=where,
            fix="Use 0 for background, 128 for unknown, 255 for foreground, without soft edges.",
        )
    if 128 not in values:
        raise MatteError("the trimap has no unknown band", where=where, fix="Paint 128 over hair and edges.")


def check_alpha(alpha: NDArray[Any], where: str) -> None:
    """Refuse an alpha that cannot be measured against; `where` as in `check_trimap`.

    Raises:
        MatteError: it holds nan or values outside 0..1.
    """
    if not (alpha.min() >= 0 and alpha.max() <= 1):  # nan fails too
        raise MatteError("the matte holds nan or values outside 0..1", where=where, fix="Compute it again.")


def _sized(picture: NDArray[Any], size: tuple[int, int], where: str) -> NDArray[Any]:
    if picture.shape != size:
        raise SizeMismatch(
            f"the picture is {picture.shape[1]}x{picture.shape[0]}, the frame {size[1]}x{size[0]}",
            where=where,
            fix="Draw it on the frame at its full size.",
        )
    return picture
