"""`poses_bounds.npy` of LLFF and of the Neural 3D Video recordings: 17 numbers per camera.

The file's own traps: the pose is camera to world with the axes down, right, back; a camera has one focal length; its
centre is the middle of the picture; and it has no name. Names come from the recordings `cam*.mp4` beside the file,
else from the pictures of `images/`, else they are `cam00`, `cam01` and so on.
"""

import io
from pathlib import Path
from tokenize import TokenError

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    built,
    collected,
    file_bytes,
    numbers,
    pinhole,
    pixels,
    refused,
)

# numpy parses the header as Python, so a damaged one fails as Python does
_BROKEN = (ValueError, OSError, EOFError, SyntaxError, TokenError, TypeError, MemoryError)


def read_llff(path: Path) -> Calibration:
    """Read a `poses_bounds.npy`.

    Raises:
        CalibrationError: it is not an (N, 17) array of numbers, holds no cameras, or has another number of cameras
            than of recordings beside it.
    """
    data = file_bytes(path)
    try:
        table = np.lib.format.read_array(io.BytesIO(data), allow_pickle=False)
    except _BROKEN as error:
        raise refused("the file is not a numpy array", path) from error
    if table.ndim != 2 or table.shape[1] != 17:
        raise refused(f"the array has shape {table.shape}, not (cameras, 17)", path)
    return collected(
        [_camera(name, row, path) for name, row in zip(_names(path, len(table)), table, strict=True)], path
    )


def _names(path: Path, count: int) -> list[str]:
    for beside in (path.parent.glob("cam*.mp4"), (path.parent / "images").glob("[!.]*")):
        if names := sorted(file.stem for file in beside):
            if len(names) != count:
                fix = "Remove the recordings that have no pose."
                raise refused(f"the file has {count} poses for {len(names)} recordings beside it", path, fix=fix)
            return names
    return [f"cam{i:02d}" for i in range(count)]


def _camera(name: str, row: Floats, path: Path) -> tuple[str, Camera]:
    down, right, back, centre, (height, width, focal) = numbers(row[:15].reshape(3, 5).T, (5, 3), "pose", path, name)
    turn = np.stack([right, down, -back])
    size = (pixels(width, "width", path, name), pixels(height, "height", path, name))
    K = pinhole(focal, focal, width / 2 - HALF, height / 2 - HALF)
    return built(name, path, size, K, np.zeros(5), turn, -turn @ centre)
