"""Calibration in SMC files, the HDF5 of DNA-Rendering: `Camera_Parameter/<number>/{K, D, RT}`.

The file's own traps: RT is camera to world and has to be inverted; annotations may lie in a file of their own beside
the pictures; picture sizes are missing.
"""

from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import ImageUnreadable
from storage.calibration.camera import Camera
from storage.calibration.formats.parts import Calibration, built, collected, distortion, numbers, refused
from storage.recordings.smc import node, numbers_in, opened

_GROUP = "Camera_Parameter"
_MOST_BYTES = 2**16
_PARTS = {"K": (3, 3), "D": (-1,), "RT": (-1, 4)}


def read_smc(path: Path) -> Calibration:
    """Read the cameras of an SMC file.

    Raises:
        CalibrationError: it is another kind of file, holds no cameras, or `Camera` refuses the numbers.
    """
    if not path.is_file():
        raise refused("the calibration file is missing", path, fix="Check the path of the calibration.")
    try:
        with opened(path, str(path)) as file:
            # Only reading happens in this block, so that a refusal below does not look like a damaged file.
            keys = {str(name): f"{_GROUP}/{name}/" for name in node(file, _GROUP) or ()}
            cameras = {
                name: {part: numbers_in(file, key + part, _MOST_BYTES) for part in _PARTS if node(file, key + part)}
                for name, key in keys.items()
            }
    except ImageUnreadable as error:
        raise refused(error.what, path) from error
    return collected([_camera(name, parts, path) for name, parts in cameras.items()], path)


def _camera(name: str, parts: dict[str, Any], path: Path) -> tuple[str, Camera]:
    if missing := [key for key in _PARTS if key not in parts]:
        raise refused(f"missing {missing[0]}", path, name)
    K, dist, pose = (numbers(parts[key], shape, key, path, name) for key, shape in _PARTS.items())
    if len(pose) not in (3, 4) or (len(pose) == 4 and not np.allclose(pose[3], (0, 0, 0, 1))):
        raise refused(f"RT has shape {pose.shape}, or a last row other than 0 0 0 1", path, name)
    turn = pose[:3, :3].T
    number = f"{int(name):02d}" if name.isdecimal() else name
    return built(number, path, (0, 0), K, distortion(dist, path, name), turn, -turn @ pose[:3, 3])
