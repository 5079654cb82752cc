"""Base data: cut-out subjects, and pictures to put behind them.

A subject is warped straight into its crop, so its cost depends on the crop and not on the size of the picture.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch.nn import functional as F

from capmat_errors import TrainingError
from capmat_models.data.filters import resized


def shift_hsv(rgb: NDArray[np.float32], hue: float, saturation: float, value: float) -> NDArray[np.float32]:
    """Turn the hue; move saturation and value, the more the lower their mean is, as ViTMatte's loader does.

    Args:
        rgb: (3,K) float32 in 0..1.
        hue: degrees.
        saturation: multiplied by 1.1 - mean saturation, then added. Results are reflected at 0 and 1.
        value: likewise.

    Returns:
        (3,K) float32 in 0..1.
    """
    r, g, b = rgb
    v = np.maximum(np.maximum(r, g), b)
    chroma = v - np.minimum(np.minimum(r, g), b)
    s = chroma / np.maximum(v, 1e-6)
    # the sector of six that the hue lies in starts at red, green or blue, whichever is largest
    scale = 1 / np.maximum(chroma, 1e-6)
    h = np.where(v == r, (g - b) * scale, np.where(v == g, (b - r) * scale + 2, (r - g) * scale + 4))
    h += np.float32(hue / 60)
    s = _reflect(s + np.float32(saturation * (1.1 - s.mean())))
    v = _reflect(v + np.float32(value * (1.1 - v.mean())))
    out = np.empty_like(rgb)
    for channel, offset in enumerate((5, 3, 1)):
        k = h + offset
        k -= 6 * np.floor(k * np.float32(1 / 6))  # several times faster than %
        out[channel] = v - v * s * np.clip(np.minimum(k, 4 - k), 0, 1)
    return out


def _reflect(x: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 - np.abs(1 - np.abs(x))


Sample = dict[str, NDArray[np.float32]]

_MERGE = 0.5  # probability of a second subject, as in the loader of ViTMatte
_ROTATION, _SHEAR = 30.0, 10.0  # degrees either way, same source
_SCALE = (0.45, 1.8)  # of a subject; wider than the original's, since rendered cut-outs are all about equally large
_ASPECT = (0.87, 1.15)
_HUE = 40.0  # degrees either way
_WIDEST_BACKGROUND = 3.0  # a background window is at most this many crops wide
_CELL = 8


class BaseData:
    """Subjects with alpha, and pictures to put behind them.

    Args:
        foregrounds: (H,W,4) uint8 each, sRGB with straight alpha. Any sequence that can be sliced.
        backgrounds: (H,W,3) uint8 each, sRGB, without a subject. Likewise.
        pairs: (H,W,7) uint8 each: a picture of a stage with a subject, the plate, both sRGB, and the true alpha.

    A list or tuple is in memory and checked at once. Of any other sequence an item is read and checked when it is
    drawn, because large base data do not fit into memory.

    Raises:
        TrainingError: a sequence is empty, a picture has the wrong shape or type, or a subject is
            nowhere opaque.
    """

    def __init__(
        self,
        foregrounds: Sequence[NDArray[np.uint8]],
        backgrounds: Sequence[NDArray[np.uint8]],
        pairs: Sequence[NDArray[np.uint8]] = (),
    ) -> None:
        if len(foregrounds) == 0 or len(backgrounds) == 0:
            raise TrainingError(
                "base data need at least one foreground and one background",
                fix=f"There are {len(foregrounds)} foregrounds and {len(backgrounds)} backgrounds.",
            )
        self.foregrounds, self.backgrounds, self.pairs = foregrounds, backgrounds, pairs
        self._anchors: dict[int, NDArray[np.uint16]] = {}
        if isinstance(backgrounds, list | tuple):
            for index, picture in enumerate(backgrounds):
                _check(picture, 3, f"background {index}")
        if isinstance(pairs, list | tuple):
            for index, picture in enumerate(pairs):
                _check(picture, 7, f"pair {index}")
        if isinstance(foregrounds, list | tuple):
            self._anchors = {index: _anchors(picture, index) for index, picture in enumerate(foregrounds)}

    def split(self, held: int) -> tuple["BaseData", "BaseData"]:
        """Base data to learn from, and the last `held` foregrounds and backgrounds to measure on."""
        if not 0 < held < min(len(self.foregrounds), len(self.backgrounds)):
            raise TrainingError(
                f"cannot hold {held} of {len(self.foregrounds)} foregrounds and {len(self.backgrounds)} "
                "backgrounds out",
                fix="Add base data, or hold fewer out.",
            )
        return (
            BaseData(self.foregrounds[:-held], self.backgrounds[:-held], self.pairs),
            BaseData(self.foregrounds[-held:], self.backgrounds[-held:]),
        )

    def cut_out(self, rng: Generator, crop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw one subject or two, warped and in other colours. All randomness comes from `rng`.

        Args:
            rng: where the draws come from.
            crop: side of the square in pixels.

        Returns:
            Alpha (1,crop,crop) and colour (3,crop,crop), float32 in 0..1, display-referred. The colour is 0 where
            alpha is 0. Every square holds an edge of its subject.
        """
        colour, pha = self._subject(rng, crop)
        if rng.random() < _MERGE:
            colour2, pha2 = self._subject(rng, crop)
            colour = colour + (1 - pha) * colour2  # premultiplied "over"
            pha = 1 - (1 - pha) * (1 - pha2)
        return pha, _jitter(rng, np.clip(colour / np.maximum(pha, np.float32(1 / 512)), 0, 1), pha)

    def _subject(self, rng: Generator, crop: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Warp a random subject so that one of its soft pixels lies somewhere in the crop.

        The original puts that pixel into the centre. Without a trimap a network would learn that edges are
        in the centre, so here it may be anywhere.
        """
        index = int(rng.integers(len(self.foregrounds)))
        picture = self.foregrounds[index]
        if index not in self._anchors:
            self._anchors[index] = _anchors(picture, index)
        anchors = self._anchors[index]
        anchor = anchors[int(rng.integers(len(anchors)))].astype(np.float64)
        centre = rng.uniform(0, crop, 2)
        warped = _warp(picture, _inverse_affine(rng), anchor, centre, crop)
        return warped[:3], warped[3:]

    def background(self, rng: Generator, crop: int) -> NDArray[np.float32]:
        """Draw a window of a picture, 1 to 3 crops wide and perhaps mirrored: (3,crop,crop) float32 in 0..1."""
        index = int(rng.integers(len(self.backgrounds)))
        picture = self.backgrounds[index]
        _check(picture, 3, f"background {index}")
        height, width = picture.shape[:2]
        side = int(min(crop * rng.uniform(1, _WIDEST_BACKGROUND), height, width))
        top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
        step = max(1, side // crop)
        window = picture[top : top + side : step, left : left + side : step]
        if rng.random() < 0.5:
            window = window[:, ::-1]
        return resized(window.transpose(2, 0, 1).astype(np.float32), crop) / np.float32(255)

    def pair(self, rng: Generator, crop: int) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Draw a window of a pair with its subject or what lies below it, 0.5 to 1.3 crops wide, perhaps mirrored.

        Returns:
            Picture (3,crop,crop), plate (3,crop,crop) and alpha (1,crop,crop), float32 in 0..1, display-referred.
        """
        index = int(rng.integers(len(self.pairs)))
        picture = self.pairs[index]
        _check(picture, 7, f"pair {index}")
        height, width = picture.shape[:2]
        side = int(min(crop * rng.uniform(0.5, 1.3), height, width))
        rows, columns = (np.flatnonzero(picture[..., 6].any(axis)) for axis in (1, 0))
        if len(rows):  # somewhere on the subject or a little below it, where its mirror image is
            y = rows[0] + rng.uniform(0, 1.25) * (rows[-1] - rows[0])
            x = rng.uniform(columns[0], columns[-1])
        else:
            y, x = rng.uniform(0, height), rng.uniform(0, width)
        top = int(np.clip(y - rng.uniform(0, side), 0, height - side))
        left = int(np.clip(x - rng.uniform(0, side), 0, width - side))
        window = picture[top : top + side, left : left + side, :][:, :: -1 if rng.random() < 0.5 else 1]
        drawn = resized(window.transpose(2, 0, 1).astype(np.float32), crop) / np.float32(255)
        return drawn[:3], drawn[3:6], drawn[6:]


def _check(picture: NDArray[np.uint8], channels: int, where: str) -> None:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != channels:
        raise TrainingError(f"expected (H,W,{channels}) uint8, got {picture.shape} {picture.dtype}", where=where)


def _anchors(picture: NDArray[np.uint8], index: int) -> NDArray[np.uint16]:
    """Find where the edges of a subject are: (K,2) of y and x, at most one soft pixel in each 8x8 cell.

    Thinned out by cells, or samples would show hair and hardly ever a hand. A subject with fewer than 10 soft
    pixels offers all that is visible.
    """
    _check(picture, 4, f"foreground {index}")
    alpha = picture[..., 3]
    places = np.argwhere((alpha > 0) & (alpha < 255))
    if len(places) < 10:
        places = np.argwhere(alpha > 0)
    if len(places) == 0:
        raise TrainingError("the alpha is 0 everywhere", where=f"foreground {index}", fix="Remove the picture.")
    cells = places // _CELL
    _, first = np.unique(cells[:, 0] * alpha.shape[1] + cells[:, 1], return_index=True)
    return places[first].astype(np.uint16)


def _inverse_affine(rng: Generator) -> NDArray[np.float64]:
    """Draw the 2x2 matrix that leads from crop offsets (x,y) to picture offsets.

    No vertical flip, which the original has: nobody on a stage stands on their head.
    """
    angle = np.deg2rad(rng.uniform(-_ROTATION, _ROTATION))
    shear = np.tan(np.deg2rad(rng.uniform(-_SHEAR, _SHEAR)))
    scale = np.exp(rng.uniform(*np.log(_SCALE)))
    sx, sy = scale * rng.uniform(*_ASPECT, 2)
    flip = rng.choice([-1.0, 1.0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.linalg.inv(turn @ np.array([[1.0, shear], [0.0, 1.0]]) @ np.diag([flip * sx, sy]))


def _warp(
    picture: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    anchor: NDArray[np.float64],
    centre: NDArray[np.float64],
    crop: int,
) -> NDArray[np.float32]:
    """Sample a crop of premultiplied colour and alpha, (4,crop,crop) in 0..1, zero outside the picture.

    Premultiplied, because the colour under zero alpha is arbitrary and would bleed into the edge.
    """
    steps = np.arange(crop) + 0.5
    dx = (steps - centre[1]).astype(np.float32)[None, :]
    dy = (steps - centre[0]).astype(np.float32)[:, None]
    matrix = matrix.astype(np.float32)
    x = np.float32(anchor[1]) + matrix[0, 0] * dx + matrix[0, 1] * dy
    y = np.float32(anchor[0]) + matrix[1, 0] * dx + matrix[1, 1] * dy
    height, width = picture.shape[:2]
    # one pixel more than needed on each side, so that the last bilinear taps are inside the window
    left, right = max(0, int(x.min()) - 1), min(width, int(x.max()) + 3)
    top, bottom = max(0, int(y.min()) - 1), min(height, int(y.max()) + 3)
    window = np.ascontiguousarray(picture[top:bottom, left:right].transpose(2, 0, 1), np.float32)
    window *= np.float32(1 / 255)
    window[:3] *= window[3:]
    grid = np.empty((crop, crop, 2), np.float32)
    grid[..., 0] = (x - (left - 0.5)) * (2 / (right - left)) - 1
    grid[..., 1] = (y - (top - 0.5)) * (2 / (bottom - top)) - 1
    warped = F.grid_sample(
        torch.from_numpy(window)[None],
        torch.from_numpy(grid)[None],
        mode="bilinear",
        padding_mode="zeros",
        align_corners=False,
    )
    return warped[0].numpy()


def _jitter(rng: Generator, fgr: NDArray[np.float32], pha: NDArray[np.float32]) -> NDArray[np.float32]:
    """Change hue, saturation and value of the visible foreground, as the loader of ViTMatte does."""
    hue = rng.uniform(-_HUE, _HUE)
    saturation, value = rng.uniform(-1, 1, 2)
    seen = np.flatnonzero(pha)
    out = np.zeros_like(fgr)
    if len(seen):
        out.reshape(3, -1)[:, seen] = shift_hsv(fgr.reshape(3, -1)[:, seen], hue, saturation / 10, value / 10)
    return out
