"""Polygons become pixels: a pixel is inside when its centre is.

Coordinates are those of `storage.labels.strokes`. Where a polygon crosses itself, what is enclosed twice is outside
(even-odd). Two polygons that share an edge share no pixel, and leave none between them.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def fill_polygon(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Whether each pixel's centre is inside.

    Args:
        points: (x, y) of the corners, in pixels; the last is joined to the first.
        size: (height, width) of the result; the polygon may reach beyond it.
    """
    height, width = size
    start = np.array(points, np.float64)
    end = np.roll(start, -1, axis=0)
    down = start[:, 1] <= end[:, 1]
    start, end = np.where(down[:, None], start, end), np.where(down[:, None], end, start)
    # The rows whose centre lies from the upper end on, and above the lower one.
    first = np.ceil(start[:, 1] - 0.5).clip(0, height).astype(np.int64)
    last = np.ceil(end[:, 1] - 0.5).clip(0, height).astype(np.int64)
    count = last - first
    of = np.repeat(np.arange(len(start)), count)
    row = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + first[of]
    rise = (end - start)[of]
    x = start[of, 0] + (row + 0.5 - start[of, 1]) / rise[:, 1] * rise[:, 0]
    crossed = np.zeros((height, width + 1), np.uint8)
    np.bitwise_xor.at(crossed, (row, np.ceil(x - 0.5).clip(0, width).astype(np.int64)), 1)
    return np.bitwise_xor.accumulate(crossed[:, :-1], axis=1).astype(bool)
