"""The camera's sensor: a linear picture becomes 12-bit counts with the noise that real counts have.

Poisson-Gaussian: photo electrons arrive at random, the amplifier adds its own spread, then everything is rounded
and clipped. This is the epsilon of Eq. 2 (paper, Sec. 3); plates and takes get independent draws of it.
"""

from __future__ import annotations

import io
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from storage.pictures.png import encode_png
from storage.store.root import Root

FULL_WELL = 9600.0  # electrons at sensor white
READ_NOISE = 2.6  # electrons
BLACK = 64
WHITE = 4095
_BLUR = 0.45  # pixels: the lens


def lens(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """The picture as the lens draws it: slightly soft.

    Linear, so premultiplied foreground, alpha and the whole picture may each pass through and still compose.

    Args:
        image: (H, W) or (H, W, C) linear.
    """
    from scipy.ndimage import gaussian_filter

    sigma = (_BLUR, _BLUR) + (0.0,) * (image.ndim - 2)
    return gaussian_filter(image, sigma, mode="nearest").astype(np.float32)


def expose(
    image: NDArray[np.float32], rng: np.random.Generator, *, exposure: float = 1.0, noise: float = 1.0
) -> NDArray[np.uint16]:
    """One frame as the sensor counts it.

    Args:
        image: (H, W, 3) linear, 1 = sensor white.
        rng: where the noise comes from; see `noise_of`.
        exposure: how many times longer the shutter is open.
        noise: how many times noisier the camera is: fewer electrons and more gain, so that levels stay.

    Returns:
        (H, W, 3) uint16 digital numbers, 0 to 4095, black at 64.
    """
    well = FULL_WELL / noise**2
    electrons = rng.poisson(np.clip(image, 0, 8).astype(np.float64) * exposure * well)
    counted = electrons + rng.normal(0, READ_NOISE / noise, image.shape)
    gain = (WHITE - BLACK) / well
    return np.clip(np.rint(BLACK + counted * gain), 0, WHITE).astype(np.uint16)


def noise_of(seed: int, *names: object) -> np.random.Generator:
    """A generator of its own for every picture, so that resuming or reordering changes no noise.

    Args:
        seed: of the session.
        names: what names the picture, such as take, camera and frame.
    """
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def to_srgb(linear: NDArray[np.float32]) -> NDArray[np.float32]:
    """Display value 0..1 of linear light, clipped at 1."""
    x = np.clip(linear, 0, 1)
    return np.where(x <= 0.0031308, 12.92 * x, 1.055 * np.maximum(x, 1e-8) ** (1 / 2.4) - 0.055).astype(np.float32)


def eight_bits(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Levels 0 to 255 of values 0..1, clipped."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def write_picture(path: Path, image: np.ndarray[Any, Any]) -> None:
    """Write a PNG or JPEG, completely or not at all.

    Args:
        path: ends in .png (8 or 16 bit, strongest compression) or .jpg (quality 95).
        image: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    Raises:
        StoreError: the file cannot be written.
    """
    if path.suffix == ".png":
        write_file(path, encode_png(image, level=9))
        return
    coded = io.BytesIO()
    Image.fromarray(image).save(coded, "JPEG", quality=95)
    write_file(path, coded.getvalue())


def write_file(path: Path, content: bytes) -> None:
    """Write bytes, completely or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    Root(path.parent).write(path.name, content)
