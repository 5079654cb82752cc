"""Writing pictures so that an interrupted rendering can go on: a file that exists is a file that is complete."""

import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from storage.pictures.files import encode_png
from storage.store.root import Root


def write_picture(path: Path, image: np.ndarray[Any, Any]) -> None:
    """Write a PNG or JPEG, completely or not at all.

    Args:
        path: ends in .png (8 or 16 bit, strongest compression) or .jpg (quality 95).
        image: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    Raises:
        StoreError: the file cannot be written.
    """
    if path.suffix == ".png":
        write_file(path, encode_png(image, level=9))
        return
    coded = io.BytesIO()
    Image.fromarray(image).save(coded, "JPEG", quality=95)
    write_file(path, coded.getvalue())


def write_file(path: Path, content: bytes) -> None:
    """Write bytes, completely or not at all.

    Raises:
        StoreError: the file cannot be written.
    """
    Root(path.parent).write(path.name, content)
