"""A stroke that goes to the next edges: of the superpixels under it, those that it means.

The middle of the brush says what is meant: superpixels that it touches, and that the whole brush covers by more than
half, so that a stroke along an edge may reach over it.
"""

from collections.abc import Sequence
from math import ceil, sqrt
from typing import Any

import numpy as np

from storage.labels.raster import FOREGROUND, rasterise
from storage.labels.strokes import Stroke
from storage.takes.take import Take
from tasks.labels.pyramid import shrink

MOST_PIXELS = 250_000
"""Of the piece of the picture that is divided; a larger one is shrunk by a whole factor."""
_SHARE = 0.4  # of the brush's width: the side of a superpixel
_MIDDLE = 0.5  # of the brush's width
_SMALLEST = 4  # pixels
_COMPACTNESS = 20.0
"""How much nearness counts beside likeness (SLIC, Achanta et al. 2012); with less, noise merges superpixels."""
_RIM = 2.0  # radii around the stroke, so that superpixels are whole


def snapped(take: Take, camera: str, frame: int, strokes: Sequence[Stroke]) -> dict[str, Any]:
    """The area that strokes mean, as rows of square cells.

    Args:
        take: the take.
        camera: its camera.
        frame: number of the frame.
        strokes: of one movement and one label.

    Returns:
        `side` of a cell in pixels of the frame, and `rows` of (row, first cell, last cell), sorted by row. They are
        empty if the strokes fill no superpixel by half.

    Raises:
        NotFound: the take has no such camera or frame.
    """
    from skimage.segmentation import slic

    view = take.seen(camera, frame)
    if not strokes:
        return {"side": 1, "rows": []}
    radius = max(stroke.radius for stroke in strokes)
    points = np.array([point for stroke in strokes for point in stroke.points])
    (x0, y0), (x1, y1) = points.min(0) - (1 + _RIM) * radius, points.max(0) + (1 + _RIM) * radius
    side = max(1, ceil(sqrt((x1 - x0) * (y1 - y0) / MOST_PIXELS)))
    left, top = (int(max(v, 0) // side * side) for v in (x0, y0))
    right, bottom = min(ceil(x1), view.width), min(ceil(y1), view.height)
    if right - left < side or bottom - top < side:  # beside the picture
        return {"side": side, "rows": []}
    picture = np.rint(take.read(camera, frame, (top, bottom, left, right)).transpose(1, 2, 0) * 255).astype(np.uint8)
    small = shrink(picture, side)

    def painted(share: float) -> np.ndarray:
        moved = [
            Stroke(
                "fg",
                stroke.radius * share / side,
                tuple(((x - left) / side, (y - top) / side) for x, y in stroke.points),
            )
            for stroke in strokes
        ]
        return rasterise(moved, small.shape[:2]) == FOREGROUND

    wide = max(2 * radius / side * _SHARE, _SMALLEST)
    parts = slic(small, max(round(small[..., 0].size / wide**2), 1), _COMPACTNESS, start_label=0)
    count = np.bincount(parts.ravel())
    whole, middle = (np.bincount(parts.ravel(), painted(share).ravel()) for share in (1.0, _MIDDLE))
    meant = (whole > count / 2) & (middle > count / 20)
    return {"side": side, "rows": _rows(meant[parts], top // side, left // side)}


def _rows(inside: np.ndarray, top: int, left: int) -> list[tuple[int, int, int]]:
    """Runs of a picture of booleans, at this place of a larger one."""
    edges = np.diff(np.pad(inside, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows, firsts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    return [(top + int(r), left + int(a), left + int(b) - 1) for r, a, b in zip(rows, firsts, ends, strict=True)]
