"""Strong lenses: points, pixels and rays agree with OpenCV inside the fold, and nothing outside it is used."""

import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from capmat_errors import CalibrationError
from capmat_models.geometry.views import View, described, directions, project, shrunk, spans
from storage.calibration.camera import Camera

WIDTH, HEIGHT = 1920, 1080
MODELS = ("none", "k1", "k1 k2", "k1 k2 p1 p2", "k1 k2 p1 p2 k3")
BARREL = (0.35, -1.2, 0.0, 0.0, 0.0)  # folds before the corner of the picture, as 7 of 11 real cameras do


def lens_view(dist: tuple[float, ...], focal: float = 1500, skew: float = 0) -> View:
    K = torch.tensor([[focal, skew, 955.5], [0, focal * 1.01, 533.5], [0, 0, 1]], dtype=torch.float64)
    pose = torch.eye(4, dtype=torch.float64)
    return View("C07", WIDTH, HEIGHT, K, torch.tensor(dist, dtype=torch.float64), pose)


def lens_camera(view: View) -> Camera:
    K = view.K.numpy().copy()
    return Camera(view.name, WIDTH, HEIGHT, K, view.dist.numpy().copy(), np.eye(3), np.zeros(3))


@st.composite
def lenses(draw: st.DrawFn) -> View:
    """Real-looking lenses of all models that a `Camera` holds, from fisheye-like barrels to pincushions."""
    model = draw(st.sampled_from(MODELS))
    ranges = {"k1": 0.6, "k2": 1.6, "p1": 0.01, "p2": 0.01, "k3": 2.0}
    dist = tuple(draw(st.floats(-most, most)) if key in model else 0.0 for key, most in ranges.items())
    return lens_view(dist, draw(st.floats(900, 3000)), draw(st.sampled_from((0.0, 0.0, 4.0))))


def points_at(xy: np.ndarray, depth: float = 2.5) -> torch.Tensor:
    """Points (N, 3) in front of the camera of `lens_view`, whose axes are OpenGL's."""
    return torch.from_numpy(np.column_stack([xy[:, 0], -xy[:, 1], -np.ones(len(xy))]) * depth)


def opencv_pixels(view: View, xy: np.ndarray) -> np.ndarray:
    """Pixels (N, 2) of normalised coordinates; cv2 knows no skew, so K is applied here."""
    points = np.column_stack([xy, np.ones(len(xy))])
    bent = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), view.dist.numpy())[0].reshape(-1, 2)
    return bent @ view.K[:2, :2].numpy().T + view.K[:2, 2].numpy()


@settings(deadline=None, max_examples=150)
@given(lenses(), st.integers(0, 2**31))
@example(lens_view(BARREL), 0)
def test_points_inside_the_fold_fall_where_opencv_says_and_come_back(view: View, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angle, part = rng.uniform(-math.pi, math.pi, 300), np.sqrt(rng.uniform(0, 0.99, 300))
    xy = np.stack([np.cos(angle), np.sin(angle)], 1) * (part * min(view.lens_edge, 1.2))[:, None]
    theirs = opencv_pixels(view, xy)
    pixels, inside = project(view, points_at(xy))
    in_picture = ((theirs >= 0) & (theirs < (WIDTH, HEIGHT))).all(1)
    np.testing.assert_allclose(pixels, theirs, atol=1e-6)
    assert inside.tolist() == in_picture.tolist()
    ways = directions(view, torch.from_numpy(theirs[in_picture])).double()
    np.testing.assert_allclose(ways[:, :2] / -ways[:, 2:] * torch.tensor([1, -1]), xy[in_picture], atol=1e-5)


@settings(deadline=None, max_examples=150)
@given(lenses())
@example(lens_view(BARREL))
def test_every_pixel_has_the_ray_of_opencv_or_none_at_all(view: View) -> None:
    x, y = np.meshgrid(np.linspace(0, WIDTH, 25), np.linspace(0, HEIGHT, 15))
    pixels = np.stack([x.ravel(), y.ravel()], 1)
    ways = directions(view, torch.from_numpy(pixels)).double()
    known = ways.any(1).numpy()
    assert bool(ways.isfinite().all())
    xy = (ways[:, :2] / -ways[:, 2:]).numpy()[known] * (1, -1)
    np.testing.assert_allclose(opencv_pixels(view, xy), pixels[known], atol=2e-2)  # rays are float32
    # cv2 finds a ray that leads back to the pixel, inside the fold: then we have to find one, too
    plain = np.linalg.solve(view.K.numpy(), np.column_stack([pixels, np.ones(len(pixels))]).T)[:2].T
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 200, 1e-12)
    theirs = cv2.undistortPoints(plain[:, None], np.eye(3), view.dist.numpy(), None, None, None, criteria)[:, 0]
    with np.errstate(all="ignore"):
        good = np.abs(theirs).max(1) < 10
        good[good] = np.abs(opencv_pixels(view, theirs[good]) - pixels[good]).max(1) < 1e-6
        good &= np.hypot(*theirs.T) < 0.999 * view.lens_edge
    assert known[good].all()


@settings(deadline=None, max_examples=150)
@given(lenses())
@example(lens_view(BARREL))
def test_the_fold_is_where_the_pixels_of_opencv_turn_back(view: View) -> None:
    radial = replace(view, dist=view.dist * torch.tensor([1.0, 1, 0, 0, 1]))
    assert view.lens_edge <= radial.lens_edge * (1 + 1e-9)  # the tangential part can only bring it nearer
    edge = min(radial.lens_edge, 3.0)
    r = np.linspace(0, 1.02 * edge, 4001)
    plain = replace(radial, K=torch.eye(3).double())
    out = np.diff(opencv_pixels(plain, np.stack([0.6 * r, 0.8 * r], 1)) @ (0.6, 0.8))
    before = r[1:] <= edge * 0.999
    assert (out[before] > 0).all()
    if radial.lens_edge < 3:
        assert abs(out[np.searchsorted(r, edge)]) < 0.1 * out[0]  # the fold is there, and not farther out
    assert lens_camera(view).lens_edge() == view.lens_edge


@settings(deadline=None, max_examples=100)
@given(lenses(), st.integers(0, 2**31))
@example(lens_view(BARREL), 0)
def test_nothing_outside_the_fold_is_seen(view: View, seed: int) -> None:
    if not math.isfinite(view.lens_edge):
        return
    rng = np.random.default_rng(seed)
    angle, far = rng.uniform(-math.pi, math.pi, 200), rng.uniform(1.001, 4, 200)
    xy = np.stack([np.cos(angle), np.sin(angle)], 1) * (far * view.lens_edge)[:, None]
    assert not project(view, points_at(xy))[1].any()
    near, _ = spans(view, points_at(xy), 1e-4)
    assert not near.isfinite()[1:-1, 1:-1].any()
    assert np.isnan(lens_camera(view).project(np.column_stack([xy, np.ones(len(xy))]))).all()


def test_a_barrel_hides_the_corners_and_says_how_much() -> None:
    assert 0.6 < float(described(shrunk(lens_view(BARREL), 8)).double().mean()) < 0.98
    mild = lens_view((-0.1, 0.02, 0.001, -0.001, 0.0))
    assert bool(described(mild).all())


@pytest.mark.parametrize("field", ["K", "dist", "camera_to_world"])
def test_a_number_that_is_not_finite_names_the_camera(field: str) -> None:
    view = lens_view(BARREL)
    with pytest.raises(CalibrationError, match="C07"):
        replace(view, **{field: getattr(view, field) * math.nan})
    with pytest.raises(CalibrationError, match="C07"):
        project(view, torch.full((2, 3), math.nan))
