"""Picture files, read exactly to the last bit.

Common readers silently turn 16-bit colour PNG, TIFF and EXR into 8 bits, and return half a picture for half a file.
Here the first bytes tell the format, every format has one exact reader, and a file that is not whole is refused.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import check_coverage, shown
from storage.pictures.dng import dng_header, read_dng
from storage.pictures.dpx import dpx_header, read_dpx
from storage.pictures.exr import as_half, exr_header, read_exr
from storage.pictures.header import MOST_PIXELS, Header, check_upright, turned
from storage.pictures.jpeg import check_recorded, jpeg_header, read_jpeg
from storage.pictures.png import png_header, read_png
from storage.pictures.tiff import read_tiff, tiff_header

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".dpx", ".dng", ".jpg", ".jpeg")
Format = Literal["png", "tiff", "exr", "dpx", "dng", "jpeg"]
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"v/1\x01", "exr"),
    (b"SDPX", "dpx"),
    (b"XPDS", "dpx"),
    (b"\xff\xd8\xff", "jpeg"),
)
_FORMATS: dict[Format, tuple[Callable[[Path], Header], Callable[[Path], NDArray[Any]]]] = {
    "png": (png_header, read_png),
    "tiff": (tiff_header, read_tiff),
    "exr": (exr_header, read_exr),
    "dpx": (dpx_header, read_dpx),
    "dng": (dng_header, read_dng),
    "jpeg": (jpeg_header, read_jpeg),
}
_MOST_BYTES = 16 * MOST_PIXELS  # four channels of 32 bits
_DAMAGE = (OSError, ValueError, KeyError, IndexError, TypeError, ArithmeticError, struct.error, RuntimeError)


def read_header(path: Path, *, turn: bool = False) -> Header:
    """Size and type, without decoding.

    Args:
        path: the file.
        turn: accept a picture that asks to be turned, and tell the size that it then has.

    Raises:
        ImageUnreadable: the file is not a picture, is cut off and its format shows it, or asks to be turned.
    """
    form = _format(path)
    try:
        header = _FORMATS[form][0](path)
    except ImageUnreadable:
        raise
    except _DAMAGE as error:
        raise _broken(path, error) from error
    pixels = header.width * header.height
    if not 0 < pixels <= MOST_PIXELS or pixels * header.channels > 4 * MOST_PIXELS:
        raise ImageUnreadable(
            f"the picture says that it has {header.width}x{header.height} pixels of {header.channels} channels",
            where=str(path),
            fix="Copy or export it again.",
        )
    if not (turn and header.orientation <= 8):
        check_upright(header.orientation, str(path))
    return header.upright()


def check_source(path: Path) -> None:
    """Refuse pictures that a camera of a session cannot have recorded; see `storage.pictures.jpeg.check_recorded`."""
    if _format(path) == "jpeg":
        check_recorded(path, str(path))


def read_image(path: Path) -> NDArray[Any]:
    """Read a colour picture.

    Returns:
        (H, W, 3) RGB exactly as stored: uint8, uint16, or float16 for EXR.

    Raises:
        ImageUnreadable: the file is not a whole picture, is grey, has alpha, nan or infinity, or is an EXR with
            values that half floats cannot hold.
    """
    image = _decode(path)
    if image.ndim != 3 or image.shape[2] != 3:
        fault = "no colour" if image.ndim == 2 or image.shape[2] < 3 else "an alpha channel"
        raise ImageUnreadable(f"the picture has {fault}", where=str(path), fix="Export it as plain RGB.")
    return as_half(image, path) if image.dtype.kind == "f" else image


def read_mosaic(path: Path) -> NDArray[Any]:
    """Read an undemosaiced sensor picture, (H, W) as stored, from PNG, TIFF or DNG.

    Raises:
        ImageUnreadable: as `read_image`; also a picture with colour, and another format.
    """
    if (form := _format(path)) not in ("png", "tiff", "dng"):
        raise ImageUnreadable(f"{form.upper()} cannot hold a mosaic", where=str(path), fix="Export PNG, TIFF or DNG.")
    image = _decode(path)
    if image.ndim != 2:
        raise ImageUnreadable("the picture is not a mosaic", where=str(path), fix="Export the sensor data.")
    return image


def read_photograph(path: Path, *, turn: bool = False) -> NDArray[Any]:
    """Read any picture as colour: grey becomes three equal channels, an opaque alpha channel is dropped.

    Args:
        path: the file.
        turn: turn the picture upright if it asks for it.

    Returns:
        As `read_image`, but EXR as float32.

    Raises:
        ImageUnreadable: as `read_image`; also a pixel that is not opaque, since its colour means nothing.
    """
    image = _decode(path, turn=turn)
    image = image[..., None] if image.ndim == 2 else image
    if image.shape[2] > 4:
        raise ImageUnreadable(f"the picture has {image.shape[2]} channels", where=str(path), fix="Export it as RGB.")
    if image.shape[2] in (2, 4):
        opaque = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
        if (holes := image[..., -1] < opaque).any():
            y, x = np.argwhere(holes)[0]
            raise ImageUnreadable(
                f"the picture is transparent (first at x={x}, y={y})",
                where=str(path),
                fix="Put it on an opaque background, or export it without alpha.",
            )
        image = image[..., :-1]
    image = image.astype(np.float32) if image.dtype == np.float16 else image
    return np.ascontiguousarray(np.broadcast_to(image, (*image.shape[:2], 3)))


def read_shown(path: Path) -> NDArray[np.float32]:
    """Read any picture as a display shows it: (H, W, 3) float32, sRGB-encoded 0..1.

    What the file says about its colours is done, and it is turned upright if it asks for it. Where it says nothing,
    integers are sRGB, and EXR is linear Rec. 709.

    Raises:
        ImageUnreadable: as `read_photograph`; also a file whose black is not 0, and colours that cannot be converted.
    """
    header, image = read_header(path, turn=True), read_photograph(path, turn=True)
    if header.black:
        fix = "Export it with black at 0."
        raise ImageUnreadable(f"the picture's black is {header.black}", where=str(path), fix=fix)
    return shown(_unit(image, header), header.declared, "linear" if image.dtype.kind == "f" else "srgb")


def read_coverage(path: Path, *, turn: bool = False) -> NDArray[Any]:
    """Read a trimap or a matte, which many programs save as colour with equal channels: (H, W) as stored.

    Args:
        path: the file.
        turn: turn the picture upright if it asks for it.

    Raises:
        ImageUnreadable: as `read_photograph`; also a picture with colours, and grey that is light of a linear curve.
    """
    image = read_photograph(path, turn=turn)
    if (image != image[..., :1]).any():
        raise ImageUnreadable("the picture has colours", where=str(path), fix="Export it as grey.")
    check_coverage(read_header(path, turn=turn).declared, str(path))
    return image[..., 0]


def read_guide(path: Path) -> NDArray[np.float32]:
    """Read the trimap or matte of a photograph as `read_coverage`, turned upright: (H, W) float32 0..1."""
    return _unit(read_coverage(path, turn=True), read_header(path, turn=True)).clip(0, 1)


def read_rgba(path: Path) -> NDArray[Any]:
    """Read a picture with straight alpha: (H, W, 4) as stored. Raises like `read_image`."""
    image = _decode(path)
    if image.ndim != 3 or image.shape[2] != 4:
        raise ImageUnreadable("the picture has no alpha channel", where=str(path), fix="Export it as RGBA.")
    return image


def read_grey(path: Path) -> NDArray[Any]:
    """Read a one-channel picture (matte, trimap): (H, W) as stored. Raises like `read_coverage`."""
    image = _decode(path)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim != 2:
        raise ImageUnreadable("the picture is not grey", where=str(path), fix="Export it with one channel.")
    check_coverage(read_header(path).declared, str(path))
    return image


def _unit(image: NDArray[Any], header: Header) -> NDArray[np.float32]:
    """Integers as 0..1, floats as they are."""
    if image.dtype.kind == "f":
        return image
    # TIFF and DPX of 10 to 14 bits keep them in the low bits.
    top = 2**header.bits - 1 if header.bits > 8 else np.iinfo(image.dtype).max
    return image.astype(np.float32) / np.float32(top)


def _decode(path: Path, *, turn: bool = False) -> NDArray[Any]:
    """The picture as its reader returns it, of the type that the header names."""
    form, header = _format(path), read_header(path, turn=turn)
    try:
        image = turned(_FORMATS[form][1](path), header.orientation)
    except ImageUnreadable:
        raise
    except _DAMAGE as error:
        raise _broken(path, error) from error
    if image.dtype not in (np.uint8, np.uint16) and form != "exr":
        raise ImageUnreadable(
            f"the picture holds {image.dtype}",
            where=str(path),
            fix="Export up to 16 bits per channel, or half-float EXR.",
        )
    if form != "exr" and (image.dtype != header.dtype or image.shape[:2] != (header.height, header.width)):
        raise ImageUnreadable(
            f"the picture of {header.width}x{header.height} {header.dtype} was decoded as {image.dtype} of shape "
            f"{image.shape}",
            where=str(path),
            fix="Export it as another format, and report this file.",
        )
    if image.dtype.kind == "f" and not (finite := np.isfinite(image)).all():
        y, x = np.argwhere(~finite)[0][:2]
        raise ImageUnreadable(
            f"the picture holds nan or infinity (first at x={x}, y={y})", where=str(path), fix="Export it again."
        )
    return image


def _format(path: Path) -> Format:
    try:
        if path.exists() and not path.is_file():  # a pipe would be waited for, a device never ends
            raise ImageUnreadable("this is not a file", where=str(path), fix="Name the picture's file.")
        with path.open("rb") as file:
            start = file.read(8)
        if (size := path.stat().st_size) > _MOST_BYTES:
            what = f"the picture has {size} bytes"
            raise ImageUnreadable(what, where=str(path), fix="Copy or export it again.")
    except ImageUnreadable:
        raise
    except FileNotFoundError as error:
        raise ImageUnreadable("the file does not exist", where=str(path), fix="Check the path.") from error
    except OSError as error:
        raise ImageUnreadable(
            f"the file cannot be opened ({error.strerror})", where=str(path), fix="Check its permissions."
        ) from error
    for magic, form in _MAGIC:
        if start.startswith(magic):
            # A DNG is a TIFF; only its name tells that it needs another reader.
            return "dng" if form == "tiff" and path.suffix.lower() == ".dng" else form
    what = "the file is empty" if not start else "the file is not a PNG, TIFF, EXR, DPX or JPEG picture"
    raise ImageUnreadable(what, where=str(path), fix="Copy or export it again.")


def _broken(path: Path, error: Exception) -> ImageUnreadable:
    reason = " ".join(str(error).split())[:120]
    return ImageUnreadable(
        f"the picture is damaged or cut off ({reason})", where=str(path), fix="Copy or export it again."
    )
