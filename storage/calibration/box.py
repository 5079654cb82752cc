"""The cube in which the subject stands, found from the cameras alone: all cameras of a stage look at it."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera

_PARALLEL = 1e-3
"""Smallest eigenvalue of the mean projection across the axes; below it, no point is nearest to all axes."""
_POINTS = 17
"""Test points along each edge of the box."""
_APART = 0.01
"""Least distance between the two cameras that stand farthest apart, as a share of the box."""


def scene_box(cameras: Iterable[Camera]) -> tuple[NDArray[np.float64], float]:
    """Return the centre (3,) and the edge length of the subject's cube, in the unit of the calibration.

    The centre is the point nearest to all optical axes. The edge is the median distance from the centre to a camera.
    On a cylinder of 5.25 m the cube is 2.6 m wide: it holds a person with raised arms, and no camera.

    Raises:
        CalibrationError: the cameras stand at one point, are parallel, or look away from each other.
    """
    listed = list(cameras)
    centres = np.array([camera.centre() for camera in listed])
    axes = np.array([camera.R[2] for camera in listed])
    across = np.eye(3) - axes[:, :, None] * axes[:, None, :]
    mean = across.mean(0)
    fix = "Set reconstruction.box_centre and reconstruction.box_size."
    if len(listed) < 2 or np.linalg.eigvalsh(mean)[0] < _PARALLEL:
        raise CalibrationError("the cameras do not look at a common point, so the subject box is unknown", fix=fix)
    middle = np.linalg.solve(mean, np.einsum("nij,nj->ni", across, centres).mean(0))
    size = float(np.median(np.linalg.norm(centres - middle, axis=1)))
    ahead = ((middle - centres) * axes).sum(1) > 0
    if not size > 0 or ahead.mean() < 0.5:
        raise CalibrationError("most cameras look away from the point that is nearest to their axes", fix=fix)
    return middle, size


def check_views(cameras: Sequence[Camera], centre: NDArray[np.float64], size: float, *, apart: bool = True) -> None:
    """Refuse cameras that do not see the box, or that all stand at one point.

    Args:
        cameras: one or more.
        centre: (3,) of the box, in the unit of the calibration.
        size: edge length of the box.
        apart: also refuse cameras that stand at one point, from where depth cannot be learned.

    Raises:
        CalibrationError: it names the camera that does not see the box, or all cameras.
    """
    if apart:
        positions = np.stack([camera.centre() for camera in cameras])
        if np.linalg.norm(positions[:, None] - positions[None], axis=-1).max() < _APART * size:
            raise CalibrationError(
                "all cameras stand at one point, from where depth cannot be seen",
                where=", ".join(camera.id for camera in cameras),
                fix="Check the translations of the calibration, and their unit.",
            )
    steps = np.linspace(-0.5, 0.5, _POINTS) * size
    points = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) + centre
    for camera in cameras:
        if not _sees(camera, points):
            raise CalibrationError(
                f"the subject box of {size:g} around {', '.join(f'{x:g}' for x in centre)} is out of its view",
                where=camera.id,
                fix="Check box and calibration (world to camera? metres?), or leave the camera out.",
            )


def _sees(camera: Camera, points: NDArray[np.float64]) -> bool:
    """Return whether any of the points (N, 3) falls into the picture."""
    pixels = camera.project(points)
    with np.errstate(invalid="ignore"):  # points behind the camera are nan
        inside = (pixels > -0.5) & (pixels < np.array([camera.width, camera.height]) - 0.5)
    return bool(inside.all(axis=1).any())
