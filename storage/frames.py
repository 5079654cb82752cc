"""Picture files in and out, exact to the last bit.

Common readers turn 16-bit colour PNG, TIFF and EXR into 8 bits, and hand back half a picture for half a file,
without a word. Here the format is told by the first bytes, each has the one reader that is exact, and
whatever is not whole is refused.
"""

import io
import struct
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.frames_exr import as_half, exr_header, read_exr
from storage.header import Header

IMAGE_SUFFIXES = (".png", ".tif", ".tiff", ".exr", ".jpg", ".jpeg")
Format = Literal["png", "tiff", "exr", "jpeg"]
_MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"v/1\x01", "exr"),
    (b"\xff\xd8\xff", "jpeg"),
)
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def read_header(path: Path) -> Header:
    """Size and type without decoding; also finds files that were cut off, where the format shows it.

    Raises:
        ImageUnreadable: no picture, or not the whole of one.
    """
    form = _format(path)
    try:
        if form == "png":
            return _png_header(path)
        if form == "jpeg":
            return _jpeg_header(path)
        if form == "tiff":
            return _tiff_header(path)
        return exr_header(path)
    except (OSError, ValueError, KeyError, IndexError, struct.error, RuntimeError) as error:
        raise _broken(path, error) from error


def read_image(path: Path) -> NDArray[Any]:
    """Read a colour picture.

    Returns:
        (H, W, 3) RGB exactly as stored: uint8, uint16, or float16 for EXR.

    Raises:
        ImageUnreadable: no picture, not the whole of one, grey, with alpha, with nan or infinity in it, or an EXR
            with values that half floats do not hold.
    """
    image = _decode(path)
    if image.ndim != 3 or image.shape[2] != 3:
        has = "no colour" if image.ndim == 2 or image.shape[2] < 3 else "an alpha channel"
        raise ImageUnreadable(f"the picture has {has}", where=str(path), fix="Export it as plain RGB.")
    return as_half(image, path) if image.dtype.kind == "f" else image


def read_mosaic(path: Path) -> NDArray[Any]:
    """Read an undemosaiced sensor picture, (H, W) as stored, from PNG or TIFF.

    Raises:
        ImageUnreadable: as `read_image`; also a picture with colour, and a JPEG.
    """
    if _format(path) == "jpeg":
        raise ImageUnreadable("a JPEG cannot hold a mosaic", where=str(path), fix="Export PNG, TIFF or DNG.")
    image = _decode(path)
    if image.ndim != 2:
        raise ImageUnreadable("the picture is no mosaic", where=str(path), fix="Export the undemosaiced sensor data.")
    return image


def read_photograph(path: Path) -> NDArray[Any]:
    """Read any picture as colour: grey becomes three equal channels, an opaque alpha channel is dropped.

    Returns:
        As `read_image`, but EXR as float32.

    Raises:
        ImageUnreadable: as `read_image`; also when a pixel is not opaque, since its colour means nothing.
    """
    image = _decode(path)
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


def read_rgba(path: Path) -> NDArray[Any]:
    """Read a picture with alpha: (H, W, 4), straight as in the file. Raises like `read_image`."""
    image = _decode(path)
    if image.ndim != 3 or image.shape[2] != 4:
        raise ImageUnreadable("the picture has no alpha channel", where=str(path), fix="Export it as RGBA.")
    return image


def read_grey(path: Path) -> NDArray[Any]:
    """Read a one-channel picture (matte, trimap): (H, W). Raises like `read_image`."""
    image = _decode(path)
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim != 2:
        raise ImageUnreadable("the picture is not grey", where=str(path), fix="Export it with one channel.")
    return image


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


def decode_png(data: bytes, where: str) -> NDArray[Any]:
    """Undo `encode_png`; `where` names the data in errors."""
    import cv2

    _walk_png(data, where)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ImageUnreadable("the picture cannot be decoded", where=where, fix="Copy or export it again.")
    if image.ndim == 3:
        image = image[..., [2, 1, 0] if image.shape[2] == 3 else [2, 1, 0, 3]]
    return np.ascontiguousarray(image)


def _decode(path: Path) -> NDArray[Any]:
    form = _format(path)
    try:
        if form == "png":
            image = decode_png(path.read_bytes(), str(path))
        elif form == "tiff":
            image = _read_tiff(path)
        elif form == "exr":
            image = read_exr(path)
        else:
            image = _read_jpeg(path)
    except ImageUnreadable:
        raise
    except (OSError, ValueError, KeyError, IndexError, struct.error, RuntimeError) as error:
        raise _broken(path, error) from error
    if image.dtype not in (np.uint8, np.uint16) and form != "exr":
        raise ImageUnreadable(
            f"the picture holds {image.dtype}",
            where=str(path),
            fix="Export up to 16 bits per channel, or half-float EXR.",
        )
    if image.dtype.kind == "f" and not (finite := np.isfinite(image)).all():
        y, x = np.argwhere(~finite)[0][:2]
        raise ImageUnreadable(
            f"the picture holds nan or infinity (first at x={x}, y={y})", where=str(path), fix="Export it again."
        )
    return image


def _format(path: Path) -> Format:
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except FileNotFoundError as error:
        raise ImageUnreadable("there is no such file", where=str(path), fix="Check the path.") from error
    except OSError as error:
        raise ImageUnreadable(
            f"the file cannot be opened ({error.strerror})", where=str(path), fix="Check its permissions."
        ) from error
    for magic, form in _MAGIC:
        if start.startswith(magic):
            return form
    what = "the file is empty" if not start else "the file is no PNG, TIFF, EXR or JPEG picture"
    raise ImageUnreadable(what, where=str(path), fix="Copy or export it again.")


def _broken(path: Path, error: Exception) -> ImageUnreadable:
    if isinstance(error, ImageUnreadable):
        return error
    reason = " ".join(str(error).split())[:120]
    return ImageUnreadable(
        f"the picture is damaged or cut off ({reason})", where=str(path), fix="Copy or export it again."
    )


def _walk_png(data: bytes, where: str) -> None:
    """Check every chunk's length and CRC up to IEND: decoders return half a picture for half a file."""
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


def _png_header(path: Path) -> Header:
    with path.open("rb") as file:
        start = file.read(33)
        width, height, depth, kind = struct.unpack_from(">IIBB", start, 16)
        file.seek(-12, io.SEEK_END)
        if file.read(12)[4:8] != b"IEND":
            raise ImageUnreadable("the picture is cut off", where=str(path), fix="Copy or export it again.")
    return Header(width, height, _PNG_CHANNELS[kind], "uint16" if depth == 16 else "uint8")


def _jpeg_header(path: Path) -> Header:
    from PIL import Image

    with Image.open(path) as image:
        return Header(image.width, image.height, len(image.getbands()), "uint8")


def _tiff_header(path: Path) -> Header:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = _only_page(tiff)
        (stored,) = {page.samplesperpixel}
        return Header(page.imagewidth, page.imagelength, stored, str(page.dtype))


def _only_page(tiff: Any) -> Any:
    if len(tiff.pages) != 1:
        raise ValueError(f"{len(tiff.pages)} pages in one file")
    return tiff.pages[0]


def _read_tiff(path: Path) -> NDArray[Any]:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = _only_page(tiff)
        image = page.asarray()
        # Planar files hold one plane after the other.
        return np.ascontiguousarray(np.moveaxis(image, 0, -1) if page.axes.startswith("S") else image)


def _read_jpeg(path: Path) -> NDArray[Any]:
    from PIL import Image

    with Image.open(path) as image:
        if image.mode not in ("L", "RGB"):
            raise ValueError(f"colours are {image.mode}")
        return np.asarray(image)
