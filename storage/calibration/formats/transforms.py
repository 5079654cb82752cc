"""`transforms.json`, as Nerfstudio writes it and Blender's NeRF scenes have it, in and out.

The file's own traps: poses are camera to world with OpenGL axes (y up, z back); the centre of the first pixel is
(0.5, 0.5); numbers of the lens stand at the top or in the frame, where the frame's win; `applied_transform` and
`applied_scale` moved the world, and are undone here; Blender gives an angle of view instead of a focal length, no
size, and picture names without an ending. No unit.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera
from storage.calibration.formats.colmap_text import check_plain
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    built,
    collected,
    distortion,
    file_text,
    names_of_pictures,
    number,
    numbers,
    pinhole,
    pixels,
    refused,
)
from storage.pictures.files import read_header

_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")


def read_transforms(path: Path) -> Calibration:
    """Read a `transforms.json`. A camera is named after its picture, see `names_of_pictures`.

    Raises:
        CalibrationError: it is no json, a key is missing or broken, a lens model is not one of `Camera`'s, or the
            numbers make no camera.
    """
    try:
        data = json.loads(file_text(path))
    except (ValueError, RecursionError) as error:
        raise refused(f"the calibration is no readable json ({error})", path) from error
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise refused('there is no list "frames"', path)
    files = [frame.get("file_path") for frame in frames]
    if not all(isinstance(file, str) for file in files):
        raise refused("a frame has no file_path", path)
    names = names_of_pictures(files, path)
    moved = _moved(data, path)
    found = [_camera(n, {**data, **frame}, moved, path) for n, frame in zip(names, frames, strict=True)]
    return collected(found, path)


def _moved(data: dict[str, Any], path: Path) -> Floats:
    """(4, 4): saved point = this @ point of the world."""
    moved = np.eye(4)
    if "applied_transform" in data:
        given = data["applied_transform"]
        rows = given[:3] if isinstance(given, list) else given
        moved[:3] = numbers(rows, (3, 4), "applied_transform", path)
        if not np.allclose(moved[:3, :3] @ moved[:3, :3].T, np.eye(3), atol=1e-3):
            raise refused("applied_transform is no rotation", path)
    scale = number(data.get("applied_scale", 1.0), "applied_scale", path)
    if scale <= 0:
        raise refused(f"applied_scale is {scale}", path)
    moved[:3] *= scale
    return moved


def _camera(name: str, frame: dict[str, Any], moved: Floats, path: Path) -> tuple[str, Camera]:
    if "transform_matrix" not in frame:
        raise refused("there is no transform_matrix", path, name)
    rows = frame["transform_matrix"]
    saved = numbers(rows[:3] if isinstance(rows, list) else rows, (3, 4), "transform_matrix", path, name)
    scale = np.linalg.norm(moved[:3, 0])
    turn = FLIP[:3, :3] @ saved[:, :3].T @ (moved[:3, :3] / scale)
    centre = np.linalg.solve(moved[:3, :3], saved[:, 3] - moved[:3, 3])
    size = _size(frame, path, name)
    return built(name, path, size, _matrix(frame, size, path, name), _dist(frame, path, name), turn, -turn @ centre)


def _size(frame: dict[str, Any], path: Path, name: str) -> tuple[int, int]:
    if "w" in frame and "h" in frame:
        return pixels(frame["w"], "w", path, name), pixels(frame["h"], "h", path, name)
    for ending in ("", ".png", ".jpg"):
        if (picture := path.parent / f"{frame['file_path']}{ending}").is_file():
            header = read_header(picture)
            return header.width, header.height
    return 0, 0


def _matrix(frame: dict[str, Any], size: tuple[int, int], path: Path, name: str) -> Floats:
    focal = []
    for key, angle, side in (("fl_x", "camera_angle_x", size[0]), ("fl_y", "camera_angle_y", size[1])):
        if key in frame:
            focal.append(number(frame[key], key, path, name))
        elif angle in frame and side:
            focal.append(side / 2 / _tangent(number(frame[angle], angle, path, name), path, name))
    if not focal or ("cx" not in frame and not size[0]):
        fix = "Add fl_x, or camera_angle_x with w and h."
        raise refused("there is no focal length, or no picture size to find it with", path, name, fix)
    cx, cy = (number(frame.get(key, side / 2), key, path, name) for key, side in zip(("cx", "cy"), size, strict=True))
    return pinhole(focal[0], focal[-1], cx - HALF, cy - HALF)


def _tangent(angle: float, path: Path, name: str) -> float:
    if not 0 < angle < math.pi:
        raise refused(f"the angle of view is {angle}", path, name)
    return math.tan(angle / 2)


def _dist(frame: dict[str, Any], path: Path, name: str) -> Floats:
    model = frame.get("camera_model", "OPENCV")
    if frame.get("is_fisheye") or model not in _MODELS:
        model = model if model not in _MODELS else "fisheye"
        raise refused(f"the lens model {model} is not supported", path, name, f"Use one of {', '.join(_MODELS)}.")
    # k4 is a radial term here, which OpenCV's five coefficients have no place for
    keys = ("k1", "k2", "p1", "p2", "k3", "k4")
    return distortion([number(frame.get(key, 0.0), key, path, name) for key in keys], path, name)


def transforms_files(cameras: Mapping[str, Camera]) -> dict[str, str]:
    """The text of `transforms.json`, by file name: poses in metres, pictures as `images/<camera>.png`.

    Raises:
        CalibrationError: a camera's picture size is not known, or its K has a skew.
    """
    for camera in cameras.values():
        check_plain(camera, "Nerfstudio")
    frames = [frame_entry(camera, np.zeros(3), 1.0) for camera in cameras.values()]
    text = json.dumps({"camera_model": "OPENCV", "frames": frames}, indent=1, allow_nan=False)
    return {"transforms.json": text + "\n"}


FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV camera axes <-> OpenGL camera axes


def frame_entry(camera: Camera, centre: Floats, scale: float) -> dict[str, Any]:
    """One entry of `frames`: OpenGL pose in box units, intrinsics with pixel centres at half integers."""
    K, R, t = (np.asarray(a, dtype=np.float64) for a in (camera.K, camera.R, camera.t))
    dist = np.asarray(camera.dist, dtype=np.float64).ravel()
    if np.any(dist[5:] != 0):
        raise CalibrationError(
            "the lens has a rational or thin-prism model, which Nerfstudio does not know",
            where=camera.id,
            fix="Undistort the pictures first, or calibrate with k1 k2 p1 p2 k3.",
        )
    if abs(K[0, 1]) > 1e-9 * abs(K[0, 0]):
        raise CalibrationError("K has a skew, which Nerfstudio does not know", where=camera.id)
    k1, k2, p1, p2, k3 = np.pad(dist[:5], (0, 5 - len(dist[:5])))
    pose = np.eye(4)
    pose[:3, :3] = R.T
    pose[:3, 3] = (-R.T @ t.ravel() - centre) * scale
    return {
        "file_path": _file(camera.id),
        "w": camera.width,
        "h": camera.height,
        "fl_x": K[0, 0],
        "fl_y": K[1, 1],
        "cx": K[0, 2] + 0.5,
        "cy": K[1, 2] + 0.5,
        "k1": k1,
        "k2": k2,
        "k3": k3,
        "p1": p1,
        "p2": p2,
        "transform_matrix": (pose @ FLIP).tolist(),
    }


def _file(name: str) -> str:
    return f"images/{name}.png"
