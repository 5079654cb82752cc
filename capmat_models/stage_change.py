"""What a subject does to the stage outside of itself: reflections, glints, things that were moved since the plate.

This is dB(F) of Eq. 2 (paper section 3). Soft shadows are part of it as well, but no stage is free of them, so only
changes that have a structure of their own are counted.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from capmat_models.visual_hull import COVERED, ENOUGH_TO_KEEP
from capmat_models.voxel_rays import View, project

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAST = 0.03
"""Smallest change of a square root of linear light that counts as one: 6 % of the light of a mid grey."""
_DEVIATIONS = 6.0
_STRONG = 0.1
"""Change that no soft shadow makes: it takes a third of the light of a mid grey."""


def signed_change(plate: Floats, shot: Floats) -> Floats:
    """How a shot differs from its plate, in the channel where it does most.

    Args:
        plate: the empty stage as it lies under the shot, (3, H, W) linear light, with the shot's exposure.
        shot: the occupied stage.

    Returns:
        (H, W) difference of square roots, in which noise is alike everywhere.
    """
    change = np.sqrt(np.maximum(shot, 0)) - np.sqrt(np.maximum(plate, 0))
    return np.take_along_axis(change, np.abs(change).argmax(axis=0)[None], axis=0)[0]


def changed(change: Floats, noise: float) -> Mask:
    """Where that is more than noise, specks left out: (H, W)."""
    from scipy.ndimage import binary_opening  # type: ignore[attr-defined]

    return binary_opening(np.abs(change) > max(_LEAST, _DEVIATIONS * noise))


def structured(change: Floats, noise: float, side: int) -> Mask:
    """Where a change has edges, as reflections have and soft shadows have not: (H, W).

    Args:
        change: from `signed_change`.
        noise: standard deviation of it where nothing changed.
        side: of the neighbourhood, in pixels.
    """
    from scipy.ndimage import uniform_filter  # type: ignore[attr-defined]

    mean = uniform_filter(change, side)
    spread = np.sqrt(np.maximum(uniform_filter(change * change, side) - mean * mean, 0))
    return changed(change, noise) & (spread > max(_LEAST / 2, 3 * noise))


def may_be_subject(change: Floats, noise: float, side: int) -> Mask:
    """Where a change is strong or has edges, so that soft shadows are left out: (H, W); arguments as `structured`."""
    return changed(change, noise) & ((np.abs(change) > _STRONG) | structured(change, noise, side))


def silhouettes(views: Sequence[View], resolution: int, margin: int) -> list[Mask] | None:
    """Where the visual hull of what all views see falls in each of them.

    A reflection is seen in one place by one or two cameras, so the hull has it not. Stricter than `visual_hull`:
    up to six views must all agree, and of more one in seven may not, where clothes have the colour of the wall.

    Args:
        views: three or more, with what may be the subject as alpha.
        resolution: voxels along the edge of the box.
        margin: pixels by which the silhouettes are made larger.

    Returns:
        (H, W) masks; None if the views agree on no place.
    """
    axis = (torch.arange(resolution) + 0.5) * (2 / resolution) - 1
    points = torch.cartesian_prod(axis, axis, axis)
    seen, empty = torch.zeros(2, len(points), dtype=torch.int64)
    for view in views:
        pixels, inside = project(view, points)
        alpha = _widened(view.cutout()[3] > COVERED, _footprint(view, points[inside], 2 / resolution))
        column, row = pixels[inside].long().unbind(1)
        seen[inside] += 1
        empty[inside] += (~alpha[row, column]).long()
    kept = points[(seen >= ENOUGH_TO_KEEP) & (empty <= seen // 7)]
    if not len(kept):
        return None
    return [_silhouette(view, kept, 2 / resolution, margin) for view in views]


def _silhouette(view: View, points: torch.Tensor, voxel: float, margin: int) -> Mask:
    pixels, inside = project(view, points)
    drawn = torch.zeros(view.height, view.width, dtype=torch.bool)
    column, row = pixels[inside].long().unbind(1)
    drawn[row, column] = True
    return _widened(drawn, _footprint(view, points[inside], voxel) + margin).numpy()


def _footprint(view: View, points: torch.Tensor, voxel: float) -> int:
    """Half the side of a voxel at the middle distance, in whole pixels, so that no gaps are left between voxels."""
    if not len(points):
        return 0
    depth = (points.double() - view.centre).norm(dim=1).median()
    return int(np.ceil(float(view.K[0, 0]) * voxel / 2 / max(float(depth), voxel)))


def _widened(mask: torch.Tensor, reach: int) -> torch.Tensor:
    wide = F.max_pool2d(mask.float()[None, None], (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(wide, (1, 2 * reach + 1), 1, (0, reach))[0, 0] > 0


def pieces(mask: Mask, least: int) -> Iterator[Mask]:
    """The pieces of a mask that have at least so many pixels; what is four pixels apart is one piece."""
    from scipy.ndimage import binary_dilation, label  # type: ignore[attr-defined]

    numbers, count = label(binary_dilation(mask, iterations=2), np.ones((3, 3)))
    for number in range(1, count + 1):
        mine = mask & (numbers == number)
        if mine.sum() >= least:
            yield mine


def largest_piece(mask: Mask, margin: int) -> Mask:
    """The largest connected piece of a mask, made larger: the subject where too few cameras make a hull."""
    from scipy.ndimage import binary_dilation, label  # type: ignore[attr-defined]

    numbers, count = label(mask, np.ones((3, 3)))
    if not count:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(np.bincount(numbers.ravel())[1:]))
    return binary_dilation(numbers == largest, iterations=margin) if margin else numbers == largest
