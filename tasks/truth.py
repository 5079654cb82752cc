"""Ground truth of a rendered session. The report reads it to judge, the demo's annotator to paint; nobody else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from storage.pictures.files import read_grey

Reference = Callable[[str, int], np.ndarray]
"""(camera, frame) -> alpha (H,W) float32 0..1 that a matte is compared with."""


def truth_of(folder: str, take: str) -> Reference:
    """The true alphas of a take, from `<folder>/<take>/<camera>/<frame>_alpha.png`."""

    def read(camera: str, frame: int) -> np.ndarray:
        picture = read_grey(Path(folder) / take / camera / f"{frame:04d}_alpha.png")
        return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)

    return read
