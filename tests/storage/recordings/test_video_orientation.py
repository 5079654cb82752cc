"""A video that asks players to turn it is refused in every container that can ask."""

import struct
from pathlib import Path

import av
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import ImageUnreadable
from storage.descriptor import VideoSection, read_session
from storage.recordings.recording import find_recordings
from storage.session.plan import plan_session

CASES = Path(__file__).parents[2] / "cases"
STATED = VideoSection(matrix="bt601", range="limited")
# a, b, c, d of ISO/IEC 14496-12, 6.2.2: x' = a x + c y, y' = b x + d y
MATRICES = {
    1: (1, 0, 0, 1),
    2: (-1, 0, 0, 1),
    3: (-1, 0, 0, -1),
    4: (1, 0, 0, -1),
    5: (0, 1, 1, 0),
    6: (0, 1, -1, 0),
    7: (0, -1, -1, 0),
    8: (0, -1, 1, 0),
}


def _mp4(path: Path, matrix: tuple[float, float, float, float]) -> None:
    """Three frames, whose track header holds this matrix."""
    with av.open(str(path), "w") as file:
        stream = file.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        for level in range(3):
            picture = np.full((16, 16, 3), 60 * level, np.uint8)
            file.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        file.mux(stream.encode(None))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (round(65536 * n) for n in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


def _copied(source: Path, target: Path) -> None:
    """The same packets in another container, by ffmpeg, which copies the matrix."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


def _fault(path: Path) -> str:
    template = "{camera}" + path.suffix
    try:
        find_recordings(path.parent, template, video=STATED)
    except ImageUnreadable as error:
        return str(error)
    return ""


@settings(max_examples=12, deadline=None)
@given(orientation=st.sampled_from(list(MATRICES)), suffix=st.sampled_from([".mp4", ".mov", ".m4v", ".mkv"]))
def test_a_video_that_asks_to_be_turned_is_refused(
    tmp_path_factory: pytest.TempPathFactory, orientation: int, suffix: str
) -> None:
    folder = tmp_path_factory.mktemp("v")
    made, path = folder / "made.mp4", folder / "out" / f"cam01{suffix}"
    path.parent.mkdir()
    _mp4(made, MATRICES[orientation])
    _copied(made, path)
    with av.open(str(path)) as file:
        (frame, *_) = file.decode(video=0)
    asks = "DISPLAYMATRIX" in frame.side_data and orientation != 1  # what ffmpeg finds in the new file
    assert asks or orientation == 1 or suffix == ".mkv"
    assert (f"camera cam01, {path}: the video asks to be " in _fault(path)) == asks


@pytest.mark.parametrize("orientation", MATRICES)
def test_the_message_says_how(tmp_path: Path, orientation: int) -> None:
    _mp4(tmp_path / "cam01.mp4", MATRICES[orientation])
    assert (f"(orientation {orientation})" in _fault(tmp_path / "cam01.mp4")) == (orientation > 1)


def test_another_angle_is_refused_and_a_scale_is_none(tmp_path: Path) -> None:
    _mp4(tmp_path / "cam01.mp4", (0.7, 0.7, -0.7, 0.7))
    assert "the video asks to be turned" in _fault(tmp_path / "cam01.mp4")
    _mp4(tmp_path / "cam01.mp4", (2, 0, 0, 2))
    assert _fault(tmp_path / "cam01.mp4") == ""


def test_the_camera_that_hangs_upside_down_is_named() -> None:
    (problem,) = plan_session(read_session(CASES / "03-video-rotation/upside_down")).problems
    assert "take rot camera cam01" in str(problem)
    assert "turned by 180 degrees" in str(problem)


@pytest.mark.parametrize("turn", ["rotate=90", "flip=horizontal"])
def test_a_stream_of_h264_that_asks_inside_is_refused_in_avi_too(tmp_path: Path, turn: str) -> None:
    with av.open(str(tmp_path / "made.mp4"), "w") as file:
        stream = file.add_stream("libx264", rate=25, options={"x264-params": "threads=1"})
        stream.width = stream.height = 16
        stream.pix_fmt = "yuv420p"
        file.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        file.mux(stream.encode(None))
    with av.open(str(tmp_path / "made.mp4")) as old, av.open(str(tmp_path / "cam01.avi"), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        asks = f"h264_mp4toannexb,h264_metadata=display_orientation=insert:{turn}"
        asking = BitStreamFilterContext(asks, old.streams.video[0], stream)
        for packet in old.demux(video=0):
            for changed in asking.filter(packet if packet.dts is not None else None):
                changed.stream = stream
                new.mux(changed)
    assert "the video asks to be" in _fault(tmp_path / "cam01.avi")
