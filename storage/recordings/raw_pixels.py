"""Pixel formats by the names that camera software uses (GenICam PFNC), and where frames lie in a headerless file.

`BayerRG12` is 12 bits in the low bits of 16, little endian; `BayerRG12p`, `BayerRG12Packed`, `BayerRG12MIPI` and
`BayerRG12MSB` are the four packings below; so for GR, GB, BG and Mono. The last two names are
ours: PFNC has none for these packings.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, SessionError
from storage.descriptor import RawSection
from storage.pictures.header import Header

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


_ORDERS = {"Mono": "", "BayerRG": "RGGB", "BayerGR": "GRBG", "BayerGB": "GBRG", "BayerBG": "BGGR"}
_SUFFIXES: dict[str, Packing] = {"12p": "lsb", "12Packed": "gige", "12MIPI": "mipi", "12MSB": "msb"}


@dataclass(frozen=True)
class PixelFormat:
    """How the numbers of a picture lie in bytes.

    Attributes:
        bits: bits that carry signal.
        channels: 1, or 3 for RGB.
        cfa: order of the mosaic's colours; "" where the name does not say it.
        packing: of 12 bits in one and a half bytes; None for whole bytes.
    """

    bits: int
    channels: int = 1
    cfa: str = ""
    packing: Packing | None = None


FORMATS = {
    **{f"{name}{bits}": PixelFormat(bits, 1, cfa) for name, cfa in _ORDERS.items() for bits in (8, 10, 12, 14, 16)},
    **{
        f"{name}{end}": PixelFormat(12, 1, cfa, packing)
        for name, cfa in _ORDERS.items()
        for end, packing in _SUFFIXES.items()
    },
    **{f"RGB{bits}": PixelFormat(bits, 3) for bits in (8, 10, 12, 14, 16)},
}


def pixel_format(raw: RawSection) -> PixelFormat:
    """The section's format, found fit for it.

    Raises:
        SessionError: the name is not known, rows are shorter than their pixels, or packed rows have odd lengths.
    """
    found = FORMATS.get(raw.pixel_format)
    if found is None:
        near = [name for name in FORMATS if name[:7].lower() == raw.pixel_format[:7].lower()] or list(FORMATS)
        raise SessionError(
            f"the pixel format {raw.pixel_format!r} is not known", where="[raw]", fix=f"Use one of {', '.join(near)}."
        )
    if raw.row_bytes and raw.row_bytes < row_length(raw, found):
        raise SessionError(
            f"row_bytes is {raw.row_bytes}, a row needs {row_length(raw, found)}", where="[raw]", fix="Correct it."
        )
    if found.packing and raw.width % 2:
        raise SessionError(f"packed rows of {raw.width} pixels", where="[raw]", fix="Give the sensor's even width.")
    return found


def row_length(raw: RawSection, form: PixelFormat) -> int:
    """Bytes of one row without what pads it."""
    if form.packing:
        return packed_bytes(raw.width, form.packing)
    return raw.width * form.channels * (1 if form.bits == 8 else 2)


def frame_length(raw: RawSection, form: PixelFormat) -> int:
    """Bytes of one frame's rows, without what stands before and behind it."""
    return raw.height * (raw.row_bytes or row_length(raw, form))


def frame_count(raw: RawSection, form: PixelFormat, size: int, where: str) -> int:
    """Frames in a file of `size` bytes.

    Raises:
        ImageUnreadable: the size is not that of a whole number of frames, or of none.
    """
    each = raw.frame_header_bytes + frame_length(raw, form) + raw.trailer_bytes
    count, rest = divmod(size - raw.header_bytes, each)
    if rest or count < 1:
        raise ImageUnreadable(
            f"the file has {size} bytes; {raw.pixel_format} of {raw.width}x{raw.height} pixels makes "
            f"{raw.header_bytes} and {each} per frame, which leaves {rest}",
            where=where,
            fix="Correct [raw], or copy the file again.",
        )
    return count


def frame_place(raw: RawSection, form: PixelFormat, index: int) -> int:
    """Where the rows of a file's `index`-th frame begin."""
    each = raw.frame_header_bytes + frame_length(raw, form) + raw.trailer_bytes
    return raw.header_bytes + index * each + raw.frame_header_bytes


def raw_header(raw: RawSection, form: PixelFormat) -> Header:
    """What the section says of every picture."""
    bits = form.bits if form.bits % 8 else 0
    return Header(raw.width, raw.height, form.channels, "uint8" if form.bits == 8 else "uint16", bits, form.cfa)


def rows_of(data: bytes, raw: RawSection, form: PixelFormat) -> bytes:
    """A frame's rows without what pads them; a multiple of `row_length`."""
    if not raw.row_bytes or raw.row_bytes == row_length(raw, form):
        return data
    return np.frombuffer(data, np.uint8).reshape(-1, raw.row_bytes)[:, : row_length(raw, form)].tobytes()


def picture_of(rows: bytes, raw: RawSection, form: PixelFormat) -> NDArray[Any]:
    """(H, W) or (H, W, 3) of a frame's rows, uint8 or uint16."""
    shape = (raw.height, raw.width) if form.channels == 1 else (raw.height, raw.width, form.channels)
    if form.packing:
        return unpack(rows, shape, form.packing)
    if form.bits == 8:
        return np.frombuffer(rows, np.uint8).reshape(shape)
    return np.frombuffer(rows, "<u2").astype(np.uint16, copy=False).reshape(shape)
