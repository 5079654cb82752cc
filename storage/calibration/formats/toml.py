"""The TOML files of Caliscope, Pose2Sim and Anipose: one table per camera, OpenCV's own numbers.

Caliscope keeps them as `[cameras.0]` (or `[cam_0]`) with a rotation matrix, Pose2Sim as `[cam_01]` with an axis
times an angle and a `name`. World to camera, metres, pixel centres at whole numbers, as in `Camera`.
"""

from pathlib import Path
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    Calibration,
    axis_angle,
    built,
    collected,
    distortion,
    file_text,
    numbers,
    pixels,
    refused,
)
from storage.store.toml import parse_toml

_KEYS = ("size", "matrix", "distortions", "rotation", "translation")


def read_toml(path: Path) -> Calibration:
    """Read a calibration in TOML. Cameras with `ignore = true` are left out, and a note says so.

    Raises:
        CalibrationError: it is not TOML, a key is missing or broken, a lens is a fisheye, or `Camera` refuses the
            numbers.
    """
    text = file_text(path)
    try:
        data = parse_toml(text)
    except ValueError as error:
        raise refused(f"the file is not TOML ({error})", path, fix="Correct that line.") from error
    tables = data.get("cameras", data)
    if not isinstance(tables, dict):
        raise refused("cameras is not a table", path)
    cameras, notes = [], []
    for key, table in tables.items():
        if not isinstance(table, dict) or not (tables is not data or key.startswith("cam") or "matrix" in table):
            continue
        name = str(table.get("name", key))
        if table.get("ignore") is True:
            notes.append(f"camera {name} is left out: the file says ignore")
        else:
            cameras.append(_camera(name, table, path))
    return collected(cameras, path, notes)


def _camera(name: str, table: dict[str, Any], path: Path) -> tuple[str, Camera]:
    if missing := [key for key in _KEYS if key not in table]:
        raise refused(f"missing {', '.join(missing)}", path, name)
    if table.get("fisheye"):
        raise refused("the lens is a fisheye", path, name, "Undistort the pictures, or calibrate k1, k2, p1, p2, k3.")
    given = numbers(table["size"], (2,), "size", path, name)
    size = (pixels(given[0], "width", path, name), pixels(given[1], "height", path, name))
    turn = table["rotation"]
    if np.ndim(np.array(turn, object)) == 1:
        R = axis_angle(numbers(turn, (3,), "rotation", path, name))
    else:
        R = numbers(turn, (3, 3), "rotation", path, name)
    matrix = numbers(table["matrix"], (3, 3), "matrix", path, name)
    shift = numbers(table["translation"], (3,), "translation", path, name)
    return built(name, path, size, matrix, distortion(table["distortions"], path, name), R, shift)
