"""The cube in which the subject stands, from the cameras alone: all of a stage's cameras look at it."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera

_PARALLEL = 1e-3
"""Smallest eigenvalue of the mean projection across the axes; below, no point is nearest to all of them."""


def scene_box(cameras: Iterable[Camera]) -> tuple[NDArray[np.float64], float]:
    """Middle and edge of the subject's cube, in the unit of the calibration.

    The middle is the point nearest to all optical axes. The edge is the median distance from there to a camera, so
    that on a cylinder of 5.25 m the cube is 2.6 m wide and holds a person with raised arms, and no camera.

    Raises:
        CalibrationError: the cameras stand in one place, or look past each other.
    """
    seen = list(cameras)
    centres = np.array([camera.centre() for camera in seen])
    axes = np.array([camera.R[2] for camera in seen])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    mean = across.mean(0)
    fix = "Set reconstruction.box_centre and reconstruction.box_size."
    if len(seen) < 2 or np.linalg.eigvalsh(mean)[0] < _PARALLEL:
        raise CalibrationError("the cameras look at no common place: no subject box can be guessed", fix=fix)
    middle = np.linalg.solve(mean, np.einsum("nij,nj->ni", across, centres).mean(0))
    size = float(np.median(np.linalg.norm(centres - middle, axis=1)))
    ahead = ((middle - centres) * axes).sum(1) > 0
    if not size > 0 or ahead.mean() < 0.5:
        raise CalibrationError("most cameras look away from the place that is nearest to their axes", fix=fix)
    return middle, size
