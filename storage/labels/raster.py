"""Strokes and polygons become pixels, by one rule: a pixel belongs to a shape that its centre lies in.

A stroke covers the pixels whose centre is at most the brush's radius away from the line. Between two points this area
is convex, so it has one interval in each row of pixels, whose ends have a formula. The cost grows with the painted
area, not with the box around it, and the pixels are the same on every machine. At another size the rule holds for the
centres of that size's pixels, so that sizes agree except at edges.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ScribbleError
from storage.labels.strokes import Stroke

BACKGROUND, FOREGROUND, OPEN = 0, 1, 255
Colour = tuple[int, int, int]
GREEN, RED = (0, 255, 0), (255, 0, 0)
"""Colours of foreground and background in painted overlays."""
_VALUES = {"fg": FOREGROUND, "bg": BACKGROUND, "erase": OPEN}
_ROWS_AT_ONCE = 200_000
_Floats = NDArray[np.float64]
_Ints = NDArray[np.int64]


def rasterise(
    strokes: Sequence[Stroke],
    size: tuple[int, int],
    scale: float = 1.0,
    below: NDArray[np.uint8] | None = None,
) -> NDArray[np.uint8]:
    """Paint strokes, the later over the earlier.

    Args:
        strokes: in the order in which they were drawn; for their coordinates see `storage.labels.strokes`.
        size: (height, width) of the frame at full size.
        scale: size of the result as a share of the frame's.
        below: label to paint over, of the result's size; None for an open one.

    Returns:
        (H, W) uint8, H and W being `size` times `scale`, rounded: 0 background, 1 foreground, 255 open.

    Raises:
        ScribbleError: the scale leaves no pixel, or `below` is of another size.
    """
    height, width = (round(side * scale) for side in size)
    if min(height, width) < 1:
        raise ScribbleError(f"at scale {scale:g} nothing is left of {size[1]}x{size[0]}", where="strokes")
    if below is not None and below.shape != (height, width):
        what = f"strokes for {width}x{height} on a label of {below.shape[1]}x{below.shape[0]}"
        raise ScribbleError(what, where="strokes")
    label = np.full((height, width), OPEN, np.uint8) if below is None else below.copy()
    flat = label.reshape(-1)
    step = size[0] / height, size[1] / width
    for stroke in strokes:
        points = np.array(stroke.points, np.float64)
        ends = np.concatenate([points[1:], points[-1:]]) if len(points) > 1 else points
        for first, last in _parts(points, ends, stroke.radius, step[0]):
            starts, stops = _intervals(points[first:last], ends[first:last], stroke.radius, step, (height, width))
            for start, stop in _runs(starts, stops):
                flat[start:stop] = _VALUES[stroke.label]
    return label


def _parts(starts: _Floats, ends: _Floats, radius: float, step: float) -> Iterator[tuple[int, int]]:
    """Yield ranges of segments that are few enough to be worked on together."""
    rows = np.cumsum((np.abs(ends[:, 1] - starts[:, 1]) + 2 * radius) / step + 2)
    first = 0
    while first < len(rows):
        done = rows[first - 1] if first else 0.0
        last = max(first + 1, int(np.searchsorted(rows, done + _ROWS_AT_ONCE)))
        yield first, last
        first = last


def _intervals(
    starts: _Floats, ends: _Floats, radius: float, step: tuple[float, float], size: tuple[int, int]
) -> tuple[_Ints, _Ints]:
    """Return what the segments cover, as ranges [start, stop) of pixels that are numbered row after row."""
    height, width = size
    top = np.ceil((np.minimum(starts[:, 1], ends[:, 1]) - radius) / step[0] - 0.5).clip(0, height)
    bottom = np.floor((np.maximum(starts[:, 1], ends[:, 1]) + radius) / step[0] - 0.5).clip(-1, height - 1)
    count = (bottom - top + 1).clip(0).astype(np.int64)
    of = np.repeat(np.arange(len(starts)), count)
    row = np.arange(len(of)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(top.astype(np.int64), count)
    a, b, y = starts[of], ends[of], (row + 0.5) * step[0]

    along = b - a
    length = np.hypot(along[:, 0], along[:, 1])
    across = np.stack([-along[:, 1], along[:, 0]], 1) * (radius / np.where(length > 0, length, 1.0))[:, None]
    left, right = np.full(len(of), np.inf), np.full(len(of), -np.inf)

    def reach(x: _Floats, here: NDArray[np.bool_]) -> None:
        np.minimum(left, x, out=left, where=here)
        np.maximum(right, x, out=right, where=here)

    for middle in (a, b):  # the two round ends
        half = radius**2 - (y - middle[:, 1]) ** 2
        inside, half = half >= 0, np.sqrt(half.clip(0))
        reach(middle[:, 0] - half, inside)
        reach(middle[:, 0] + half, inside)
    for p, q in (
        (a + across, b + across),
        (a - across, b - across),
        (a + across, a - across),
        (b + across, b - across),
    ):
        rise = q[:, 1] - p[:, 1]  # the four sides of the straight piece between them
        part = (y - p[:, 1]) / np.where(rise != 0, rise, 1.0)
        reach(p[:, 0] + part * (q[:, 0] - p[:, 0]), (rise != 0) & (part >= 0) & (part <= 1))

    seen = left <= right
    first = np.ceil(left[seen] / step[1] - 0.5).clip(0, width).astype(np.int64)
    last = np.floor(right[seen] / step[1] - 0.5).clip(-1, width - 1).astype(np.int64)
    some, row = first <= last, row[seen]
    return (row * width + first)[some], (row * width + last + 1)[some]


def _runs(starts: _Ints, stops: _Ints) -> Iterator[tuple[int, int]]:
    """Yield the same ranges, with those that overlap or touch merged."""
    if not len(starts):
        return iter(())
    order = np.argsort(starts, kind="stable")
    starts, reached = starts[order], np.maximum.accumulate(stops[order])
    new = np.concatenate([[True], starts[1:] > reached[:-1]])
    ended = np.concatenate([new[1:], [True]])
    return zip(starts[new].tolist(), reached[ended].tolist(), strict=True)


def fill_ellipse(
    centre: tuple[float, float], radii: tuple[float, float], degrees: float, size: tuple[int, int]
) -> NDArray[np.bool_]:
    """Return whether each pixel's centre is inside an ellipse.

    Args:
        centre: (x, y), in pixels.
        radii: along x and along y before it is turned, in pixels, above 0.
        degrees: by which it is turned around its centre, clockwise as one sees it.
        size: (height, width) of the result; the ellipse may reach beyond it.
    """
    inside = np.zeros(size, bool)
    # Only the square around it is computed.
    left, top = (max(0, int(at - max(radii))) for at in centre)
    part = inside[top : max(0, int(centre[1] + max(radii)) + 1), left : max(0, int(centre[0] + max(radii)) + 1)]
    y, x = np.ogrid[: part.shape[0], : part.shape[1]]
    x, y = x + left + 0.5 - centre[0], y + top + 0.5 - centre[1]
    cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    part[:] = ((x * cos + y * sin) / radii[0]) ** 2 + ((y * cos - x * sin) / radii[1]) ** 2 <= 1
    return inside


def fill_polygon(points: Sequence[tuple[float, float]], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Return whether each pixel's centre is inside a polygon (even-odd rule).

    Args:
        points: (x, y) of the corners, in pixels; the last is joined to the first.
        size: (height, width) of the result; the polygon may reach beyond it.
    """
    height, width = size
    start = np.array(points, np.float64)
    end = np.roll(start, -1, axis=0)
    down = start[:, 1] <= end[:, 1]
    start, end = np.where(down[:, None], start, end), np.where(down[:, None], end, start)
    # The rows whose centre lies at or below the upper end, and above the lower end.
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
