"""How sure a mean over few pictures is, and whether two differ by more than chance.

A benchmark has a dozen pictures, and their errors are skewed: some are hard and most are easy. Percentile bootstrap
intervals and a permutation test assume nothing about the shape. Their seed is fixed, so the same figures always get
the same answer. The interval says how large a difference is. On a dozen pictures it is too narrow to say whether
there is one: of two equally good models it calls one better in 11 to 15 of 100 cases, and the test in 5.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap, permutation_test

LEVEL = 0.95
FEWEST = 6
"""Pictures that an interval needs. With 5, chance alone lets all of them speak for one model 6 times in 100."""
RESAMPLES = 4000
"""How often pictures are drawn again, with replacement."""
_EXCHANGES = 9999
_AT_ONCE = 500  # exchanges; all together would need a gigabyte for thousands of pictures


def mean_interval(values: Sequence[float], *, resamples: int = RESAMPLES) -> tuple[float, float] | None:
    """The interval (low, high) of the mean of such pictures; None for fewer than `FEWEST`.

    Args:
        values: one per picture, finite.
        resamples: how often pictures are drawn again.
    """
    return _interval((values,), np.mean, resamples)


def ratio_interval(values: Sequence[float], others: Sequence[float]) -> tuple[float, float] | None:
    """As `mean_interval`, of mean(values) / mean(others) on the same pictures, which are drawn in pairs.

    Where both models find the same pictures hard, it is much narrower than the two intervals suggest. None also where
    a resample of the others is all 0.
    """
    return _interval((values, others), lambda a, b, axis: a.mean(axis) / b.mean(axis), RESAMPLES)


def by_chance(values: Sequence[float], others: Sequence[float]) -> float:
    """How often (0..1) two equally good models differ by as much as these two do in their means, or by more.

    Were they equally good, the two errors of a picture could as well be exchanged. Up to 13 pictures every such
    exchange is tried, from there on 9999 that are drawn.

    Args:
        values: one per picture, finite.
        others: of the other model, on the same pictures.
    """
    test = permutation_test(
        (values, others), lambda a, b, axis: a.mean(axis) - b.mean(axis), permutation_type="samples", vectorized=True,
        n_resamples=_EXCHANGES, batch=_AT_ONCE, rng=np.random.default_rng(0),
    )  # fmt: skip
    return float(test.pvalue)


def _interval(
    samples: Sequence[Sequence[float]], statistic: Callable[..., NDArray[np.float64]], resamples: int
) -> tuple[float, float] | None:
    if len(samples[0]) < FEWEST:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        drawn = bootstrap(
            samples, statistic, n_resamples=resamples, vectorized=True, paired=True, confidence_level=LEVEL,
            method="percentile", rng=np.random.default_rng(0),
        )  # fmt: skip
    if not np.isfinite(drawn.bootstrap_distribution).all():
        return None
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)
