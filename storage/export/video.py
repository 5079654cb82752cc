"""Videos of mattes: H.264 for viewing, ProRes 4444 with alpha and ProRes 422 HQ for editing.

The pictures are sRGB-encoded Rec. 709, and the file says so: matrix and primaries BT.709, transfer IEC 61966-2-1,
limited range. Without these tags programs guess, and guess differently.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from capmat_errors import StoreError
from storage.recordings.video_colour import frame_of
from storage.store.errors import store_errors

_BT709, _SRGB, _LIMITED = 1, 13, 1  # ITU-T H.273
# crf 14 keeps the noise in which wrong edges show; 18 smooths it.
_H264 = {"crf": "14", "preset": "medium"}
_TIMECODE_RATES = 256  # the track of a time code counts a second's numbers in one byte


class Video(Protocol):
    """Takes pictures one after the other."""

    def __call__(self, picture: NDArray[np.uint16], index: int) -> None:
        """Add (H, W, 3) or (H, W, 4) with straight alpha; `index` is its time in frames."""


@contextmanager
def video_file(
    path: Path,
    form: str,
    size: tuple[int, int],
    rate: Fraction,
    timecode: str = "",
    *,
    alpha: bool = False,
    threads: int = 1,
) -> Iterator[Video]:
    """Write a video; it is complete when the block ends.

    Args:
        path: the file; its folder exists.
        form: "mp4" (H.264, 4:2:0, 8 bit) or "prores" (10 bit).
        size: (height, width). H.264 needs even sides, so the last row or column is repeated there.
        rate: exact frames per second.
        timecode: of the first picture; "" if unknown. It is left out from 256 frames per second on.
        alpha: ProRes 4444 with alpha instead of 422 HQ.
        threads: of the encoder.

    Raises:
        StoreError: the disk refuses, or the encoder does (H.264 ends at 16384 pixels).
    """
    import av

    height, width = size
    if form == "mp4":
        codec, pixels, options = "libx264", "yuv420p", _H264
        height, width = height + height % 2, width + width % 2
    else:
        codec, pixels = "prores_ks", "yuva444p10le" if alpha else "yuv422p10le"
        options = {"profile": "4444", "alpha_bits": "16"} if alpha else {"profile": "hq"}
    try:
        with (
            store_errors(str(path)),
            av.open(str(path), "w", format="mp4" if form == "mp4" else "mov") as container,
        ):
            stream: Any = container.add_stream(codec, rate=rate, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, pixels
            stream.time_base = 1 / rate
            context = stream.codec_context
            context.color_primaries, context.color_trc = _BT709, _SRGB
            context.colorspace, context.color_range = _BT709, _LIMITED
            context.thread_count = threads
            if timecode and rate < _TIMECODE_RATES:
                stream.metadata["timecode"] = timecode

            def add(picture: NDArray[np.uint16], index: int) -> None:
                extra = (height - picture.shape[0], width - picture.shape[1])
                if any(extra):
                    picture = np.pad(picture, ((0, extra[0]), (0, extra[1]), (0, 0)), mode="edge")
                frame = frame_of(picture, pixels)
                frame.pts, frame.time_base = index, 1 / rate
                container.mux(stream.encode(frame))

            yield add
            container.mux(stream.encode(None))
    except av.FFmpegError as error:
        # What the disk refuses is an OSError, with a word of its own. This is the encoder or the container.
        raise StoreError(
            f"{codec} does not write {width} x {height} pixels at {float(rate):g} frames/s ({error.strerror})",
            where=str(path),
            fix="Export pictures instead, with --format png or exr.",
        ) from error
