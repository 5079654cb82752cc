"""TIFF of 8 to 16 bits, packed or not, contiguous or planar, compressed or not: integers as they are stored.

tifffile unpacks 10, 12 and 14 bits into the low bits of 16. It turns and inverts nothing, so files that ask for it
are refused.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.header import Header

_DARK_FIRST, _RGB, _CFA = 1, 2, 32803  # values of PhotometricInterpretation


def tiff_header(path: Path) -> Header:
    """Size, type and depth from the tags."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = _page(tiff, path)
        bits = page.bitspersample
        return Header(
            page.imagewidth,
            page.imagelength,
            page.samplesperpixel,
            page.dtype.name,
            bits if bits % 8 else 0,
        )


def read_tiff(path: Path) -> NDArray[Any]:
    """(H, W) or (H, W, C), uint8 or uint16."""
    import tifffile

    with tifffile.TiffFile(path) as tiff:
        page = _page(tiff, path)
        image = page.asarray()
        # Planar files hold one plane after the other.
        image = np.moveaxis(image, 0, -1) if page.axes.startswith("S") else image
    return np.ascontiguousarray(image, image.dtype.newbyteorder("="))


def _page(tiff: Any, path: Path) -> Any:
    if len(tiff.pages) != 1:
        raise ValueError(f"{len(tiff.pages)} pages in one file")
    (page,) = tiff.pages
    turned = page.tags.valueof("Orientation", 1)
    if page.dtype is None or page.dtype.kind != "u":
        what = f"the picture holds {page.dtype or 'samples of different depth'}"
    elif page.photometric not in (_DARK_FIRST, _RGB, _CFA):
        what = f"the picture's colours are {getattr(page.photometric, 'name', page.photometric)}"
    elif turned != 1:
        what = f"the picture asks to be turned (orientation {turned})"
    else:
        return page
    raise ImageUnreadable(what, where=str(path), fix="Export it upright, as RGB or grey of up to 16 bits.")
