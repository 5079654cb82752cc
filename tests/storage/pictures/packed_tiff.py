"""TIFF files of 10, 12 and 14 bits: no library here writes them."""

import struct
from pathlib import Path

import imagecodecs
import numpy as np


def write_packed_tiff(
    path: Path, picture: np.ndarray, bits: int, planar: bool = False, tags: dict[int, int] | None = None
) -> None:
    """A TIFF of one strip per plane, most significant bit first, rows padded to bytes; composed by hand."""
    planes = [picture] if not planar else [np.ascontiguousarray(picture[..., i]) for i in range(3)]
    strips = [b"".join(imagecodecs.packints_encode(row.reshape(-1), bits) for row in plane) for plane in planes]
    height, width = picture.shape[:2]
    samples = picture.shape[2] if picture.ndim == 3 else 1
    fields: dict[int, tuple[str, list[int]]] = {
        256: ("I", [width]),
        257: ("I", [height]),
        258: ("H", [bits] * samples),
        259: ("H", [1]),
        262: ("H", [2 if samples == 3 else 1]),
        273: ("I", []),
        277: ("H", [samples]),
        278: ("I", [height]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if planar else 1]),
    }
    for tag, value in (tags or {}).items():
        fields[tag] = ("H", [value])
    data = bytearray(b"II*\0" + bytes(4))
    fields[273] = ("I", [len(data) + sum(map(len, strips[:i])) for i in range(len(strips))])
    data += b"".join(strips)
    entries = b""
    for tag, (kind, values) in sorted(fields.items()):
        packed = struct.pack(f"<{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, values_elsewhere = struct.pack("<I", len(data)), packed
            data += values_elsewhere
        entries += struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(values)) + packed.ljust(4, b"\0")
    struct.pack_into("<I", data, 4, len(data))
    path.write_bytes(bytes(data) + struct.pack("<H", len(fields)) + entries + bytes(4))
