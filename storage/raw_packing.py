"""12 bits in one and a half bytes, in the four ways that are in use, which are incompatible.

Every group of three bytes b0 b1 b2 holds two photosites:

    lsb   first = b0 + low half of b1,  second = high half of b1 + b2   PFNC `...12p`
    gige  b1 holds both low halves (low, high); b0, b2 the upper bits    GigE Vision `...12Packed`
    mipi  b2 holds both low halves (low, high); b0, b1 the upper bits    MIPI CSI-2 and V4L2 RAW12
    msb   b0 and the high half of b1; low half of b1 and b2              TIFF, DNG

A picture read the wrong way is still recognisable, so nothing here is guessed; see `storage.raw_check`.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Packing = Literal["lsb", "gige", "mipi", "msb"]
PACKINGS: tuple[Packing, ...] = ("lsb", "gige", "mipi", "msb")
_PIECE = 1 << 16  # groups at a time: what is worked on stays in the cache


def packed_bytes(count: int, packing: Packing) -> int:
    """Bytes of a run of `count` photosites; an odd one at the end has two bytes, of "mipi" three."""
    return count // 2 * 3 + count % 2 * (3 if packing == "mipi" else 2)


def unpack(data: bytes | memoryview, shape: tuple[int, ...], packing: Packing) -> NDArray[np.uint16]:
    """Photosites of a run without gaps.

    Args:
        data: exactly `packed_bytes` of them.
        shape: of the result, such as (H, W).
        packing: how they are packed.

    Returns:
        uint16, 0..4095.

    Raises:
        ValueError: `data` has another length.
    """
    count = int(np.prod(shape))
    if len(data) != packed_bytes(count, packing):
        raise ValueError(f"{len(data)} bytes for {count} photosites of 12 bits")
    source = np.frombuffer(data, np.uint8)
    groups = -(-count // 2)
    if source.size < 3 * groups:
        source = np.append(source, np.uint8(0))
    bytes_, out = source.reshape(groups, 3), np.empty((groups, 2), np.uint16)
    for start in range(0, groups, _PIECE):
        b0, b1, b2 = (bytes_[start : start + _PIECE, i].astype(np.uint16) for i in range(3))
        into = out[start : start + _PIECE]
        if packing == "lsb":
            first, second = b0 | (b1 & 15) << 8, b1 >> 4 | b2 << 4
        elif packing == "gige":
            first, second = b0 << 4 | b1 & 15, b2 << 4 | b1 >> 4
        elif packing == "mipi":
            first, second = b0 << 4 | b2 & 15, b1 << 4 | b2 >> 4
        else:
            first, second = b0 << 4 | b1 >> 4, (b1 & 15) << 8 | b2
        into[:, 0], into[:, 1] = first, second
    return out.reshape(-1)[:count].reshape(shape)


def pack(photosites: NDArray[np.uint16], packing: Packing) -> bytes:
    """Undo `unpack`: 0..4095 of any shape to a run of bytes without gaps."""
    flat = photosites.reshape(-1)
    first, second = np.append(flat, np.zeros(flat.size % 2, np.uint16)).reshape(-1, 2).T
    groups = {
        "lsb": (first & 255, first >> 8 | (second & 15) << 4, second >> 4),
        "gige": (first >> 4, first & 15 | (second & 15) << 4, second >> 4),
        "mipi": (first >> 4, second >> 4, first & 15 | (second & 15) << 4),
        "msb": (first >> 4, (first & 15) << 4 | second >> 8, second & 255),
    }[packing]
    return np.stack(groups, axis=1).astype(np.uint8).tobytes()[: packed_bytes(flat.size, packing)]
