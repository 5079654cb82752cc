"""`intri.yml` and `extri.yml`, as EasyMocap and EasyVolcap keep them: OpenCV's FileStorage, one key per camera.

The file's own traps: `R_` is an axis times an angle and `Rot_` the matrix; distortion is called `D_` or `dist_`;
picture sizes are optional. World to camera, pixel centres at whole numbers, as in `Camera`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.opencv import opencv_nodes
from storage.calibration.formats.parts import (
    Calibration,
    axis_angle,
    built,
    collected,
    distortion,
    numbers,
    pixels,
    refused,
)

_ENDINGS = (".yml", ".yaml", ".xml")


def read_easyvolcap(folder: Path) -> Calibration:
    """Read a folder with `intri` and `extri`, as .yml, .yaml or .xml.

    A camera that only one of them lists is left out, and a note says so.

    Raises:
        CalibrationError: a file or key is missing or broken, or `Camera` refuses the numbers.
    """
    intri, extri = _file(folder, "intri"), _file(folder, "extri")
    inner, outer = opencv_nodes(intri), opencv_nodes(extri)
    names = inner.get("names", outer.get("names"))
    if names is None:
        names = [key[2:] for key in inner if key.startswith("K_")]
    posed = outer.get("names", names)
    notes = [f"camera {name} is left out: {extri.name} does not list it" for name in names if name not in posed]
    notes += [f"camera {name} is left out: {intri.name} does not list it" for name in posed if name not in names]
    both = [name for name in names if name in posed]
    return collected([_camera(name, inner, intri, outer, extri) for name in both], intri, notes)


def _camera(
    name: str, inner: Mapping[str, Any], intri: Path, outer: Mapping[str, Any], extri: Path
) -> tuple[str, Camera]:
    lens = next((inner[key] for key in (f"D_{name}", f"dist_{name}") if key in inner), None)
    if lens is None:
        raise refused(f"missing key D_{name} or dist_{name}", intri, name)
    size = (0, 0)
    if f"W_{name}" in inner and f"H_{name}" in inner:
        size = (pixels(inner[f"W_{name}"], "W", intri, name), pixels(inner[f"H_{name}"], "H", intri, name))
    if f"Rot_{name}" in outer:
        turn = numbers(outer[f"Rot_{name}"], (3, 3), "Rot", extri, name)
    else:
        turn = axis_angle(numbers(np.ravel(_needed(outer, f"R_{name}", extri, name)), (3,), "R", extri, name))
    shift = numbers(np.ravel(_needed(outer, f"T_{name}", extri, name)), (3,), "T", extri, name)
    matrix = numbers(_needed(inner, f"K_{name}", intri, name), (3, 3), "K", intri, name)
    return built(name, extri, size, matrix, distortion(np.ravel(lens), intri, name), turn, shift)


def _needed(nodes: Mapping[str, Any], key: str, path: Path, camera: str) -> Any:
    if key not in nodes:
        raise refused(f"missing key {key}", path, camera)
    return nodes[key]


def _file(folder: Path, stem: str) -> Path:
    for ending in _ENDINGS:
        if (path := folder / f"{stem}{ending}").is_file():
            return path
    fix = "Give the folder that holds both files."
    raise refused("the calibration file is missing", folder / f"{stem}.yml", fix=fix)


def easyvolcap_files(cameras: Mapping[str, Camera]) -> dict[str, str]:
    """Return the texts of `intri.yml` and `extri.yml`, by file name.

    Raises:
        CalibrationError: a name holds a dot, which OpenCV does not allow in a key.
    """
    head = "%YAML:1.0\n---\nnames:\n" + "".join(f'   - "{name}"\n' for name in cameras)
    inner, outer = [head], [head]
    for name, camera in cameras.items():
        if "." in name:
            raise refused(f"{name} holds a dot", Path("intri.yml"), name, "Rename the camera; OpenCV allows no dots.")
        inner.append(_matrix(f"K_{name}", camera.K))
        if camera.width:
            inner.append(f"H_{name}: {camera.height}\nW_{name}: {camera.width}\n")
        inner += [_matrix(f"{key}_{name}", camera.dist.reshape(1, 5)) for key in ("D", "dist")]
        outer.append(_matrix(f"R_{name}", _rodrigues(camera)))
        outer.append(_matrix(f"Rot_{name}", camera.R))
        outer.append(_matrix(f"T_{name}", camera.t.reshape(3, 1)))
    return {"intri.yml": "".join(inner), "extri.yml": "".join(outer)}


def _rodrigues(camera: Camera) -> Any:
    import cv2

    return cv2.Rodrigues(np.array(camera.R))[0]


def _matrix(key: str, value: Any) -> str:
    rows, cols = value.shape
    data = ", ".join(repr(float(x)) for x in value.ravel())
    return f"{key}: !!opencv-matrix\n   rows: {rows}\n   cols: {cols}\n   dt: d\n   data: [ {data} ]\n"
