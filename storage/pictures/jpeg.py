"""JPEG, decoded by libjpeg-turbo through imageio's Pillow plugin.

A recording of a calibrated camera is refused where the file contradicts what a session says about its pictures.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import Declared, by_icc, by_tags, exif_tags
from storage.pictures.header import MOST_PIXELS, Header, check_square, exif_orientation

_RESOLUTION = (0x011A, 0x011B)  # tags of EXIF
_MOST_SCANS = 100  # a progressive picture has ten; each takes as long as the whole picture
_PIXELS_PER_BYTE = 1024  # the emptiest picture has half as many; the decoder makes up what the file lacks


def jpeg_header(source: Path | bytes) -> Header:
    """Size, type and what the file says about its colours.

    Raises:
        ImageUnreadable: it is too short for its size, its pixels are not square, or what it says about its colours
            means nothing.
    """
    where = str(source) if isinstance(source, Path) else "JPEG"
    held = source.stat().st_size if isinstance(source, Path) else len(source)
    with _opened(source) as image:
        if image.width * image.height > _PIXELS_PER_BYTE * held:
            what = f"the picture says that it has {image.width}x{image.height} pixels, but the file has {held} bytes"
            raise ImageUnreadable(what, where=where, fix="Copy or export it again.")
        tags, channels, icc = exif_tags(image), len(image.getbands()), image.info.get("icc_profile")
        check_square(image.info.get("jfif_density", (0, 0)), "JFIF density", where)
        check_square((float(tags.get(tag, 0)) for tag in _RESOLUTION), "EXIF resolution", where)
        declared: Declared | None = None
        if channels <= 3:  # CMYK is refused
            declared = by_icc(icc, channels, where) if icc else by_tags(tags, "EXIF", where)
        orientation = exif_orientation(image)
        return Header(image.width, image.height, channels, "uint8", orientation=orientation, declared=declared)


def read_jpeg(source: Path | bytes) -> NDArray[Any]:
    """(H, W) grey or (H, W, 3) RGB uint8.

    Raises:
        ValueError: the file is damaged, or its colours are CMYK.
    """
    import imageio.v3 as iio

    data = source.read_bytes() if isinstance(source, Path) else source
    if (scans := data.count(b"\xff\xda")) > _MOST_SCANS:
        raise ValueError(f"{scans} scans")
    try:
        image = iio.imread(data, plugin="pillow", index=0, writeable_output=False)
    except OSError as error:  # imageio hides what Pillow says
        raise ValueError(str(error.__cause__ or error)) from error
    if image.ndim == 3 and image.shape[2] != 3:
        raise ValueError("colours are CMYK")
    return image


def check_recorded(source: Path | bytes, where: str) -> None:
    """Refuse what a photograph may say about itself, but a recording of a calibrated camera may not.

    Raises:
        ImageUnreadable: the picture is CMYK.
    """
    with _opened(source) as image:
        if image.mode == "CMYK":
            raise ImageUnreadable("the picture's colours are CMYK", where=where, fix="Export it as RGB.")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Any]:
    """The picture, not yet decoded.

    Raises:
        ValueError: it says that it is larger than any camera's picture.
    """
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = MOST_PIXELS  # where Pillow warns; it refuses twice as many
    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
