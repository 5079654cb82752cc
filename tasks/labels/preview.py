"""The preview of the page: what strokes change, as a picture to lay over the matte; nothing is stored."""

from base64 import b64encode
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from threading import Lock
from typing import TypedDict

import numpy as np

from storage.labels.raster import OPEN, rasterise
from storage.labels.strokes import Drawing
from storage.store.shards import Window
from tasks.labels.heal import REACH, Superseded, healed, window_of
from tasks.labels.pyramid import Pixels, Read, shrink
from tasks.labels.views import to_png

_MOST_PIXELS = 3e6  # a larger part of a frame is solved at a half or a quarter of its size
_STRIP = 512
_PAGES = 64


class Preview(TypedDict):
    """A part of a matte as the strokes would have it.

    Attributes:
        box: x0, y0, x1, y1 in pixels of the frame; None where nothing changes.
        png: of that part, grey, in base64; "" without a box.
        superseded: whether a later request of the same page ended this one.
    """

    box: tuple[int, int, int, int] | None
    png: str
    superseded: bool


_NOTHING: Preview = {"box": None, "png": "", "superseded": False}


class Previews:
    """Makes one preview at a time; a page's next request ends its last one."""

    def __init__(self) -> None:
        self._tickets, self._newest = count(), OrderedDict[str, int]()
        self._solving, self._lock = Lock(), Lock()

    def make(
        self, drawing: Drawing, below: Pixels | None, src: Read, bgr: Read | None, pha: Read, page: str
    ) -> Preview:
        """Heal a matte.

        Args:
            drawing: all strokes on the frame.
            below: (H, W) label that was painted as pixels, under the strokes; None without.
            src: reads a part of the picture.
            bgr: reads a part of the plate; None where the stage has none.
            pha: reads a part of the matte.
            page: tells the pages of two people, or of two tabs, apart.
        """
        with self._lock:
            ticket = self._newest[page] = next(self._tickets)
            self._newest.move_to_end(page)
            while len(self._newest) > _PAGES:
                self._newest.popitem(last=False)
        with self._solving:
            try:
                return _healed(drawing, below, src, bgr, pha, lambda: self._newest.get(page, ticket) == ticket)
            except Superseded:
                return {**_NOTHING, "superseded": True}


def _healed(
    drawing: Drawing, below: Pixels | None, src: Read, bgr: Read | None, pha: Read, wanted: Callable[[], bool]
) -> Preview:
    size = drawing.height, drawing.width
    label = rasterise(drawing.strokes, size, below=below)
    painted, reach = window_of(label != OPEN), round(2 * REACH * min(size))
    if not painted[0].stop:
        return _NOTHING
    y0, x0 = (max(0, part.start - reach) for part in painted)
    y1, x1 = (min(side, part.stop + reach) for part, side in zip(painted, size, strict=True))
    fold = 1
    while (y1 - y0) * (x1 - x0) > _MOST_PIXELS * fold**2:
        fold *= 2
    window = y0, y1, x0, x1

    def small(read: Read) -> np.ndarray:
        if not wanted():
            raise Superseded
        return _read(read, window, fold) / np.float32(255)

    picture, matte = small(src), small(pha)
    plate = small(bgr) if bgr else picture
    cut = label[y0:y1, x0:x1]
    some = cut[fold // 2 :: fold, fold // 2 :: fold][: matte.shape[0], : matte.shape[1]]
    change = healed(picture, plate, matte, some, min(size) // fold, wanted) - matte
    whole = pha(window)
    change = np.repeat(np.repeat(change, fold, 0), fold, 1)
    change = np.pad(change, [(0, w - c) for w, c in zip(whole.shape, change.shape, strict=True)], "edge")
    after = np.where(cut == OPEN, np.rint(whole + 255 * change).clip(0, 255), 255 * cut).astype(np.uint8)
    part = rows, columns = window_of(after != whole)
    if not rows.stop:
        return _NOTHING
    box = x0 + columns.start, y0 + rows.start, x0 + columns.stop, y0 + rows.stop
    return {**_NOTHING, "box": box, "png": b64encode(to_png(after[part])).decode()}


def _read(read: Read, window: Window, fold: int) -> Pixels:
    """A part of a picture at a `fold` of its size, strip by strip."""
    y0, y1, x0, x1 = window
    if fold == 1:
        return read(window)
    strips = [(top, min(top + _STRIP, y1)) for top in range(y0, y1, _STRIP)]
    return np.concatenate([shrink(read((a, b, x0, x1)), fold) for a, b in strips if b - a >= fold])
