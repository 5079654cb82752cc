"""Where a point of one picture lies in the pictures of the other cameras: on a line, bent by their lenses."""

from collections.abc import Mapping

import numpy as np

from capmat_errors import CapmatError
from storage.calibration.camera import Camera
from storage.labels.strokes import MAX_SIDE
from storage.takes.take import Take

_POINTS, _COARSE, _ROUNDS = 129, 2000, 5
_HALF = 0.5  # the page's pixels have their corners at whole numbers, the calibration's their centres

Line = list[list[float]]
"""Points x, y in pixels of the frame, as strokes have them; empty where the camera cannot see the point."""


def lines_of(take: Take, camera: str, at: Mapping[str, str]) -> dict[str, Line]:
    """The line of a point in the picture of every other camera.

    Args:
        take: the take.
        camera: in whose picture the point is.
        at: its `x` and `y`, in pixels of the frame.

    Raises:
        NotFound: the take has no such camera.
        CapmatError: the point is none.
    """
    own = take.camera(camera)
    try:
        x, y = float(at["x"]), float(at["y"])
    except (KeyError, ValueError) as error:
        raise CapmatError("expected a point x, y", where=f"take {take.name} camera {camera}") from error
    if not abs(x) + abs(y) < MAX_SIDE:  # so written, it refuses NaN too
        raise CapmatError("expected a point x, y", where=f"take {take.name} camera {camera}")
    others = {name: view for name, view in take.cameras.items() if name != camera}
    return {name: line_in(own, (x, y), view) for name, view in others.items()}


def line_in(own: Camera, point: tuple[float, float], other: Camera) -> Line:
    """The line of a point of `own` in `other`, from near to far, as far as it is inside the picture."""
    ray = own.rays(np.array([point]) - _HALF)[0]
    # logarithms of distances along the ray, from a hundredth of the way between the cameras
    unit = float(np.linalg.norm(own.centre() - other.centre())) or 1.0
    depth = np.log(unit) + np.linspace(np.log(0.01), np.log(10_000), _COARSE)
    for _ in range(_ROUNDS):
        points = other.project(own.centre() + np.exp(depth)[:, None] * ray)
        seen = np.flatnonzero(_inside(other, points))
        if not len(seen):
            return []
        # one step beyond both ends, so that the line meets the edge of the picture
        part = slice(max(seen[0] - 1, 0), seen[-1] + 2)
        known = ~np.isnan(points[part]).any(1)
        depth, points = depth[part][known], points[part][known]
        # the next points are even along the line
        length = np.concatenate([[0], np.hypot(*np.diff(points, axis=0).T).cumsum()])
        depth = np.interp(np.linspace(0, length[-1], _POINTS), length, depth)
    return [[round(float(x) + _HALF, 2), round(float(y) + _HALF, 2)] for x, y in points]


def _inside(camera: Camera, pixels: np.ndarray) -> np.ndarray:
    x, y = pixels.T
    return (x >= -_HALF) & (y >= -_HALF) & (x < camera.width - _HALF) & (y < camera.height - _HALF)
