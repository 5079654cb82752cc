"""Training crops as a torch data set: `DataLoader(Crops(...), batch_size=8, num_workers=2)`.

It holds addresses only, no open files and no credentials, so it may go to workers by `fork`, `forkserver` or
`spawn`, from a folder or from S3. Sample `index` is the same whoever makes it. In a process that has run a Prefect
flow take `forkserver` or `spawn`: what Prefect does when a process ends fails in a forked one.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.utils.data import Dataset

from storage.store.root import Root
from storage.takes.crop_cache import cached
from storage.takes.crops import MattedFrames, draw_crop, read_crop


class Crops(Dataset[dict[str, Tensor]]):
    """Random squares of the matted frames of some takes.

    A sample is `src`, `bgr` (3, side, side) and `pha` (1, side, side), float32 0..1, display-referred.

    Args:
        store: URL of the store.
        takes: names of the takes.
        run: whose mattes; frames without one are not drawn.
        side: of the squares, in pixels.
        count: number of samples.
        seed: start of the draws. A training that goes on at sample i sees what it would have seen.
        aligned: squares start at corners of stored tiles, which reads fewer of them; see `draw_crop`.
        cache: folder of a fast disk for decoded frames; None reads from the store.
        limit: bytes that the cache may take.

    Raises:
        NotFound: there is no such take or stage.
        MatteError: the run has no matte in these takes.
        SizeMismatch: a picture is smaller than a square.
        StoreError: the cache would be too large, or cannot be written.
    """

    def __init__(
        self,
        store: str,
        takes: Sequence[str],
        run: str,
        *,
        side: int,
        count: int,
        seed: int = 0,
        aligned: bool = False,
        cache: str | Path | None = None,
        limit: int = 2**37,
    ) -> None:
        frames = MattedFrames(Root(store), takes, run)
        frames.check_side(side)
        self.frames = frames if cache is None else cached(frames, cache, limit)
        self.side, self.count, self.seed, self.aligned = side, count, seed, aligned

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        if not 0 <= index < self.count:
            raise IndexError(f"sample {index} of {self.count}")
        frame, window = draw_crop(self.frames, self.side, self.seed, index, aligned=self.aligned)
        return {name: torch.from_numpy(part) for name, part in read_crop(self.frames, frame, window).items()}
