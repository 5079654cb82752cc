"""The subject's own colour, without the stage that shines through where its matte is soft.

Equation 1 of the paper, I = a F + (1 - a) B, solved for F divides by alpha: noise, a shadow on the plate or a matte
that is slightly wrong become a rim. So that colour counts only as far as it is certain. The rest comes from the
surroundings, near ones first: level by level of a pyramid, as in Burt (1988), "Moment images, polynomial fit filters
and the problem of surface interpolation".

Networks learn alpha from pictures mixed in display values, so that is where Equation 1 holds. Solved in linear light,
a dark subject before a light stage gets a red or black rim. The root of light stands for the display value: it is
close, cheap, and has no end at white.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_CLIPPED = 0.975  # root of light: a lamp may be any number of times brighter than a plate near white can say

# How far the stage's colour may be off, in units of the error that a good plate leaves.
_GUESSED, _UNKNOWN = 10, 300
_AROUND = 0.05  # weight of the next wider surroundings: a twentieth of a solid pixel


def foreground(
    light: Floats, pha: Floats, plate: Floats | None = None, valid: NDArray[np.bool_] | None = None
) -> Floats:
    """Return the straight foreground colour F of a frame, everywhere.

    Where the matte is solid, F is the frame's colour. Where it is empty, F goes on with the colours of the nearest
    subject, so that scaling and compression of straight colour bring in nothing else. A plate that is clipped or not
    valid is not used. Without a plate, the stage is guessed from where the matte is empty.

    Args:
        light: (3, H, W) linear light of the frame.
        pha: (H, W) 0..1.
        plate: (3, H, W) linear light of the empty stage.
        valid: (H, W), where the plate can be trusted; None for everywhere.

    Returns:
        (3, H, W) linear light; where it is not the frame's own, 0..1 or up to the frame's own highlight.
    """
    mixed, a = np.sqrt(np.maximum(light, 0)).transpose(1, 2, 0), pha[..., None]
    if plate is None:
        empty = (1 - a) ** 8
        bgr = _spread(mixed, empty, 1 - empty)
        lost, doubt = np.maximum(bgr, mixed).max(2) > _CLIPPED, _GUESSED
    else:
        bgr = np.sqrt(plate).transpose(1, 2, 0)
        lost, doubt = bgr.max(2) > _CLIPPED, 0
    if valid is not None:
        lost |= ~valid
    alone = np.clip((mixed - (1 - a) * bgr) / np.maximum(a, 1e-3), 0, np.maximum(mixed, 1))
    off = np.where(lost, _UNKNOWN, doubt)[..., None].astype(np.float32) * (1 - a)
    own = _spread(alone, a**2 / (1 + off**2), 1 - a) ** 2
    return np.where(pha < 1, own.transpose(2, 0, 1), light)


def _spread(colour: Floats, certain: Floats, around: Floats) -> Floats:
    """Return the mean of a colour (H, W, 3) and that of its surroundings, with weights (H, W, 1)."""
    return _settle(np.concatenate([colour * certain, certain], 2), around)


def _settle(known: Floats, around: Floats | float) -> Floats:
    """Return colours (H, W, 3) of what is known, (H, W, 4): colour times weight, weight."""
    import cv2

    height, width = known.shape[:2]
    if height == width == 1:
        alone: Floats = np.divide(known[..., :3], np.maximum(known[..., 3:], np.float32(1e-9)))
        return alone
    half: Any = cv2.pyrDown(known)
    wider: Any = cv2.pyrUp(_settle(half, _AROUND), dstsize=(width, height))
    settled: Floats = (known[..., :3] + around * wider) / (known[..., 3:] + around)
    return settled
