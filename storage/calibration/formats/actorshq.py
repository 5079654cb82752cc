"""`calibration.csv` of ActorsHQ, one line per camera.

The file's own traps: focal lengths and centres are shares of the picture's width and height; the pose is camera to
world, as an axis times an angle; the centre of the first pixel is (0.5, 0.5).
"""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    axis_angle,
    built,
    collected,
    file_text,
    numbers,
    pinhole,
    pixels,
    refused,
)

_COLUMNS = ("name", "w", "h", "rx", "ry", "rz", "tx", "ty", "tz", "fx", "fy", "px", "py")


def read_actorshq(path: Path) -> Calibration:
    """Read a `calibration.csv`. It has no distortion; other columns than the known ones must hold 0.

    Raises:
        CalibrationError: a column or value is missing or broken, or `Camera` refuses the numbers.
    """
    try:
        rows = csv.DictReader(file_text(path).splitlines(), strict=True)
        lines = list(rows)
    except csv.Error as error:
        raise refused(f"the file is not CSV ({error})", path) from error
    if missing := [name for name in _COLUMNS if name not in (rows.fieldnames or ())]:
        raise refused(f"missing column {', '.join(missing)}", path)
    return collected([_camera(line, path) for line in lines], path)


def _camera(line: dict[str, str], path: Path) -> tuple[str, Camera]:
    name = line["name"] or ""
    if None in line or None in line.values():
        raise refused("the line has more or fewer values than the file has columns", path, name)
    width, height = (pixels(line[key], key, path, name) for key in ("w", "h"))
    fx, fy, px, py = _values(line, ("fx", "fy", "px", "py"), path)
    turn = axis_angle(_values(line, ("rx", "ry", "rz"), path)).T
    centre = _values(line, ("tx", "ty", "tz"), path)
    if np.any(_values(line, [key for key in line if key not in _COLUMNS and line[key]], path)):
        raise refused("the lens has a distortion of an unknown model", path, name, "Undistort the pictures.")
    K = pinhole(fx * width, fy * height, px * width - HALF, py * height - HALF)
    return built(name, path, (width, height), K, np.zeros(5), turn, -turn @ centre)


def _values(line: dict[str, str], columns: Sequence[str], path: Path) -> Floats:
    return numbers([line[key] for key in columns], (len(columns),), ", ".join(columns), path, line["name"])
