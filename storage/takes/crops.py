"""Training crops straight from takes: which frames there are to learn from, and a window of one of them.

A sample is an address (take, camera, frame) and a window of the picture; its frame, plate and matte are cut there.
Only the tiles under the window are read, so memory stays flat however long the takes are. What is kept here are
addresses: it pickles small, and every process opens its own files.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError, SizeMismatch
from storage.store.root import Root
from storage.store.shards import Window
from storage.takes.stage import Stage
from storage.takes.take import Take

TILE = 256
"""Side of the tiles in which takes keep pictures."""
_AT_ONCE = 16  # cameras whose mattes are asked for; each takes several requests, which on S3 wait for one another

Crop = dict[str, NDArray[np.float32]]


class Strip(NamedTuple):
    """The matted frames of one camera of a take."""

    take: Take
    stage: Stage
    camera: str
    frames: tuple[int, ...]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        camera = self.take.cameras[self.camera]
        return camera.height, camera.width


Cut = Callable[[Strip, int, str, Window], NDArray[np.float32]]
"""cut(strip, place in it, "src" | "bgr" | "pha", window) reads a part of a picture."""


@dataclass(frozen=True)
class Picture:
    """A picture (C, H, W) of which a part is read when it is sliced, as `picture[:, 0:64, 0:64]`.

    Attributes:
        shape: (C, H, W).
        cut: reads a window.
    """

    shape: tuple[int, int, int]
    cut: Callable[[Window], NDArray[np.float32]]

    def __getitem__(self, part: tuple[slice, slice, slice]) -> NDArray[np.float32]:
        (top, bottom, _), (left, right, _) = (p.indices(n) for p, n in zip(part[1:], self.shape[1:], strict=True))
        return self.cut((top, bottom, left, right)).reshape(self.shape[0], bottom - top, right - left)[part[0]]


class MattedFrames(Sequence[tuple[Picture, Picture, Picture]]):
    """All frames of some takes that have a matte in a run: take by take, camera by camera, frame by frame.

    An item is the frame's `src` (3, H, W), `bgr` (3, H, W) and `pha` (1, H, W), float32 0..1, to be sliced.

    Args:
        root: the store.
        takes: their names.
        run: whose mattes.

    Attributes:
        run: whose mattes.
        strips: the cameras, in order.
        cut: where windows are read: the store, or a cache.

    Raises:
        NotFound: there is no such take or stage.
        MatteError: the run has not a single matte.
    """

    def __init__(self, root: Root, takes: Sequence[str], run: str) -> None:
        self.run = run
        self.cut: Cut = partial(cut_stored, run)
        opened = [Take.open(root, name) for name in takes]
        stages = {take.stage: Stage.open(root, take.stage) for take in opened}
        asked = [(take, camera) for take in opened for camera in take.cameras]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            there = list(threads.map(lambda address: address[0].matted(run, address[1]), asked))
        self.strips = [
            Strip(take, stages[take.stage], camera, tuple(frames))
            for (take, camera), frames in zip(asked, there, strict=True)
            if frames
        ]
        if not self.strips:
            raise MatteError(f"run {run} has no matte in {', '.join(takes)}", where=root.url, fix="Run it first.")
        self._ends = list(accumulate(len(strip.frames) for strip in self.strips))

    def __len__(self) -> int:
        return self._ends[-1]

    def __getitem__(self, index: int) -> tuple[Picture, Picture, Picture]:  # type: ignore[override]
        strip, place = self.address(index)
        size = strip.size

        def picture(name: str, channels: int) -> Picture:
            return Picture((channels, *size), lambda window: self.cut(strip, place, name, window))

        return picture("src", 3), picture("bgr", 3), picture("pha", 1)

    def address(self, index: int) -> tuple[Strip, int]:
        """Where the frame lies: its strip, and its place among the strip's frames.

        Raises:
            IndexError: there are not that many frames.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"frame {index} of {len(self)}")
        number = bisect_right(self._ends, index)
        strip = self.strips[number]
        return strip, index - (self._ends[number] - len(strip.frames))

    def check_side(self, side: int) -> None:
        """Refuse squares that do not fit into every picture.

        Raises:
            SizeMismatch: a picture is smaller.
        """
        for strip in self.strips:
            if side > min(strip.size):
                raise SizeMismatch(
                    f"a crop of {side} pixels does not fit into {strip.size[1]}x{strip.size[0]}",
                    where=f"take {strip.take.name} camera {strip.camera}",
                    fix="Ask for a smaller one.",
                )


def cut_stored(run: str, strip: Strip, place: int, name: str, window: Window) -> NDArray[np.float32]:
    """Read a window from the store: `src`, `bgr` (3, h, w) or `pha` (h, w) of the frame at `place`.

    Raises:
        StoreError: what is stored is damaged.
    """
    if name == "bgr":
        return strip.stage.plate(strip.camera, window)
    if name == "pha":
        return strip.take.read_alpha(run, strip.camera, strip.frames[place], window)
    return strip.take.read(strip.camera, strip.frames[place], window)


def read_crop(frames: MattedFrames, index: int, window: Window) -> Crop:
    """A training sample: `src`, `bgr` (3, h, w) and `pha` (1, h, w), float32 0..1, display-referred."""
    y0, y1, x0, x1 = window
    return {
        name: picture[:, y0:y1, x0:x1] for name, picture in zip(("src", "bgr", "pha"), frames[index], strict=True)
    }


def draw_crop(frames: MattedFrames, side: int, seed: int, index: int, *, aligned: bool = False) -> tuple[int, Window]:
    """Choose a frame, all equally often, and a square of it. The same for the same (seed, index), on any machine.

    Args:
        frames: what there is.
        side: of the square, in pixels; it must fit, see `MattedFrames.check_side`.
        seed: of the training.
        index: of the sample.
        aligned: start at corners of stored tiles, or at the far border: a square of 512 pixels then lies on 4
            tiles instead of 9. Shift it by some pixels in the augmentation.

    Returns:
        Place of the frame in `frames`, and the window.
    """
    rng = np.random.default_rng((seed, index))
    frame = int(rng.integers(len(frames)))
    strip, _ = frames.address(frame)
    top, left = (_start(rng, length - side, aligned) for length in strip.size)
    return frame, (top, top + side, left, left + side)


def _start(rng: np.random.Generator, last: int, aligned: bool) -> int:
    """A place 0..last. The last one counts as aligned: what stands at the far border is to be seen too."""
    if not aligned:
        return int(rng.integers(last + 1))
    return min(TILE * int(rng.integers(-(-last // TILE) + 1)), last)
