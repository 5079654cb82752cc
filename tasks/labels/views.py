"""What there is to see of a frame when its matte is judged, as tiles.

The picture, the empty stage, a run's matte, the picture over a checkerboard or a green screen, and where two runs
disagree. Every view is made of the stored pixels at the level that is looked at, so flipping from one to another
reads little that is new, and nothing moves.
"""

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

from capmat_errors import NotFound, PlateMissing
from storage.store.root import Root
from storage.store.shards import Window
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.labels.hull_view import HullMaps, paint_maps
from tasks.labels.pyramid import TILE, Kept, Pixels, Read, quarter, read_tile
from tasks.show.sheet import comp_on_green, error_picture, to_jpeg

VIEWS = ("picture", "plate", "alpha", "checker", "green", "difference", "hull")
"""`alpha`, `checker`, `green` and `hull` are of a run, and `difference` of a run against another one: orange where it
holds more for subject, blue where it holds less. `hull` is what the other cameras say,
see `tasks.labels.hull_view`."""
_CHECK = 16  # pixels of the level; 512, a tile's side, is a multiple of twice that
_DARK, _LIGHT = 64, 128
_TILE_BYTES, _SMALL_BYTES = 96 * 2**20, 192 * 2**20
_QUALITY = 90


class Tile(NamedTuple):
    """A piece of a view, encoded: `kind` is "jpeg", or "png" where colours stand for numbers."""

    kind: str
    data: bytes


class FrameViews:
    """The views of some takes; what was looked at lately is kept.

    Args:
        root: the store.
        hulls: what the other cameras say.
    """

    def __init__(self, root: Root, hulls: HullMaps) -> None:
        self._root, self.hulls = root, hulls
        self._tiles, self._small = Kept(_TILE_BYTES), Kept(_SMALL_BYTES)
        self._stages: dict[str, Stage | None] = {}

    def has_plate(self, take: Take, camera: str) -> bool:
        """Whether the empty stage of this camera is in the store."""
        stage = self._stage(take)
        try:
            return stage is not None and stage.plate(camera, (0, 1, 0, 1)) is not None
        except (NotFound, PlateMissing):
            return False

    def runs(self, take: Take, camera: str, frame: int) -> list[str]:
        """The alpha runs that have a matte of this frame."""
        return [run for run in take.alpha_runs() if take.has_alpha(run, camera, frame)]

    def tile(
        self,
        take: Take,
        camera: str,
        frame: int,
        view: str,
        place: tuple[int, int, int],
        runs: tuple[str, ...] = (),
    ) -> Tile:
        """A piece of a view.

        Args:
            take: the take.
            camera: its camera.
            frame: number of the frame.
            view: one of `VIEWS`.
            place: level, row and column, see `tasks.labels.pyramid`.
            runs: the alpha run; for "difference" also the one that it is compared with.

        Raises:
            NotFound: there is no such view, tile, camera, frame, run, plate or matte.
            StoreError: what is stored is damaged.
        """
        wanted = {"picture": 0, "plate": 0, "difference": 2}.get(view, 1)
        if view not in VIEWS or len(runs) != wanted:
            what = f"there is no view {view} of {len(runs)} runs; there is {', '.join(VIEWS)}"
            raise NotFound(what, where=f"take {take.name}")
        key = (take.name, camera, frame, view, place, runs)
        return self._tiles.get(
            key, lambda: _encoded(view, self._pixels(take, camera, frame, view, place, runs)), lambda t: len(t.data)
        )

    def _pixels(
        self, take: Take, camera: str, frame: int, view: str, place: tuple[int, int, int], runs: tuple[str, ...]
    ) -> Pixels:
        def source(name: str) -> Pixels:
            return self._source(take, camera, frame, name, place)

        if view in ("picture", "plate"):
            return source(view)
        if view == "alpha":
            return source(runs[0])
        if view == "difference":
            return error_picture(source(runs[0]), source(runs[1]))
        if view == "hull":
            maps = self.hulls.maps(take, runs[0], camera, frame)
            return paint_maps(source("picture"), maps, place[0], (place[1] * TILE, place[2] * TILE))
        if view == "green":
            return comp_on_green(source("picture"), source(runs[0]))
        return _on_checker(source("picture"), source(runs[0]))

    def _source(self, take: Take, camera: str, frame: int, name: str, place: tuple[int, int, int]) -> Pixels:
        """A tile of what is stored: the picture, the plate, or the mattes of a run."""
        read = self._reader(take, camera, frame, name)
        size = take.cameras[camera].height, take.cameras[camera].width

        def small() -> Pixels:
            if name == "picture":
                with suppress(NotFound):  # takes of the first schema have none
                    return np.ascontiguousarray(take.read_preview(camera, frame).transpose(1, 2, 0))
            return quarter(size, read)

        key = (take.name, camera, 0 if name == "plate" else frame, name)
        try:
            return read_tile(size, *place, read, lambda: self._small.get(key, small, lambda p: p.nbytes))
        except IndexError as error:
            raise NotFound(str(error), where=f"take {take.name} camera {camera}") from error

    def _reader(self, take: Take, camera: str, frame: int, name: str) -> Read:
        if camera not in take.cameras or frame not in take.frames:
            raise NotFound(f"there is no camera {camera} with frame {frame}", where=f"take {take.name}")
        if name == "picture":
            return _eight_bits(lambda window: take.read(camera, frame, window).transpose(1, 2, 0))
        if name == "plate":
            if (stage := self._stage(take)) is None:
                raise NotFound("there is no plate", where=f"take {take.name}", fix="Ingest the empty stage.")
            return _eight_bits(lambda window: stage.plate(camera, window).transpose(1, 2, 0))
        return _eight_bits(lambda window: take.read_alpha(name, camera, frame, window))

    def _stage(self, take: Take) -> Stage | None:
        if self._stages.get(take.stage) is None:  # plates that come later are seen
            try:
                self._stages[take.stage] = Stage.open(self._root, take.stage)
            except NotFound:
                self._stages[take.stage] = None
        return self._stages[take.stage]


def _eight_bits(read: Callable[[Window], np.ndarray]) -> Read:
    return lambda window: np.rint(read(window) * np.float32(255)).astype(np.uint8)


def _on_checker(picture: Pixels, pha: Pixels) -> Pixels:
    """The picture over a grey checkerboard, mixed in display values as the alpha was estimated (Eq. 1, F = I)."""
    rows, columns = (np.arange(side) // _CHECK for side in pha.shape)
    board = np.where((rows[:, None] + columns) % 2 == 0, np.float32(_DARK), np.float32(_LIGHT))[..., None]
    alpha = pha[..., None] / np.float32(255)
    return np.rint(alpha * picture + (1 - alpha) * board).astype(np.uint8)


def _encoded(view: str, pixels: Pixels) -> Tile:
    if view not in ("alpha", "difference"):
        return Tile("jpeg", to_jpeg(pixels, _QUALITY))
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return Tile("png", buffer.getvalue())
