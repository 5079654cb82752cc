"""When a picture was taken, by the time code and the rate in its header: OpenEXR, DPX, and DNG of cinema cameras."""

import math
import struct
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from capmat_errors import ImageUnreadable
from storage.pictures.dpx import byte_order

_RATE, _CODES = 51044, 51043  # FrameRate and TimeCodes of CinemaDNG 1.1
_UNSAID = (0, 0xFFFFFFFF)  # in a DPX; many programs leave zeros


class Moment(NamedTuple):
    """The time code of a picture, "HH:MM:SS:FF" or with ";" if it is drop-frame, "" without; and a rate or 0."""

    timecode: str = ""
    rate: Fraction = Fraction(0)


def read_moment(path: Path) -> Moment:
    """What the file says; an empty moment of formats that say nothing.

    Raises:
        ImageUnreadable: the file cannot be read.
    """
    read = {".exr": _exr, ".dpx": _dpx, ".dng": _dng}.get(path.suffix.lower())
    try:
        return read(path) if read else Moment()
    except (OSError, ValueError, RuntimeError, struct.error, LookupError, TypeError) as error:
        raise ImageUnreadable(
            f"the header cannot be read ({error})", where=str(path), fix="Copy or export it again."
        ) from error


def _exr(path: Path) -> Moment:
    import OpenEXR

    with OpenEXR.File(str(path), header_only=True) as file:
        header = file.header()
        code, rate = header.get("timeCode"), header.get("framesPerSecond")
        rate = Fraction(rate) if rate else Fraction(0)
        if code is None:
            return Moment("", rate)
        return Moment(_written((code.hours, code.minutes, code.seconds, code.frame), bool(code.dropFrame)), rate)


def _dpx(path: Path) -> Moment:
    with path.open("rb") as file:
        start = file.read(1944)
    order = byte_order(start)
    (end,) = struct.unpack_from(f"{order}I", start, 4)  # of all headers; those of film and television may be missing
    code = struct.unpack_from(f"{order}I", start, 1920)[0] if end >= 1924 else 0
    rates = (struct.unpack_from(f"{order}f", start, at)[0] for at in (1940, 1724) if at + 4 <= end)
    rate = next((rate for rate in rates if math.isfinite(rate) and 0 < rate < 10000), 0.0)  # television first
    exact = Fraction(rate).limit_denominator(1001)
    return Moment("" if code in _UNSAID else _of_digits(code.to_bytes(4, "big")), exact)


def _dng(path: Path) -> Moment:
    import tifffile

    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        codes, rate = tags.valueof(_CODES), tags.valueof(_RATE)
    exact = Fraction(*rate) if rate and rate[1] else Fraction(0)
    return Moment(_of_digits(bytes(codes)[3::-1]) if codes else "", exact)


def _of_digits(code: bytes) -> str:
    """A time code of two decimal digits per byte, hours first; bit 6 of the frame says drop-frame (SMPTE ST 12-1)."""
    hours, minutes, seconds, frame = (
        10 * (byte >> 4 & mask) + (byte & 15) for byte, mask in zip(code, (3, 7, 7, 3), strict=True)
    )
    return _written((hours, minutes, seconds, frame), bool(code[3] & 0x40))


def _written(parts: tuple[int, int, int, int], drop: bool) -> str:
    hours, minutes, seconds, frame = (f"{part:02d}" for part in parts)
    return f"{hours}:{minutes}:{seconds}{';' if drop else ':'}{frame}"
