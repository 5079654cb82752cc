"""Colour spaces, their profiles by LittleCMS, and pictures that name them."""

import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from PIL import Image, ImageCms

D65, D60 = (0.3127, 0.3290), (0.32168, 0.33767)
SPACES = {
    "Rec. 709": (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65),
    "P3": (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *D65),
    "BT.2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65),
    "Adobe RGB": (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *D65),
    "ACEScg": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *D60),
    "AP0": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, *D60),
}
LEVELS = np.random.default_rng(3).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def srgb_curve() -> np.ndarray:
    """Linear light of 4096 levels, in 16 bits."""
    x = np.linspace(0, 1, 4096)
    return np.rint(np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4) * 65535).astype(np.uint16)


def profile(space: str, gamma: float | None) -> bytes:
    """An ICC profile of LittleCMS without a telling name."""
    *colours, white = [[*xy, 1.0] for xy in np.reshape(SPACES[space], (4, 2)).tolist()]
    curve: dict[str, Any] = {"gamma": gamma} if gamma else {"transferfunction": srgb_curve()}
    return bytes(imagecodecs.cms_profile("rgb", whitepoint=white, primaries=sum(colours, []), **curve))


def right(levels: np.ndarray, space: str, gamma: float | None) -> np.ndarray:
    """What 8-bit levels look like in sRGB, by LittleCMS."""
    source = ImageCms.ImageCmsProfile(BytesIO(profile(space, gamma)))
    exact = ImageCms.Flags.NOOPTIMIZE
    target = ImageCms.createProfile("sRGB")
    done = ImageCms.profileToProfile(Image.fromarray(levels), source, target, 1, "RGB", flags=exact)
    return np.asarray(done).astype(np.float32)


def with_chunks(png: bytes, **chunks: bytes) -> bytes:
    """A PNG with chunks after IHDR."""
    bodies = [name.encode() + data for name, data in chunks.items()]
    made = b"".join(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)) for body in bodies)
    return png[:33] + made + png[33:]


def chrm(space: str) -> bytes:
    """The body of a cHRM chunk."""
    xy = SPACES[space]
    return struct.pack(">8I", *(round(value * 100000) for value in (*xy[6:], *xy[:6])))


def write_exr(path: Path, **header: Any) -> None:
    """A small white EXR with these attributes."""
    import OpenEXR

    with OpenEXR.File(header, {"RGB": np.ones((8, 8, 3), np.float16)}) as file:
        file.write(str(path))
