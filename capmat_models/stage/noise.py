"""Noise and flicker of a camera, from a few frames of the empty stage.

The difference of two frames of a still stage is noise alone. Its variance grows with the light: photons arrive at
random and give a part in proportion to it, the amplifier gives a constant part (the epsilon of Eq. 2, paper, Sec. 3).
Differences between neighbours two pixels apart cancel what changes slowly across the picture (flicker, shadows), and
are independent even in an interpolated mosaic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BINS = 16
_ENOUGH = 40
"""Least pixels of one level; the variance of fewer says nothing."""
_QUANTILE, _DEVIATIONS = 0.8, 1.2816
"""Four in five values of a normal distribution lie within so many deviations; the rest may be outliers."""
_NEAR = 0.1
"""Largest distance of a pixel's ratio from the median; pixels that moved are farther."""
DARK, BRIGHT = 0.004, 0.95
"""Linear light between which the sensor clips neither the noise nor the picture."""


@dataclass(frozen=True)
class Noise:
    """How noisy one frame of a camera is.

    Attributes:
        photon: variance per linear light; its inverse is the full well in electrons, where white is 1.
        read: standard deviation in the dark, in linear light.
        levels: (L,) linear light at which the noise was measured, rising.
        spread: (L,) standard deviation there, as measured.
    """

    photon: float
    read: float
    levels: NDArray[np.float64]
    spread: NDArray[np.float64]

    def at(self, light: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard deviation at some linear light, by the fitted line of variances."""
        return np.sqrt(self.read**2 + self.photon * light)


def measure_noise(frames: Sequence[Floats], use: NDArray[np.bool_] | None = None) -> Noise | None:
    """Measure noise by level and fit its photon and read parts.

    Args:
        frames: two or more pictures of the same view, (C, H, W) linear light 0..1.
        use: (H, W), False where something moved; None for everywhere.

    Returns:
        None if the pictures are too dark, too bright or too small, or if there are fewer than two.
    """
    pairs = list(zip(frames[:-1:2], frames[1::2], strict=True)) if len(frames) % 2 == 0 else list(
        zip(frames[:-1], frames[1:], strict=True)
    )  # fmt: skip
    means, gaps = [], []
    for first, second in pairs:
        level = (first + second) / 2
        gap = second - first
        apart = (gap[..., 2:] - gap[..., :-2]) / 2
        steady = (level[..., 2:] + level[..., :-2]) / 2
        good = (steady > DARK) & (steady < BRIGHT) & (np.abs(level[..., 2:] - level[..., :-2]) < 0.2 * steady)
        if use is not None:
            good &= use[:, 2:] & use[:, :-2]
        means.append(steady[good])
        gaps.append(np.abs(apart[good]))
    if not pairs or sum(map(len, means)) < 2 * _ENOUGH:
        return None
    return fit_noise(*_by_level(np.concatenate(means), np.concatenate(gaps), _QUANTILE, _DEVIATIONS))


def noise_of_map(mean: Floats, spread: Floats) -> Noise | None:
    """Noise by level, from a plate's noise map.

    Args:
        mean: the plate, (C, H, W) linear light.
        spread: standard deviation of one frame, of the same shape.

    Returns:
        None if the plate is too dark or too bright.
    """
    good = (mean > DARK) & (mean < BRIGHT)
    if good.sum() < 2 * _ENOUGH:
        return None
    return fit_noise(*_by_level(mean[good], spread[good], 0.5, 1.0))


def times_noisier(noise: Noise, other: Noise) -> float:
    """How many times noisier `noise` is than `other`, over the levels at which it was measured."""
    return float(np.median(noise.spread / np.maximum(other.at(noise.levels), 1e-9)))


def fit_noise(levels: NDArray[np.float64], spread: NDArray[np.float64], count: NDArray[np.float64]) -> Noise | None:
    """Fit variance = read^2 + photon * light, both parts 0 or more.

    Args:
        levels: (L,) linear light.
        spread: (L,) standard deviation there.
        count: (L,) pixels measured at each.

    Returns:
        None if no level has noise, as in synthetic pictures.
    """
    if not len(levels) or not spread.any():
        return None
    # The variance of a variance is 2 / n of its square; quiet levels must not weigh without limit.
    weight = np.sqrt(count) / np.maximum(spread**2, 0.05 * float(np.mean(spread**2)))
    terms, wanted = np.stack([levels, np.ones_like(levels)], 1) * weight[:, None], spread**2 * weight
    photon, dark = np.linalg.lstsq(terms, wanted, rcond=None)[0]
    if min(photon, dark) < 0:  # the better of the two fits with one part
        alone = terms.T @ wanted / np.square(terms).sum(axis=0)
        photon, dark = (alone[0], 0.0) if dark < 0 else (0.0, alone[1])
    return Noise(float(photon), float(np.sqrt(dark)), levels, spread)


def _by_level(
    means: Floats, sizes: Floats, quantile: float, deviations: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Levels, the standard deviation at each and its pixels; `quantile` of the sizes lies below `deviations`."""
    edges = np.unique(np.quantile(means, np.linspace(0, 1, _BINS + 1)))
    bins = np.clip(np.searchsorted(edges, means, side="right") - 1, 0, max(len(edges) - 2, 0))
    rows = []
    for number in np.unique(bins):
        inside = bins == number
        if inside.sum() >= _ENOUGH:
            spread = np.quantile(sizes[inside], quantile) / deviations
            rows.append((means[inside].mean(dtype=np.float64), float(spread), float(inside.sum())))
    table = np.array(rows, np.float64).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2]


def brightness(frames: Sequence[Floats], use: NDArray[np.bool_] | None = None) -> NDArray[np.float64] | None:
    """How bright every frame of the empty stage is, relative to their median.

    Args:
        frames: (C, H, W) linear light.
        use: (H, W), False where something moved.

    Returns:
        (N,) factors around 1; None for fewer than two frames, or if nothing in them is lit.
    """
    if len(frames) < 2:
        return None
    usual = np.median(frames, axis=0)
    lit = (usual > 2 * DARK) & (usual < BRIGHT)
    lit &= True if use is None else use
    if lit.sum() < _ENOUGH:
        return None
    factors = []
    for frame in frames:
        ratio = frame[lit] / usual[lit]
        near = np.abs(ratio - np.median(ratio)) < _NEAR
        # Sums and not a ratio: ratios of eight bits have few values.
        factors.append(float(frame[lit][near].sum(dtype=np.float64) / usual[lit][near].sum(dtype=np.float64)))
    return np.array(factors)
