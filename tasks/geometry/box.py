"""The box in which the subject stands, and cameras as the geometry of the networks' wing takes them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError
from storage.calibration.box import scene_box
from storage.calibration.camera import Camera
from storage.export.read_scene import SceneView
from tasks.config import Reconstruction

if TYPE_CHECKING:
    from capmat_models.geometry.views import View

_IN_THE_MIDDLE = 0.01
"""Distance from the middle, as a share of the box, at which a camera sees nothing of a subject that stands there."""


def box_of(cameras: Iterable[Camera], settings: Reconstruction) -> tuple[NDArray[np.float64], float]:
    """Middle (3,) and edge of the subject's cube in metres: as the settings say, else from the cameras.

    Raises:
        CalibrationError: the settings name no box, and the cameras point nowhere in common; or a camera stands in the
            middle of the box.
    """
    listed = list(cameras)
    if not settings.box_size:
        return scene_box(listed)
    centre = np.asarray(settings.box_centre, np.float64)
    for camera in listed:
        if np.linalg.norm(camera.centre() - centre) < _IN_THE_MIDDLE * settings.box_size:
            raise CalibrationError(
                f"the camera stands in the middle of the subject box ({', '.join(f'{x:g}' for x in centre)})",
                where=camera.id,
                fix="Correct reconstruction.box_centre.",
            )
    return centre, settings.box_size


def torch_view(view: SceneView) -> "View":
    """A camera in box units as tensors."""
    import torch

    from capmat_models.geometry.views import View

    K, dist, pose = (torch.from_numpy(array) for array in (view.K, view.dist, view.camera_to_world))
    rgba = None if view.rgba is None else torch.from_numpy(view.rgba)
    return View(view.name, view.width, view.height, K, dist, pose, rgba)
