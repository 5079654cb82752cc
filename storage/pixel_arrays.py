"""How pixels lie in zarr: arrays of frames, one file (shard) per block of frames, tiles inside, each with a checksum.

A shard is encoded in memory by zarr and put into the store as one file, at once or not at all, with its checksum
known before it is written: nothing is read before a write, no half file can ever be seen, and a writer that is
killed leaves what was there before. Pictures have blocks of one frame, so that one writer owns a frame and a crop
reads a few tiles of it. Zarr 3.1 returns zeros for a file that is missing or empty; so every read makes sure of the
file first.
"""

import json
import os
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, StoreError
from storage.ledger import Files, fingerprint
from storage.root import Root
from storage.store_errors import store_errors

Window = tuple[int, int, int, int]
Codec = Literal["fast", "small"]
_NOTHING = 2**64 - 1  # stands in a shard's index for a tile that was never written


@dataclass(frozen=True)
class Layout:
    """What an array of frames looks like.

    Attributes:
        shape: (frames, y, x) or (frames, channels, y, x).
        dtype: numpy name.
        codec: "fast" (lz4, for noisy pictures) or "small" (zstd, for mattes: mostly exact 0 and 1).
        tile: side of the tiles; 0 for whole frames.
        block: frames in one file.
    """

    shape: tuple[int, ...]
    dtype: str
    codec: Codec
    tile: int = 256
    block: int = 1

    @property
    def tiles(self) -> int:
        """Tiles of one frame."""
        height, width = self.shape[-2:]
        return -(-height // self.tile) * -(-width // self.tile) if self.tile else 1

    def document(self) -> bytes:
        """The zarr.json of the array."""
        return _document(self)


class FrameArray:
    """The array of frames at `key`; opening costs nothing, the layout is known.

    Args:
        root: the store.
        key: folder of the array.
        layout: what it looks like.
    """

    def __init__(self, root: Root, key: str, layout: Layout) -> None:
        self.root, self.key, self.layout = root, key, layout
        self._arrays: dict[int, Any] = {}

    def create(self) -> Files:
        """Write what describes the array, unless it is there; frames stay. Returns the file, for the ledger."""
        file, document = f"{self.key}/zarr.json", self.layout.document()
        if self.root.size(file) != len(document) or self.root.read(file) != document:
            self.root.write(file, document)
        return {file: fingerprint(document)}

    def write(self, block: int, frames: dict[int, NDArray[Any]]) -> Files:
        """Write one block: arrays by place within it. Returns the file as it now lies in the store."""
        data = self.encode(frames)
        self.root.sweep(self.file(block))
        self.root.write(self.file(block), data)
        return {self.file(block): fingerprint(data)}

    def encode(self, frames: dict[int, NDArray[Any]]) -> bytes:
        """The bytes of a block's file."""
        held: dict[str, Any] = {}
        array = _in_memory(self.layout, held)
        for place, frame in frames.items():
            array[place] = frame
        return bytes(held["/".join(["c", "0", *["0"] * (len(self.layout.shape) - 1)])].to_bytes())

    def has(self, index: int) -> bool:
        """Whether this frame was written; its file may be damaged all the same."""
        file = self.file(index // self.layout.block)
        size = self.root.size(file)
        if not size or self.layout.block == 1:
            return bool(size)
        tail = min(self._index_bytes, size)
        return self._holds(self.root.read_part(file, size - tail, tail), index)

    def read(self, index: int, what: str, window: Window | None = None) -> NDArray[Any]:
        """Read one frame, or the part y0:y1, x0:x1 of it given as `window` (y0, y1, x0, x1).

        Args:
            index: place of the frame in the array.
            what: take, camera and frame, for errors.
            window: part of the frame; None for all of it.

        Raises:
            NotFound: this frame was never written.
            StoreError: its file is damaged.
        """
        file = self.file(index // self.layout.block)
        where = f"{what}, {self.root.at(file)}"
        damaged = StoreError("the stored frame is damaged", where=where, fix="Run the step that writes it again.")
        try:
            if window is None:
                return self._whole(file, index)
            if not self.has(index):
                raise KeyError(file)
            part = (slice(*window[:2]), slice(*window[2:]))
            with store_errors(self.root.at(file), self.root.remote):
                return np.asarray(self._stored()[(index, ..., *part)])
        except (NotFound, KeyError):
            if self.root.size(file) == 0:
                raise damaged from None
            raise NotFound("this frame was never written", where=where, fix="Run the step that writes it.") from None
        except (ValueError, RuntimeError) as error:
            raise damaged from error

    def read_block(self, block: int, what: str) -> dict[int, NDArray[Any]]:
        """All frames of a block's file, by place within it; empty if there is no file. Raises like `read`."""
        start = block * self.layout.block
        inside = range(min(self.layout.block, self.layout.shape[0] - start))
        return {place: self.read(start + place, what) for place in inside if self.has(start + place)}

    def file(self, block: int) -> str:
        """Key of a block's file."""
        return "/".join([self.key, "c", str(block), *["0"] * (len(self.layout.shape) - 1)])

    def _whole(self, file: str, index: int) -> NDArray[Any]:
        data = self.root.read(file)
        if not data or (self.layout.block > 1 and not self._holds(data[-self._index_bytes :], index)):
            raise KeyError(file)
        return np.asarray(_decoder(self.layout, data)[index % self.layout.block])

    @property
    def _index_bytes(self) -> int:
        return 16 * self.layout.tiles * self.layout.block + 4

    def _holds(self, tail: bytes, index: int) -> bool:
        """Whether a file's index, which ends on its checksum, has tiles of this frame."""
        if len(tail) < self._index_bytes:
            return True  # it was cut off; reading says so
        offsets = np.frombuffer(tail[:-4], "<u8").reshape(self.layout.block, self.layout.tiles, 2)[..., 0]
        return bool((offsets[index % self.layout.block] != _NOTHING).all())

    def _stored(self) -> Any:
        """The zarr array in the store; opened afresh in every process, because S3 handles die in a fork."""
        mine = os.getpid()
        if mine not in self._arrays:
            self._arrays[mine] = _array(self.layout, self.root.store(self.key, read_only=True))
        return self._arrays[mine]


def encoded_size(planes: NDArray[Any]) -> int:
    """Bytes that a picture's planes (C, y, x) take in the store."""
    layout = Layout((1, *planes.shape), str(planes.dtype), "fast")
    return len(FrameArray(Root("."), "", layout).encode({0: planes}))


@lru_cache(maxsize=1)
def _zarr() -> Any:
    """Zarr, with the faster of its two ways through codecs where it has both."""
    import zarr
    import zarr.core.codec_pipeline as pipelines

    if hasattr(pipelines, "FusedCodecPipeline"):  # from 3.4 on, which needs Python 3.12
        zarr.config.set({"codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline"})
    return zarr


@lru_cache(maxsize=256)
def _document(layout: Layout) -> bytes:
    zarr = _zarr()
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    sides = layout.shape[-2:]
    tile = tuple(min(layout.tile or side, side) for side in sides)
    whole = tuple(-(-side // t) * t for side, t in zip(sides, tile, strict=True))
    middle = layout.shape[1:-2]
    lz4 = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=np.dtype(layout.dtype).itemsize)
    held: dict[str, Any] = {}
    zarr.create_array(
        zarr.storage.MemoryStore(store_dict=held),
        shape=layout.shape,
        dtype=layout.dtype,
        chunks=(1, *middle, *tile),
        shards=(layout.block, *middle, *whole),
        # The checksum is ours to ask for: without it a flipped bit comes back as a picture.
        compressors=(lz4 if layout.codec == "fast" else ZstdCodec(level=1), Crc32cCodec()),
        filters=None,
        dimension_names=("frame", *("c",) * len(middle), "y", "x"),
        fill_value=0,
    )
    return bytes(held["zarr.json"].to_bytes())


def _in_memory(layout: Layout, held: dict[str, Any]) -> Any:
    """An array of one block, whose file is in `held`."""
    one = Layout((layout.block, *layout.shape[1:]), layout.dtype, layout.codec, layout.tile, layout.block)
    return _array(one, _zarr().storage.MemoryStore(store_dict=held))


def _decoder(layout: Layout, data: bytes) -> Any:
    from zarr.core.buffer import default_buffer_prototype

    name = "/".join(["c", "0", *["0"] * (len(layout.shape) - 1)])
    return _in_memory(layout, {name: default_buffer_prototype().buffer.from_bytes(data)})


def _array(layout: Layout, store: Any) -> Any:
    zarr = _zarr()
    return zarr.Array(
        zarr.AsyncArray(
            metadata=json.loads(layout.document()),
            store_path=zarr.storage.StorePath(store),
            # Without this a black frame leaves no tile, as if it had never been computed.
            config={"write_empty_chunks": True},
        )
    )
