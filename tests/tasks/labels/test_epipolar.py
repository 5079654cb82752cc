"""The line of a point in another camera, judged by OpenCV."""

import cv2
import numpy as np
import pytest

from storage.calibration.camera import Camera
from tasks.labels.epipolar import line_in

SIZE = 640, 480


def _camera(name: str, degrees: float, rng: np.random.Generator) -> Camera:
    """One of a ring that looks at the origin, with a lens."""
    turn = np.radians(degrees)
    centre = np.array([4 * np.cos(turn), 4 * np.sin(turn), 1.2])
    z = -centre / np.linalg.norm(centre)
    x = np.cross(z, (0, 0, 1.0))
    R = np.stack([x / np.linalg.norm(x), np.cross(z, x / np.linalg.norm(x)), z])
    K = np.array([[700.0, 0, 318], [0, 690, 244], [0, 0, 1]])
    dist = rng.uniform((-0.2, -0.05, -0.003, -0.003, -0.01), (0.2, 0.05, 0.003, 0.003, 0.01))
    return Camera(name, *SIZE, K, dist, R, -R @ centre)


def _projected(camera: Camera, point: np.ndarray) -> np.ndarray:
    return cv2.projectPoints(point[None], cv2.Rodrigues(camera.R)[0], camera.t, camera.K, camera.dist)[0][0, 0]


def _undistorted(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 100, 1e-12)
    return cv2.undistortPoints(pixels[:, None], camera.K, camera.dist, R=np.eye(3), P=camera.K, criteria=criteria)[
        :, 0
    ]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("apart", [20.0, 75.0, 160.0])
def test_it_is_the_line_of_opencv_and_meets_the_point_itself(seed: int, apart: float) -> None:
    rng = np.random.default_rng(seed)
    own, other = _camera("a", 0, rng), _camera("b", apart, rng)
    point = rng.uniform((-0.6, -0.6, -0.5), (0.6, 0.6, 0.5))
    seen = _projected(own, point)
    line = np.array(line_in(own, tuple(seen + 0.5), other)) - 0.5  # type: ignore[arg-type]

    # the fundamental matrix of the pinholes, from the calibration: F = K'^-T [t]x R K^-1
    R = other.R @ own.R.T
    t = other.t - R @ own.t
    cross = np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0]])
    F = np.linalg.inv(other.K).T @ cross @ R @ np.linalg.inv(own.K)
    a, b, c = cv2.computeCorrespondEpilines(_undistorted(own, seen[None])[:, None], 1, F)[0, 0]
    inside = ((line >= 0) & (line < SIZE)).all(1)
    assert inside.sum() > 2
    straight = _undistorted(other, line[inside])
    assert np.abs(straight @ (a, b) + c).max() < 0.1

    there = _projected(other, point)
    starts, ways = line[:-1], np.diff(line, axis=0)
    along = (((there - starts) * ways).sum(1) / (ways**2).sum(1).clip(1e-12)).clip(0, 1)
    assert np.hypot(*(starts + along[:, None] * ways - there).T).min() < 0.3


def test_a_camera_that_looks_away_has_no_line() -> None:
    own = _camera("a", 0, np.random.default_rng(1))
    R = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    away = Camera("b", *SIZE, own.K, own.dist, R, -R @ (0.0, 40.0, 0.0))
    assert line_in(own, (320.0, 240.0), away) == []
