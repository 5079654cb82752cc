"""Cameras as COLMAP's text files, for its own tools and for all that start from a sparse model.

One lens per camera, PINHOLE, OPENCV or FULL_OPENCV, whichever is the first to hold it; images are called
`<camera>.png`; no points.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from storage.calibration.camera import Camera
from storage.calibration.formats.parts import HALF, Floats, refused


def colmap_files(cameras: Mapping[str, Camera]) -> dict[str, str]:
    """The texts of `cameras.txt`, `images.txt` and `points3D.txt`, by file name.

    Raises:
        CalibrationError: a camera's picture size is not known, or its K has a skew.
    """
    lenses = ["# CAMERA_ID MODEL WIDTH HEIGHT PARAMS\n"]
    images = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then a line of points (none here)\n"]
    for id, (name, camera) in enumerate(cameras.items(), 1):
        check_plain(camera, "COLMAP")
        model, params = _lens(camera)
        lenses.append(_line(id, model, camera.width, camera.height, *params))
        images.append(_line(id, *_quaternion(camera.R), *camera.t, id, f"{name}.png") + "\n")
    return {"cameras.txt": "".join(lenses), "images.txt": "".join(images), "points3D.txt": "# none\n"}


def check_plain(camera: Camera, program: str) -> None:
    """Refuse what most programs have no place for.

    Raises:
        CalibrationError: the picture size is not known, or K has a skew.
    """
    if not camera.width:
        fix = "Take a calibration that holds sizes, or the camera of an ingested take."
        raise refused(f"the picture size is not known, which {program} needs", Path(program), camera.id, fix)
    if abs(camera.K[0, 1]) > 1e-9 * camera.K[0, 0]:
        fix = "Calibrate without skew."
        raise refused(f"K has a skew, which {program} does not know", Path(program), camera.id, fix)


def _line(*words: object) -> str:
    return " ".join(repr(float(w)) if isinstance(w, float) else str(w) for w in words) + "\n"


def _lens(camera: Camera) -> tuple[str, list[float]]:
    k1, k2, p1, p2, k3 = camera.dist.tolist()
    K = camera.K
    params = [float(v) for v in (K[0, 0], K[1, 1], K[0, 2] + HALF, K[1, 2] + HALF)]
    if k3:
        return "FULL_OPENCV", [*params, k1, k2, p1, p2, k3, 0.0, 0.0, 0.0]
    return ("OPENCV", [*params, k1, k2, p1, p2]) if camera.dist.any() else ("PINHOLE", params)


def _quaternion(R: Floats) -> list[float]:
    """w, x, y, z of a rotation, as the strongest eigenvector of Bar-Itzhack's matrix: exact at every angle."""
    symmetric = R + R.T - np.trace(R) * np.eye(3)
    axis = np.array([R[2, 1] - R[1, 2], R[0, 2] - R[2, 0], R[1, 0] - R[0, 1]])
    matrix = np.block([[np.array([[np.trace(R)]]), axis[None]], [axis[:, None], symmetric]]) / 3
    q: Floats = np.linalg.eigh(matrix)[1][:, -1]
    return [float(x) for x in (q if q[0] >= 0 else -q)]
