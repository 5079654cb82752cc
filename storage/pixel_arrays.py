"""How pixels lie in zarr: one array per camera, one file (shard) per frame, 256-pixel tiles inside.

One file per frame means that a frame is there or not there, that one writer owns it, and that a crop reads a
few tiles of it. Zarr 3.1 returns zeros for a file that is missing or empty, and cannot overwrite a damaged
one; so every read looks for the file first and every write removes it first.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, StoreError
from storage.ledger import Files, stored
from storage.root import Root
from storage.store_errors import store_errors

TILE = 256
Window = tuple[int, int, int, int]
Codec = Literal["fast", "small"]


def create_array(root: Root, key: str, shape: tuple[int, ...], dtype: str, *, codec: Codec) -> Files:
    """Make an array of frames at `key`; what was there is removed.

    Args:
        root: the store.
        key: folder of the array.
        shape: (frames, y, x) or (frames, channels, y, x).
        dtype: numpy name.
        codec: "fast" (lz4, for noisy pictures) or "small" (zstd, for mattes: mostly exact 0 and 1).

    Returns:
        The file that describes the array, for the ledger.
    """
    import zarr
    from zarr.codecs import BloscCodec, Crc32cCodec, ZstdCodec

    tile = tuple(min(TILE, side) for side in shape[-2:])
    whole = tuple(-(-side // t) * t for side, t in zip(shape[-2:], tile, strict=True))
    middle = shape[1:-2]
    size = np.dtype(dtype).itemsize
    lz4 = BloscCodec(cname="lz4", clevel=5, shuffle="bitshuffle", typesize=size)
    root.delete(key)
    with store_errors(root.at(key), root.remote):
        zarr.create_array(
            root.store(key, read_only=False),
            shape=shape,
            dtype=dtype,
            chunks=(1, *middle, *tile),
            shards=(1, *middle, *whole),
            # The checksum is ours to ask for: without it a flipped bit comes back as a picture.
            compressors=(lz4 if codec == "fast" else ZstdCodec(level=1), Crc32cCodec()),
            filters=None,
            dimension_names=("frame", *("c",) * len(middle), "y", "x"),
            fill_value=0,
            config={"write_empty_chunks": True},
        )
    root.flush(f"{key}/zarr.json")
    return stored(root, f"{key}/zarr.json")


def open_array(root: Root, key: str) -> Any:
    """Open the array at `key` for reading and writing frames.

    Raises:
        NotFound: there is none.
    """
    import zarr

    if not root.exists(f"{key}/zarr.json"):
        raise NotFound("nothing is stored here", where=root.at(key), fix="Check the name.")
    with store_errors(root.at(key), root.remote):
        # zarr 3.1 ignores config= here. Without write_empty_chunks a black frame would leave no file.
        array = zarr.open_array(root.store(key, read_only=False), mode="r+", zarr_format=3)
    return array.with_config({"write_empty_chunks": True})


def write_frame(root: Root, key: str, array: Any, index: int, frame: NDArray[Any]) -> Files:
    """Write one whole frame, and wait until it is on the disk; returns its file, for the ledger."""
    _delete_frame(root, key, array, index)
    with store_errors(root.at(key), root.remote):
        array[index] = frame
    file = _frame_key(key, array, index)
    root.flush(file)
    return stored(root, file)


def has_frame(root: Root, key: str, array: Any, index: int) -> bool:
    """Whether a frame's file is there and not empty."""
    return bool(root.size(_frame_key(key, array, index)))


def read_frame(root: Root, key: str, array: Any, index: int, what: str, window: Window | None = None) -> NDArray[Any]:
    """Read one frame, or the part y0:y1, x0:x1 of it given as `window` (y0, y1, x0, x1).

    Args:
        root: the store.
        key: folder of the array.
        array: what `open_array` returned.
        index: place of the frame in the array.
        what: take, camera and frame, for errors.
        window: part of the frame; None for all of it.

    Raises:
        NotFound: this frame was never written.
        StoreError: its file is damaged.
    """
    file = _frame_key(key, array, index)
    size = root.size(file)
    if size is None:
        raise NotFound(
            "this frame was never written",
            where=f"{what}, {root.at(file)}",
            fix="Run the step that writes it.",
        )
    damaged = StoreError(
        "the stored frame is damaged",
        where=f"{what}, {root.at(file)}",
        fix="Run the step that writes it again.",
    )
    if size == 0:
        raise damaged
    part = (slice(None), slice(None)) if window is None else (slice(*window[:2]), slice(*window[2:]))
    try:
        with store_errors(root.at(file), root.remote):
            return np.asarray(array[(index, ..., *part)])
    except (ValueError, RuntimeError) as error:
        raise damaged from error


def _frame_key(key: str, array: Any, index: int) -> str:
    return "/".join([key, "c", str(index), *["0"] * (array.ndim - 1)])


def _delete_frame(root: Root, key: str, array: Any, index: int) -> None:
    """Remove the file, and on a disk also what a killed writer left beside it."""
    if root.remote:
        root.remove(_frame_key(key, array, index))
    else:
        root.delete(f"{key}/c/{index}")
