"""What a subject changes on the stage beside itself: reflections, glints, things that were moved since the plate.

This is dB(F) of Eq. 2 (paper, Sec. 3). Soft shadows belong to it too, but every stage has them, so only changes
with edges count.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

_LEAST = 0.03
"""Smallest change that counts, of the square root of linear light: 6 % of the light of a mid grey."""
_DEVIATIONS = 6.0
_ENOUGH = 3
"""Cameras that must see a voxel; fewer cannot tell where on their rays a thing stands."""
_STRONG = 0.1
"""Change beyond any soft shadow: a third of the light of a mid grey."""


def signed_change(plate: Floats, shot: Floats) -> Floats:
    """How a shot differs from its plate, in the channel that differs most.

    Args:
        plate: the empty stage as it lies under the shot, (3, H, W) linear light, with the shot's exposure.
        shot: the occupied stage.

    Returns:
        (H, W) difference of square roots, in which noise has one level everywhere.
    """
    change = np.sqrt(np.maximum(shot, 0)) - np.sqrt(np.maximum(plate, 0))
    return np.take_along_axis(change, np.abs(change).argmax(axis=0)[None], axis=0)[0]


def changed(change: Floats, noise: float) -> Mask:
    """Where a change is more than noise, without specks: (H, W)."""
    from scipy.ndimage import binary_opening

    return binary_opening(np.abs(change) > max(_LEAST, _DEVIATIONS * noise))


def structured(change: Floats, noise: float, side: int) -> Mask:
    """Where a change has edges, which reflections have and soft shadows lack: (H, W).

    Args:
        change: from `signed_change`.
        noise: standard deviation of it where nothing changed.
        side: of the window over which it is averaged, in pixels.
    """
    from scipy.ndimage import uniform_filter

    mean = uniform_filter(change, side)
    spread = np.sqrt(np.maximum(uniform_filter(change * change, side) - mean * mean, 0))
    return changed(change, noise) & (spread > max(_LEAST / 2, 3 * noise))


def may_be_subject(change: Floats, noise: float, side: int) -> Mask:
    """Where a change is strong or has edges, so without soft shadows: (H, W); arguments as `structured`."""
    return changed(change, noise) & ((np.abs(change) > _STRONG) | structured(change, noise, side))


def silhouettes(
    centres: Sequence[Floats], masks: Sequence[Mask], reach: Sequence[int], margin: int
) -> list[Mask] | None:
    """The visual hull of what all cameras see, drawn into each of them.

    Only one or two cameras see a reflection in one place, so the hull lacks it. The rule is stricter than that of
    `capmat_models.geometry.hull`: up to six cameras must all agree; of more, one in seven may disagree, because
    clothes may have the colour of the wall.

    Args:
        centres: per camera, the pixels (V, 2) of the middles of all voxels; nan where it does not see them.
        masks: per camera (h, w), what may be the subject.
        reach: per camera, pixels from the middle of a voxel to its side.
        margin: pixels by which the silhouettes are made larger.

    Returns:
        (h, w) masks; None if no voxel has three cameras or more that agree.
    """
    seen, empty = np.zeros((2, len(centres[0])), np.int64)
    spots = []
    for centre, mask, side in zip(centres, masks, reach, strict=True):
        height, width = mask.shape
        with np.errstate(invalid="ignore"):
            near = np.rint(np.where(np.isfinite(centre), centre, -9)).astype(np.int32)
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
        outline = np.zeros_like(mask)
        outline[row, column] = True
        drawn.append(_widened(outline, side + margin))
    return drawn


def _widened(mask: Mask, reach: int) -> Mask:
    from scipy.ndimage import maximum_filter

    return maximum_filter(mask, 2 * reach + 1)


def pieces(mask: Mask, least: int) -> Iterator[Mask]:
    """The pieces of a mask with at least `least` pixels; parts up to four pixels apart are one piece."""
    from scipy.ndimage import binary_dilation, label

    numbers, count = label(binary_dilation(mask, iterations=2), np.ones((3, 3)))
    for number in range(1, count + 1):
        piece = mask & (numbers == number)
        if piece.sum() >= least:
            yield piece


def largest_piece(mask: Mask, margin: int) -> Mask:
    """The largest connected piece of a mask, widened: the subject if too few cameras make a hull."""
    from scipy.ndimage import binary_dilation, label

    numbers, count = label(mask, np.ones((3, 3)))
    if not count:
        return np.zeros_like(mask)
    largest = 1 + int(np.argmax(np.bincount(numbers.ravel())[1:]))
    return binary_dilation(numbers == largest, iterations=margin) if margin else numbers == largest
