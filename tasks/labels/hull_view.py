"""A matte compared with those of the other cameras, for the page: once per frame, in a thread, then kept."""

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
    """The maps of one camera, (h, w) uint8."""

    halo: Pixels
    hole: Pixels
    fold: int  # side of a map's pixel, in pixels of the picture


class HullMaps:
    """The last comparisons.

    Args:
        settings: the subject's box.
        resolution: voxels along the edge of its box.
    """

    def __init__(self, settings: Reconstruction, resolution: int = RESOLUTION) -> None:
        self._settings, self._resolution = settings, resolution
        self._thread = ThreadPoolExecutor(1, "hull")
        self._comparisons: OrderedDict[Key, Future[dict[str, Maps]]] = OrderedDict()
        self._shares: dict[Key, float] = {}
        self._lock = Lock()

    def ready(self, take: Take, run: str, frame: int) -> bool:
        """Whether the comparison is finished; it is begun at the first call.

        Raises:
            CapmatError: it is not possible; see `tasks.geometry.hull_check.check_frame`.
        """
        with self._lock:
            key = (take.name, run, frame)
            if key not in self._comparisons:
                self._comparisons[key] = self._thread.submit(self._compare, take, run, frame)
                while len(self._comparisons) > _KEPT:
                    self._comparisons.popitem(last=False)[1].cancel()
            self._comparisons.move_to_end(key)
            comparison = self._comparisons[key]
            if not comparison.done():
                return False
            if comparison.exception():
                del self._comparisons[key]  # the next call tries again
        comparison.result()
        return True

    def share(self, take: Take, run: str, frame: int) -> float:
        """The share of the comparison that is done, 0..1."""
        return self._shares.get((take.name, run, frame), 0.0)

    def contradict(self, take: Take, run: str, camera: str, frame: int) -> bool:
        """Whether the other cameras contradict the matte of one anywhere; errors as in `maps`."""
        maps = self.maps(take, run, camera, frame)
        return bool(maps.halo.any() or maps.hole.any())

    def maps(self, take: Take, run: str, camera: str, frame: int) -> Maps:
        """The maps of one camera, once the comparison is `ready`.

        Raises:
            NotFound: it is not ready, or this camera has no matte.
        """
        with self._lock:
            comparison = self._comparisons.get((take.name, run, frame))
        where = f"take {take.name} camera {camera} frame {frame}"
        if comparison is None or not comparison.done():
            raise NotFound("the cameras are not compared yet", where=where, fix="Wait for it.")
        if camera not in comparison.result():
            raise NotFound(f"the frame has no matte of {run}", where=where, fix="Matte it first.")
        return comparison.result()[camera]

    def _compare(self, take: Take, run: str, frame: int) -> dict[str, Maps]:
        from tasks.geometry.hull_check import check_frame

        take.run_info(run)
        key = (take.name, run, frame)
        try:
            checked = check_frame(
                take, run, frame, self._settings, self._resolution, lambda share: self._shares.update({key: share})
            )
        finally:
            self._shares.pop(key, None)
        maps = {}
        for camera in checked.cameras:
            halo, hole, fold = checked.maps(camera)
            maps[camera] = Maps(_eight_bits(halo), _eight_bits(hole), fold)
        return maps


def paint_maps(picture: Pixels, maps: Maps, level: int, corner: tuple[int, int]) -> Pixels:
    """Halos in orange and holes in blue over a dimmed, grey picture.

    Args:
        picture: (h, w, 3), a tile.
        maps: of its camera.
        level: of the tile; its pixels are 2**level pixels of the frame wide.
        corner: row and column of the tile's first pixel in its level.
    """
    size = picture.shape[:2]
    indices = [
        (((start + np.arange(side) + 0.5) * 2**level) // maps.fold).astype(int).clip(0, most - 1)
        for start, side, most in zip(corner, size, maps.halo.shape, strict=True)
    ]
    shown = np.repeat(_DIM * picture.mean(axis=2, keepdims=True), 3, axis=2)
    for error, colour in ((maps.halo, TOO_MUCH), (maps.hole, TOO_LITTLE)):
        # the square root shows faint errors too, as in `tasks.show.sheet.error_picture`.
        share = np.sqrt(error[np.ix_(*indices)][..., None] / np.float32(255))
        shown = (1 - share) * shown + share * np.array(colour, np.float32)
    return np.rint(shown).astype(np.uint8)


def _eight_bits(share: NDArray[np.float32]) -> Pixels:
    return np.rint(255 * share).astype(np.uint8)
