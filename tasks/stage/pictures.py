"""The pictures of one camera that a stage check measures, small enough to hold a stage of many large cameras.

They are reduced to about 720 pixels across. Noise and focus, which reducing would hide, are measured on rows and on
the green channel at full size.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.calibration.camera import Camera

Floats = NDArray[np.float32]

_WIDTH = 720
_BANDS, _ROWS = 8, 16


@dataclass
class Pictures:
    """The pictures of one camera. All are linear light 0..1, (3, H, W); a small pixel stands for fold x fold.

    Attributes:
        camera: calibration of the small pictures.
        fold: full-size pixels along the side of a small one.
        size: (width, height) of the full size.
        plate: the empty stage, small.
        plate_green: the same at full size, green alone, (H, W).
        empty: small frames of the empty stage; none if the store holds their average alone.
        bands: rows of these frames at full size, (3, R, W).
        noise_map: the same rows of the stored plate and of its stored noise, or None.
        frames: numbers of the frames of the take.
        shots: those frames, small.
        shot_bands: rows of them.
        shot_green: the first of them at full size, green alone; None without a take.
        matte: (h, w) alpha of the first of them; None if it was not matted.
        coarse: whether the recording has 8 bits: its steps, and codecs of such files, hide the camera's own noise.
    """

    camera: Camera
    fold: int
    size: tuple[int, int]
    plate: Floats
    plate_green: Floats
    empty: list[Floats] = field(default_factory=list)
    bands: list[Floats] = field(default_factory=list)
    noise_map: tuple[Floats, Floats] | None = None
    frames: tuple[int, ...] = ()
    shots: list[Floats] = field(default_factory=list)
    shot_bands: list[Floats] = field(default_factory=list)
    shot_green: Floats | None = None
    matte: Floats | None = None
    coarse: bool = False

    @classmethod
    def of_empty(cls, camera: Camera, frames: Iterable[Floats]) -> "Pictures":
        """The empty stage alone, from frames (3, H, W) that are reduced one after the other."""
        fold = fold_of(camera)
        small, bands, green, count = [], [], np.zeros((camera.height, camera.width), np.float32), 0
        for light in frames:
            small.append(reduced(light, fold))
            bands.append(rows_of(light, fold))
            green += light[1]
            count += 1
        K = camera.K.copy()
        K[:2] /= fold
        K[:2, 2] -= (fold - 1) / (2 * fold)
        camera_small = replace(camera, width=camera.width // fold, height=camera.height // fold, K=K)
        plate = np.asarray(np.mean(small, axis=0), np.float32)
        size = (camera.width, camera.height)
        return cls(camera_small, fold, size, plate, green / np.float32(count), small, bands)

    def add_shots(self, shots: Iterable[tuple[int, Floats]]) -> None:
        """Reduce frames of the take, given with their numbers."""
        for frame, light in shots:
            self.frames = (*self.frames, frame)
            self.shots.append(reduced(light, self.fold))
            self.shot_bands.append(rows_of(light, self.fold))
            if self.shot_green is None:
                self.shot_green = light[1].copy()


def fold_of(camera: Camera) -> int:
    """Full-size pixels of a camera along the side of a small one."""
    return max(1, -(-camera.width // _WIDTH))


def reduced(picture: NDArray[Any], fold: int) -> Floats:
    """(C, H, W) by area averages; the right and the bottom lose what does not fill a small pixel."""
    channels, height, width = picture.shape
    height, width = height // fold, width // fold
    blocks = picture[:, : height * fold, : width * fold].reshape(channels, height, fold, width, fold)
    return np.asarray(blocks.mean(axis=(2, 4), dtype=np.float32))


def band_rows(height: int, fold: int) -> NDArray[np.intp]:
    """The rows of the full size on which noise is measured: all of a small picture, bands of a large one."""
    height = height // fold * fold
    if height <= _BANDS * _ROWS:
        return np.arange(height)
    tops = np.linspace(0, height - _ROWS, _BANDS).astype(int)
    return np.unique(tops[:, None] + np.arange(_ROWS))


def rows_of(picture: NDArray[Any], fold: int) -> Floats:
    """Those rows of a picture (C, H, W), cut to whole small pixels."""
    width = picture.shape[2] // fold * fold
    return np.asarray(picture[:, band_rows(picture.shape[1], fold), :width], np.float32)
