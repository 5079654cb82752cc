"""One calibrated camera, in the one convention that capmat uses.

OpenCV, world to camera: `x_cam = R @ x_world + t`, x right, y down, z forward; metres; pixel centres at whole
numbers. Readers of other formats convert on the way in, so nobody downstream asks again.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import CalibrationError


@dataclass(frozen=True, eq=False)
class Camera:
    """A pinhole with Brown-Conrady distortion.

    Attributes:
        id: the camera's name, as in the folder names of a session.
        width: picture width in pixels; 0 when the calibration file does not say (see `sized`).
        height: picture height in pixels; 0 likewise.
        K: (3, 3) float64, pixels.
        dist: (5,) float64, OpenCV order k1, k2, p1, p2, k3.
        R: (3, 3) float64, rotation world to camera.
        t: (3,) float64, metres.

    Raises:
        CalibrationError: a number is not finite, a side of the picture is below 0 or huge, K is no camera matrix,
            or R is no rotation.
    """

    id: str
    width: int
    height: int
    K: NDArray[np.float64]
    dist: NDArray[np.float64]
    R: NDArray[np.float64]
    t: NDArray[np.float64]

    def __post_init__(self) -> None:
        where = f"camera {self.id}"
        for name in ("width", "height"):
            if not 0 <= getattr(self, name) <= 1_000_000:
                fix = "Correct the calibration file."
                raise CalibrationError(f"{name} is no number of pixels", where=where, fix=fix)
        for name, shape in (("K", (3, 3)), ("dist", (5,)), ("R", (3, 3)), ("t", (3,))):
            value = _floats(getattr(self, name), name, where)
            if value.shape != shape:
                raise CalibrationError(
                    f"{name} has shape {value.shape}, not {shape}",
                    where=where,
                    fix="Correct the calibration file.",
                )
            if not np.isfinite(value).all():
                raise CalibrationError(
                    f"{name} holds a value that is not finite",
                    where=where,
                    fix="Calibrate this camera again.",
                )
            value.setflags(write=False)
            object.__setattr__(self, name, value)
        if self.K[0, 0] <= 0 or self.K[1, 1] <= 0 or not np.allclose(self.K[2], (0, 0, 1)):
            raise CalibrationError("K is no camera matrix", where=where, fix="Calibrate this camera again.")
        if not np.allclose(self.R @ self.R.T, np.eye(3), atol=1e-3) or np.linalg.det(self.R) < 0:
            raise CalibrationError(
                "R is no rotation", where=where, fix="Check that the file holds world-to-camera rotations."
            )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Camera) and self.to_json() == other.to_json() and self.id == other.id

    def __hash__(self) -> int:
        return hash((self.id, self.width, self.height, self.K.tobytes(), self.R.tobytes(), self.t.tobytes()))

    def project(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """Where points of the world fall in the picture.

        Args:
            points: (N, 3) metres, world coordinates.

        Returns:
            (N, 2) pixels x, y; nan for points that are not in front of the camera.
        """
        seen = np.asarray(points, np.float64) @ self.R.T + self.t
        z = np.where(seen[:, 2] > 1e-9, seen[:, 2], np.nan)
        x, y = seen[:, 0] / z, seen[:, 1] / z
        k1, k2, p1, p2, k3 = self.dist
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
        bent = np.stack([u, v, np.ones_like(u)], axis=1)
        return (bent @ self.K.T)[:, :2]

    def centre(self) -> NDArray[np.float64]:
        """Where the camera stands: (3,) metres, world coordinates."""
        return -self.R.T @ self.t

    def halved(self) -> "Camera":
        """The camera of a picture that has one pixel for every 2x2 of this one.

        Pixel (i, j) of the picture has its centre at (2i + 0.5, 2j + 0.5) of the sensor, so the principal point
        moves by a quarter of a pixel; the lens stays as it is.
        """
        K = self.K.copy()
        K[:2] *= 0.5
        K[:2, 2] -= 0.25
        return replace(self, width=self.width // 2, height=self.height // 2, K=K)

    def sized(self, width: int, height: int) -> "Camera":
        """The same camera with the picture size filled in."""
        return replace(self, width=width, height=height)

    def to_json(self) -> dict[str, Any]:
        """Plain lists and numbers, without the id (it is the key in every file)."""
        return {
            "width": self.width,
            "height": self.height,
            "K": self.K.tolist(),
            "dist": self.dist.tolist(),
            "R": self.R.tolist(),
            "t": self.t.tolist(),
        }

    @classmethod
    def from_json(cls, id: str, data: dict[str, Any]) -> "Camera":
        """Read what `to_json` wrote.

        Raises:
            CalibrationError: a field is missing or is no number.
        """
        missing = [key for key in ("width", "height", "K", "R", "t") if key not in data]
        if missing:
            raise CalibrationError(
                f"the calibration has no {', '.join(missing)}", where=f"camera {id}", fix="Add it."
            )
        dist = np.zeros(5)
        given = _floats(data.get("dist", []), "dist", f"camera {id}").ravel()
        if given.size > 5 and np.any(given[5:]):
            raise CalibrationError(
                f"dist has {given.size} coefficients",
                where=f"camera {id}",
                fix="Calibrate with the five-coefficient model k1, k2, p1, p2, k3.",
            )
        dist[: min(5, given.size)] = given[:5]
        return cls(id, int(data["width"]), int(data["height"]), data["K"], dist, data["R"], data["t"])


def _floats(value: Any, name: str, where: str) -> NDArray[np.float64]:
    """A float64 copy; json's null and ragged lists end here instead of deep inside numpy."""
    try:
        return np.array(value, np.float64)
    except (TypeError, ValueError) as error:
        raise CalibrationError(
            f"{name} is not made of numbers", where=where, fix="Correct the calibration file."
        ) from error
