"""Where a matte may be wrong, from seven sides; each signal is a map (H, W) of 0..1, and none knows the truth.

Each has its own reason to be wrong, which is what makes them worth more together; `capmat_models.mining` joins them.
The halos and holes of `capmat_models.geometry.hull_check` and the student's own expectation of its error are used as they are.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from capmat_models.geometry.hull import opened, widened

_EDGE = 0.01
"""Share of the picture's height that the soft rim of a subject may be wide."""
_STILL = 0.04
"""Change of a picture (0..1) that is noise or light, and lets no matte change."""


def disagreement(student: Tensor, teacher: Tensor) -> Tensor:
    """How far two mattes (H, W) are apart, where it is more than a shifted edge."""
    return opened((student - teacher).abs(), _rim(student))


def residual(src: Tensor, bgr: Tensor, fgr: Tensor, pha: Tensor) -> Tensor:
    """What a picture is that its layers do not explain: |I - (a F + (1 - a) B)| (Eq. 1), mean of the channels.

    Where the matte says background, that is a difference from the plate: a lost part of the subject, or a shadow.

    Args:
        src: (3, H, W) the picture, display-referred.
        bgr: (3, H, W) the plate.
        fgr: (3, H, W) foreground that the network predicts.
        pha: (H, W) the matte.
    """
    apart = (src - (pha * fgr + (1 - pha) * bgr)).abs().mean(0)
    return opened(apart, _rim(pha)).clamp(0, 1)


def softness(pha: Tensor) -> Tensor:
    """Alpha between 0 and 1 in areas too wide to be an edge: 1 at one half."""
    return opened(4 * pha * (1 - pha), 2 * _rim(pha))


def unsteadiness(mattes: Tensor) -> Tensor:
    """How much mattes (N, H, W) of one picture differ that was flipped or shifted before, and set back after."""
    return opened(2 * mattes.std(0, correction=0), _rim(mattes[0])).clamp(0, 1)


def jump(pha: Tensor, before: Tensor, src: Tensor, src_before: Tensor) -> Tensor:
    """Alpha (H, W) that changes from a frame to the next although the picture (3, H, W) does not."""
    moved = widened((src - src_before).abs().amax(0), 2 * _rim(pha))
    return opened((pha - before).abs() * (moved < _STILL), _rim(pha))


def enlarged(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """A small map (h, w) at the size of a picture."""
    return F.interpolate(grid[None, None], size, mode="bilinear", align_corners=False)[0, 0]


def _rim(pha: Tensor) -> int:
    """Pixels that an edge is wide."""
    return max(2, round(_EDGE * pha.shape[0]))
