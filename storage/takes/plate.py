"""The empty stage as one camera saw it: a mean and a noise level per pixel, from many frames."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import PlateMismatch, SizeMismatch

_SEED = 9
_CLIP = 4.0
# A pixel's own variance counts as many frames as it has; the average over its brightness counts as this many.
_PRIOR = 8.0
_BLOCK = 64


@dataclass(frozen=True)
class Plate:
    """The empty stage as one camera sees it.

    Attributes:
        mean: (H, W, C) float32, in the camera's own numbers; C is 3, or the 4 planes of a mosaic.
        noise: (H, W, C) float32, standard deviation of one frame, same unit.
        valid: (H, W) bool, False where the frames disagree (somebody stood there).
        n: number of frames that went in.
    """

    mean: NDArray[np.float32]
    noise: NDArray[np.float32]
    valid: NDArray[np.bool_]
    n: int


def build_plate(frames: Iterable[NDArray[Any]]) -> Plate:
    """Average recordings of the empty stage.

    A median of up to nine frames spread over the recording shows the stage. Then all frames are summed, without
    the values that differ from the median by more than four standard deviations: a person who crosses the stage
    leaves no trace. Two frames are plainly averaged. Memory is that of about a dozen frames if `frames` can be
    iterated twice and has a length; a bare generator is kept whole.

    Args:
        frames: (H, W, C) integers or half floats each, all of one size.

    Raises:
        PlateMismatch: `frames` is empty.
        SizeMismatch: the frames differ in size.
    """
    recording = frames if hasattr(frames, "__len__") else list(frames)
    count = len(recording)  # type: ignore[arg-type]
    if not count:
        raise PlateMismatch("the empty stage has no frame", fix="Record it.")
    chosen = set(np.linspace(0, count - 1, min(_SEED, count)).round().astype(int).tolist())
    seed = [frame for index, frame in enumerate(recording) if index in chosen]
    if len({frame.shape for frame in seed}) != 1:
        raise SizeMismatch("frames of the empty stage differ in size", fix="Export them at one size.")
    centre = _by_rows(seed, lambda block: np.median(block, axis=0))
    # Numbers were rounded to steps: to integers, or to a half float's last digit below white.
    step = 2.0**-11 if seed[0].dtype.kind == "f" else 1.0
    level_noise = _level_noise(seed, centre, step)
    if count <= 2:
        mean = _by_rows(seed, lambda block: block.mean(axis=0))
        gap = np.abs(seed[-1].astype(np.float32) - seed[0]) / np.sqrt(2)
        return Plate(mean, level_noise, np.all(gap <= 1.5 * _CLIP * level_noise, axis=2), count)
    del seed
    total, squares = np.zeros_like(centre), np.zeros_like(centre)
    kept = np.zeros(centre.shape, np.uint16)
    for frame in recording:
        if frame.shape != centre.shape:
            raise SizeMismatch("frames of the empty stage differ in size", fix="Export them at one size.")
        for rows in _row_blocks(centre.shape[0]):
            off = frame[rows] - centre[rows]
            near = np.abs(off) <= _CLIP * level_noise[rows] + step
            off *= near
            total[rows] += off
            squares[rows] += off * off
            kept[rows] += near
    valid = np.all(kept * 2 > count, axis=2)
    mean, noise = centre, level_noise
    for rows in _row_blocks(centre.shape[0]):
        weight = np.maximum(kept[rows], 1).astype(np.float32)
        shift = total[rows] / weight
        own = np.maximum(squares[rows] - weight * shift * shift, 0)
        variance = (own + _PRIOR * level_noise[rows] ** 2) / (np.maximum(weight - 1, 0) + _PRIOR)
        mean[rows] += shift
        noise[rows] = np.sqrt(np.maximum(variance, step * step / 12))
    return Plate(mean, noise, valid, count)


def _row_blocks(height: int) -> Iterable[slice]:
    return (slice(top, min(top + _BLOCK, height)) for top in range(0, height, _BLOCK))


def _by_rows(frames: Sequence[NDArray[Any]], reduce: Any) -> NDArray[np.float32]:
    """`reduce` over the stacked frames, some rows at a time, so that no float copy of all exists."""
    out: NDArray[np.float32] = np.empty(frames[0].shape, np.float32)
    for rows in _row_blocks(len(out)):
        out[rows] = reduce(np.stack([frame[rows] for frame in frames]).astype(np.float32))
    return out


def _level_noise(seed: Sequence[NDArray[Any]], centre: NDArray[np.float32], step: float) -> NDArray[np.float32]:
    """Noise as a function of brightness, put back at every pixel: with few frames no pixel knows its own.

    It comes from the difference of two frames far apart. With one frame it comes from neighbouring pixels, which
    counts texture as noise and so errs on the safe side.
    """
    out = np.empty_like(centre)
    for channel in range(centre.shape[2]):
        level = centre[..., channel]
        if len(seed) > 1:
            gap = seed[-1][..., channel].astype(np.float32) - seed[0][..., channel]
        else:
            gap = np.diff(level, axis=1, append=level[:, -2:-1])
        edges = np.unique(np.quantile(level, np.linspace(0, 1, 33)))
        bins = np.clip(np.searchsorted(edges, level, side="right") - 1, 0, max(len(edges) - 2, 0))
        sizes = np.abs(gap)
        # 1.4826 median is the deviation of a normal distribution; the difference of two has root 2 of it.
        spread = [
            1.4826 / np.sqrt(2) * float(np.median(sizes[bins == b])) if (bins == b).any() else 0.0
            for b in range(max(len(edges) - 1, 1))
        ]
        middles = (edges[:-1] + edges[1:]) / 2 if len(edges) > 1 else edges
        out[..., channel] = np.interp(level, middles, spread)
    return np.sqrt(np.maximum(out**2, step * step / 12)).astype(np.float32)
