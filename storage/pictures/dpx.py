"""DPX (SMPTE 268M): RGB of 8, 10, 12 or 16 bits, integers as stored.

ffmpeg's decoder is exact when its own pixel format is kept. Logarithmic files, such as most film scans, are refused,
because their numbers do not mean light.
"""

import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import by_h273
from storage.pictures.header import Header, check_square

_START = 1929  # up to how lines are interlaced; the headers before it may be all that a file has
_RGB = 50
_SCANS = {1: 2, 2: 4, 3: 3, 4: 5, 5: 6, 6: 8, 7: 7}
"""EXIF orientation by the order in which pixels and lines were scanned; 0 is the usual one, 65535 unknown."""
_UNDEFINED = 0xFFFFFFFF
_NO_LIGHT = {1: "printing density", 3: "logarithmic", 11: "depth", 12: "depth", 13: "ADX"}
# Tables 5A and 5B of SMPTE 268M as numbers of ITU-T H.273; 4, "unspecified video", says nothing.
_TRANSFERS = {2: 8, 5: 1, 6: 1, 7: 6, 8: 6, 9: 6, 10: 6}
_PRIMARIES = {5: 1, 6: 1, 7: 5, 8: 6, 9: 6, 10: 5}


def byte_order(start: bytes) -> str:
    """How `struct` reads the numbers of a DPX that begins with `start`.

    Raises:
        ValueError: the file is not a DPX.
    """
    if start[:4] not in (b"SDPX", b"XPDS"):
        raise ValueError("not a DPX file")
    return ">" if start[:4] == b"SDPX" else "<"


def dpx_header(path: Path) -> Header:
    """Size, depth, black, and what the file says about its colours.

    Raises:
        ImageUnreadable: the file does not hold exactly one plain RGB element of square pixels with white at the
            largest number, or is too short for it.
    """
    with path.open("rb") as file:
        start = file.read(_START)
    order = byte_order(start)
    scan, elements, width, height = struct.unpack_from(f"{order}HHII", start, 768)
    signed, low, _, high = struct.unpack_from(f"{order}IIII", start, 780)
    descriptor, transfer, colorimetric, bits = struct.unpack_from("BBBB", start, 800)
    packing, encoding, own_offset, padding = struct.unpack_from(f"{order}HHII", start, 804)
    (offset,) = struct.unpack_from(f"{order}I", start, 4)
    if elements != 1 or descriptor != _RGB or encoding:
        what = f"the DPX holds {elements} elements, the first of kind {descriptor}, encoding {encoding}"
        raise _refused(what, path)
    if transfer in _NO_LIGHT:
        raise _refused(f"the DPX is encoded as {_NO_LIGHT[transfer]}", path)
    if bits not in (8, 10, 12, 16) or (bits in (10, 12) and packing != 1):
        raise _refused(f"the DPX has {bits} bits in packing {packing}", path)
    if padding not in (0, _UNDEFINED) or own_offset not in (0, _UNDEFINED, offset):
        raise _refused("the DPX has gaps before its pixels or between its lines", path)
    row = width * 4 if bits == 10 else width * 3 * (1 if bits == 8 else 2)
    if path.stat().st_size < offset + row * height:
        raise ImageUnreadable("the picture is cut off", where=str(path), fix="Copy or export it again.")
    if signed == 1 or (high not in (0, _UNDEFINED) and high != 2**bits - 1):
        raise _refused("the DPX has signed numbers" if signed == 1 else f"the DPX has white at {high}", path)
    if min(offset, len(start)) >= _START and start[1928] == 1:
        raise ImageUnreadable(
            "the picture is interlaced: its two fields are of different moments",
            where=str(path),
            fix="Record progressively, or deinterlace it into whole frames first.",
        )
    aspect = [0 if side == _UNDEFINED else side for side in struct.unpack_from(f"{order}II", start, 1628)]
    check_square(aspect, "pixel aspect ratio", str(path))
    # FFmpeg used to write "linear" into every file.
    said = 0 if transfer == 2 and start[160:164] == b"Lavc" else _TRANSFERS.get(transfer, 2)
    return Header(
        width,
        height,
        3,
        "uint8" if bits == 8 else "uint16",
        bits if bits % 8 else 0,
        black=None if low in (0, _UNDEFINED) else low,
        orientation=_SCANS.get(scan, 1),
        declared=by_h273(_PRIMARIES.get(colorimetric, 2), said, "DPX header", str(path)),
    )


def read_dpx(path: Path) -> NDArray[Any]:
    """(H, W, 3) uint8 or uint16, signal in the low bits."""
    import av

    header = dpx_header(path)
    try:
        with av.open(BytesIO(path.read_bytes()), mode="r", format="dpx_pipe") as container:
            image: NDArray[Any] = next(container.decode(video=0)).to_ndarray()
    except av.FFmpegError as error:
        raise ValueError(error.strerror) from error
    if image.shape != (header.height, header.width, 3) or image.dtype.itemsize != np.dtype(header.dtype).itemsize:
        raise _refused(f"the DPX was decoded as {image.dtype} of shape {image.shape}", path)
    return image.astype(header.dtype, copy=False)


def _refused(what: str, path: Path) -> ImageUnreadable:
    return ImageUnreadable(
        what, where=str(path), fix="Export linear or video RGB of 10, 12 or 16 bits, filled words."
    )
