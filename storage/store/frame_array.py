"""How pixels lie in zarr: arrays of frames, one file (shard) per block of frames, tiles inside, each with a checksum.

A shard is encoded in memory and put into the store as one file, at once or not at all, with its checksum known
before it is written: nothing is read before a write, no half file can ever be seen, and a writer that is killed
leaves what was there before. Pictures have blocks of one frame, so that one writer owns a frame and a crop reads a
few tiles of it. What is not there is never answered with zeros.
"""

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from capmat_errors import NotFound, StoreError
from storage.store.ledger import Files, Fingerprint, fingerprint
from storage.store.root import Root
from storage.store.shards import Damaged, Layout, Window, decode, encode, holds, index_bytes


class FrameArray:
    """The array of frames at `key`; opening costs nothing, the layout is known.

    Args:
        root: the store.
        key: folder of the array.
        layout: what it looks like.
    """

    def __init__(self, root: Root, key: str, layout: Layout) -> None:
        self.root, self.key, self.layout = root, key, layout

    def create(self, attributes: Mapping[str, Any] | None = None) -> Files:
        """Write what describes the array, unless it is there; frames stay. Returns the file, for the ledger.

        Args:
            attributes: kept as the Zarr attribute `capmat`; plain json.
        """
        file, document = f"{self.key}/zarr.json", self.layout.document()
        if attributes:
            document = json.dumps(
                {**json.loads(document), "attributes": {"capmat": dict(attributes)}}, indent=2
            ).encode()
        self.root.sweep(file)
        if self.root.size(file) != len(document) or self.root.read(file) != document:
            self.root.write(file, document)
        return {file: fingerprint(document)}

    def write(self, block: int, frames: dict[int, NDArray[Any]]) -> Files:
        """Write one block: arrays by place within it. Returns the file as it now lies in the store."""
        file, seen = self.file(block), Fingerprint()
        self.root.sweep(file)
        self.root.write(file, seen.of(encode(self.layout, frames)))
        return {file: seen.value}

    def has(self, index: int) -> bool:
        """Whether this frame was written; its file may be damaged all the same."""
        block, place = divmod(index, self.layout.block)
        if self.layout.block == 1:
            return bool(self.root.size(self.file(block)))
        return place in self._places(block)

    def there(self) -> list[int]:
        """The frames that were written, by place in the array; their files may be damaged all the same."""
        sizes = self.root.sizes(f"{self.key}/c/")
        blocks = [
            block for block in range(-(-self.layout.shape[0] // self.layout.block)) if sizes.get(self.file(block))
        ]
        if self.layout.block == 1:
            return blocks
        return [block * self.layout.block + place for block in blocks for place in self._places(block)]

    def read(self, index: int, what: str, window: Window | None = None) -> NDArray[Any]:
        """Read one frame, or the part y0:y1, x0:x1 of it given as `window` (y0, y1, x0, x1).

        Args:
            index: place of the frame in the array.
            what: take, camera and frame, for errors.
            window: part of the frame; None for all of it.

        Raises:
            NotFound: this frame was never written.
            StoreError: its file is damaged.
            ValueError: the window is empty or reaches beyond the frame.
        """
        block, place = divmod(index, self.layout.block)
        where = f"{what}, {self.root.at(self.file(block))}"
        if window is not None:
            _check(window, self.layout, where)
        try:
            with self.root.parts(self.file(block), whole=window is None) as (size, fetch):
                frame = decode(self.layout, size, fetch, place, window)
        except NotFound:
            frame = None
        except (Damaged, RuntimeError) as error:
            raise StoreError(
                "the stored frame is damaged", where=where, fix="Run the step that writes it again."
            ) from error
        if frame is None:
            raise NotFound("this frame was never written", where=where, fix="Run the step that writes it.")
        return frame

    def read_block(self, block: int, what: str) -> dict[int, NDArray[Any]]:
        """All frames of a block's file, by place within it; empty if there is no file. Raises like `read`."""
        return {place: self.read(block * self.layout.block + place, what) for place in self._places(block)}

    def file(self, block: int) -> str:
        """Key of a block's file."""
        return "/".join([self.key, "c", str(block), *["0"] * (len(self.layout.shape) - 1)])

    def _places(self, block: int) -> list[int]:
        """Places in a block whose frames were written; all of them, if its file is damaged."""
        inside = range(min(self.layout.block, self.layout.shape[0] - block * self.layout.block))
        try:
            with self.root.parts(self.file(block)) as (size, fetch):
                tail = min(index_bytes(self.layout), size)
                (data,) = fetch([(size - tail, tail)])
                return [place for place in inside if size and holds(self.layout, data, place)]
        except NotFound:
            return []
        except Damaged:
            return list(inside)


def encoded_size(planes: NDArray[Any]) -> int:
    """Bytes that a picture's planes (C, y, x) take in the store."""
    return sum(map(len, encode(Layout((1, *planes.shape), str(planes.dtype), "fast"), {0: planes})))


def _check(window: Window, layout: Layout, where: str) -> None:
    y0, y1, x0, x1 = window
    if not (0 <= y0 < y1 <= layout.shape[-2] and 0 <= x0 < x1 <= layout.shape[-1]):
        raise ValueError(f"{where}: there is no window {window} in {layout.shape[-1]}x{layout.shape[-2]} pixels")
