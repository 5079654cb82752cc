"""Pictures as cameras make them, into a take and out of it."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.pictures.bayer import stored_planes
from storage.store.ledger import Files
from storage.takes.take import Take


def join(planes: NDArray[Any]) -> NDArray[Any]:
    """The mosaic (2h, 2w) of four planes (4, h, w), which undoes `storage.pictures.bayer.split`."""
    _, height, width = planes.shape
    return planes.reshape(2, 2, height, width).transpose(2, 0, 3, 1).reshape(2 * height, 2 * width)


def write_raw(take: Take, camera: str, frame: int, picture: NDArray[Any]) -> Files:
    """Store a picture (H, W, 3), or a Bayer mosaic (H, W)."""
    return take.write_planes(camera, frame, stored_planes(picture))


def read_raw(take: Take, camera: str, frame: int) -> NDArray[Any]:
    """The camera's numbers as it made them: (H, W, 3), or a mosaic (H, W)."""
    planes = take.read_planes(camera, frame)
    return join(planes) if take.colour.cfa else np.ascontiguousarray(planes.transpose(1, 2, 0))


def has_raw(take: Take, camera: str, frame: int) -> bool:
    """Whether this frame was written."""
    try:
        take.read_planes(camera, frame)
    except NotFound:
        return False
    return True
