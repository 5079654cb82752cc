"""Trimaps as a careful person draws them: unknown around every soft edge, generous at hair.

The paper's benchmark rests on hand-drawn trimaps (Sec. 4.4). A person never errs in the sure regions but varies
in width, so the width here is a smooth random field and the sure regions are sure.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def draw_trimap(alpha: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """A trimap for a true alpha.

    Args:
        alpha: (H, W) 0..1.
        rng: decides where the brush was wide.

    Returns:
        (H, W) uint8: 0 background, 128 unknown, 255 foreground. Sure pixels have alpha below 0.01 or above 0.99.
    """
    from scipy.ndimage import binary_erosion, distance_transform_edt, gaussian_filter  # type: ignore[attr-defined]

    inside = alpha > 0.5
    soft = (alpha > 0.01) & (alpha < 0.99)
    edge = soft | (inside & ~binary_erosion(inside, border_value=1))
    if not edge.any():
        return np.where(inside, 255, 0).astype(np.uint8)
    wave = gaussian_filter(rng.normal(size=alpha.shape), 12)
    wave = (wave - wave.min()) / max(float(np.ptp(wave)), 1e-9)
    # Where many fractional pixels lie together there is hair; a person paints round all of it.
    hairy = np.clip(gaussian_filter(soft.astype(np.float64), 4) / 0.3 - 1, 0, 1)
    width = 1.2 + 2.0 * wave + 3.0 * hairy
    unknown = distance_transform_edt(~edge) <= width
    return np.where(unknown, 128, np.where(inside, 255, 0)).astype(np.uint8)
