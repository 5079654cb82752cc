"""Bayer planes to RGB, on any device.

The centre of a 2x2 block lies between its four photosites. Red and blue are interpolated to it from the neighbouring
blocks (weights 9-3-3-1), the two greens lie around it and are averaged.
"""

import torch
from torch import Tensor

_ORDERS = ("RGGB", "GRBG", "GBRG", "BGGR")


def superpixel(planes: Tensor, cfa: str) -> Tensor:
    """One RGB pixel per block, all colours at the block's centre.

    Args:
        planes: (..., 4, h, w), numbers of the photosites top left, top right, bottom left, bottom right of every
            block; any type and range.
        cfa: their colours in that order: RGGB, GRBG, GBRG or BGGR.

    Returns:
        (..., 3, h, w) float32 in the same numbers, on the same device. Borders repeat their last photosite.

    Raises:
        ValueError: another order, or not four planes.
    """
    if cfa not in _ORDERS or planes.ndim < 3 or planes.shape[-3] != 4:
        raise ValueError(f"expected (..., 4, h, w) and one of {', '.join(_ORDERS)}; got {tuple(planes.shape)}, {cfa}")
    place = planes.float().unbind(-3)
    red, blue = (_centred(_centred(place[i], i // 2, -2), i % 2, -1) for i in (cfa.index("R"), cfa.index("B")))
    first, second = (i for i, colour in enumerate(cfa) if colour == "G")
    return torch.stack((red, (place[first] + place[second]) * 0.5, blue), dim=-3)


def _centred(plane: Tensor, offset: int, dim: int) -> Tensor:
    """Interpolate along one axis to the blocks' centres, a quarter of a block after (offset 0) or before (1)."""
    length = plane.shape[dim]
    inner = plane.narrow(dim, 1 - offset, length - 1)
    border = plane.narrow(dim, 0 if offset else length - 1, 1)
    beyond = torch.cat((border, inner) if offset else (inner, border), dim)
    return torch.lerp(plane, beyond, 0.25)
