"""OpenEXR files as compositing programs expect them: half floats, linear light, standard attributes.

The OpenEXR library writes only to a path, and reports a full disk as a RuntimeError without errno.
"""

from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import StoreError
from storage.recordings.timecode import Timecode
from storage.store.errors import store_errors

Compression = Literal["zip", "piz", "none"]
# ITU-R BT.709, 1.3 and 1.4: red, green, blue, white.
_REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)
# OpenEXR refuses higher numbers; before 3.5 it took some of them and wrote others.
_TIMECODE_FRAMES = 30


def write_exr(
    path: Path,
    picture: NDArray[np.float32],
    header: Mapping[str, str | int],
    *,
    rate: Fraction | None = None,
    timecode: Timecode | None = None,
    rec709: bool = False,
    compression: Compression = "zip",
) -> None:
    """Write one picture.

    Args:
        path: the file; its folder exists.
        picture: (H, W) for A alone, (H, W, 3) for R, G, B, (H, W, 4) for premultiplied R, G, B, A; linear light.
        header: attributes, each is stored with "capmat." before its name.
        rate: the standard attribute `framesPerSecond`.
        timecode: the standard attribute `timeCode` with its drop-frame flag; it is left out where the frame number
            is 30 or more, which the attribute cannot hold.
        rec709: whether the colours are those of Rec. 709 (the standard attribute `chromaticities`).
        compression: all are lossless.

    Raises:
        StoreError: the file cannot be written.
    """
    import OpenEXR

    kinds = {"zip": OpenEXR.ZIP_COMPRESSION, "piz": OpenEXR.PIZ_COMPRESSION, "none": OpenEXR.NO_COMPRESSION}
    attributes: dict[str, Any] = {"compression": kinds[compression], "type": OpenEXR.scanlineimage}
    attributes |= {f"capmat.{name}": value for name, value in header.items()}
    if rate is not None:
        attributes["framesPerSecond"] = rate
    if timecode is not None and timecode.parts[3] < _TIMECODE_FRAMES:
        attributes["timeCode"] = OpenEXR.TimeCode(*timecode.parts, int(timecode.drop), *[0] * 13)
    if rec709:
        attributes["chromaticities"] = _REC709
    # Light beyond the largest half would become infinity.
    half = np.ascontiguousarray(np.clip(picture, -65504, 65504).astype(np.float16))
    name = "A" if half.ndim == 2 else "RGBA"[: half.shape[2]]
    try:
        with store_errors(str(path)), OpenEXR.File(attributes, {name: half}) as file:
            file.write(str(path))
    except RuntimeError as error:
        raise StoreError(
            f"the EXR cannot be written ({error})", where=str(path), fix="Check that the disk is not full."
        ) from error
