"""Writing pictures so that an interrupted rendering can go on: a file that exists is a file that is complete."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import StoreError


def write_picture(path: Path, image: np.ndarray[Any, Any]) -> None:
    """Write a PNG or JPEG under a passing name, then rename it into place.

    Args:
        path: ends in .png (8 or 16 bit, strongest compression) or .jpg (quality 95).
        image: (H, W), (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    Raises:
        StoreError: the file cannot be written.
    """
    import cv2

    if image.ndim == 3:
        image = np.ascontiguousarray(image[..., [2, 1, 0, 3][: image.shape[2]]])
    how = [cv2.IMWRITE_PNG_COMPRESSION, 9] if path.suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 95]
    done, coded = cv2.imencode(path.suffix, image, how)
    if not done:
        raise StoreError("the picture cannot be encoded", where=str(path), fix="Use .png or .jpg.")
    write_file(path, coded.tobytes())


def write_file(path: Path, content: bytes) -> None:
    """Write bytes under a passing name, then rename them into place.

    Raises:
        StoreError: the file cannot be written.
    """
    passing = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        passing.write_bytes(content)
        passing.replace(path)
    except OSError as error:
        fix = "Free some space or choose another folder."
        raise StoreError(f"cannot write ({error})", where=str(path), fix=fix) from error
