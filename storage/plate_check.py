"""Whose empty stage is this? Finds plates that were filed under another camera's name.

A swapped plate ruins every matte of two cameras and still looks like a stage. Compared at thumbnail size:
there sensor noise is gone, and a moved camera differs everywhere while a performer covers only a part.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

# A wrong plate is called wrong only if another one leaves less than 70 % of its difference, by at least one
# 8-bit level on average. On a real four-camera stage the right plate left 0.009 to 0.017 and a wrong one 0.07
# or more; on a rendered ring of twelve, whose cameras look alike, 0.022 to 0.033 and 0.067 or more.
_RATIO = 0.7
_MARGIN = 1 / 255
_WIDTH = 96
_CEILING = 0.15


def thumbnail(picture: Picture) -> Picture:
    """Reduce (H, W, 3) display-referred 0..1 to about 96 pixels across, by area averages."""
    step = max(1, picture.shape[1] // _WIDTH)
    height, width = (side // step * step for side in picture.shape[:2])
    blocks = picture[:height, :width].reshape(height // step, step, width // step, step, 3)
    return blocks.mean(axis=(1, 3), dtype=np.float32)


def plate_distance(frames: Sequence[Picture], plate: Picture) -> float:
    """How badly a plate explains the background of some frames of one camera.

    Args:
        frames: thumbnails of a take, (h, w, 3), far apart in time so that the performer has moved.
        plate: thumbnail of an empty stage, (h, w, 3).

    Returns:
        Mean absolute difference where the frames agree best with it, after removing an overall change of
        brightness; each pixel counts at most 0.15, so that a performer in white weighs no more than one in
        grey.
    """
    gaps = []
    for frame in frames:
        change = frame - plate
        change = change - np.median(change, axis=(0, 1))
        gaps.append(np.minimum(np.abs(change).mean(axis=2), _CEILING))
    return float(np.min(gaps, axis=0).mean())


def plate_owner(camera: str, frames: Sequence[Picture], plates: Mapping[str, Picture]) -> str:
    """Name the camera whose plate belongs to these frames.

    Args:
        camera: the camera that the frames come from.
        frames: its thumbnails.
        plates: thumbnails of all cameras' plates; those of another size are passed over.

    Returns:
        `camera`, unless another plate explains the frames clearly better than its own; then that one's name.
    """
    own = plate_distance(frames, plates[camera])
    best, owner = own, camera
    for name, plate in plates.items():
        if name != camera and plate.shape == frames[0].shape:
            distance = plate_distance(frames, plate)
            if distance < best:
                best, owner = distance, name
    return owner if best < _RATIO * own and own - best > _MARGIN else camera
