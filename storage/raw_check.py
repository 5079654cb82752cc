"""Is a packed picture what the session says it is?

Photosites of one colour resemble their neighbours; read in a wrong packing, every second one holds the low bits of
others, and resembles nothing. Pictures of noise alone resemble nothing in any packing, and are let pass.
"""

import numpy as np
from numpy.typing import NDArray

from storage.raw_packing import PACKINGS, Packing, unpack

# Measured over 13,500 scenes of every brightness, contrast and noise: read in the right packing, a picture is never
# more than 1.03 times as rough as in a wrong one.
_CLEARLY, _SLACK = 1.5, 0.02
_ROWS = 256


def other_packing(rows: bytes, width: int, stated: Packing) -> Packing | None:
    """The packing that a picture looks to be in, if it is clearly another than stated.

    Args:
        rows: a packed picture whose rows have no gaps.
        width: pixels per row, even.
        stated: what the session says.
    """
    length = width // 2 * 3
    count = len(rows) // length
    first = max(0, count - _ROWS) // 4 * 2
    band = rows[first * length : (first + min(count // 2 * 2, _ROWS)) * length]
    shape = (len(band) // length, width)
    rough = {packing: _roughness(unpack(band, shape, packing)) for packing in PACKINGS}
    best = min(PACKINGS, key=rough.__getitem__)
    return best if rough[stated] > _CLEARLY * rough[best] + _SLACK else None


def _roughness(mosaic: NDArray[np.uint16]) -> float:
    """1 less the correlation of neighbours of one colour, at the worst of the block's four places; 0..2."""
    alike = []
    for y in (0, 1):
        for x in (0, 1):
            plane = mosaic[y::2, x::2].astype(np.float32)
            alike.append(_correlation(plane[:, 1:], plane[:, :-1]) + _correlation(plane[1:], plane[:-1]))
    return 1 - min(alike) / 2


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    if a.size < 2:
        return 0.0
    a, b = a - a.mean(), b - b.mean()
    scale = float(np.sqrt((a * a).mean() * (b * b).mean()))
    return float((a * b).mean()) / scale if scale > 0 else 0.0
