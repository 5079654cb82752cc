"""What the other cameras say of a matte, for the page: compared once per frame in a thread of its own, then kept."""

from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.labels.pyramid import Pixels
from tasks.show.sheet import TOO_LITTLE, TOO_MUCH

_KEPT = 4  # frames; one of 40 cameras takes some 30 MB
_DIM = 0.55
RESOLUTION = 160
"""Voxels along the box: a quarter of the work of a check for figures, and enough to look at."""

Key = tuple[str, str, int]
"""Take, alpha run, number of the frame."""


class Maps(NamedTuple):
    """Of one camera: `halo` and `hole`, (h, w) uint8, and how many pixels of the picture one of theirs is wide."""

    halo: Pixels
    hole: Pixels
    fold: int


class HullMaps:
    """The comparisons that were asked for lately.

    Args:
        settings: where the subject stands.
        resolution: voxels along the edge of its box.
    """

    def __init__(self, settings: Reconstruction, resolution: int = RESOLUTION) -> None:
        self._settings, self._resolution = settings, resolution
        self._thread = ThreadPoolExecutor(1, "hull")
        self._there: OrderedDict[Key, Future[dict[str, Maps]]] = OrderedDict()
        self._lock = Lock()

    def ready(self, take: Take, run: str, frame: int) -> bool:
        """Whether the comparison is there; it is begun if it is not.

        Raises:
            CapmatError: it is not possible; see `tasks.geometry.hull_check.check_frame`.
        """
        with self._lock:
            key = (take.name, run, frame)
            if key not in self._there:
                self._there[key] = self._thread.submit(self._compare, take, run, frame)
                while len(self._there) > _KEPT:
                    self._there.popitem(last=False)[1].cancel()
            self._there.move_to_end(key)
            found = self._there[key]
            if not found.done():
                return False
            if found.exception():
                del self._there[key]  # asked again, it is tried again
        found.result()
        return True

    def maps(self, take: Take, run: str, camera: str, frame: int) -> Maps:
        """Of one camera, once they are `ready`.

        Raises:
            NotFound: they are not ready, or this camera has no matte.
        """
        with self._lock:
            found = self._there.get((take.name, run, frame))
        where = f"take {take.name} camera {camera} frame {frame}"
        if found is None or not found.done():
            raise NotFound("the cameras are not compared yet", where=where, fix="Wait for it.")
        if camera not in found.result():
            raise NotFound(f"there is no matte {run}", where=where, fix="Matte it first.")
        return found.result()[camera]

    def _compare(self, take: Take, run: str, frame: int) -> dict[str, Maps]:
        from tasks.geometry.hull_check import check_frame

        take.run_info(run)
        checked = check_frame(take, run, frame, self._settings, self._resolution)
        found = {}
        for camera in checked.cameras:
            halo, hole, fold = checked.maps(camera)
            found[camera] = Maps(_eight_bits(halo), _eight_bits(hole), fold)
        return found


def paint_maps(picture: Pixels, maps: Maps, level: int, corner: tuple[int, int]) -> Pixels:
    """Halos in orange and holes in blue over a dimmed, grey picture.

    Args:
        picture: (h, w, 3), a tile.
        maps: of its camera.
        level: of the tile; its pixels are 2**level pixels of the frame wide.
        corner: row and column of the tile's first pixel in its level.
    """
    size = picture.shape[:2]
    places = [
        (((start + np.arange(side) + 0.5) * 2**level) // maps.fold).astype(int).clip(0, most - 1)
        for start, side, most in zip(corner, size, maps.halo.shape, strict=True)
    ]
    shown = np.repeat(_DIM * picture.mean(axis=2, keepdims=True), 3, axis=2)
    for found, colour in ((maps.halo, TOO_MUCH), (maps.hole, TOO_LITTLE)):
        # The square root shows faint ones too, as in `tasks.show.sheet.error_picture`.
        share = np.sqrt(found[np.ix_(*places)][..., None] / np.float32(255))
        shown = (1 - share) * shown + share * np.array(colour, np.float32)
    return np.rint(shown).astype(np.uint8)


def _eight_bits(share: NDArray[np.float32]) -> Pixels:
    return np.rint(255 * share).astype(np.uint8)
