"""The augmentations of BackgroundMattingV2 for real frames, so that a student tolerates noise and light of a stage.

The numbers are the original's, gathered from its training loop. Its shadow is for composites, which have their own
(`capmat_models.data.composites`).
"""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from capmat_models.data.base import Sample
from capmat_models.data.filters import sampled

HIGHEST = 0.1


def add_noise(
    rng: Generator,
    sample: dict[str, NDArray[np.float32]],
    *,
    highest: float = HIGHEST,
    probability: float = 1.0,
) -> dict[str, NDArray[np.float32]]:
    """Return the sample with noise on `src` and `bgr`; the rest is unchanged.

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


_LUMA = np.array([0.299, 0.587, 0.114])
_YIQ = np.array([_LUMA, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


@dataclass(frozen=True)
class Augmentation:
    """Probabilities and strengths. The defaults are the original's."""

    noise: float = 0.4
    """Probability of Gaussian noise on both inputs, each with a level of its own."""
    noise_level: float = 0.03
    """Largest standard deviation of that noise."""
    jitter: float = 0.8
    """Probability that the background alone changes its colours."""
    brightness: float = 0.18
    """Largest relative change of brightness by the jitter."""
    contrast: float = 0.18
    """Likewise of contrast."""
    saturation: float = 0.18
    """Likewise of saturation."""
    hue: float = 0.1
    """Largest turn of the hue, as a part of a full turn."""
    shift: float = 0.3
    """Probability that the background moves by up to a degree and a hundredth of its size. Cameras of a stage
    are bolted down: 0 suits them."""


def augment_real(rng: Generator, sample: Sample, how: Augmentation) -> Sample:
    """Add noise to both inputs; change the colours of the background, and move it.

    Args:
        rng: where the draws come from.
        sample: `src` and `bgr` (3,S,S) in 0..1.
        how: probabilities and strengths.

    Returns:
        The sample with another `src` and `bgr`.
    """
    sample = add_noise(rng, sample, highest=how.noise_level, probability=how.noise)
    bgr = sample["bgr"]
    if rng.random() < how.jitter:
        bgr = jitter_colour(rng, bgr, how)
    if rng.random() < how.shift:
        bgr = _knocked(rng, bgr)
    return {**sample, "bgr": bgr}


def jitter_colour(rng: Generator, picture: NDArray[np.float32], how: Augmentation) -> NDArray[np.float32]:
    """Change brightness, contrast, saturation and hue at random.

    The hue turns about the grey axis of YIQ instead of in HSV, which makes all four one affine map of colour:
    a single matrix product instead of four passes.

    Args:
        rng: where the draws come from.
        picture: (3,H,W) in 0..1.
        how: strengths.

    Returns:
        (3,H,W) in 0..1.
    """
    brightness, contrast, saturation = 1 + np.array(
        [rng.uniform(-x, x) for x in (how.brightness, how.contrast, how.saturation)]
    )
    turn = 2 * np.pi * rng.uniform(-how.hue, how.hue)
    spin = np.array([[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]])
    colour = np.linalg.inv(_YIQ) @ spin @ _YIQ
    colour = colour @ (saturation * np.eye(3) + (1 - saturation) * _LUMA)
    grey = brightness * float(_LUMA @ picture.mean((1, 2)))
    offset = np.float32((1 - contrast) * grey)
    matrix = (brightness * contrast * colour).astype(np.float32)
    out = matrix @ picture.reshape(3, -1) + offset
    return np.clip(out, 0, 1).reshape(picture.shape)


_DRESSES = {"brightness": 0.6, "contrast": 0.4, "saturation": 0.5, "hue": 0.5}


def recolour_subject(rng: Generator, sample: Sample) -> Sample:
    """Give the subject of a real frame other colours, in proportion to alpha.

    The stage with its shadows and reflections stays as the camera saw it. So a student learns the stage from a few
    performers, and does not learn their clothes by heart.

    Args:
        rng: where the draws come from.
        sample: `src` (3,S,S) and `pha` (1,S,S) in 0..1.

    Returns:
        The sample with another `src`.
    """
    src, pha = sample["src"], sample["pha"]
    other = jitter_colour(rng, src, Augmentation(**_DRESSES))
    return {**sample, "src": src + pha * (other - src)}


def _knocked(rng: Generator, picture: NDArray[np.float32]) -> NDArray[np.float32]:
    angle = np.deg2rad(rng.uniform(-1, 1))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    # the grid runs from -1 to 1, so a shift by the whole picture is 2
    return sampled(picture, np.concatenate([turn, 2 * rng.uniform(-0.01, 0.01, (2, 1))], 1), "border")
