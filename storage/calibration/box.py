"""The cube in which the subject stands, from the cameras alone: all of a stage's cameras look at it."""

from collections.abc import Iterable, Sequence

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


POINTS = 17  # along each edge of the box
APART = 0.01  # of the box: the least distance between the two cameras that stand farthest from each other


def check_views(cameras: Sequence[Camera], centre: NDArray[np.float64], size: float, *, apart: bool = True) -> None:
    """Refuse cameras that do not see the box, or that all stand at one place.

    Args:
        cameras: one or more.
        centre: (3,) of the box, in the unit of the calibration.
        size: its edge length.
        apart: whether they must stand at different places, to learn depth from.

    Raises:
        CalibrationError: with the camera that does not see the box, or saying that they stand at one place.
    """
    if apart:
        places = np.stack([camera.centre() for camera in cameras])
        if np.linalg.norm(places[:, None] - places[None], axis=-1).max() < APART * size:
            raise CalibrationError(
                "all cameras stand at one place, from where nothing has a depth",
                where=", ".join(camera.id for camera in cameras),
                fix="Check the translations of the calibration, and their unit.",
            )
    steps = np.linspace(-0.5, 0.5, POINTS) * size
    points = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3) + centre
    for camera in cameras:
        if not sees(camera, points):
            raise CalibrationError(
                f"the subject box of {size:g} around {', '.join(f'{x:g}' for x in centre)} is out of its view",
                where=camera.id,
                fix="Check box and calibration (is it world to camera? in metres?), or leave the camera out.",
            )


def sees(camera: Camera, points: NDArray[np.float64]) -> bool:
    """Whether any of the points (N, 3) falls into the picture."""
    pixels = camera.project(points)
    with np.errstate(invalid="ignore"):  # points behind it are nan
        inside = (pixels > -0.5) & (pixels < np.array([camera.width, camera.height]) - 0.5)
    return bool(inside.all(axis=1).any())
