"""Calibration files of other programs, brought to `Camera`'s one convention.

Two formats: "capmat" (one json for all cameras) and "opencv-xml" (one file per camera, as cv2.FileStorage
writes it, under the several names that people give the nodes).
"""

import json
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.camera import Camera

Format = Literal["capmat", "opencv-xml"]
_METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001}
_NODES = {
    "K": ("CameraMatrix", "CameraIntrinsicMatrix", "camera_matrix", "Camera_Matrix", "K"),
    "dist": (
        "DistortionCoeffs",
        "DistortionCoefficients",
        "distortion_coefficients",
        "Distortion_Coefficients",
    ),
    "R": ("Rotation", "CameraRotationVecs", "RotationVector", "rotation", "R"),
    "t": ("Translation", "CameraTranslationVecs", "TranslationVector", "translation", "T"),
}


def read_calibration(
    format: Format, path_template: str, root: Path, cameras: list[str] | None, unit: str = "m"
) -> dict[str, Camera]:
    """Read every camera's calibration.

    Args:
        format: "capmat" or "opencv-xml".
        path_template: path below `root`; with {camera} for "opencv-xml".
        root: the session's folder.
        cameras: read only these ("opencv-xml"); None for all that are there.
        unit: unit of translations, "m", "cm" or "mm"; the json carries its own and this is ignored for it.

    Returns:
        Cameras by name. Width and height are 0 where the file does not tell them ("opencv-xml").

    Raises:
        CalibrationError: a file is missing, unreadable, incomplete, or its numbers make no camera.
    """
    if format == "capmat":
        return _read_json(root / path_template)
    if unit not in _METRES:
        raise CalibrationError(f"unit {unit!r} is not known", where=path_template, fix="Use m, cm or mm.")
    if cameras is None:
        parts = path_template.split("{camera}")
        cameras = sorted(
            _between(path.relative_to(root).as_posix(), parts[0], parts[1].split("/")[0])
            for path in root.glob(path_template.replace("{camera}", "*"))
        )
    if not cameras:
        raise CalibrationError(
            "there is no calibration file", where=str(root / path_template), fix="Check [calibration] path."
        )
    return {
        camera: _read_xml(root / path_template.format(camera=camera), camera, _METRES[unit]) for camera in cameras
    }


def _between(text: str, before: str, after: str) -> str:
    name = text[len(before) :].split("/")[0]
    return name.removesuffix(after) if after else name


def _read_json(path: Path) -> dict[str, Camera]:
    try:
        data = json.loads(path.read_text())
    except FileNotFoundError as error:
        raise CalibrationError(
            "there is no calibration file", where=str(path), fix="Check [calibration] path."
        ) from error
    except (OSError, ValueError) as error:
        raise CalibrationError(
            f"the calibration is no readable json ({error})", where=str(path), fix="Export it again."
        ) from error
    if not isinstance(data, dict) or not isinstance(data.get("cameras"), dict) or not data["cameras"]:
        raise CalibrationError("the calibration lists no cameras", where=str(path), fix='Add "cameras".')
    scale = _METRES.get(data.get("units", ""))
    if scale is None:
        raise CalibrationError(f"units are {data.get('units')!r}", where=str(path), fix="Use m, cm or mm.")
    found = {}
    for id, numbers in data["cameras"].items():
        try:
            camera = Camera.from_json(id, numbers)
        except (TypeError, ValueError) as error:
            what = error.what if isinstance(error, CalibrationError) else str(error)
            raise CalibrationError(
                what, where=f"camera {id} in {path}", fix="Calibrate this camera again."
            ) from error
        found[id] = _scaled(camera, scale)
    return found


def _read_xml(path: Path, camera: str, scale: float) -> Camera:
    import cv2

    if not path.is_file():
        raise CalibrationError(
            "there is no calibration file",
            where=f"camera {camera}, {path}",
            fix="Calibrate this camera, or take it out of the session.",
        )
    try:
        file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_READ)
        found = {name: _node(file, names) for name, names in _NODES.items()}
        file.release()
    except (cv2.error, SystemError) as error:
        raise CalibrationError(
            "the file is no OpenCV storage",
            where=f"camera {camera}, {path}",
            fix="Export it again with cv2.FileStorage.",
        ) from error
    missing = [f"{name} ({' or '.join(_NODES[name][:2])})" for name, value in found.items() if value is None]
    if missing:
        raise CalibrationError(
            f"the file has no {', '.join(missing)}",
            where=f"camera {camera}, {path}",
            fix="Export the camera's pose too.",
        )
    turn: NDArray[Any] = np.asarray(found["R"], np.float64)
    if turn.size == 3:
        turn = cv2.Rodrigues(turn.reshape(3, 1))[0]
    try:
        return Camera.from_json(
            camera,
            {
                "width": 0,
                "height": 0,
                "K": found["K"],
                "dist": np.asarray(found["dist"]).ravel(),
                "R": turn,
                "t": np.asarray(found["t"]).ravel() * scale,
            },
        )
    except CalibrationError as error:
        raise CalibrationError(error.what, where=f"camera {camera}, {path}", fix=error.fix) from error


def _node(file: Any, names: tuple[str, ...]) -> NDArray[Any] | None:
    for name in names:
        node = file.getNode(name)
        if not node.empty() and (value := node.mat()) is not None:
            return np.asarray(value)
    return None


def _scaled(camera: Camera, scale: float) -> Camera:
    if scale == 1.0:
        return camera
    return Camera(camera.id, camera.width, camera.height, camera.K, camera.dist, camera.R, camera.t * scale)
