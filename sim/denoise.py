"""Cleaning path noise: averages over neighbours that show the same surface in the same light.

A path-traced plate at an affordable number of samples is noisier than the sensor, which would teach a matting
model the wrong noise. This is non-local means on the light (colour divided by albedo), guided by the noise-free
features normal, depth and albedo, with the noise level measured from independent passes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]

CLAMP = 4.0  # lamps are this many times sensor white at most; brighter only feeds fireflies
_RADIUS = 4
_STRENGTH = 0.7
_TINY = 0.02


def clean(passes: Image, features: Image) -> Image:
    """Mean of the passes with path noise averaged away.

    Args:
        passes: (P, H, W, 3) linear pictures of the same view with independent noise.
        features: (H, W, 7) albedo RGB, normal XYZ, depth in metres.

    Returns:
        (H, W, 3) float32, linear.
    """
    passes = _without_fireflies(np.minimum(passes, CLAMP))
    albedo = features[..., :3] + _TINY
    light = passes / albedo
    mean = light.mean(axis=0)
    noise = _box(light.var(axis=0, ddof=1) / len(light), 2) if len(light) > 1 else np.zeros_like(mean)
    guide = np.concatenate(
        [features[..., :3] / 0.06, features[..., 3:6] / 0.12, np.log1p(features[..., 6:7]) / 0.02], axis=-1
    )
    total = np.zeros_like(mean)
    weights = np.zeros(mean.shape[:2] + (1,), np.float32)
    for dy in range(-_RADIUS, _RADIUS + 1):
        for dx in range(-_RADIUS, _RADIUS + 1):
            there, spread, seen = (_shift(a, dy, dx) for a in (mean, noise, guide))
            both = noise + spread
            apart = ((mean - there) ** 2 - both) / (1e-6 + _STRENGTH**2 * both)
            colour = _box(apart.mean(axis=-1, keepdims=True), 1)
            surface = ((guide - seen) ** 2).sum(axis=-1, keepdims=True)
            weight = np.exp(-np.maximum(colour, 0) - 0.5 * surface - (dy * dy + dx * dx) / (2 * 3.0**2))
            total += weight * there
            weights += weight
    return (total / weights * albedo).astype(np.float32)


def _without_fireflies(passes: Image) -> Image:
    """Passes in which a pixel that is far above the other passes is set to their median."""
    if len(passes) < 3:
        return passes
    middle = np.median(passes, axis=0)
    wild = passes.mean(axis=-1) > 3 * middle.mean(axis=-1) + 0.05
    return np.where(wild[..., None], middle, passes)


def _shift(image: Image, dy: int, dx: int) -> Image:
    height, width = image.shape[:2]
    rows = np.clip(np.arange(height) + dy, 0, height - 1)
    columns = np.clip(np.arange(width) + dx, 0, width - 1)
    return image[rows[:, None], columns[None, :]]


def _box(image: Image, radius: int) -> Image:
    from scipy.ndimage import uniform_filter  # type: ignore[attr-defined]

    return uniform_filter(image, size=(2 * radius + 1, 2 * radius + 1, 1), mode="nearest")
