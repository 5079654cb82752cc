"""How sure a mean over few pictures is: percentile bootstrap intervals.

A benchmark has a dozen pictures, and their errors are skewed: some are hard and most are easy. Resampling the
pictures assumes nothing about the shape, and its seed is fixed, so the same figures always get the same interval.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

LEVEL = 0.95
RESAMPLES = 4000


def mean_interval(
    values: Sequence[float], *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> tuple[float, float] | None:
    """The interval in which the mean of such pictures lies.

    Args:
        values: one per picture, finite.
        level: share of the resampled means inside.
        resamples: how often pictures are drawn again, with replacement.
        seed: of the draws.

    Returns:
        (low, high); None for fewer than two pictures, of which nothing can be said.
    """
    if len(values) < 2:
        return None
    return _interval(_means(np.asarray(values, np.float64), resamples, seed), level)


def ratio_interval(
    values: Sequence[float],
    others: Sequence[float],
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float] | None:
    """As `mean_interval`, of mean(values) / mean(others) on the same pictures, which are drawn in pairs.

    Much narrower than the two intervals suggest where both models find the same pictures hard.

    Returns:
        (low, high); None for fewer than two pictures, or where a resample of the others is all 0.
    """
    if len(values) < 2:
        return None
    below = _means(np.asarray(others, np.float64), resamples, seed)
    if not (below > 0).all():
        return None
    return _interval(_means(np.asarray(values, np.float64), resamples, seed) / below, level)


def _means(values: NDArray[np.float64], resamples: int, seed: int) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).integers(0, len(values), (resamples, len(values)))
    means: NDArray[np.float64] = values[drawn].mean(axis=1)
    return means


def _interval(means: NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(low), float(high)
