"""Does a shot still lie on its plate? Sub-pixel registration that a subject does not disturb.

Corners of the plate are followed into the shot and back (pyramidal Lucas-Kanade), and RANSAC drops those that do not
move with the stage. Of a shift, a similarity and a homography, the simplest that explains the others is taken. All of
it sees contrast against the surroundings alone, so that exposure does not matter.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]

_CORNERS = 2000
_QUALITY = 0.02
"""Least quality of a corner, as a share of the best one's."""
_LEAST = 12
"""Corners that must be found again."""
_FITS = 0.05
"""Share of the corners that must be found again."""
_BACK = 0.3
"""Pixels by which a corner may miss its start when it is followed back."""
_NEAR = 0.3
"""Pixels from which on a corner does not move with the stage."""
_SIMPLER = (1.15, 0.01)
"""A model may be simpler if its typical error is at most so many times that of the best one, plus so many pixels."""
_NUMBERS = {"shift": 2, "similarity": 4, "homography": 8}
_AROUND = 8.0
"""Deviation of the Gaussian that is the surroundings of a pixel, in pixels."""
_FAINT = 0.04
"""Contrast that counts as noise."""


@dataclass(frozen=True)
class Registration:
    """How a shot lies on its plate.

    Attributes:
        matrix: (3, 3) homography from the plate's pixels (x, y) to those of the shot.
        kind: "shift", "similarity" or "homography"; "none" if the plate's corners are not found in the shot, which
            then shows another view or another stage.
        size: (height, width) of the pictures.
        error: standard error of x and y, pixels; large on a stage without texture.
        support: share (0..1) of the plate's corners that lie in the shot where the matrix says.
    """

    matrix: Matrix
    kind: str
    size: tuple[int, int]
    error: float
    support: float

    @property
    def x(self) -> float:
        """Shift to the right in the middle of the picture, pixels."""
        return float(self._shift(0.5, 0.5)[0])

    @property
    def y(self) -> float:
        """Shift down in the middle of the picture, pixels."""
        return float(self._shift(0.5, 0.5)[1])

    @property
    def turn(self) -> float:
        """Radians, clockwise."""
        across = self._shift(1, 0.5) - self._shift(0, 0.5)
        return float(np.arctan2(across[1], across[0] + self.size[1] - 1))

    @property
    def scale(self) -> float:
        """How much larger the shot is across, 0 for the same size."""
        across = self._shift(1, 0.5) - self._shift(0, 0.5)
        return float(np.hypot(across[0] + self.size[1] - 1, across[1]) / (self.size[1] - 1) - 1)

    @property
    def farthest(self) -> float:
        """Length of the shift at the corner of the picture where it is largest, pixels."""
        return max(float(np.hypot(*self._shift(x, y))) for x in (0, 1) for y in (0, 1))

    def to_json(self) -> dict[str, Any]:
        """Plain values, for `from_json`."""
        return {**asdict(self), "matrix": self.matrix.tolist(), "size": list(self.size)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Registration":
        """Read what `to_json` wrote."""
        return cls(**{**data, "matrix": np.array(data["matrix"]), "size": tuple(data["size"])})

    def inside(self, mask: Mask) -> Mask:
        """A mask (H, W) of the plate as it lies under the shot; False beyond the plate's border."""
        import cv2

        return np.asarray(cv2.warpPerspective(mask.astype(np.float32), self.matrix, self.size[::-1]) > 0.99)

    def __str__(self) -> str:
        parts = [f"{self.x:+.2f} px right, {self.y:+.2f} px down"]
        if abs(self.turn) > 2e-4:
            parts.append(f"turned by {np.degrees(self.turn):.3f} degrees")
        if abs(self.scale) > 2e-4:
            parts.append(f"{100 * self.scale:+.2f} % in size")
        return f"{', '.join(parts)}; {self.farthest:.2f} px at the corner"

    def _shift(self, x: float, y: float) -> NDArray[np.float64]:
        """By how much a point moves, given as shares of width and height."""
        at = np.array([x * (self.size[1] - 1), y * (self.size[0] - 1), 1])
        moved = self.matrix @ at
        return np.asarray(moved[:2] / moved[2] - at[:2])

    def enlarged(self, factor: float, size: tuple[int, int]) -> "Registration":
        """The same move in pictures `factor` times as large, of `size` (height, width)."""
        grow = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1]])
        matrix = grow @ self.matrix @ np.linalg.inv(grow)
        return Registration(matrix / matrix[2, 2], self.kind, size, self.error * factor, self.support)


def register(plate: Floats, shot: Floats, use: Mask) -> Registration | None:
    """Register a shot to its plate.

    Args:
        plate: the empty stage, (H, W) display-referred or the square root of linear light, 0..1.
        shot: the same view, occupied.
        use: (H, W), False where the plate is clipped or known to be the subject.

    Returns:
        None if the plate has too few corners. If they are not found again, the kind is "none".
    """
    import cv2

    empty, full = _contrast(plate), _contrast(shot)
    corners = cv2.goodFeaturesToTrack(empty, _CORNERS, _QUALITY, 5, mask=use.astype(np.uint8), blockSize=5)
    if corners is None or len(corners) < _LEAST:
        return None
    start, end = _followed(empty, full, corners, (0.0, 0.0))
    if len(start) < len(corners) / 2:  # perhaps it moved farther than corners are followed
        window = cv2.createHanningWindow(plate.shape[::-1], cv2.CV_32F)
        far = cv2.phaseCorrelate(empty.astype(np.float32), full.astype(np.float32), window)[0]
        start, end = max((start, end), _followed(empty, full, corners, far), key=lambda pair: len(pair[0]))
    size = (plate.shape[0], plate.shape[1])
    if len(start) >= _LEAST:
        inliers = cv2.findHomography(start, end, cv2.USAC_MAGSAC, _NEAR, maxIters=5000, confidence=0.9999)[1]
        near = np.zeros(len(start), bool) if inliers is None else inliers.ravel() > 0
        if near.sum() >= max(_LEAST, _FITS * len(corners)):
            return _simplest(start[near], end[near], size, len(corners))
    return Registration(np.eye(3), "none", size, np.inf, 0.0)


def _simplest(start: NDArray[Any], end: NDArray[Any], size: tuple[int, int], corners: int) -> Registration:
    """The simplest move that explains how corners (N, 2) of the stage moved."""
    import cv2

    shift = np.eye(3)
    shift[:2, 2] = np.mean(end - start, axis=0)
    models: dict[str, NDArray[Any]] = {"shift": shift}
    if (similar := cv2.estimateAffinePartial2D(start, end, method=cv2.LMEDS)[0]) is not None:
        models["similarity"] = np.vstack([similar, [0, 0, 1]])
    if (full := cv2.findHomography(start, end, 0)[0]) is not None:
        models["homography"] = full
    gaps = {
        kind: np.hypot(*(cv2.perspectiveTransform(start[None], matrix)[0] - end).T) for kind, matrix in models.items()
    }
    # The more numbers a model has, the better it fits few corners by chance: the penalty is that of BIC.
    count = 2 * len(start)
    typical = {kind: float(np.median(gaps[kind])) * count ** (_NUMBERS[kind] / count) for kind in models}
    kind = next(kind for kind in models if typical[kind] <= _SIMPLER[0] * min(typical.values()) + _SIMPLER[1])
    error = float(np.sqrt(np.mean(gaps[kind] ** 2) / 2 / len(start)))  # a gap has two coordinates
    return Registration(models[kind], kind, size, error, len(start) / corners)


def _followed(
    empty: NDArray[np.uint8], full: NDArray[np.uint8], corners: NDArray[Any], far: Sequence[float]
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Where corners (N, 1, 2) of the plate lie in the shot: (M, 2) here and there, of those that lead back."""
    import cv2

    how: dict[str, Any] = {
        "winSize": (15, 15),
        "maxLevel": 4,
        "criteria": (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 30, 0.005),
        "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    }
    there, seen, _ = cv2.calcOpticalFlowPyrLK(empty, full, corners, corners + np.asarray(far, np.float32), **how)
    back, again, _ = cv2.calcOpticalFlowPyrLK(full, empty, there, corners.copy(), **how)
    found = ((seen > 0) & (again > 0)).ravel() & (np.hypot(*(back - corners).reshape(-1, 2).T) < _BACK)
    return corners.reshape(-1, 2)[found], there.reshape(-1, 2)[found]


def _contrast(picture: Floats) -> NDArray[np.uint8]:
    """A picture (H, W) as contrast against its surroundings, in units of the contrast there."""
    import cv2

    fine = picture - cv2.GaussianBlur(picture, (0, 0), _AROUND)
    spread = np.sqrt(cv2.GaussianBlur(fine * fine, (0, 0), _AROUND) + np.float32(_FAINT**2))
    return np.clip(128 + 40 * fine / spread, 0, 255).astype(np.uint8)


def lay_under(plate: Floats, moved: Registration) -> Floats:
    """The plate as it lies under the shot: (..., H, W); borders repeat."""
    import cv2

    height, width = plate.shape[-2:]
    out = [
        cv2.warpPerspective(
            plane, moved.matrix, (width, height), flags=cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE
        )
        for plane in plate.reshape(-1, height, width)
    ]
    return np.stack(out).astype(np.float32, copy=False).reshape(plate.shape)


def detail_ratio(plate: Floats, shot: Floats, use: Mask) -> float | None:
    """How much of the plate's finest detail a shot shows: below 1 the shot is softer, above 1 the plate.

    Only energy that both pictures share counts, so that noise does not pass for detail.

    Args:
        plate: as it lies under the shot, (H, W) linear light with the shot's exposure.
        shot: (H, W).
        use: (H, W), False for the subject and where clipped.

    Returns:
        None without detail.
    """
    from scipy.ndimage import binary_erosion, gaussian_filter

    good = binary_erosion(use, iterations=3)
    empty, full = (np.sqrt(np.maximum(picture, 0)) for picture in (plate, shot))
    fine = [picture - gaussian_filter(picture, 1.0) for picture in (empty, full)]
    rough = [gaussian_filter(picture, 1.0) - gaussian_filter(picture, 3.0) for picture in (empty, full)]
    if good.sum() < 400:
        return None
    # Only edges that both have: what changed has edges of its own.
    strong = good & (np.abs(fine[0]) > np.quantile(np.abs(fine[0][good]), 0.9)) & (rough[0] * rough[1] > 0)
    if strong.sum() < 40 or float(np.abs(fine[0][strong]).mean()) < 0.004:
        return None
    return float(np.median(fine[1][strong] / fine[0][strong]))
