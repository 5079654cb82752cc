"""Arrays of frames in Zarr: one file (shard) per block of frames, tiles inside, each with a checksum.

A shard is encoded in memory and put into the store as one file, at once or not at all. Its checksum is known before
the write, so nothing is read before a write. A killed writer leaves the old file. Pictures have blocks of one frame:
one writer owns a frame, and a crop reads a few tiles of it. A missing frame is never answered with zeros.
"""

import json
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from capmat_errors import NotFound, StoreError
from storage.store.ledger import Files, Fingerprint, fingerprint
from storage.store.root import Root
from storage.store.shards import Damaged, Layout, Window, decode, document, encode, holds, index_bytes


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
        data = document(self.layout)
        if attributes:
            data = json.dumps({**json.loads(data), "attributes": {"capmat": dict(attributes)}}, indent=2).encode()
        return write_document(self.root, f"{self.key}/zarr.json", data)

    def write(self, block: int, frames: dict[int, NDArray[Any]]) -> Files:
        """Write one block: arrays by index within it. Returns the file as it now lies in the store."""
        file, seen = self.file(block), Fingerprint()
        self.root.sweep(file)
        self.root.write(file, seen.of(encode(self.layout, frames)))
        return {file: seen.value}

    def has(self, index: int) -> bool:
        """Whether this frame was written; its file may be damaged all the same."""
        block, inside = divmod(index, self.layout.block)
        if self.layout.block == 1:
            return bool(self.root.size(self.file(block)))
        return inside in self._written(block)

    def written(self) -> list[int]:
        """The frames that were written, by index in the array; their files may be damaged all the same."""
        sizes = self.root.sizes(f"{self.key}/c/")
        blocks = [
            block for block in range(-(-self.layout.shape[0] // self.layout.block)) if sizes.get(self.file(block))
        ]
        if self.layout.block == 1:
            return blocks
        return [block * self.layout.block + inside for block in blocks for inside in self._written(block)]

    def read(self, index: int, what: str, window: Window | None = None) -> NDArray[Any]:
        """Read one frame, or the part y0:y1, x0:x1 of it given as `window` (y0, y1, x0, x1).

        Args:
            index: of the frame in the array.
            what: take, camera and frame, for errors.
            window: part of the frame; None for all of it.

        Raises:
            NotFound: this frame was never written.
            StoreError: its file is damaged.
            ValueError: the window is empty or reaches beyond the frame.
        """
        block, inside = divmod(index, self.layout.block)
        where = f"{what}, {self.root.at(self.file(block))}"
        if window is not None:
            _check(window, self.layout, where)
        try:
            with self.root.parts(self.file(block), whole=window is None) as (size, fetch):
                frame = decode(self.layout, size, fetch, inside, window)
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
        """All frames of a block's file, by index within it; empty if the file does not exist. Raises like `read`."""
        return {inside: self.read(block * self.layout.block + inside, what) for inside in self._written(block)}

    def file(self, block: int) -> str:
        """Key of a block's file."""
        return "/".join([self.key, "c", str(block), *["0"] * (len(self.layout.shape) - 1)])

    def _written(self, block: int) -> list[int]:
        """Indices in a block whose frames were written; all of them, if its file is damaged."""
        indices = range(min(self.layout.block, self.layout.shape[0] - block * self.layout.block))
        try:
            with self.root.parts(self.file(block)) as (size, fetch):
                tail = min(index_bytes(self.layout), size)
                (data,) = fetch([(size - tail, tail)])
                return [inside for inside in indices if size and holds(self.layout, data, inside)]
        except NotFound:
            return []
        except Damaged:
            return list(indices)


def write_document(root: Root, file: str, data: bytes) -> Files:
    """Write a description unless the file holds it already. Returns the file, for the ledger."""
    root.sweep(file)
    if root.size(file) != len(data) or root.read(file) != data:
        root.write(file, data)
    return {file: fingerprint(data)}


def encoded_size(planes: NDArray[Any]) -> int:
    """Bytes that a picture's planes (C, y, x) take in the store."""
    return sum(map(len, encode(Layout((1, *planes.shape), str(planes.dtype), "fast"), {0: planes})))


def _check(window: Window, layout: Layout, where: str) -> None:
    y0, y1, x0, x1 = window
    if not (0 <= y0 < y1 <= layout.shape[-2] and 0 <= x0 < x1 <= layout.shape[-1]):
        raise ValueError(f"{where}: the window {window} reaches beyond {layout.shape[-1]}x{layout.shape[-2]} pixels")
