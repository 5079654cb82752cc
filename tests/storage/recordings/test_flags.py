"""What a video says of itself holds for the whole file, or the video is refused: colours, tracks, alpha."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection
from storage.recordings.video import read_video_header


def _joined(path: Path, *flags: tuple[int, int]) -> None:
    """One stream of parts of two frames each, with other primaries and another curve."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for part, (primaries, curve) in enumerate(flags):
            encoder = av.CodecContext.create("libx264", "w")
            encoder.width, encoder.height, encoder.pix_fmt = 64, 48, "yuv420p"
            encoder.time_base, encoder.framerate = Fraction(1, 25), Fraction(25)
            encoder.colorspace, encoder.color_range = 1, 1
            encoder.color_primaries, encoder.color_trc = primaries, curve
            encoder.options = {"tune": "zerolatency", "threads": "1"}
            for number in range(2):
                frame = av.VideoFrame.from_ndarray(np.full((72, 64), 90 + 40 * number, np.uint8), format="yuv420p")
                frame.pts = number
                for packet in [*encoder.encode(frame), *(encoder.encode(None) if number else [])]:
                    packet.stream, packet.time_base = stream, Fraction(1, 25)
                    packet.pts = packet.dts = packet.pts + 2 * part
                    container.mux(packet)


def test_a_video_whose_colours_change_on_the_way_is_refused(tmp_path: Path) -> None:
    _joined(tmp_path / "same.avi", (1, 1), (1, 1))
    header, clock = read_video_header(tmp_path / "same.avi")
    assert header.declared
    assert len(clock.numbers) == 4
    for number, other in enumerate([(9, 1), (1, 8)]):
        _joined(tmp_path / f"{number}.avi", (1, 1), other)
        with pytest.raises(ImageUnreadable, match=r"\.avi: frame 2 says another size or other colours"):
            read_video_header(tmp_path / f"{number}.avi")
    _joined(tmp_path / "hdr.avi", (1, 1), (9, 16))
    with pytest.raises(ImageUnreadable, match=r"hdr\.avi: the picture's transfer is PQ"):
        read_video_header(tmp_path / "hdr.avi")


def _streams(path: Path, codecs: list[str], pix_fmt: str = "yuv420p", cover: bool = False) -> None:
    """A file of several videos of two frames, the last of which may be a cover."""
    with av.open(str(path), "w") as container:
        streams = []
        for codec in codecs:
            streams.append(container.add_stream(codec, rate=25))
            streams[-1].width, streams[-1].height, streams[-1].pix_fmt = 64, 48, pix_fmt
            streams[-1].codec_context.colorspace, streams[-1].codec_context.color_range = 1, 2
        if cover:
            streams[-1].disposition = Disposition.attached_pic
        for stream in streams:
            for number in range(1 if cover and stream is streams[-1] else 2):
                frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 90, np.uint8), format="rgb24")
                frame = frame.reformat(format=pix_fmt)
                frame.pts = number
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


def test_a_file_of_two_videos_is_refused_and_a_cover_is_none(tmp_path: Path) -> None:
    _streams(tmp_path / "two.mkv", ["ffv1", "ffv1"])
    with pytest.raises(ImageUnreadable, match=r"two\.mkv: the file holds 2 videos"):
        read_video_header(tmp_path / "two.mkv")
    _streams(tmp_path / "cover.mp4", ["mpeg4", "mjpeg"], cover=True)
    assert len(read_video_header(tmp_path / "cover.mp4", VideoSection(matrix="bt709", range="full"))[1].numbers) == 2


def test_alpha_that_a_decoder_leaves_out_is_refused(tmp_path: Path) -> None:
    _streams(tmp_path / "a.webm", ["libvpx-vp9"], "yuva420p")
    with pytest.raises(ImageUnreadable, match=r"a\.webm: the video has an alpha channel"):
        read_video_header(tmp_path / "a.webm")


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "says"),
    [
        ("a.avi", "rawvideo", "rgb555le", "the video is rgb555le"),
        ("a.mov", "rawvideo", "rgb565le", "the video is rgb565le"),
        ("a.mkv", "ffv1", "ya8", r"alpha channel or palette \(ya8\)"),
    ],
)
def test_colours_of_five_bits_and_grey_with_alpha_are_refused(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, says: str
) -> None:
    _streams(tmp_path / name, [codec], pix_fmt)
    with pytest.raises(ImageUnreadable, match=says):
        read_video_header(tmp_path / name, VideoSection(matrix="bt709", range="full"))
