"""OpenCV's FileStorage (XML, YAML or JSON), one file per camera, under the several names that people give its nodes.

World to camera, the rotation as a matrix or as an axis times an angle. OpenCV's own calibration programs also write
the size of the pictures and whether the lens is a fisheye; both are heeded.
"""

import glob
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
from storage.calibration.formats.parts import (
    Calibration,
    Floats,
    axis_angle,
    built,
    distortion,
    file_text,
    numbers,
    parsed_json,
    pixels,
    refused,
)

_PARTS = ("rows", "cols", "sizes", "data")  # of a matrix; OpenCV 5 writes vectors with sizes
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


_SIZES = (("image_width", "image_height"), ("image_Width", "image_Height"))


def read_opencv(path_template: str, root: Path, cameras: Sequence[str] | None) -> Calibration:
    """Read one file per camera.

    Args:
        path_template: path below `root`, with {camera}.
        root: the session's folder.
        cameras: read only these; None for all files that match.

    Raises:
        CalibrationError: a file is missing, unreadable or incomplete, or `Camera` refuses the numbers.
    """
    path_template = Path(path_template).as_posix()  # without ./ and //, which no path of a file has
    before, field, after = path_template.partition("{camera}")
    if not field:
        raise CalibrationError("the path has no {camera}", where=path_template, fix="Put {camera} in.")
    if cameras is None:
        found = (
            _between(path.relative_to(root).as_posix(), before, after.split("/")[0])
            for path in root.glob(glob.escape(path_template).replace("{camera}", "*"))
        )
        cameras = sorted(name for name in found if not name.startswith("."))  # as for recordings
    if not cameras:
        fix = "Check [calibration] path."
        raise refused("the calibration file is missing", root / path_template, fix=fix)
    return Calibration(dict(_camera(name, root / path_template.replace("{camera}", name)) for name in cameras))


def _between(text: str, before: str, after: str) -> str:
    name = text[len(before) :].split("/")[0]
    return name.removesuffix(after) if after else name


def _camera(name: str, path: Path) -> tuple[str, Camera]:
    if not path.is_file():
        fix = "Calibrate this camera, or take it out of the session."
        raise refused("the calibration file is missing", path, name, fix)
    try:
        nodes = opencv_nodes(path)
    except CalibrationError as error:
        raise refused(error.what, path, name, "Export it again with cv2.FileStorage.") from error
    values = {part: _matrix(nodes, names) for part, names in _NODES.items()}
    if missing := [f"{part} ({' or '.join(_NODES[part][:2])})" for part, value in values.items() if value is None]:
        raise refused(f"the file has no {', '.join(missing)}", path, name, "Export the camera's pose too.")
    K, dist, turn, shift = (np.asarray(value, np.float64) for value in values.values())
    turn = axis_angle(turn) if turn.size == 3 else turn
    if str(nodes.get("fisheye_model", 0)).lower() not in ("0", "false"):
        fix = "Undistort the pictures, or calibrate k1, k2, p1, p2, k3."
        raise refused("the lens is a fisheye", path, name, fix)
    given = next((keys for keys in _SIZES if nodes.keys() >= {*keys}), ())
    width, height = (pixels(nodes[key], key, path, name) for key in given) if given else (0, 0)
    return built(name, path, (width, height), K, distortion(dist, path, name), turn, shift.ravel())


def _matrix(nodes: Mapping[str, Any], names: tuple[str, ...]) -> NDArray[Any] | None:
    return next((nodes[name] for name in names if isinstance(nodes.get(name), np.ndarray)), None)


def opencv_nodes(path: Path) -> dict[str, Any]:
    """Return every key of a file: matrices as arrays, `names` as a list of words, the rest as text.

    Raises:
        CalibrationError: the file is missing, is not such a storage, or a matrix is broken.
    """
    text = file_text(path)
    read = {"<": _xml, "{": _json}.get(text.lstrip()[:1], _yaml)
    nodes: dict[str, Any] = {}
    for key, value in read(text, path):
        if key in nodes:
            raise refused(f"{key} is listed twice", path, fix="Keep one of the two.")
        nodes[key] = value
    if not nodes:
        raise refused("the file is not an OpenCV storage", path)
    return nodes


def _yaml(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    blocks = re.split(r"^([A-Za-z_][^:\n]*):", text, flags=re.MULTILINE)
    for key, block in zip(blocks[1::2], blocks[2::2], strict=True):
        if block.lstrip().startswith("!!opencv-matrix"):
            hits = [re.search(rf"\b{part}:\s*(\[[^\]]*\]|[^\s\[]+)", block) for part in _PARTS]
            words = ["" if hit is None else hit[1].strip("[]").replace(",", " ") for hit in hits]
            yield key, _matrix_of(key, words, path)
        elif key == "names":
            words = re.sub(r"^\s*-\s|[\[\],]", " ", block, flags=re.MULTILINE).split()
            yield key, [word.strip("\"'") for word in words]
        else:
            yield key, block.strip()


def _json(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    for key, value in parsed_json(text, path).items():
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
        raise refused(f"the file is not XML ({error})", path) from error
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
        expected = " x ".join(map(str, shape)) or "as many"
        raise refused(f"{key} does not hold {expected} values", path)
    return numbers(words, (len(words),), key, path).reshape(shape)
