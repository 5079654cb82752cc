"""One cv2.FileStorage file per camera, under the several names that people give its nodes.

OpenCV's own numbers: world to camera, the rotation as a matrix or as an axis times an angle, no picture size.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera
from storage.calibration.formats.parts import Floats, axis_angle, file_text, numbers, refused

_PARTS = ("rows", "cols", "sizes", "data")  # of a matrix; OpenCV 5 writes vectors with sizes


def opencv_nodes(path: Path) -> dict[str, Any]:
    """Every key of a file: matrices as arrays, `names` as a list of words, the rest as text.

    Raises:
        CalibrationError: the file is missing, is no such storage, or a matrix is broken.
    """
    text = file_text(path)
    reader = {"<": _xml, "{": _json}.get(text.lstrip()[:1], _yaml)
    found: dict[str, Any] = {}
    for key, value in reader(text, path):
        if key in found:
            raise refused(f"{key} is there twice", path, fix="Keep one of the two.")
        found[key] = value
    if not found:
        raise refused("the file is no OpenCV storage", path)
    return found


def _yaml(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    blocks = re.split(r"^([A-Za-z_][^:\n]*):", text, flags=re.MULTILINE)
    for key, block in zip(blocks[1::2], blocks[2::2], strict=True):
        if block.lstrip().startswith("!!opencv-matrix"):
            found = [re.search(rf"\b{part}:\s*(\[[^\]]*\]|[^\s\[]+)", block) for part in _PARTS]
            words = ["" if part is None else part[1].strip("[]").replace(",", " ") for part in found]
            yield key, _matrix_of(key, words, path)
        elif key == "names":
            words = re.sub(r"^\s*-\s|[\[\],]", " ", block, flags=re.MULTILINE).split()
            yield key, [word.strip("\"'") for word in words]
        else:
            yield key, block.strip()


def _json(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        nodes = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(f"the file is no json ({error})", path) from error
    for key, value in nodes.items():
        if isinstance(value, dict) and isinstance(value.get("data"), list):
            parts = [value.get(part, []) for part in _PARTS]
            words = [" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts]
            yield key, _matrix_of(key, words, path)
        else:
            yield key, value


def _xml(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise refused(f"the file is no xml ({error})", path) from error
    for node in root:
        if node.find("data") is not None:
            yield node.tag, _matrix_of(node.tag, [node.findtext(part) or "" for part in _PARTS], path)
        else:
            words = " ".join(node.itertext())
            yield node.tag, [word.strip('"') for word in words.split()] if node.tag == "names" else words.strip()


def _matrix_of(key: str, parts: Sequence[str], path: Path) -> Floats:
    rows, cols, sizes, data = parts
    words = data.lower().replace(".nan", "nan").replace(".inf", "inf").split()
    shape = [int(side) for side in (sizes or f"{rows} {cols}").split() if side.isdecimal() and len(side) < 9]
    if not shape or math.prod(shape) != len(words):
        raise refused(f"{key} does not hold {' x '.join(map(str, shape)) or 'so many'} values", path)
    return numbers(words, (len(words),), key, path).reshape(shape)


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
