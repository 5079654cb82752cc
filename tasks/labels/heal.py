"""What a matte would be if it had understood the strokes on it: a quick preview, made without any network.

Under the strokes it is known how far the matte is off. This correction spreads to the pixels around like heat: well
between pixels that look alike, hardly across edges, and it fades with the distance. That is the random walker of
Grady (2006) for the correction in place of the label, with a walker that may give up. Strokes on correct places hold
the correction at 0 there, so they keep what is right. docs/scribbling.md has measurements of this and of other rules.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from storage.labels.raster import OPEN

Floats = NDArray[np.float32]
Window = tuple[slice, slice]
REACH = 0.08
"""Distance over which a correction fades in an even area, as a share of the picture's shorter side."""
_PICTURE, _CHANGE, _MATTE = 1000, 300, 2
"""How much differences in colour, in the change since the plate, and in alpha keep pixels apart."""
_SURE = 100  # how firmly a stroke holds, in links between equal pixels
_COARSE = 256  # pixels of the shorter side, about, at which the first and longest search runs
_FAR, _NEAR = (1, 3), (1,)  # lengths of the links at that size, to get over hair and folds, and at the finer ones
_STEPS, _FINE_STEPS = 300, 6
_CLOSE = 1e-3
_CHANGED = 0.02  # a smaller correction is left as it is at the next finer size


class Superseded(Exception):
    """Nobody waits for this preview any more."""


class _Look(NamedTuple):
    """A part of a frame at one size: (h, w, 3) picture and plate, and (h, w) each of the rest."""

    src: Floats
    bgr: Floats
    pha: Floats
    off: Floats  # how far the matte is off under the strokes, times `sure`
    sure: Floats  # share that the strokes cover

    def halved(self) -> "_Look":
        return _Look(*(_halved(each) for each in self))

    def cut(self, window: Window) -> "_Look":
        return _Look(*(each[window] for each in self))


def healed(
    src: Floats,
    bgr: Floats,
    pha: Floats,
    label: NDArray[np.uint8],
    short: int,
    wanted: Callable[[], bool] = lambda: True,
) -> Floats:
    """A matte with its strokes taken in.

    Args:
        src: (H, W, 3) 0..1, a part of the picture around the strokes.
        bgr: (H, W, 3) 0..1, the same part of the plate; the picture itself where there is no plate.
        pha: (H, W) 0..1, the matte.
        label: (H, W) uint8, see `storage.labels.raster.rasterise`.
        short: shorter side of the whole picture in these pixels.
        wanted: asked between steps; False ends the work.

    Returns:
        (H, W) 0..1. Pixels under strokes are 0 or 1.

    Raises:
        Superseded: `wanted` said no.
    """
    painted = label != OPEN
    off = np.where(painted, label - pha, np.float32(0))
    looks = [_Look(src, bgr, pha, off, painted.astype(np.float32))]
    while short >= 1.5 * _COARSE:
        looks.append(looks[-1].halved())
        short //= 2
    change = _spread(looks.pop(), None, (REACH * short) ** -2, _FAR, _STEPS, wanted)
    while looks:
        look, short = looks.pop(), 2 * short
        change = np.repeat(np.repeat(change, 2, 0), 2, 1)[: len(look.sure), : look.sure.shape[1]]
        part = window_of(np.abs(change) > _CHANGED)
        change[part] = _spread(look.cut(part), change[part], (REACH * short) ** -2, _NEAR, _FINE_STEPS, wanted)
    return np.where(painted, label, np.clip(pha + change, 0, 1)).astype(np.float32)


def _spread(
    look: _Look,
    start: Floats | None,
    fading: float,
    lengths: tuple[int, ...],
    steps: int,
    wanted: Callable[[], bool],
) -> Floats:
    """Search for the correction by conjugate gradients, with the diagonal as preconditioner."""
    links = list(_links(look, lengths))
    diagonal = _SURE * look.sure + np.float32(fading)
    for a, b, weight in links:
        diagonal[a] += weight
        diagonal[b] += weight

    def applied(change: Floats) -> Floats:
        if not wanted():
            raise Superseded
        result = diagonal * change
        for a, b, weight in links:
            result[a] -= weight * change[b]
            result[b] -= weight * change[a]
        return result

    goal = _SURE * look.off
    change = np.zeros_like(goal) if start is None else start.copy()
    rest = goal - applied(change)
    way = rest / diagonal
    now, enough = float(np.vdot(rest, way)), _CLOSE**2 * float(np.vdot(goal, goal / diagonal))
    for _ in range(steps):
        if now <= enough:
            break
        along = applied(way)
        size = now / float(np.vdot(way, along))
        change += size * way
        rest -= size * along
        step = rest / diagonal
        before, now = now, float(np.vdot(rest, step))
        way = step + (now / before) * way
    return change


def _links(look: _Look, lengths: tuple[int, ...]) -> Iterator[tuple[Window, Window, Floats]]:
    """Pairs of pixels, as two windows of the look, and how alike they are: 0..1, less for longer links."""
    scales = np.sqrt(np.array([_PICTURE] * 3 + [_CHANGE] * 3 + [_MATTE], np.float32))
    features = np.concatenate([look.src, look.src - look.bgr, look.pha[..., None]], 2) * scales
    height, width = look.pha.shape
    for down, right in [(n * dy, n * dx) for n in lengths for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1))]:
        a = slice(down, height), slice(max(right, 0), width + min(right, 0))
        b = slice(0, height - down), slice(max(-right, 0), width - max(right, 0))
        apart = features[a] - features[b]
        yield a, b, np.exp(-np.einsum("hwc,hwc->hw", apart, apart)) / np.float32(np.hypot(down, right))


def window_of(some: NDArray[np.bool_]) -> Window:
    """The smallest window with all True pixels of (H, W); an empty one where no pixel is True."""
    rows, columns = (np.flatnonzero(some.any(axis)) for axis in (1, 0))
    if not len(rows):
        return slice(0), slice(0)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _halved(picture: Floats) -> Floats:
    """Means of 2 x 2 pixels; the last row and column of an odd picture are repeated."""
    even = np.pad(picture, [(0, side % 2) for side in picture.shape[:2]] + [(0, 0)] * (picture.ndim - 2), "edge")
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / np.float32(4)
