"""Made-up weights and inputs that anyone can draw again from names alone (see tests/goldens/README.md).

Every tensor is filled from a generator seeded with the CRC-32 of its official name, so the goldens need no
weights. The two families of goldens use two recipes.
"""

import zlib
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

Recipe = Callable[[str, tuple[int, ...]], npt.NDArray[np.generic]]


def generator(name: str) -> np.random.Generator:
    """The random stream that belongs to a name."""
    return np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))


def vit_fill(name: str, shape: tuple[int, ...]) -> npt.NDArray[np.generic]:
    """Recipe of the ViTMatte and DiffMatte goldens."""
    leaf = name.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    z = generator(name).standard_normal(shape)
    if leaf == "running_var":
        value = 1 + 0.2 * np.abs(z)
    elif leaf in ("running_mean", "rel_pos_h", "rel_pos_w"):
        value = 0.1 * z
    elif leaf == "bias":
        value = 0.05 * z
    elif leaf == "pos_embed":
        value = 0.2 * z
    elif len(shape) == 1:
        value = 1 + 0.1 * z
    else:
        value = z * (1.3 / np.sqrt(np.prod(shape[1:])))
    return value.astype(np.float32)


def bgmv2_fill(name: str, shape: tuple[int, ...], gain: float = 2.0) -> npt.NDArray[np.generic]:
    """Recipe of the BackgroundMattingV2 goldens and, with another gain for some, of the baselines'."""
    if name.endswith("num_batches_tracked"):
        return np.zeros(shape, np.int64)
    z = generator(name).standard_normal(shape)
    if name.endswith("running_mean"):
        value = 0.1 * z
    elif name.endswith("running_var"):
        value = 1 + 0.2 * np.abs(z)
    elif len(shape) == 1:
        value = 1 + 0.1 * z if name.endswith("weight") else 0.05 * z
    else:
        value = z * np.sqrt(gain / np.prod(shape[1:]))
    value = value.astype(np.float32)
    # Keeps alpha and error of the made-up network inside 0..1.
    for index, shift in _BGMV2_SHIFTS.get(name, {}).items():
        value[index] += np.float32(shift)
    return value


_BGMV2_SHIFTS = {
    "decoder.conv4.bias": {0: 1.4, 1: -1.1, 3: 0.2, 4: 0.95},
    "refiner.conv4.bias": {0: 1.6, 1: 0.15, 2: -0.8},
}


def filled(model: nn.Module, recipe: Recipe, rename: Callable[[str], str] = str) -> dict[str, torch.Tensor]:
    """A state dict under official names, made up for `model`.

    Args:
        model: gives names and shapes.
        recipe: `vit_fill`, `bgmv2_fill` or one made from it.
        rename: from the model's names to the official ones.
    """
    official = {rename(name): tuple(value.shape) for name, value in model.state_dict().items()}
    return {name: torch.from_numpy(np.asarray(recipe(name, shape))) for name, shape in official.items()}


def noise_image(seed: int, height: int, width: int, n: int = 1) -> npt.NDArray[np.float64]:
    """Coarse 8x8 blocks with some fine noise, (n, 3, H, W) in 0..1."""
    g = np.random.Generator(np.random.PCG64(seed))
    coarse = g.random((n, 3, -(-height // 8), -(-width // 8))).repeat(8, 2).repeat(8, 3)[..., :height, :width]
    return 0.8 * coarse + 0.2 * g.random((n, 3, height, width))


def disc_pair(seed: int, height: int, width: int, n: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and plates, n of each: a disc of other content in front of a slightly noisy background."""
    bgr = noise_image(seed, height, width, n)
    fg = noise_image(seed + 1, height, width, n)
    z = np.random.Generator(np.random.PCG64(seed + 2)).random(bgr.shape) - 0.5
    y, x = np.mgrid[:height, :width]
    disc = (y - 0.55 * height) ** 2 + (x - 0.45 * width) ** 2 < (0.3 * min(height, width)) ** 2
    src = np.where(disc, fg, bgr + 0.04 * z)
    quantised = (np.floor(255 * np.clip(v, 0, 1) + 0.5) for v in (src, bgr))
    src, bgr = (torch.from_numpy(v.astype(np.float32) / np.float32(255)) for v in quantised)
    return src, bgr


def tagged_image(kind: str, tag: str, height: int, width: int) -> torch.Tensor:
    """`kind` is `image` or `background`; (1, 3, H, W) in 0..1."""
    levels = np.floor(256 * generator(f"{kind}:{tag}").random((1, 3, height, width)))
    return torch.from_numpy(levels.astype(np.float32)) / 255


def tagged_trimap(tag: str, height: int, width: int) -> torch.Tensor:
    """(1, 1, H, W) with values 0, 128/255 and 1 in 8x8 cells."""
    cells = generator(f"trimap:{tag}").random((-(-height // 8), -(-width // 8)))
    levels = np.array([0, 128, 255], np.float32)[np.floor(3 * cells).astype(int)]
    return torch.from_numpy(levels.repeat(8, 0).repeat(8, 1)[None, None, :height, :width].copy()) / 255


def tagged_noise(tag: str, height: int, width: int) -> torch.Tensor:
    """(1, 1, H, W) standard normal."""
    z = generator(f"noise:{tag}").standard_normal((1, 1, height, width))
    return torch.from_numpy(z.astype(np.float32))
