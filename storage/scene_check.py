"""Whether cameras can tell what stands in a box: before training starts, not after an hour of it."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera

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
