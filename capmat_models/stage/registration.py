"""Does a shot still lie on its plate? Sub-pixel registration that a subject does not disturb.

Phase correlation finds a large move. Gauss-Newton steps then find shift, turn, scale and exposure, with weights that
ignore the subject and shadows. All on square roots of linear light, where photon noise has one level.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_STEPS = 12
_PIXELS = 60_000
_LEAST = 0.15
"""Share of the pixels that must be usable."""


@dataclass(frozen=True)
class Registration:
    """How a shot lies on its plate.

    Attributes:
        x: shift to the right in the middle of the picture, pixels.
        y: shift down, pixels.
        turn: radians, clockwise.
        scale: how much larger the shot is, 0 for the same size.
        farthest: length of the shift at the corner of the picture where it is largest, pixels.
        error: standard error of x and y, pixels; large on a stage without texture.
    """

    x: float
    y: float
    turn: float
    scale: float
    farthest: float
    error: float


def register(plate: Floats, shot: Floats, use: Mask) -> Registration | None:
    """Register a shot to its plate.

    Args:
        plate: the empty stage, (H, W) linear light 0..1.
        shot: the same view, occupied.
        use: (H, W), False where clipped or known to be the subject.

    Returns:
        None if too little can be used, or it has no edges.
    """
    empty, full = (np.sqrt(np.maximum(picture, 0)).astype(np.float64) for picture in (plate, shot))
    if use.mean() < _LEAST or empty[use].std() < 1e-4 or full[use].std() < 1e-4:
        return None
    starts = {(0.0, 0.0), phase_shift(empty, full, use)}
    fits = [fit for start in starts if (fit := _refine(empty, full, use, start)) is not None]
    return min(fits, key=lambda fit: fit[1])[0] if fits else None


def phase_shift(plate: NDArray[np.float64], shot: NDArray[np.float64], use: Mask) -> tuple[float, float]:
    """Whole pixels (x, y) by which a shot is shifted, by phase correlation of its edges; (0, 0) if that fails.

    Args:
        plate: (H, W).
        shot: (H, W).
        use: (H, W).
    """
    height, width = plate.shape
    window = np.outer(np.hanning(height), np.hanning(width)) * use
    spectra = [np.fft.rfft2(_edges(picture) * window) for picture in (plate, shot)]
    cross = spectra[1] * np.conj(spectra[0])
    surface = np.fft.irfft2(cross / (np.abs(cross) + 1e-3 * np.abs(cross).max() + 1e-30), s=plate.shape)
    row, column = np.unravel_index(int(np.argmax(surface)), surface.shape)
    y, x = (int(at) - side if at > side // 2 else int(at) for at, side in ((row, height), (column, width)))
    return (float(x), float(y)) if max(abs(x) / width, abs(y) / height) < 0.25 else (0.0, 0.0)


def _edges(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    dy, dx = np.gradient(picture)
    return np.hypot(dx, dy)


def _refine(
    plate: NDArray[np.float64], shot: NDArray[np.float64], use: Mask, start: tuple[float, float]
) -> tuple[Registration, float] | None:
    """Gauss-Newton from a start; also the median residual."""
    from scipy.ndimage import map_coordinates, spline_filter

    height, width = plate.shape
    half = np.hypot(height, width) / 2
    rows, columns = np.nonzero(use)
    if len(rows) > _PIXELS:  # a sample of a large picture is enough
        some = np.random.default_rng(0).choice(len(rows), _PIXELS, replace=False)
        rows, columns = rows[some], columns[some]
    u, v = (columns - (width - 1) / 2) / half, (rows - (height - 1) / 2) / half
    splines = [spline_filter(picture, order=3) for picture in (plate, *np.gradient(plate))]
    x, y, turn, scale = (*start, 0.0, 0.0)  # turn and scale in pixels at a corner
    middle, error, gain, offset = np.inf, np.inf, 0.0, 0.0
    for step in range(_STEPS):
        # Where the plate lies under the shot; pixels from beyond its border do not count.
        at = np.stack([rows - y - scale * v - turn * u, columns - x - scale * u + turn * v])
        inside = np.all((at >= 1) & (at <= np.array([[height - 2], [width - 2]])), axis=0)
        if inside.sum() < _LEAST * len(rows):
            return None
        moved, dy, dx = (
            map_coordinates(spline, at[:, inside], order=3, prefilter=False, mode="nearest") for spline in splines
        )
        a, b, wanted = u[inside], v[inside], shot[rows[inside], columns[inside]]
        terms = np.stack([-dx, -dy, dx * b - dy * a, -dx * a - dy * b, moved, np.ones_like(moved)])
        if step == 0:
            gain = np.median(wanted) / max(float(np.median(moved)), 1e-6)
        gap = wanted - gain * moved - offset
        middle = float(np.median(np.abs(gap)))
        limit = 4.685 * 1.4826 * middle + 1e-6
        weight = np.square(1 - np.square(np.minimum(np.abs(gap) / limit, 1)))  # Tukey's
        normal = (terms * weight) @ terms.T
        if np.linalg.cond(normal) > 1e12:
            return None
        inverse = np.linalg.inv(normal)
        change = inverse @ ((terms * weight) @ gap)
        error = float(np.sqrt(np.sum(weight * gap * gap) / max(weight.sum(), 1) * max(inverse[0, 0], inverse[1, 1])))
        slope = max(float(gain), 1e-3)
        x, y = x + change[0] / slope, y + change[1] / slope
        turn, scale = turn + change[2] / slope, scale + change[3] / slope
        gain, offset = gain + change[4], offset + change[5]
        if np.abs(change[:4]).max() / slope < 1e-3:
            break
    corners = [(np.sign(a) * width / 2 / half, np.sign(b) * height / 2 / half) for a in (-1, 1) for b in (-1, 1)]
    farthest = max(np.hypot(x + scale * a - turn * b, y + scale * b + turn * a) for a, b in corners)
    return Registration(x, y, turn / half, scale / half, float(farthest), error / slope), middle


def lay_under(plate: Floats, moved: Registration) -> Floats:
    """The plate as it lies under the shot: (..., H, W), by cubic splines; borders repeat."""
    from scipy.ndimage import map_coordinates

    height, width = plate.shape[-2:]
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    u, v = columns - (width - 1) / 2, rows - (height - 1) / 2
    at = np.stack(
        [rows - moved.y - moved.scale * v - moved.turn * u, columns - moved.x - moved.scale * u + moved.turn * v]
    )
    planes = plate.reshape(-1, height, width)
    out = [map_coordinates(plane, at, order=3, mode="nearest", output=np.float32) for plane in planes]
    return np.stack(out).reshape(plate.shape)


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
