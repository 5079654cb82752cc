"""Gaussian noise for teacher training, Sec. 5.1 of the capture-stage paper.

The paper says "a standard deviation of up to 0.1" and leaves the distribution and the input open. Decided
here: the level is uniform in 0..0.1 for each sample, and source and background have levels of their own,
because on a stage the frame is one noisy exposure while the plate is the mean of many.
"""

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

HIGHEST = 0.1


def add_noise(
    rng: Generator,
    sample: dict[str, NDArray[np.float32]],
    *,
    highest: float = HIGHEST,
    probability: float = 1.0,
) -> dict[str, NDArray[np.float32]]:
    """Return the sample with noise on `src` and `bgr`; what it holds besides is passed on.

    Args:
        rng: where the draws come from.
        sample: `src` and `bgr` are (3,H,W) in 0..1.
        highest: the largest standard deviation; 0 switches noise off.
        probability: that this sample gets any.

    Returns:
        A new dict, `src` and `bgr` clipped to 0..1 like everything that a camera delivers.
    """
    if highest == 0 or rng.random() >= probability:
        return sample
    return {**sample, **{key: _noisy(rng, sample[key], rng.uniform(0, highest)) for key in ("src", "bgr")}}


def _noisy(rng: Generator, picture: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    noisy = rng.standard_normal(picture.shape, np.float32)
    noisy *= np.float32(sigma)
    noisy += picture
    return np.clip(noisy, 0, 1, out=noisy)
