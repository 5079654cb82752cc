"""Shifting colours in hue, saturation and value, for the jitter of base foregrounds."""

import numpy as np
from numpy.typing import NDArray


def shift_hsv(rgb: NDArray[np.float32], hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    """Turn the hue; move saturation and value, the more the lower their mean is, as ViTMatte's loader does.

    Args:
        rgb: (3,K) float32 in 0..1.
        hue: degrees.
        saturation: multiplied by 1.1 - mean saturation, then added. Results are reflected at 0 and 1.
        value: likewise.

    Returns:
        (3,K) float32 in 0..1.
    """
    r, g, b = rgb
    v = np.maximum(np.maximum(r, g), b)
    chroma = v - np.minimum(np.minimum(r, g), b)
    s = chroma / np.maximum(v, 1e-6)
    # the sector of six that the hue lies in starts at red, green or blue, whichever is largest
    scale = 1 / np.maximum(chroma, 1e-6)
    h = np.where(v == r, (g - b) * scale, np.where(v == g, (b - r) * scale + 2, (r - g) * scale + 4))
    h += np.float32(hue / 60)
    s = _reflect(s + np.float32(saturation * (1.1 - s.mean())))
    v = _reflect(v + np.float32(value * (1.1 - v.mean())))
    out = np.empty_like(rgb)
    for channel, offset in enumerate((5, 3, 1)):
        k = h + offset
        k -= 6 * np.floor(k * np.float32(1 / 6))  # several times faster than %
        out[channel] = v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)
    return out


def _reflect(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 - np.abs(1 - np.abs(x))
