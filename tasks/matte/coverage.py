"""How much of a picture a matte covers, and the likely cause if that is next to nothing or next to everything."""

import numpy as np
from numpy.typing import NDArray

_EMPTY, _FULL = 0.001, 0.98
# Of displayed values. An ordinary picture has its median near 0.4; its linear light, shown as sRGB, near 0.13.
_DARK = 0.2
_SAME, _OTHER = 0.02, 0.1  # median difference to a plate: noise of a camera, and another view


def unusual(share: float) -> bool:
    """Whether a matte is all but empty or all but full; `share` is the mean of its alpha, 0..1."""
    return not _EMPTY <= share <= _FULL


def coverage_note(share: float, src: NDArray[np.float32], bgr: NDArray[np.float32] | None) -> str:
    """Say how much a matte covers, and the likely cause where that is unusual, without a final full stop.

    Args:
        share: mean of its alpha, 0..1.
        src: the picture, (3, H, W) display-referred 0..1.
        bgr: its plate, or None.
    """
    words = f"the matte covers {share:.1%} of the picture"
    if not unusual(share):
        return words
    causes = []
    if float(np.median(src)) < _DARK:
        causes.append(
            "the picture is as dark as linear numbers that are shown as sRGB (set [colour] transfer, or save the "
            "photograph as sRGB or EXR)"
        )
    if bgr is not None:
        apart = float(np.median(np.abs(src - bgr).max(axis=0)))
        if apart > _OTHER:
            causes.append("the plate shows another view, light or camera than the picture")
        elif apart < _SAME and share < _EMPTY:
            causes.append("picture and plate show the same, so there may be no subject")
    plate = "" if bgr is None else ", the plate is of another camera,"
    likely = " or ".join(causes) or f"the subject is missing{plate} or the picture is linear"
    return f"{words}, so it is all but {'empty' if share < _EMPTY else 'full'}; likely cause: {likely}"
