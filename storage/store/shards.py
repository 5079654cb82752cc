"""The bytes of a shard: a block of frames in tiles, each compressed and with a checksum, and an index at the end.

This is Zarr's sharding codec (ZEP 2) for the two layouts that takes have; any zarr reads what it writes. Zarr itself
spends about as long on bookkeeping as on the pixels, and a stage writes two gigabytes a second. Reading here also
tells whether a tile was ever written, which zarr does not.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from storage.store.folder import Fetch

Window = tuple[int, int, int, int]
_NOTHING = 2**64 - 1  # stands in the index for a tile that was never written
_SOUND = 0x48674BC7  # crc32c of whatever ends on its own crc32c


Codec = Literal["fast", "small"]


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
    def tile_size(self) -> tuple[int, int]:
        """Height and width of a tile; frames that are smaller are one tile."""
        height, width = self.shape[-2:]
        return min(self.tile or height, height), min(self.tile or width, width)

    @property
    def tiles(self) -> int:
        """Tiles of one frame."""
        height, width = self.tile_size
        return -(-self.shape[-2] // height) * -(-self.shape[-1] // width)


class Damaged(ValueError):
    """The bytes are not those of a shard, or not those that were written."""


def encode(layout: Layout, frames: dict[int, NDArray[Any]]) -> Iterator[bytes]:
    """The file of a block, piece by piece.

    Args:
        layout: of the array.
        frames: (C, y, x) or (y, x) by index in the block; frames that are left out stay empty.
    """
    compress = _codec(layout).encode
    height, width = layout.tile_size
    index = np.full((layout.block, layout.tiles, 2), _NOTHING, "<u8")
    tile = np.zeros((*layout.shape[1:-2], height, width), layout.dtype)
    at = 0
    for inside, frame in sorted(frames.items()):
        for number, (y, x) in enumerate(_corners(layout)):
            seen = frame[..., y : y + height, x : x + width]
            if seen.shape != tile.shape:
                tile[...] = 0  # what lies beyond the picture is stored too
            tile[..., : seen.shape[-2], : seen.shape[-1]] = seen
            data = bytes(compress(tile))
            yield data
            yield _checksum(data)
            index[inside, number] = at, len(data) + 4
            at += len(data) + 4
    tail = index.tobytes()
    yield tail
    yield _checksum(tail)


def decode(layout: Layout, size: int, fetch: Fetch, inside: int, window: Window | None) -> NDArray[Any] | None:
    """One frame of a shard, or a window of it.

    Args:
        layout: of the array.
        size: bytes of the file.
        fetch: reads parts of it.
        inside: index of the frame in the block.
        window: (y0, y1, x0, x1), inside the frame.

    Returns:
        The pixels; None if this frame was never written.

    Raises:
        Damaged: a checksum or a size is wrong.
    """
    tail = index_bytes(layout)
    if size < tail:
        raise Damaged("the file is shorter than its index")
    (data,) = fetch([(size - tail, tail)])
    index = read_index(layout, data)[inside]
    height, width = layout.tile_size
    y0, y1, x0, x1 = window or (0, layout.shape[-2], 0, layout.shape[-1])
    wanted = [
        (number, y, x)
        for number, (y, x) in enumerate(_corners(layout))
        if y < y1 and y + height > y0 and x < x1 and x + width > x0
    ]
    spans = [(int(index[number, 0]), int(index[number, 1])) for number, _, _ in wanted]
    if any(start == _NOTHING for start, _ in spans):
        return None
    if any(start + length > size - tail or length < 5 for start, length in spans):
        raise Damaged("the index points outside the file")
    middle = layout.shape[1:-2]
    out = np.empty((*middle, y1 - y0, x1 - x0), layout.dtype)
    tile = np.empty((*middle, height, width), layout.dtype)
    decompress = _codec(layout).decode
    for (_, y, x), data in zip(wanted, fetch(spans), strict=True):
        if google_crc32c.value(data) != _SOUND:
            raise Damaged("the checksum of a tile is wrong")
        decompress(memoryview(data)[:-4], out=tile)
        top, left = max(y, y0), max(x, x0)
        low, right = min(y + height, y1), min(x + width, x1)
        out[..., top - y0 : low - y0, left - x0 : right - x0] = tile[..., top - y : low - y, left - x : right - x]
    return out


def index_bytes(layout: Layout) -> int:
    """Length of the index at the end of a file, its checksum included."""
    return 16 * layout.tiles * layout.block + 4


def read_index(layout: Layout, tail: bytes) -> NDArray[np.uint64]:
    """Start and length of every tile: (frames of the block, tiles, 2).

    Raises:
        Damaged: its checksum is wrong.
    """
    if len(tail) != index_bytes(layout) or google_crc32c.value(tail) != _SOUND:
        raise Damaged("the checksum of the index is wrong")
    return np.frombuffer(tail[:-4], "<u8").reshape(layout.block, layout.tiles, 2)


def holds(layout: Layout, tail: bytes, inside: int) -> bool:
    """Whether a frame of the block was written, by the index; raises like `read_index`."""
    return bool((read_index(layout, tail)[inside, :, 0] != _NOTHING).all())


def _corners(layout: Layout) -> Iterator[tuple[int, int]]:
    """Top left corner of every tile, in the order of the index."""
    height, width = layout.tile_size
    for y in range(0, layout.shape[-2], height):
        for x in range(0, layout.shape[-1], width):
            yield y, x


def _codec(layout: Layout) -> Any:
    from numcodecs.blosc import BITSHUFFLE, Blosc
    from numcodecs.zstd import Zstd

    return Zstd(level=1) if layout.codec == "small" else Blosc("lz4", 5, BITSHUFFLE)


def _checksum(data: bytes) -> bytes:
    return int(google_crc32c.value(data)).to_bytes(4, "little")


@lru_cache(maxsize=256)
def document(layout: Layout) -> bytes:
    """The zarr.json of an array."""
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    tile = layout.tile_size
    whole = tuple(-(-side // t) * t for side, t in zip(layout.shape[-2:], tile, strict=True))
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
