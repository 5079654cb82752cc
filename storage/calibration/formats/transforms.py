"""`transforms.json`, as Nerfstudio writes it and Blender's NeRF scenes have it, in and out.

The file's own traps: poses are camera to world with OpenGL axes (y up, z back); the centre of the first pixel is
(0.5, 0.5); a lens is described at the top or in the frame, and the frame wins; `applied_transform` and
`applied_scale` moved the world, and are undone here; Blender gives an angle of view instead of a focal length, no
size, and picture names without an ending. No unit.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import (
    HALF,
    Calibration,
    Floats,
    built,
    check_plain,
    collected,
    distortion,
    file_text,
    names_of_pictures,
    number,
    numbers,
    parsed_json,
    pinhole,
    pixels,
    refused,
)
from storage.pictures.files import read_header

FLIP = np.diag([1.0, -1.0, -1.0, 1.0])  # OpenCV camera axes <-> OpenGL camera axes
_MODELS = ("OPENCV", "PINHOLE", "SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL", "PERSPECTIVE")


def read_transforms(path: Path) -> Calibration:
    """Read a `transforms.json`. A camera is named after its picture, see `names_of_pictures`.

    Raises:
        CalibrationError: it is not JSON, a key is missing or broken, or `Camera` cannot represent a lens or pose.
    """
    data = parsed_json(file_text(path), path)
    frames = data.get("frames") if isinstance(data, dict) else None
    if not isinstance(frames, list) or not all(isinstance(frame, dict) for frame in frames):
        raise refused('missing list "frames"', path)
    files = [frame.get("file_path") for frame in frames]
    if not all(isinstance(file, str) for file in files):
        raise refused("a frame has no file_path", path)
    names = names_of_pictures(files, path)
    moved = _moved(data, path)
    rig = collected(
        [_camera(n, {**data, **frame}, moved, path) for n, frame in zip(names, frames, strict=True)], path
    )
    return rig._replace(pictures=dict(zip(names, files, strict=True)))


def _moved(data: dict[str, Any], path: Path) -> Floats:
    """Return (4, 4) of saved point = this @ point of the world."""
    moved = np.eye(4)
    if "applied_transform" in data:
        given = data["applied_transform"]
        rows = given[:3] if isinstance(given, list) else given
        moved[:3] = numbers(rows, (3, 4), "applied_transform", path)
        if not np.allclose(moved[:3, :3] @ moved[:3, :3].T, np.eye(3), atol=1e-3):
            raise refused("applied_transform is not a rotation", path)
    scale = number(data.get("applied_scale", 1.0), "applied_scale", path)
    if scale <= 0:
        raise refused(f"applied_scale is {scale}", path)
    moved[:3] *= scale
    return moved


def _camera(name: str, frame: dict[str, Any], moved: Floats, path: Path) -> tuple[str, Camera]:
    if "transform_matrix" not in frame:
        raise refused("missing transform_matrix", path, name)
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
        if (picture := path.parent / f"{frame['file_path']}{ending}".replace("\\", "/")).is_file():
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
        raise refused("missing focal length, or picture size to compute it from", path, name, fix)
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
    # k4 is a radial term here, which OpenCV's five coefficients cannot represent
    keys = ("k1", "k2", "p1", "p2", "k3", "k4")
    return distortion([number(frame.get(key, 0.0), key, path, name) for key in keys], path, name)


def transforms_files(cameras: Mapping[str, Camera]) -> dict[str, str]:
    """Return the text of `transforms.json`, by file name: poses in metres, pictures as `images/<camera>.png`.

    Raises:
        CalibrationError: a camera's picture size is unknown, or its K has a skew.
    """
    frames = [frame_entry(camera, np.zeros(3), 1.0) for camera in cameras.values()]
    text = json.dumps({"camera_model": "OPENCV", "frames": frames}, indent=1, allow_nan=False)
    return {"transforms.json": text + "\n"}


def frame_entry(camera: Camera, centre: Floats, scale: float) -> dict[str, Any]:
    """Return one entry of `frames`: pose with OpenGL axes, lens with pixel centres at half numbers.

    Args:
        camera: the camera.
        centre: (3,) point of the world that becomes the origin.
        scale: applied after that.

    Raises:
        CalibrationError: the picture size is unknown, or K has a skew.
    """
    check_plain(camera, "Nerfstudio")
    K, (k1, k2, p1, p2, k3) = camera.K, camera.dist
    pose = np.eye(4)
    pose[:3, :3] = camera.R.T
    pose[:3, 3] = (camera.centre() - centre) * scale
    return {
        "file_path": picture_file(camera.id),
        "w": camera.width,
        "h": camera.height,
        "fl_x": K[0, 0],
        "fl_y": K[1, 1],
        "cx": K[0, 2] + HALF,
        "cy": K[1, 2] + HALF,
        "k1": k1,
        "k2": k2,
        "k3": k3,
        "p1": p1,
        "p2": p2,
        "transform_matrix": (pose @ FLIP).tolist(),
    }


def picture_file(camera: str) -> str:
    """Return the path of a camera's picture below the folder of `transforms.json`."""
    return f"images/{camera}.png"
