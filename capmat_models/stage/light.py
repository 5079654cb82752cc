"""What the light of an empty stage does to mattes: lamps that clip, bloom around them, and dark flat places.

A lamp outshines hair in front of it; dark clothes in front of a dark wall differ from it by less than the noise
(paper, Sec. 3 and 4.1, Fig. 3).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Mask = NDArray[np.bool_]

CLIPPED = 0.985
"""Linear light from which a channel counts as clipped; codecs and white balance move white a little."""
_BLOOM = 0.1
"""A lamp's bloom ends where the picture is brighter than farther out by at most this share of the way to white."""
_NEAR = 0.1
"""Largest distance of the logarithm of a pixel's ratio from the most frequent one."""


@dataclass(frozen=True)
class Lamp:
    """A place where the picture is clipped.

    Attributes:
        x: of its middle, in pixels.
        y: of its middle, in pixels.
        area: pixels that are clipped.
        box: (left, top, right, bottom) in pixels, right and bottom outside.
        bloom: width of the brightened rim around it, in pixels.
    """

    x: float
    y: float
    area: int
    box: tuple[int, int, int, int]
    bloom: int


def clipped(picture: Floats) -> Mask:
    """Where a picture (3, H, W) in linear light is clipped in any channel: (H, W)."""
    return picture.max(axis=0) >= CLIPPED


def find_lamps(picture: Floats, smallest: int) -> list[Lamp]:
    """The clipped places, largest first.

    Args:
        picture: the empty stage, (3, H, W) linear light 0..1.
        smallest: least pixels of a lamp.
    """
    from scipy.ndimage import binary_closing, center_of_mass, find_objects, label

    white = clipped(picture)
    numbers, count = label(binary_closing(white, np.ones((3, 3))) | white, np.ones((3, 3)))
    light = picture.mean(axis=0)
    lamps = []
    for number, (rows, columns) in enumerate(find_objects(numbers), 1):
        lamp = white & (numbers == number)
        if (area := int(lamp.sum())) < smallest:
            continue
        y, x = center_of_mass(lamp)
        box = (columns.start, rows.start, columns.stop, rows.stop)
        lamps.append(Lamp(float(x), float(y), area, box, _bloom(light, lamp, white, box)))
    return sorted(lamps, key=lambda lamp: -lamp.area)


def _bloom(light: Floats, lamp: Mask, white: Mask, box: tuple[int, int, int, int]) -> int:
    """How far a lamp brightens its surroundings: rings around it, from the outside in."""
    from scipy.ndimage import distance_transform_edt

    reach = max(8, light.shape[0] // 6)
    left, top, right, bottom = box
    part = (slice(max(0, top - reach), bottom + reach), slice(max(0, left - reach), right + reach))
    away = np.ceil(distance_transform_edt(~lamp[part])).astype(int)
    ring = np.where(white[part], 0, away)
    levels = [np.median(light[part][ring == d]) if (ring == d).any() else np.nan for d in range(1, reach + 1)]
    far = float(np.nanmedian(levels[reach // 2 :])) if np.isfinite(levels[reach // 2 :]).any() else 0.0
    above = np.array(levels) > far + _BLOOM * (1 - far)
    return int(np.argmin(above)) if not above.all() else reach


def dark_places(picture: Floats, level: float, contrast: float) -> Mask:
    """Where the stage is dark and flat, so that dark clothes and hair have no edge: (H, W).

    Args:
        picture: the empty stage, display-referred, (3, H, W).
        level: display-referred value below which a place is dark.
        contrast: display-referred standard deviation around a place, below which it is flat.
    """
    from scipy.ndimage import uniform_filter

    grey = picture.mean(axis=0)
    side = max(3, grey.shape[0] // 40) | 1
    mean = uniform_filter(grey, side)
    spread = np.sqrt(np.maximum(uniform_filter(grey * grey, side) - mean * mean, 0))
    return (mean < level) & (spread < contrast)


def channel_gains(plate: Floats, shot: Floats, use: Mask) -> NDArray[np.float64] | None:
    """How many times brighter each channel of a shot is than in the plate.

    Only pixels near the most frequent ratio count, so that shadows and light from the subject move it little.

    Args:
        plate: the empty stage, (3, H, W) linear light.
        shot: the same view, occupied.
        use: (H, W), False for the subject.

    Returns:
        (3,) factors; None if too little is lit and unclipped.
    """
    out = []
    for empty, full in zip(plate, shot, strict=True):
        good = use & (empty > 0.02) & (empty < 0.8) & (full > 0.01) & (full < 0.95)
        if good.sum() < 200:
            return None
        ratio = np.log(full[good] / empty[good])
        near = np.abs(ratio - _mode(ratio)) < _NEAR
        # Sums and not ratios: ratios of eight bits have few values.
        out.append(float(full[good][near].sum(dtype=np.float64) / empty[good][near].sum(dtype=np.float64)))
    return np.array(out)


def _mode(values: Floats) -> float:
    """Mean of the shortest interval that holds half of the values."""
    held = np.sort(values.astype(np.float64))
    half = len(held) // 2
    start = int(np.argmin(held[half:] - held[: len(held) - half]))
    return float(held[start : start + half + 1].mean())
