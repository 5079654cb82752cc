"""A camera projects as OpenCV does, and does not exist with impossible numbers."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capmat_errors import CalibrationError
from storage.calibration.camera import Camera


def camera(seed: int = 0) -> Camera:
    rng = np.random.default_rng(seed)
    turn = cv2.Rodrigues(rng.normal(0, 1, 3))[0]
    K = np.array([[800.0, 0, 330], [0, 790, 250], [0, 0, 1]])
    return Camera("c", 640, 480, K, rng.normal(0, 0.05, 5), turn, np.array([0.1, -0.2, 4]))


@given(st.integers(0, 1000))
def test_points_fall_where_opencv_says(seed: int) -> None:
    one = camera(seed)
    points = np.random.default_rng(seed).uniform(-1, 1, (20, 3))
    theirs = cv2.projectPoints(points, cv2.Rodrigues(one.R)[0], one.t, one.K, one.dist)[0][:, 0]
    np.testing.assert_allclose(one.project(points), theirs, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_the_ray_of_a_pixel_meets_the_point_that_opencv_sees_there(seed: int) -> None:
    one = camera(seed)
    local = np.random.default_rng(seed).uniform((-0.4, -0.3, 1), (0.4, 0.3, 1), (20, 3)) * 3
    points = (local - one.t) @ one.R
    pixels = cv2.projectPoints(points, cv2.Rodrigues(one.R)[0], one.t, one.K, one.dist)[0][:, 0]
    np.testing.assert_allclose(one.centre() + 3 * one.rays(pixels), points, atol=1e-5)


def test_points_behind_the_camera_fall_nowhere() -> None:
    one = camera()
    ahead = one.centre() + one.R[2]
    behind = one.centre() - one.R[2]
    seen = one.project(np.stack([ahead, behind]))
    np.testing.assert_allclose(seen[0], (330, 250))
    assert np.isnan(seen[1]).all()


def test_it_survives_json() -> None:
    assert Camera.from_json("c", camera().to_json()) == camera()


def test_distortion_may_be_left_out_or_shorter() -> None:
    data = camera().to_json()
    assert not Camera.from_json("c", {**data, "dist": []}).dist.any()
    del data["dist"]
    assert Camera.from_json("c", data).dist.shape == (5,)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"K": np.full((3, 3), np.nan)}, "K holds a value that is not finite"),
        ({"K": np.zeros((3, 3))}, "not a camera matrix"),
        ({"K": np.eye(4)}, "shape"),
        ({"R": -np.eye(3)}, "not a rotation"),
        ({"t": [0, 0, np.inf]}, "t holds a value that is not finite"),
        ({"t": None}, "camera c: t"),
        ({"dist": [0] * 7 + [0.2]}, "8 coefficients"),
    ],
)
def test_impossible_cameras_are_refused_by_name(wrong: dict, says: str) -> None:
    with pytest.raises(CalibrationError, match=says) as error:
        Camera.from_json("c", camera().to_json() | wrong)
    assert "camera c" in str(error.value)
