"""One cv2.FileStorage file per camera, under the several names that people give its nodes.

OpenCV's own numbers: world to camera, the rotation as a matrix or as an axis times an angle, no picture size.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera
from storage.calibration.formats.parts import axis_angle, refused
from storage.opencv_nodes import opencv_nodes

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


def read_opencv_xml(path_template: str, root: Path, cameras: list[str] | None, metres: float) -> dict[str, Camera]:
    """Read one file per camera.

    Args:
        path_template: path below `root`, with {camera}.
        root: the session's folder.
        cameras: read only these; None for all that are there.
        metres: metres per unit of the translations.

    Raises:
        CalibrationError: a file is missing, unreadable, incomplete, or its numbers make no camera.
    """
    before, found, after = path_template.partition("{camera}")
    if not found:
        raise CalibrationError("the path has no {camera}", where=path_template, fix="Put {camera} in.")
    if cameras is None:
        cameras = sorted(
            _between(path.relative_to(root).as_posix(), before, after.split("/")[0])
            for path in root.glob(path_template.replace("{camera}", "*"))
        )
    if not cameras:
        raise CalibrationError(
            "there is no calibration file", where=str(root / path_template), fix="Check [calibration] path."
        )
    return {name: _read_xml(root / path_template.replace("{camera}", name), name, metres) for name in cameras}


def _between(text: str, before: str, after: str) -> str:
    name = text[len(before) :].split("/")[0]
    return name.removesuffix(after) if after else name


def _read_xml(path: Path, camera: str, scale: float) -> Camera:
    if not path.is_file():
        raise CalibrationError(
            "there is no calibration file",
            where=f"camera {camera}, {path}",
            fix="Calibrate this camera, or take it out of the session.",
        )
    try:
        nodes = opencv_nodes(path)
    except CalibrationError as error:
        raise refused(error.what, path, camera, "Export it again with cv2.FileStorage.") from error
    found = {name: _matrix(nodes, names) for name, names in _NODES.items()}
    missing = [f"{name} ({' or '.join(_NODES[name][:2])})" for name, value in found.items() if value is None]
    if missing:
        raise CalibrationError(
            f"the file has no {', '.join(missing)}",
            where=f"camera {camera}, {path}",
            fix="Export the camera's pose too.",
        )
    turn: NDArray[Any] = np.asarray(found["R"], np.float64)
    if turn.size == 3:
        turn = axis_angle(turn)
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


def _matrix(nodes: Mapping[str, Any], names: tuple[str, ...]) -> NDArray[Any] | None:
    return next((nodes[name] for name in names if isinstance(nodes.get(name), np.ndarray)), None)
