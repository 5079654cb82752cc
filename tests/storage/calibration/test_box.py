"""The subject's cube is where all cameras look."""

from dataclasses import replace

import numpy as np
import pytest

from capmat_errors import CalibrationError
from storage.calibration.box import scene_box
from tests.ellipsoids import BOX_CENTRE, ring


def test_the_box_stands_where_the_cameras_look_and_holds_none_of_them() -> None:
    cameras = ring(10)
    centre, size = scene_box(cameras)
    np.testing.assert_allclose(centre, BOX_CENTRE, atol=1e-9)
    away = np.abs([camera.centre() - centre for camera in cameras]).max(1)
    assert size == pytest.approx(np.median([np.linalg.norm(c.centre() - centre) for c in cameras]))
    assert (away > size / 2).all()


def test_the_unit_of_the_calibration_is_kept() -> None:
    cameras = ring(6)
    large = [replace(camera, t=camera.t * 1000) for camera in cameras]
    np.testing.assert_allclose(scene_box(large)[0], scene_box(cameras)[0] * 1000, atol=1e-6)


def test_cameras_that_do_not_look_at_a_common_point_are_refused() -> None:
    one = ring(1)
    with pytest.raises(CalibrationError, match="common point"):
        scene_box(one)
    with pytest.raises(CalibrationError, match="common point"):
        scene_box([one[0], replace(one[0], t=one[0].t + [0.5, 0, 0])])  # side by side, parallel
    outwards = [
        replace(camera, R=np.diag([-1.0, 1, -1]) @ camera.R, t=np.diag([-1.0, 1, -1]) @ camera.t)
        for camera in ring(6)
    ]
    with pytest.raises(CalibrationError, match="look away"):
        scene_box(outwards)
