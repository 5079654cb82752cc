"""The views of a frame on which its matte is judged, as tiles.

The picture, the empty stage, a run's matte, and where two runs or the other cameras disagree. The page itself lays
mattes over pictures. Views are made of the stored pixels at the level that is shown, so nothing moves between two.
"""

from collections.abc import Callable
from contextlib import suppress
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image

from capmat_errors import NotFound, PlateMissing, no_such
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.raster import BACKGROUND, FOREGROUND
from storage.store.root import Root
from storage.store.shards import Window
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.labels.hull_view import HullMaps, paint_maps
from tasks.labels.pyramid import TILE, Kept, Pixels, Read, level_sizes, quarter, read_tile, tile_window
from tasks.show.sheet import error_picture, to_jpeg

VIEWS = ("picture", "plate", "alpha", "difference", "hull", "label")
"""`alpha` and `hull` are of one run. `difference` compares a run with another: orange where its alpha is larger, blue
where it is smaller. `hull` compares with the other cameras, see `tasks.labels.hull_view`. `label` is what a version
of the label set says, in place of a run: 0 background, 255 foreground, 128 open."""
_TILE_BYTES, _SMALL_BYTES = 96 * 2**20, 192 * 2**20
_QUALITY = 90
_LABEL = np.full(256, 128, np.uint8)
_LABEL[[BACKGROUND, FOREGROUND]] = 0, 255


class Tile(NamedTuple):
    """A piece of a view, encoded: `kind` is "jpeg", or "png" where colours stand for numbers."""

    kind: str
    data: bytes


class FrameViews:
    """The views of takes; the last tiles are kept in memory.

    Args:
        root: the store.
        hulls: comparisons with the other cameras.
    """

    def __init__(self, root: Root, hulls: HullMaps) -> None:
        self._root, self.hulls = root, hulls
        self._tiles, self._small = Kept(_TILE_BYTES), Kept(_SMALL_BYTES)
        self._stages: dict[str, Stage | None] = {}

    def has_plate(self, take: Take, camera: str) -> bool:
        """Whether the store has the plate of this camera."""
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
        at: tuple[int, int, int],
        runs: tuple[str, ...] = (),
    ) -> Tile:
        """A piece of a view.

        Args:
            take: the take.
            camera: its camera.
            frame: number of the frame.
            view: one of `VIEWS`.
            at: level, row and column, see `tasks.labels.pyramid`.
            runs: the alpha run; for "difference" also the one that it is compared with.

        Raises:
            NotFound: the view, tile, camera, frame, run, plate or matte does not exist.
            StoreError: a file of the store is damaged.
        """
        wanted = {"picture": 0, "plate": 0, "difference": 2}.get(view, 1)
        if view not in VIEWS or len(runs) != wanted:
            raise no_such("view", f"{view} of {len(runs)} runs", VIEWS, where=f"take {take.name}", holder="the page")
        key = (take.name, camera, frame, view, at, runs)
        return self._tiles.get(
            key, lambda: _encoded(view, self._pixels(take, camera, frame, view, at, runs)), lambda t: len(t.data)
        )

    def _pixels(
        self, take: Take, camera: str, frame: int, view: str, at: tuple[int, int, int], runs: tuple[str, ...]
    ) -> Pixels:
        def source(name: str) -> Pixels:
            return self._source(take, camera, frame, name, at)

        if view in ("picture", "plate"):
            return source(view)
        if view == "alpha":
            return source(runs[0])
        if view == "difference":
            return error_picture(source(runs[0]), source(runs[1]))
        if view == "label":
            return self._label(take, camera, frame, at, runs[0])
        maps = self.hulls.maps(take, runs[0], camera, frame)
        return paint_maps(source("picture"), maps, at[0], (at[1] * TILE, at[2] * TILE))

    def _label(self, take: Take, camera: str, frame: int, at: tuple[int, int, int], version: str) -> Pixels:
        """A tile of a label; at coarser levels one pixel stands for a square, since a mean of labels is no label."""
        labels = LabelSet.open(self._root, LABELS, version)
        key = (take.name, camera, frame, "label", version)
        whole = self._small.get(key, lambda: _LABEL[labels.label(take.name, camera, frame)], lambda p: p.nbytes)
        sizes = level_sizes(*whole.shape)
        try:
            top, bottom, left, right = tile_window(sizes[at[0]], *at[1:])
        except IndexError as error:
            raise NotFound(str(error), where=f"take {take.name} camera {camera}") from error
        step = 2 ** at[0]
        return whole[top * step : bottom * step : step, left * step : right * step : step]

    def _source(self, take: Take, camera: str, frame: int, name: str, at: tuple[int, int, int]) -> Pixels:
        """A tile of what is stored: the picture, the plate, or the mattes of a run."""
        read = self.reader(take, camera, frame, name)
        size = take.cameras[camera].height, take.cameras[camera].width

        def small() -> Pixels:
            if name == "picture":
                with suppress(NotFound):  # takes of the first schema have no previews
                    return np.ascontiguousarray(take.read_preview(camera, frame).transpose(1, 2, 0))
            return quarter(size, read)

        key = (take.name, camera, 0 if name == "plate" else frame, name)
        try:
            return read_tile(size, *at, read, lambda: self._small.get(key, small, lambda p: p.nbytes))
        except IndexError as error:
            raise NotFound(str(error), where=f"take {take.name} camera {camera}") from error

    def reader(self, take: Take, camera: str, frame: int, name: str) -> Read:
        """Reads parts of "picture", "plate" or the mattes of a run; raises as `tile`."""
        take.seen(camera, frame)
        if name == "picture":
            return _eight_bits(lambda window: take.read(camera, frame, window).transpose(1, 2, 0))
        if name == "plate":
            if (stage := self._stage(take)) is None:
                raise NotFound("its stage has no plates", where=f"take {take.name}", fix="Ingest the empty stage.")
            return _eight_bits(lambda window: stage.plate(camera, window).transpose(1, 2, 0))
        return _eight_bits(lambda window: take.read_alpha(name, camera, frame, window))

    def _stage(self, take: Take) -> Stage | None:
        if self._stages.get(take.name) is None:  # plates that come later are seen
            try:
                self._stages[take.name] = Stage.under(take)
            except NotFound:
                self._stages[take.name] = None
        return self._stages[take.name]


def _eight_bits(read: Callable[[Window], np.ndarray]) -> Read:
    return lambda window: np.rint(read(window) * np.float32(255)).astype(np.uint8)


def _encoded(view: str, pixels: Pixels) -> Tile:
    if view not in ("alpha", "difference", "label"):
        return Tile("jpeg", to_jpeg(pixels, _QUALITY))
    return Tile("png", to_png(pixels))


def to_png(pixels: Pixels) -> bytes:
    """A PNG that is written fast."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
