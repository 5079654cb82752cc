"""PNG of 8 and 16 bits, in and out, by OpenCV's exact codec.

OpenCV returns half a picture for half a file, so the checksum of every chunk is compared first. Files are read
through imageio. PNG in memory (label sets, answers to a browser) goes to OpenCV directly, because imageio would write
a temporary file for it (docs/decisions/0008-where-imageio-is-used.md).
"""

import io
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.header import Header, exif_orientation

_SPEAKING = (b"eXIf", b"iTXt", b"tEXt", b"zTXt")
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type


def png_header(path: Path) -> Header:
    """Size and type; the last chunk must be present."""
    with path.open("rb") as file:
        start = file.read(33)
        width, height, depth, colour_type = struct.unpack_from(">IIBB", start, 16)
        file.seek(-12, io.SEEK_END)
        if file.read(12)[4:8] != b"IEND":
            raise ImageUnreadable("the picture is cut off", where=str(path), fix="Copy or export it again.")
        orientation = _orientation(file)
    # OpenCV stretches grey of fewer bits to 8.
    bits = depth if depth < 8 and colour_type == 0 else 0
    dtype = "uint16" if depth == 16 else "uint8"
    return Header(width, height, _CHANNELS[colour_type], dtype, bits, orientation=orientation)


def _orientation(file: BinaryIO) -> int:
    """What the chunks that carry EXIF and XMP say; they may lie before or after the pixels."""
    from PIL import Image

    file.seek(0)
    kept = file.read(33)
    while len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length = int.from_bytes(head[:4], "big") + 4  # with the checksum
        if head[4:] in _SPEAKING:
            kept += head + file.read(length)
        else:
            file.seek(length, io.SEEK_CUR)
    if len(kept) == 33:
        return 1
    with Image.open(io.BytesIO(kept + _chunk(b"IDAT", b"") + _chunk(b"IEND", b""))) as image:
        return exif_orientation(image)


def read_png(path: Path) -> NDArray[Any]:
    """(H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    Raises:
        ImageUnreadable: the file is damaged or cut off.
        ValueError: OpenCV cannot decode it.
    """
    import cv2
    import imageio.v3 as iio

    data = path.read_bytes()
    if any("\udc80" <= letter <= "\udcff" for letter in str(path)):  # not UTF-8, which crashes OpenCV's file reader
        return decode_png(data, str(path))
    _check_chunks(data, str(path))
    try:
        return iio.imread(path, plugin="opencv", index=0, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(str(error)) from error


def encode_png(image: NDArray[Any], level: int = 1) -> bytes:
    """PNG bytes of a uint8 or uint16 array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Args:
        image: the picture.
        level: of compression; 1 is quick, 9 saves three per cent and takes six times as long.
    """
    import cv2

    done, data = cv2.imencode(".png", _swapped(image), [cv2.IMWRITE_PNG_COMPRESSION, level])
    if not done:
        raise ValueError(f"PNG cannot hold {image.dtype} of shape {image.shape}")
    return data.tobytes()


def decode_png(data: bytes, where: str) -> NDArray[Any]:
    """Undo `encode_png`; `where` names the data in errors."""
    import cv2

    _check_chunks(data, where)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageUnreadable("the picture cannot be decoded", where=where, fix="Copy or export it again.")
    return _swapped(image)


def png_with_text(data: bytes, texts: Mapping[str, Any]) -> bytes:
    """The same PNG with text chunks (iTXt, UTF-8, not compressed), "capmat." before each name."""
    end = 8 + 12 + 13  # signature and IHDR, which comes first
    bodies = (f"capmat.{name}".encode("latin-1") + bytes(5) + str(text).encode() for name, text in texts.items())
    return data[:end] + b"".join(_chunk(b"iTXt", body) for body in bodies) + data[end:]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _swapped(image: NDArray[Any]) -> NDArray[Any]:
    """RGB to BGR or back, alpha as it is."""
    import cv2

    if image.ndim == 2:
        return np.ascontiguousarray(image)
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR if image.shape[2] == 3 else cv2.COLOR_RGBA2BGRA)


def _check_chunks(data: bytes, where: str) -> None:
    """Compare the length and CRC of every chunk up to IEND."""
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
