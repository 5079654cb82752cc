"""A video of two fields per picture, or of pixels that are not square, is refused whatever codec says so."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection
from storage.recordings.video import read_video_header

STATED = VideoSection(matrix="bt709", range="limited")
WOVEN = {"flags": "+ilme+ildct"}
X265 = "log-level=none:bframes=0:frame-threads=1"  # with more threads it reorders, and muxing fails now and then
HD, SMALL = (1920, 1080), (96, 64)


def _write(
    path: Path, codec: str, form: str, size: tuple[int, int] = SMALL, options: Any = None, **declared: Any
) -> Path:
    """A video of two grey pictures; `declared` are attributes of the codec context."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = (*size, form)
        for name, value in declared.items():
            setattr(stream.codec_context, name, value)
        for shade in (90, 120):
            picture = np.full((size[1], size[0], 3), shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format=form)))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "form", "size", "options", "order"),
    [
        ("a.mp4", "libx264", "yuv420p", SMALL, WOVEN, 0),
        ("a.mkv", "libx264", "yuv420p", SMALL, WOVEN, 0),
        ("a.avi", "libx264", "yuv420p", SMALL, WOVEN, 0),
        ("b.mkv", "libx265", "yuv420p", SMALL, {"x265-params": f"interlace=tff:{X265}"}, 0),
        ("c.mkv", "mpeg2video", "yuv420p", SMALL, WOVEN, 0),
        ("c.mov", "mpeg2video", "yuv420p", SMALL, WOVEN, 0),
        ("c.mxf", "mpeg2video", "yuv422p", SMALL, WOVEN, 0),
        ("d.avi", "mpeg4", "yuv420p", SMALL, WOVEN, 0),
        ("e.mov", "prores_ks", "yuv422p10le", SMALL, WOVEN, 0),
        ("f.avi", "dvvideo", "yuv420p", (720, 576), None, 0),
        ("g.mov", "dnxhd", "yuv422p", HD, {**WOVEN, "b": "120M"}, 0),
        ("h.mkv", "ffv1", "yuv420p", SMALL, None, 2),
        ("h.mov", "v210", "yuv422p10le", SMALL, None, 3),
        ("i.mov", "mjpeg", "yuvj420p", SMALL, None, 2),
    ],
)
def test_interlaced_video_is_refused_by_name(
    tmp_path: Path, name: str, codec: str, form: str, size: tuple[int, int], options: Any, order: int
) -> None:
    declared = {"field_order": order} if order else {}
    path = _write(tmp_path / name, codec, form, size, options, **declared)
    # DV is refused for its pixels first.
    with pytest.raises(
        ImageUnreadable, match="not square" if codec == "dvvideo" else f"{name}: the video is interlaced"
    ):
        read_video_header(path, STATED)
    plain = None if codec != "dnxhd" else {"b": "120M"}
    if codec != "dvvideo":  # which is always woven
        stated = VideoSection(matrix="bt601", range="full") if form == "yuvj420p" else STATED
        assert (
            read_video_header(_write(tmp_path / f"plain_{name}", codec, form, size, plain), stated)[0].width
            == size[0]
        )


@pytest.mark.parametrize(
    ("name", "codec", "form"),
    [
        ("a.mp4", "libx264", "yuv420p"),
        ("a.mkv", "libx264", "yuv420p"),
        ("a.avi", "libx264", "yuv420p"),
        ("b.mov", "libx265", "yuv420p"),
        ("c.mov", "mpeg2video", "yuv420p"),
        ("d.avi", "mpeg4", "yuv420p"),
        ("e.mov", "prores_ks", "yuv422p10le"),
        ("e.mxf", "prores_ks", "yuv422p10le"),
        ("f.avi", "mjpeg", "yuvj420p"),
        ("g.mov", "v210", "yuv422p10le"),
    ],
)
def test_pixels_that_are_not_square_are_refused_with_their_shape(
    tmp_path: Path, name: str, codec: str, form: str
) -> None:
    options = {"x265-params": X265} if codec == "libx265" else None
    path = _write(tmp_path / name, codec, form, SMALL, options, sample_aspect_ratio=Fraction(16, 15))
    with pytest.raises(ImageUnreadable, match=f"{name}: the video's pixels are not square, 16:15"):
        read_video_header(path, STATED)


def test_a_shape_that_is_rounded_to_less_than_a_pixel_is_square(tmp_path: Path) -> None:
    path = _write(tmp_path / "a.mp4", "libx264", "yuv420p", sample_aspect_ratio=Fraction(4320, 4319))
    assert read_video_header(path, STATED)[0].width == SMALL[0]
