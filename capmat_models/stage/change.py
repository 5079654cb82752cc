"""What a subject does to the stage outside of itself: reflections, glints, things that were moved since the plate.

This is dB(F) of Eq. 2 (paper section 3). Soft shadows are part of it as well, but no stage is free of them, so only
changes that have a structure of their own are counted.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAST = 0.03
"""Smallest change of a square root of linear light that counts as one: 6 % of the light of a mid grey."""
_DEVIATIONS = 6.0
_ENOUGH = 3
"""Cameras that see a voxel: fewer cannot tell where on their rays a thing stands."""
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
    from scipy.ndimage import binary_opening

    return binary_opening(np.abs(change) > max(_LEAST, _DEVIATIONS * noise))


def structured(change: Floats, noise: float, side: int) -> Mask:
    """Where a change has edges, as reflections have and soft shadows have not: (H, W).

    Args:
        change: from `signed_change`.
        noise: standard deviation of it where nothing changed.
        side: of the neighbourhood, in pixels.
    """
    from scipy.ndimage import uniform_filter

    mean = uniform_filter(change, side)
    spread = np.sqrt(np.maximum(uniform_filter(change * change, side) - mean * mean, 0))
    return changed(change, noise) & (spread > max(_LEAST / 2, 3 * noise))


def may_be_subject(change: Floats, noise: float, side: int) -> Mask:
    """Where a change is strong or has edges, so that soft shadows are left out: (H, W); arguments as `structured`."""
    return changed(change, noise) & ((np.abs(change) > _STRONG) | structured(change, noise, side))


def silhouettes(
    places: Sequence[Floats], masks: Sequence[Mask], reach: Sequence[int], margin: int
) -> list[Mask] | None:
    """Where the visual hull of what all cameras see falls in each of them.

    A reflection is seen in one place by one or two cameras, so the hull has it not. Stricter than
    `capmat_models.geometry.hull`: up to six cameras must all agree, and of more one in seven may not, where clothes
    have the colour of the wall.

    Args:
        places: per camera, the pixels (V, 2) of the middles of all voxels; nan where it does not see them.
        masks: per camera (h, w), what may be the subject.
        reach: per camera, pixels from the middle of a voxel to its side.
        margin: pixels by which the silhouettes are made larger.

    Returns:
        (h, w) masks; None if no voxel is seen by three cameras or more that agree.
    """
    seen, empty = np.zeros((2, len(places[0])), np.int64)
    spots = []
    for place, mask, side in zip(places, masks, reach, strict=True):
        height, width = mask.shape
        with np.errstate(invalid="ignore"):
            near = np.rint(np.where(np.isfinite(place), place, -9)).astype(np.int32)
        inside = np.all((near >= 0) & (near < (width, height)), axis=1)
        column, row = near[inside].T
        seen[inside] += 1
        empty[inside] += ~_widened(mask, side)[row, column]
        spots.append((inside, near))
    kept = (seen >= _ENOUGH) & (empty <= seen // 7)
    if not kept.any():
        return None
    drawn = []
    for (inside, near), mask, side in zip(spots, masks, reach, strict=True):
        column, row = near[inside & kept].T
        there = np.zeros_like(mask)
        there[row, column] = True
        drawn.append(_widened(there, side + margin))
    return drawn


def _widened(mask: Mask, reach: int) -> Mask:
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask, 2 * reach + 1)


def pieces(mask: Mask, least: int) -> Iterator[Mask]:
    """The pieces of a mask that have at least so many pixels; what is four pixels apart is one piece."""
    from scipy.ndimage import binary_dilation, label

    numbers, count = label(binary_dilation(mask, iterations=2), np.ones((3, 3)))
    for number in range(1, count + 1):
        mine = mask & (numbers == number)
        if mine.sum() >= least:
            yield mine


def largest_piece(mask: Mask, margin: int) -> Mask:
    """The largest connected piece of a mask, made larger: the subject where too few cameras make a hull."""
    from scipy.ndimage import binary_dilation, label

    numbers, count = label(mask, np.ones((3, 3)))
    if not count:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(np.bincount(numbers.ravel())[1:]))
    return binary_dilation(numbers == largest, iterations=margin) if margin else numbers == largest
