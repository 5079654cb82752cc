"""From a decoded video frame to RGB of the stream's own depth, and back to a frame that is encoded.

ffmpeg's scaler is a level or more too dark on limited range (measured: 3 of 255 in 4:2:0, 3 of 1023 at 10 bits), and
as much too bright on the way out. So here it only changes the size of chroma, and OpenCV applies the matrix of ITU-T
H.273 and rounds to the nearest.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection
from storage.pictures.declared import Declared, by_h273

_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
# Numbers of ITU-T H.273, as ffmpeg reports them.
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020"}
_RANGES: dict[int, Literal["limited", "full"]] = {1: "limited", 2: "full"}
UNSPECIFIED = (0, 2, 3)
"""Numbers of a matrix that say nothing."""
_PLAIN = "Export it as H.264, H.265, ProRes 422 or FFV1 of 8, 10 or 12 bits without alpha."
_FULL_SIZE = {8: "yuv444p", 10: "yuv444p10le", 12: "yuv444p12le"}


@dataclass(frozen=True)
class Meaning:
    """What the numbers of a stream mean.

    Attributes:
        kind: "rgb", "grey" (a mosaic) or "yuv".
        bits: per component.
        matrix: of "yuv", one of bt601, bt709, bt2020; else "".
        range: "limited" or "full" for "yuv"; else "".
    """

    kind: Literal["rgb", "grey", "yuv"]
    bits: int
    matrix: str = ""
    range: str = ""


def meaning_of(frame: Any, stated: VideoSection | None, where: str) -> Meaning:
    """What the stream says about its numbers, completed by what the session states; its colours are `colours_of`.

    Raises:
        ImageUnreadable: neither says it, they contradict each other, or the format is not supported.
    """
    form = frame.format
    bits = max(part.bits for part in form.components)
    if len(form.components) in (2, 4) or "pal" in form.name:
        raise ImageUnreadable(f"the video has an alpha channel or palette ({form.name})", where=where, fix=_PLAIN)
    if form.is_bayer or not 8 <= bits <= 16:
        raise ImageUnreadable(f"the video is {form.name}", where=where, fix=_PLAIN)
    if len(form.components) == 1:
        return Meaning("grey", bits)
    if form.is_rgb:
        return Meaning("rgb", bits)
    if bits not in _FULL_SIZE:
        raise ImageUnreadable(f"the video is {form.name}", where=where, fix=_PLAIN)
    number, extent = int(frame.colorspace), _RANGES.get(int(frame.color_range), "")
    # The names of motion JPEG's pixel formats say the range.
    extent = "full" if form.name.startswith("yuvj") else extent
    matrix = _MATRICES.get(number, "")
    if not matrix and number not in UNSPECIFIED:
        raise ImageUnreadable(f"the video's matrix has number {number}", where=where, fix=_PLAIN)
    if stated is None and not (matrix and extent):
        lacks = " and ".join(name for name, value in (("matrix", matrix), ("range", extent)) if not value)
        raise ImageUnreadable(
            f"the video does not say its {lacks}",
            where=where,
            fix='Add [video] with matrix = "bt709" or "bt601", and range = "limited" or "full".',
        )
    if stated is not None:
        for name, flag, value in (("matrix", matrix, stated.matrix), ("range", extent, stated.range)):
            if flag and flag != value:
                raise ImageUnreadable(
                    f"the video says {name} {flag}, the session {value}",
                    where=where,
                    fix=f"Correct [video] {name}, or the video's flag.",
                )
        matrix, extent = stated.matrix, stated.range
    return Meaning("yuv", bits, matrix, extent)


def colours_of(frame: Any, where: str) -> Declared | None:
    """What the stream says about its primaries and its curve.

    Raises:
        ImageUnreadable: they are HDR, or of no known meaning.
    """
    return by_h273(int(frame.color_primaries), int(frame.color_trc), "flags of the video", where)


def picture_of(frame: Any, meaning: Meaning) -> NDArray[Any]:
    """(H, W, 3) RGB, or (H, W) of a grey stream; uint8, or uint16 with the signal in the low bits.

    Chroma of 4:2:0 and 4:2:2 is interpolated by ffmpeg (bicubic); values outside black..white are clipped.
    """
    if meaning.kind == "rgb":
        plain = frame.reformat(format="rgb24", threads=1) if meaning.bits == 8 else frame
        image: NDArray[Any] = plain.to_ndarray()
        return image if image.dtype.isnative else image.astype(image.dtype.newbyteorder("="))
    if meaning.kind == "grey":
        return _plane(frame, 0, meaning.bits)
    import cv2

    # With a target without the j, ffmpeg would convert the range.
    name = "yuvj444p" if frame.format.name.startswith("yuvj") else _FULL_SIZE[meaning.bits]
    full = frame if frame.format.name == name else _with_chroma_of(frame, name)
    planes = np.stack([_plane(full, i, meaning.bits) for i in range(3)], axis=-1)
    # OpenCV computes in floats on 16 bits, but not on 8.
    rgb = cv2.transform(planes.astype(np.uint16, copy=False), _to_rgb(meaning))
    np.minimum(rgb, 2**meaning.bits - 1, out=rgb)
    return rgb.astype(planes.dtype, copy=False)


def frame_of(picture: NDArray[np.uint16], name: str) -> Any:
    """A frame to encode, of a pixel format with the matrix of BT.709 and limited range: the way back of `picture_of`.

    Args:
        picture: (H, W, 3) RGB or (H, W, 4) with alpha, white at 65535.
        name: a planar YCbCr format of 8, 10 or 12 bits, with alpha for four channels.
    """
    import av
    import cv2

    bits = av.VideoFormat(name).components[0].bits
    back = _to_rgb(Meaning("yuv", bits, "bt709", "limited"))
    turn = np.linalg.inv(back[:, :3])
    matrix = np.hstack([turn * ((2**bits - 1) / 65535), -turn @ back[:, 3:]])
    planes = [*np.moveaxis(cv2.transform(picture[..., :3], matrix), -1, 0)]
    if picture.shape[2] == 4:
        planes.append(np.rint(picture[..., 3] * np.float32((2**bits - 1) / 65535)).astype(np.uint16))
    full = f"yuva{_FULL_SIZE[bits][3:]}" if picture.shape[2] == 4 else _FULL_SIZE[bits]
    frame = av.VideoFrame(picture.shape[1], picture.shape[0], full)
    for plane, numbers in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        stored = np.ascontiguousarray(numbers.astype(np.uint8 if bits == 8 else "<u2")).view(np.uint8)
        rows[:, : stored.shape[1]] = stored
        plane.update(rows.tobytes())
    return frame if full == name else _with_chroma_of(frame, name)


def _with_chroma_of(frame: Any, name: str) -> Any:
    from av.video.reformatter import ColorRange, Colorspace, Interpolation

    # With any matrix and range that are the same on both sides, brightness is copied.
    same = {"src_colorspace": Colorspace.ITU709, "dst_colorspace": Colorspace.ITU709}
    both = {"src_color_range": ColorRange.MPEG, "dst_color_range": ColorRange.MPEG}
    # One thread, because with more swscale sometimes gets a slice of a picture wrong (seen in alpha).
    return frame.reformat(format=name, interpolation=Interpolation.BICUBIC, threads=1, **same, **both)


def _plane(frame: Any, index: int, bits: int) -> NDArray[Any]:
    plane = frame.planes[index]
    kind = np.dtype(np.uint8 if bits == 8 else "<u2")
    rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: plane.height]
    return np.ascontiguousarray(rows[:, : plane.width * kind.itemsize]).view(kind)


@lru_cache(maxsize=16)
def _to_rgb(meaning: Meaning) -> NDArray[np.float64]:
    """(3, 4): stored Y, Cb, Cr, 1 to RGB of the same depth with black at 0 (ITU-T H.273, 8.3)."""
    red, blue = _WEIGHTS[meaning.matrix]
    green = 1 - red - blue
    white = 2.0**meaning.bits - 1
    step = 2.0 ** (meaning.bits - 8)
    low, luma, chroma = (16 * step, 219 * step, 224 * step) if meaning.range == "limited" else (0.0, white, white)
    mix = np.array(
        [
            [1, 0, 2 * (1 - red)],
            [1, -2 * (1 - blue) * blue / green, -2 * (1 - red) * red / green],
            [1, 2 * (1 - blue), 0],
        ]
    )
    mix = mix * (white / np.array([luma, chroma, chroma]))
    return np.hstack([mix, -mix @ np.array([[low], [128 * step], [128 * step]])])
