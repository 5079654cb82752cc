"""One calibrated camera, in the one convention that capmat uses.

OpenCV, world to camera: `x_cam = R @ x_world + t`, x right, y down, z forward; metres; pixel centres at whole
numbers. Readers of other formats convert on the way in, so no other code deals with conventions.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError

_TRIES, _STEP = 20, 1e-6  # of the search for the ray of a pixel; in focal lengths


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole camera with Brown-Conrady distortion.

    Attributes:
        id: the camera's name, as in the folder names of a session.
        width: picture width in pixels; 0 when the calibration file does not say (see `sized`).
        height: picture height in pixels; 0 likewise.
        K: (3, 3) float64, pixels.
        dist: (5,) float64, OpenCV order k1, k2, p1, p2, k3.
        R: (3, 3) float64, rotation world to camera.
        t: (3,) float64, metres.

    Raises:
        CalibrationError: a number is not finite, a side of the picture is below 0 or huge, K is not a camera
            matrix, or R is not a rotation.
    """

    id: str
    width: int
    height: int
    K: NDArray[np.float64]
    dist: NDArray[np.float64]
    R: NDArray[np.float64]
    t: NDArray[np.float64]

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            if not 0 <= getattr(self, name) <= 1_000_000:
                raise _refused(self.id, f"{name} is not a number of pixels", "Correct the calibration file.")
        for name, shape in (("K", (3, 3)), ("dist", (5,)), ("R", (3, 3)), ("t", (3,))):
            value = _floats(getattr(self, name), name, self.id)
            if value.shape != shape:
                raise _refused(
                    self.id, f"{name} has shape {value.shape}, not {shape}", "Correct the calibration file."
                )
            if not np.isfinite(value).all():
                raise _refused(self.id, f"{name} holds a value that is not finite")
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if self.K[0, 0] <= 0 or self.K[1, 1] <= 0 or not np.allclose(self.K[2], (0, 0, 1)):
            raise _refused(self.id, "K is not a camera matrix")
        if not np.allclose(self.R @ self.R.T, np.eye(3), atol=1e-3) or np.linalg.det(self.R) < 0:
            fix = "Check that the file holds world-to-camera rotations."
            raise _refused(self.id, "R is not a rotation", fix)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Camera) and self.to_json() == other.to_json() and self.id == other.id

    def __hash__(self) -> int:
        return hash((self.id, self.width, self.height, self.K.tobytes(), self.R.tobytes(), self.t.tobytes()))

    def project(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Return where points of the world fall in the picture.

        Args:
            points: (N, 3) metres, world coordinates.

        Returns:
            (N, 2) pixels x, y; nan for points that are not in front of the camera or lie outside `lens_edge`.
        """
        local = np.asarray(points, np.float64) @ self.R.T + self.t
        z = np.where(local[:, 2] > 1e-9, local[:, 2], np.nan)
        x, y = local[:, 0] / z, local[:, 1] / z
        k1, k2, p1, p2, k3 = self.dist
        r2 = x * x + y * y
        r2[r2 > self.lens_edge() ** 2] = np.nan
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        distorted = np.stack([u, v, np.ones_like(u)], axis=1)
        return (distorted @ self.K.T)[:, :2]

    def rays(self, pixels: NDArray[Any]) -> NDArray[np.float64]:
        """Return the directions, in the world, of the points that fall on pixels.

        Args:
            pixels: (N, 2) x, y.

        Returns:
            (N, 3), one metre along the optical axis; nan where no point inside `lens_edge` falls on the pixel.
        """
        seen = np.column_stack([np.asarray(pixels, np.float64), np.ones(len(pixels))]) @ np.linalg.inv(self.K).T
        plain = replace(self, K=np.eye(3), R=np.eye(3), t=np.zeros(3))
        at = seen.copy()
        for _ in range(_TRIES):  # Newton's rule
            bent = plain.project(at)
            slope = np.stack([(plain.project(at + _STEP * axis) - bent) / _STEP for axis in np.eye(2, 3)], 2)
            at[:, :2] += np.linalg.solve(slope, (seen[:, :2] - bent)[..., None])[..., 0]
        missed = np.abs(plain.project(at) - seen[:, :2]).max(1)
        at[~(missed < _STEP)] = np.nan
        return at @ self.R

    def lens_edge(self) -> float:
        """Return the radius at which the lens folds, as `View.lens_edge` of the voxels."""
        k1, k2, p1, p2, k3 = self.dist
        roots = np.roots([1, -6 * math.hypot(p1, p2), 3 * k1, 0, 5 * k2, 0, 7 * k3])  # of 1 / r
        real = roots.real[(np.abs(roots.imag) < 1e-6 * np.abs(roots)) & (roots.real > 1e-9)]
        return float(1 / real.max()) if real.size else math.inf

    def centre(self) -> NDArray[np.float64]:
        """Return the position of the camera: (3,) metres, world coordinates."""
        return -self.R.T @ self.t

    def halved(self) -> "Camera":
        """Return the camera of a picture that has one pixel for every 2x2 of this one.

        Pixel (i, j) of the picture has its centre at (2i + 0.5, 2j + 0.5) of the sensor, so the principal point
        moves by a quarter of a pixel; the lens stays as it is.
        """
        K = self.K.copy()
        K[:2] *= 0.5
        K[:2, 2] -= 0.25
        return replace(self, width=self.width // 2, height=self.height // 2, K=K)

    def sized(self, width: int, height: int) -> "Camera":
        """Return the same camera with the picture size filled in."""
        return replace(self, width=width, height=height)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists and numbers, without the id (it is the key in every file)."""
        lists = {name: getattr(self, name).tolist() for name in ("K", "dist", "R", "t")}
        return {"width": self.width, "height": self.height, **lists}

    @classmethod
    def from_json(cls, id: str, data: dict[str, Any]) -> "Camera":
        """Read what `to_json` wrote.

        Raises:
            CalibrationError: a field is missing or is not a number.
        """
        if missing := [key for key in ("width", "height", "K", "R", "t") if key not in data]:
            raise _refused(id, f"the calibration has no {', '.join(missing)}", "Add it.")
        sides = _floats([data["width"], data["height"]], "width or height", id)
        if not (sides == np.rint(sides)).all() or not np.isfinite(sides).all():
            raise _refused(id, "width or height is not a number of pixels", "Correct the calibration file.")
        given = _floats(data.get("dist", []), "dist", id).ravel()
        if np.any(given[5:]):
            fix = "Calibrate with the five-coefficient model k1, k2, p1, p2, k3."
            raise _refused(id, f"dist has {given.size} coefficients", fix)
        dist = np.pad(given[:5], (0, max(0, 5 - given.size)))
        return cls(id, int(sides[0]), int(sides[1]), data["K"], dist, data["R"], data["t"])


def _floats(value: Any, name: str, id: str) -> NDArray[np.float64]:
    """Return a float64 copy; null and ragged lists of JSON are refused here instead of deep inside numpy."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise _refused(id, f"{name} is not made of numbers", "Correct the calibration file.") from error


def _refused(id: str, what: str, fix: str = "Calibrate this camera again.") -> CalibrationError:
    return CalibrationError(what, where=f"camera {id}", fix=fix)
