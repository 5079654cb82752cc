"""TIFF of 8 to 16 bits, packed or not, contiguous or planar, compressed or not: integers as they are stored.

imageio's tifffile plugin unpacks 10, 12 and 14 bits into the low bits of 16. It does not invert a picture, so files
that ask for it are refused. Pages that say that they are a smaller copy (thumbnails) are skipped.
"""

from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import Declared, by_icc, by_tags
from storage.pictures.header import Header, check_square

_ONCE = ("ImageWidth", "ImageLength", "SamplesPerPixel", "Compression", "PhotometricInterpretation", "Orientation")
_MOST_PAGES = 100
_MADE = bytes(12)  # the time at which a profile was made, which would differ from run to run
_DARK_FIRST, _RGB, _CFA = 1, 2, 32803  # values of PhotometricInterpretation


def tiff_header(path: Path) -> Header:
    """Size, type and depth from the tags.

    Raises:
        ImageUnreadable: the samples are not unsigned integers, the picture is inverted or not RGB or grey, or it is
            one of several.
    """
    return _described(path)[0]


def read_tiff(path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, C), uint8 or uint16; raises like `tiff_header`."""
    import imageio.v3 as iio

    _, planar, number = _described(path)
    image = iio.imread(path, plugin="tifffile", index=..., page=number)  # type: ignore[arg-type]  # the page as it is
    return np.ascontiguousarray(np.moveaxis(image, 0, -1) if planar else image, image.dtype.newbyteorder("="))


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return LittleCMS's ICC profile of sRGB, always the same bytes."""
    import imagecodecs

    profile: bytes = imagecodecs.cms_profile("srgb")
    return profile[:24] + _MADE + profile[36:]


def _described(path: Path) -> tuple[Header, bool, int]:
    """What the tags say, whether the file holds one plane after the other, and the number of the picture's page."""
    try:
        return _page(path)
    except TypeError as error:  # of tifffile
        what = "a tag of the TIFF is not one number where one belongs"
        raise ImageUnreadable(what, where=str(path), fix="Export it again.") from error


def _page(path: Path) -> tuple[Header, bool, int]:
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        all_pages: list[Any] = list(islice(tiff.pages, _MOST_PAGES))
        few = 1 < len(all_pages) < _MOST_PAGES
        pages = [number for number, page in enumerate(all_pages) if not (few and page.is_reduced)]
        if len(pages) != 1:
            sizes = ", ".join(f"{page.imagewidth}x{page.imagelength}" for page in all_pages[:5])
            what = f"there are {len(pages)} pages in one file ({sizes}), and none says that it is a thumbnail"
            raise ImageUnreadable(what, where=str(path), fix="Export one picture a file.")
        page = all_pages[pages[0]]
        for name in _ONCE:
            if not isinstance(said := page.tags.valueof(name, 1), int):
                raise ImageUnreadable(f"{name} is {said!r}, not one number", where=str(path), fix="Export it again.")
        if page.imagedepth != 1:
            what = f"the picture is {page.imagedepth} pixels deep"
        elif page.dtype is None or page.dtype.kind != "u":
            what = f"the picture holds {page.dtype or 'samples of different depth'}"
        elif page.photometric not in (_DARK_FIRST, _RGB, _CFA):
            what = f"the picture's colours are {getattr(page.photometric, 'name', page.photometric)}"
        else:
            bits = page.bitspersample if page.bitspersample % 8 else 0
            header = Header(
                int(page.imagewidth),
                int(page.imagelength),
                page.samplesperpixel,
                page.dtype.name,
                bits,
                _mosaic(page),
                orientation=int(page.tags.valueof("Orientation", 1)),
                declared=_declared(page.tags, page.samplesperpixel, str(path)),
            )
            return header, page.axes.startswith("S"), pages[0]
    raise ImageUnreadable(what, where=str(path), fix="Export it as RGB or grey of up to 16 bits.")


def _mosaic(page: Any) -> str:
    """The order of a mosaic's colours, "" if the file does not say it; TIFF/EP numbers red 0, green 1 and blue 2."""
    pattern = page.tags.valueof("CFAPattern", b"") if page.photometric == _CFA else b""
    return "".join("RGB"[colour] if colour < 3 else "?" for colour in bytes(pattern))


def _declared(tags: Any, channels: int, where: str) -> Declared | None:
    """Return what the tags say about colours.

    Raises:
        ImageUnreadable: the pixels are not square, or what the tags say about colours cannot be done.
    """
    resolution = (_number(tags.valueof(name, (0, 1))) for name in ("XResolution", "YResolution"))
    check_square(resolution, "resolution", where)
    for name in ("TransferFunction", "GrayResponseCurve", "ReferenceBlackWhite"):
        if name in tags:
            fix = "Convert it to sRGB, or remove this tag if it means nothing."
            raise ImageUnreadable(f"the TIFF has a curve of its own ({name})", where=where, fix=fix)
    if icc := tags.valueof("InterColorProfile"):
        return by_icc(bytes(icc), channels, where)
    exif = tags.valueof("ExifTag")
    exif = exif if isinstance(exif, dict) else {}  # a number where it is damaged
    fields = {0xA001: exif.get("ColorSpace")} | ({0xA500: _number(exif["Gamma"])} if "Gamma" in exif else {})
    for number in (0x013E, 0x013F):  # white and primaries, as in EXIF
        if flat := tags.valueof(number):
            fields[number] = [_number(pair) for pair in zip(flat[::2], flat[1::2], strict=True)]
    return by_tags(fields, "tags of the TIFF", where)


def _number(fraction: tuple[int, int]) -> float:
    return fraction[0] / fraction[1] if fraction[1] else 0.0
