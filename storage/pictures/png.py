"""PNG in and out: OpenCV's decoder is exact to 16 bits, but hands back half a picture for half a file."""

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.header import Header

_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def encode_png(image: NDArray[Any], level: int = 1) -> bytes:
    """PNG bytes of a uint8 or uint16 array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Args:
        image: the picture.
        level: of compression; 1 is quick, 9 saves three per cent and takes six times as long.
    """
    import cv2

    order = image if image.ndim == 2 else image[..., [2, 1, 0] if image.shape[2] == 3 else [2, 1, 0, 3]]
    done, data = cv2.imencode(".png", np.ascontiguousarray(order), [cv2.IMWRITE_PNG_COMPRESSION, level])
    if not done:
        raise ValueError(f"PNG cannot hold {image.dtype} of shape {image.shape}")
    return data.tobytes()


def png_with_text(data: bytes, said: Mapping[str, Any]) -> bytes:
    """The same PNG with text chunks (iTXt, UTF-8, not compressed), each name with "capmat." before it."""
    end = 8 + 12 + 13  # signature and IHDR, which comes first
    texts = (
        b"capmat." + name.encode("latin-1") + b"\0\0\0\0\0" + str(value).encode() for name, value in said.items()
    )
    return data[:end] + b"".join(_chunk(b"iTXt", text) for text in texts) + data[end:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def decode_png(data: bytes, where: str) -> NDArray[Any]:
    """Undo `encode_png`; `where` names the data in errors."""
    import cv2

    _walk(data, where)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageUnreadable("the picture cannot be decoded", where=where, fix="Copy or export it again.")
    if image.ndim == 3:
        image = image[..., [2, 1, 0] if image.shape[2] == 3 else [2, 1, 0, 3]]
    return np.ascontiguousarray(image)


def png_header(path: Path) -> Header:
    """Size and type; the last chunk must be there."""
    with path.open("rb") as file:
        start = file.read(33)
        width, height, depth, kind = struct.unpack_from(">IIBB", start, 16)
        file.seek(-12, io.SEEK_END)
        if file.read(12)[4:8] != b"IEND":
            raise ImageUnreadable("the picture is cut off", where=str(path), fix="Copy or export it again.")
    # OpenCV stretches grey of fewer bits to 8.
    bits = depth if depth < 8 and kind == 0 else 0
    return Header(width, height, _CHANNELS[kind], "uint16" if depth == 16 else "uint8", bits)


def _walk(data: bytes, where: str) -> None:
    """Check every chunk's length and CRC up to IEND."""
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        (crc,) = struct.unpack_from(">I", data, end - 4)
        if zlib.crc32(memoryview(data)[at + 4 : end - 4]) != crc:
            raise ImageUnreadable("the picture is damaged (checksum)", where=where, fix="Copy or export it again.")
        if data[at + 4 : at + 8] == b"IEND":
            return
        at = end
    raise ImageUnreadable("the picture is cut off", where=where, fix="Copy or export it again.")
