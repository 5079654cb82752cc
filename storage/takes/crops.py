"""Frames to train on, straight from takes: a picture is read when, and where, a part of it is cut out.

Only the tiles under the part are read, so memory stays flat however long the takes are.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from capmat_errors import MatteError
from storage.store.root import Root
from storage.store.shards import Window
from storage.takes.stage import Stage
from storage.takes.take import Take

_AT_ONCE = 16  # cameras whose mattes are asked for; each takes several requests, which on S3 wait for one another


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


def frame_and_plate(take: Take, stage: Stage, camera: str, frame: int) -> tuple[Picture, Picture]:
    """A frame and its plate, each (3, H, W) float32 0..1, display-referred."""
    shape = (3, take.cameras[camera].height, take.cameras[camera].width)
    return Picture(shape, partial(take.read, camera, frame)), Picture(shape, partial(stage.plate, camera))


class MattedFrames(Sequence[tuple[Picture, Picture, Picture]]):
    """All frames of some takes that have a matte in a run: take by take, camera by camera, frame by frame.

    An item is the frame's `src` (3, H, W), `bgr` (3, H, W) and `pha` (1, H, W), float32 0..1, to be sliced.

    Args:
        root: the store.
        takes: their names.
        run: whose mattes.

    Raises:
        NotFound: a take or its stage does not exist.
        MatteError: the run has no matte in any of the takes.
    """

    def __init__(self, root: Root, takes: Sequence[str], run: str) -> None:
        self._run = run
        opened = [Take.open(root, name) for name in takes]
        stages = {take.name: Stage.under(take) for take in opened}
        asked = [(take, camera) for take in opened for camera in take.cameras]
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            matted = list(threads.map(lambda address: address[0].matted(run, address[1]), asked))
        self.addresses = [
            (take, stages[take.name], camera, frame)
            for (take, camera), frames in zip(asked, matted, strict=True)
            for frame in frames
        ]
        """Take, stage, camera and number of every frame, in order."""
        if not self.addresses:
            raise MatteError(f"run {run} has no matte in {', '.join(takes)}", where=root.url, fix="Run it first.")

    def __len__(self) -> int:
        return len(self.addresses)

    def __getitem__(self, index: int) -> tuple[Picture, Picture, Picture]:  # type: ignore[override]  # no slices
        take, stage, camera, frame = self.addresses[index]
        src, bgr = frame_and_plate(take, stage, camera, frame)
        return src, bgr, Picture((1, *src.shape[1:]), partial(take.read_alpha, self._run, camera, frame))
