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
from storage.pictures.header import Header, exif_orientation

_WIDE = ("display p3", "adobe rgb", "prophoto", "romm", "2020", "dci", "wide gamut")


def jpeg_header(source: Path | bytes) -> Header:
    """Size and type."""
    with _opened(source) as image:
        orientation = exif_orientation(image)
        return Header(image.width, image.height, len(image.getbands()), "uint8", orientation=orientation)


def read_jpeg(source: Path | bytes) -> NDArray[Any]:
    """(H, W) grey or (H, W, 3) RGB uint8.

    Raises:
        ValueError: the file is damaged, or its colours are CMYK.
    """
    import imageio.v3 as iio

    try:
        image = iio.imread(source, plugin="pillow", index=0, writeable_output=False)
    except OSError as error:  # imageio hides what Pillow says
        raise ValueError(str(error.__cause__ or error)) from error
    if image.ndim == 3 and image.shape[2] != 3:
        raise ValueError("colours are CMYK")
    return image


def check_recorded(source: Path | bytes, where: str) -> None:
    """Refuse what a photograph may say about itself, but a recording of a calibrated camera may not.

    Raises:
        ImageUnreadable: the picture is CMYK, or carries the profile of a wider colour space.
    """
    from PIL import ImageCms

    with _opened(source) as image:
        mode, profile = image.mode, image.info.get("icc_profile")
    if mode == "CMYK":
        raise ImageUnreadable("the picture's colours are CMYK", where=where, fix="Export it as RGB.")
    if profile:
        try:
            name = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(BytesIO(profile))).strip()
        except (ImageCms.PyCMSError, OSError):
            return  # a profile that cannot be read says nothing
        if any(wide in name.lower() for wide in _WIDE):
            raise ImageUnreadable(f"the picture's colours are {name}", where=where, fix="Export it as sRGB.")


@contextmanager
def _opened(source: Path | bytes) -> Iterator[Any]:
    """The picture, not yet decoded.

    Raises:
        ValueError: it says that it is larger than any camera's picture.
    """
    from PIL import Image

    try:
        with Image.open(BytesIO(source) if isinstance(source, bytes) else source) as image:
            yield image
    except Image.DecompressionBombError as error:
        raise ValueError(str(error)) from error
