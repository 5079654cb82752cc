"""What the lens, the sensor and the recorder do to take and plate (paper, section 3: noise, clipping, defocus)."""

import numpy as np
import torch
from numpy.random import Generator
from torchvision.io import decode_jpeg, encode_jpeg

from capmat_models.data.filters import Plane, blurred

_FRAMES = (1.0, 0.3, 0.1)  # noise of a plate against that of a frame: a plate is often the mean of many frames


def defocused(rng: Generator, src: Plane, bgr: Plane) -> tuple[Plane, Plane]:
    """Both pictures out of focus, by the same 0.3 to 1.5 px."""
    sigma = rng.uniform(0.3, 1.5)
    return blurred(src, sigma), blurred(bgr, sigma)


def other_camera(rng: Generator, src: Plane, bgr: Plane) -> tuple[Plane, Plane]:
    """Both pictures with another gain, between an eighth and a quarter more, clipped, and another tone curve."""
    curve, gain = np.float32(np.exp(rng.uniform(-0.4, 0.4))), np.float32(10 ** rng.uniform(-0.9, 0.1))
    return np.clip(src * gain, 0, 1) ** curve, np.clip(bgr * gain, 0, 1) ** curve


def sensor_noise(rng: Generator, src: Plane, bgr: Plane, highest: float) -> tuple[Plane, Plane]:
    """Read noise and photon noise, in two of five cases blurred by demosaicing or denoising; less on the plate.

    Args:
        rng: where the draws come from.
        src: (3, S, S) in 0..1.
        bgr: likewise.
        highest: the largest standard deviation of read noise, and of photon noise at white. Every octave below
            it is as likely.
    """
    level = highest * 10 ** rng.uniform(-1.5, 0)
    read, photon = level * rng.uniform(0.2, 1), level * rng.uniform(0, 1)
    rough = 0.0 if rng.random() < 0.6 else rng.uniform(0.4, 1.2)
    quiet = np.float32(rng.choice(_FRAMES))
    sigma_src, sigma_bgr = (np.sqrt(np.float32(read**2) + np.float32(photon**2) * x) for x in (src, bgr))
    return src + sigma_src * _grain(rng, src.shape, rough), bgr + sigma_bgr * (quiet * _grain(rng, bgr.shape, rough))


def stage_noise(rng: Generator, src: Plane, sigma: Plane) -> Plane:
    """The measured noise of a stage on the take, (3, S, S), between half and one and a half times as strong.

    Its plate is a mean and keeps what noise it has.
    """
    return src + np.float32(rng.uniform(0.5, 1.5)) * sigma * _grain(rng, src.shape, 0.0)


def compressed(rng: Generator, src: Plane, bgr: Plane) -> tuple[Plane, Plane]:
    """Both pictures after JPEG of one quality, 50 to 95."""
    quality = int(rng.integers(50, 96))
    return _jpeg(src, quality), _jpeg(bgr, quality)


def _grain(rng: Generator, shape: tuple[int, ...], rough: float) -> Plane:
    grain = rng.standard_normal(shape, np.float32)
    if rough:
        grain = blurred(grain, rough)
        grain /= np.float32(grain.std())
    return grain


def _jpeg(picture: Plane, quality: int) -> Plane:
    levels = torch.from_numpy(np.clip(picture * 255 + np.float32(0.5), 0, 255).astype(np.uint8))
    decoded = decode_jpeg(encode_jpeg(levels, quality))
    return np.asarray(decoded, np.float32) / np.float32(255)
