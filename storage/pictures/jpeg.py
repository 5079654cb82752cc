"""JPEG: decoded by libjpeg-turbo, and refused where the session's words cannot hold for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.header import Header

_ORIENTATION = 0x0112
_WIDE = ("display p3", "adobe rgb", "prophoto", "romm", "2020", "dci", "wide gamut")


def jpeg_header(source: Path | BytesIO) -> Header:
    """Size and type."""
    with _opened(source) as image:
        return Header(image.width, image.height, len(image.getbands()), "uint8")


def read_jpeg(source: Path | BytesIO) -> NDArray[Any]:
    """(H, W) grey or (H, W, 3) RGB uint8."""
    with _opened(source) as image:
        if image.mode not in ("L", "RGB"):
            raise ValueError(f"colours are {image.mode}")
        return np.asarray(image)


@contextmanager
def _opened(source: Path | BytesIO) -> Iterator[Any]:
    """The picture, not yet decoded.

    Raises:
        ValueError: it says that it is larger than any camera's picture.
    """
    from PIL import Image

    try:
        with Image.open(source) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error


def check_recorded(source: Path | BytesIO, where: str) -> None:
    """Refuse what a photograph may say of itself, but a recording of a calibrated camera may not.

    Raises:
        ImageUnreadable: the picture asks to be turned, is CMYK, or carries the profile of a wider colour space.
    """
    from PIL import ImageCms

    with _opened(source) as image:
        mode, turned = image.mode, image.getexif().get(_ORIENTATION, 1)
        profile = image.info.get("icc_profile")
    if mode == "CMYK":
        raise ImageUnreadable("the picture's colours are CMYK", where=where, fix="Export it as RGB.")
    if turned != 1:
        raise ImageUnreadable(
            f"the picture asks to be turned (EXIF orientation {turned})",
            where=where,
            fix="Switch the camera's rotation off, or take the tag out; the calibration is for pictures as recorded.",
        )
    if profile:
        try:
            name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
        except (ImageCms.PyCMSError, OSError):
            return  # a profile that nobody can read says nothing
        if any(wide in name.lower() for wide in _WIDE):
            raise ImageUnreadable(f"the picture's colours are {name}", where=where, fix="Export it as sRGB.")
