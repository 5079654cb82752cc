"""PNG of 8 and 16 bits, in and out, by OpenCV's exact codec.

OpenCV returns half a picture for half a file, so the checksum of every chunk is compared first. Files are read
through imageio. PNG in memory (label sets, answers to a browser) goes to OpenCV directly, because imageio would write
a temporary file for it (docs/decisions/0008-where-imageio-is-used.md).
"""

import io
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import REC709, Curve, Declared, by_h273, by_icc, by_primaries, by_tags, exif_tags
from storage.pictures.header import MOST_PIXELS, Header, check_square, exif_orientation

_KINDS = (b"cICP", b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"acTL", b"eXIf", b"iTXt", b"tEXt", b"zTXt")
"""Chunks that say what the pixels mean; the last four hold EXIF and XMP."""
_MOST_CHUNKS, _MOST_ICC = 1000, 2**24
_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}  # by colour type


def png_header(path: Path) -> Header:
    """Size and type; the last chunk must be present."""
    with path.open("rb") as file:
        start = file.read(33)
        width, height, depth, colour_type = struct.unpack_from(">IIBB", start, 16)
        file.seek(-12, io.SEEK_END)
        if file.read(12)[4:8] != b"IEND":
            raise ImageUnreadable("the picture is cut off", where=str(path), fix="Copy or export it again.")
        chunks = _chunks(file)
    if len(chunks) > _MOST_CHUNKS:
        what = f"the PNG has more than {_MOST_CHUNKS} chunks that say what its pixels mean"
        raise ImageUnreadable(what, where=str(path), fix="Export it again.")
    orientation, exif = _exif(chunks)
    said = dict(reversed(chunks))
    if b"pHYs" in said:
        check_square(struct.unpack_from(">II", said[b"pHYs"]), "pHYs", str(path))
    if b"acTL" in said and (count := struct.unpack_from(">I", said[b"acTL"])[0]) > 1:
        what = f"the PNG is an animation of {count} pictures"
        raise ImageUnreadable(what, where=str(path), fix="Export one picture a file.")
    # OpenCV stretches grey of fewer bits to 8.
    bits = depth if depth < 8 and colour_type == 0 else 0
    channels, dtype = _CHANNELS[colour_type], "uint16" if depth == 16 else "uint8"
    declared = _declared(said, channels, str(path)) or by_tags(exif, "EXIF", str(path))
    return Header(width, height, channels, dtype, bits, orientation=orientation, declared=declared)


def _chunks(file: BinaryIO) -> list[tuple[bytes, bytes]]:
    """Return kind and content of the chunks that say something; they may lie before or after the pixels."""
    chunks: list[tuple[bytes, bytes]] = []
    file.seek(33)
    while len(chunks) <= _MOST_CHUNKS and len(head := file.read(8)) == 8 and head[4:] != b"IEND":
        length, kind = struct.unpack(">I4s", head)
        if kind in _KINDS:
            chunks.append((kind, file.read(length)))
            length = 0
        file.seek(length + 4, io.SEEK_CUR)  # with the checksum
    return chunks


def _exif(chunks: Sequence[tuple[bytes, bytes]]) -> tuple[int, dict[int, Any]]:
    """Return the orientation and the tags of EXIF and XMP."""
    from PIL import Image

    kept = [_chunk(kind, data) for kind, data in chunks if kind in _KINDS[-4:]]
    if not kept:
        return 1, {}
    start = b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    with Image.open(io.BytesIO(start + b"".join([*kept, _chunk(b"IDAT", b""), _chunk(b"IEND", b"")]))) as image:
        return exif_orientation(image), exif_tags(image)


def _declared(chunks: Mapping[bytes, bytes], channels: int, where: str) -> Declared | None:
    """Return what the first of these chunks says: cICP, iCCP, sRGB, gAMA with cHRM (PNG 3, 4.3)."""
    if b"cICP" in chunks:
        primaries, transfer, matrix, full = chunks[b"cICP"][:4]
        if matrix or not full:
            what = f"the PNG is YCbCr or of limited range (cICP {primaries} {transfer} {matrix} {full})"
            raise ImageUnreadable(what, where=where, fix="Export it as full-range RGB.")
        return by_h273(primaries, transfer, "cICP", where)
    if b"iCCP" in chunks:
        _, _, packed = chunks[b"iCCP"].partition(b"\0")
        try:
            icc = (unpacking := zlib.decompressobj()).decompress(packed[1:], _MOST_ICC)
            if not unpacking.eof:
                raise zlib.error(f"cut off, or of more than {_MOST_ICC} bytes")
        except zlib.error as error:
            raise ImageUnreadable(
                f"the picture's ICC profile is damaged ({error})", where=where, fix="Copy or export it again."
            ) from error
        return by_icc(icc, channels, where)
    if b"sRGB" in chunks:
        return Declared("sRGB (sRGB chunk)", b"", REC709, ("srgb",))
    curves: tuple[Curve, ...] = ()
    if b"gAMA" in chunks:
        (gamma,) = struct.unpack_from(">I", chunks[b"gAMA"])
        # The standard writes the sRGB curve as 1 / 2.2.
        curves = ("srgb",) if abs(gamma - 45455) < 100 else (100000 / gamma,)
    if b"cHRM" in chunks:
        *white, rx, ry, gx, gy, bx, by = (n / 100000 for n in struct.unpack_from(">8I", chunks[b"cHRM"]))
        return by_primaries((rx, ry, gx, gy, bx, by, *white), curves, "cHRM", where)
    return Declared(f"gamma 1/{100000 / gamma:.3g} (gAMA)", curves=curves) if curves else None


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


def encode_png(image: NDArray[Any], level: int = 1, *, srgb: bool = False) -> bytes:
    """PNG bytes of a uint8 or uint16 array: (H, W) grey, (H, W, 3) RGB or (H, W, 4) RGBA.

    Args:
        image: the picture.
        level: of compression; 1 is quick, 9 saves three per cent and takes six times as long.
        srgb: say in the file that its colours are sRGB.
    """
    import cv2

    done, data = cv2.imencode(".png", _swapped(image), [cv2.IMWRITE_PNG_COMPRESSION, level])
    if not done:
        raise ValueError(f"PNG cannot hold {image.dtype} of shape {image.shape}")
    return _with_chunks(data.tobytes(), [(b"sRGB", b"\1")] if srgb else [])


def decode_png(data: bytes, where: str) -> NDArray[Any]:
    """Undo `encode_png`; `where` names the data in errors."""
    import cv2

    _check_chunks(data, where)
    width, height = struct.unpack_from(">II", data, 16)
    if not 0 < width * height <= MOST_PIXELS:
        what = f"the picture says that it has {width}x{height} pixels"
        raise ImageUnreadable(what, where=where, fix="Copy or export it again.")
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        image = None
    if image is None:
        raise ImageUnreadable("the picture cannot be decoded", where=where, fix="Copy or export it again.")
    return _swapped(image)


def png_with_text(data: bytes, texts: Mapping[str, Any]) -> bytes:
    """The same PNG with text chunks (iTXt, UTF-8, not compressed), "capmat." before each name."""
    bodies = (f"capmat.{name}".encode("latin-1") + bytes(5) + str(text).encode() for name, text in texts.items())
    return _with_chunks(data, [(b"iTXt", body) for body in bodies])


def _with_chunks(data: bytes, chunks: Sequence[tuple[bytes, bytes]]) -> bytes:
    end = 8 + 12 + 13  # signature and IHDR, which comes first
    return data[:end] + b"".join(_chunk(*chunk) for chunk in chunks) + data[end:]


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
