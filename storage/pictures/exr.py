"""OpenEXR: half floats, kept to the bit.

A file of 32-bit floats is read only if half floats hold every value; nothing is rounded here. Sub-sampled colour
(YC), several parts and crops of a larger picture are refused.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.pictures.declared import REC709, XYZ, Declared, by_primaries
from storage.pictures.header import Header, check_square

_D60 = (0.32168, 0.33767)
# "Color Space Encodings for Texture Assets and CG Rendering" (Color Interop Forum, 2025); primaries as in OpenEXR.
_SPACES: dict[str, tuple[float, ...]] = {
    "lin_rec709_scene": REC709,
    "lin_ap0_scene": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, *_D60),
    "lin_ap1_scene": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *_D60),
    "lin_p3d65_scene": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *REC709[6:]),
    "lin_rec2020_scene": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *REC709[6:]),
    "lin_adobergb_scene": (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *REC709[6:]),
    "lin_ciexyzd65_scene": XYZ,
}


def exr_header(path: Path) -> Header:
    """Size and channels; the type is float16, which `as_half` makes of every file."""
    import OpenEXR

    with OpenEXR.File(str(path), header_only=True) as file:
        width, height = _size(file, path)
        header = file.header()
        names = _names({channel.name for channel in header["channels"]}, path)
        orientation = int(header.get("Orientation", 1))  # OpenImageIO's name; OpenEXR has none of its own
        check_square((float(header.get("pixelAspectRatio", 1)), 1), "pixelAspectRatio", str(path))
        declared = _declared(header, str(path))  # closing the file empties the header
    return Header(width, height, len(names), "float16", orientation=orientation, declared=declared)


def read_exr(path: Path) -> NDArray[Any]:
    """(H, W, 1, 3 or 4) scene-linear, float16 or float32 as in the file.

    Raises:
        ImageUnreadable: the file does not hold one whole grey, RGB or RGBA picture.
    """
    import OpenEXR

    with OpenEXR.File(str(path), separate_channels=True) as file:
        width, height = _size(file, path)
        channels = file.channels()
        planes = [channels[name].pixels for name in _names(set(channels), path)]
    if any(plane.shape != (height, width) or plane.dtype.kind != "f" for plane in planes):
        raise ImageUnreadable(
            "the picture's channels are sub-sampled, or not floats", where=str(path), fix="Export half-float RGB."
        )
    return np.stack(planes, axis=-1)


def as_half(image: NDArray[Any], path: Path) -> NDArray[np.float16]:
    """The same values as float16.

    Raises:
        ImageUnreadable: a half float cannot hold one of them.
    """
    with np.errstate(over="ignore"):
        half = image.astype(np.float16)
    if image.dtype != np.float16 and (lost := half != image).any():
        y, x = np.argwhere(lost)[0][:2]
        raise ImageUnreadable(
            f"the picture has 32-bit floats that 16 bits cannot hold (first at x={x}, y={y})",
            where=str(path),
            fix="Export it as half float.",
        )
    return half


def _declared(header: Mapping[str, Any], where: str) -> Declared | None:
    """Return what the chromaticities say, and the name of a colour space of the Color Interop Forum.

    Raises:
        ImageUnreadable: the two contradict each other, or the name is not known.
    """
    name, xy = str(header.get("colorInteropID", "")), header.get("chromaticities")
    if header.get("acesImageContainerFlag"):  # SMPTE ST 2065-4
        name = name or "lin_ap0_scene"
    if name in ("", "unknown", "data"):
        return by_primaries(xy, ("linear",), "chromaticities", where) if xy else None
    if (known := _SPACES.get(name)) is None or (xy and not np.allclose(xy, known, atol=2e-3)):
        what = f"the EXR says that its colours are {name}" + (f" and its primaries {[*xy]}" if known and xy else "")
        raise ImageUnreadable(what, where=where, fix="Export it as linear Rec. 709, or with chromaticities alone.")
    return by_primaries(known, ("linear",), name, where)


def _size(file: Any, path: Path) -> tuple[int, int]:
    if not file.parts:  # so the library shows a part that it cannot decode
        raise ValueError("no part of it is whole")
    if len(file.parts) != 1:
        raise ImageUnreadable(f"the EXR has {len(file.parts)} parts", where=str(path), fix="Export one picture.")
    header = file.header()
    low, high = ([int(n) for n in corner] for corner in header["dataWindow"])
    shown = [[int(n) for n in corner] for corner in header["displayWindow"]]
    if [low, high] != shown:
        raise ImageUnreadable(
            f"the data window {low}..{high} is not the display window {shown[0]}..{shown[1]}",
            where=str(path),
            fix="Export whole pictures, without crop or overscan.",
        )
    return high[0] - low[0] + 1, high[1] - low[1] + 1


def _names(names: set[str], path: Path) -> str:
    for known in ("RGB", "RGBA", "Y"):
        if names == set(known):
            return known
    raise ImageUnreadable(
        f"the EXR has channels {', '.join(sorted(names))}", where=str(path), fix="Export it as plain RGB."
    )
