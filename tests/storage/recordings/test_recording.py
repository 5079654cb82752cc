"""Recordings are found by number, whatever the folders look like, as pictures and as video."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from capmat_errors import ImageUnreadable
from storage.pictures.colour import Colour
from storage.recordings.recording import find_recordings
from storage.recordings.video import read_video, read_video_header
from tests.storage.tiny_session import write_picture, write_video

EIGHT = Colour(8, "srgb")
PICTURES = [np.random.default_rng(n).integers(0, 256, (32, 48, 3)).astype(np.uint8) for n in range(6)]


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(numbers=st.sets(st.integers(0, 99999), min_size=1, max_size=5), width=st.integers(1, 6), data=st.data())
def test_numbers_are_read_whatever_their_padding(
    numbers: set[int], width: int, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("r")
    for number in numbers:
        (root / f"cam_A/shot_{number:0{width}d}.png").parent.mkdir(exist_ok=True)
        (root / f"cam_A/shot_{number:0{width}d}.png").touch()
    recordings = find_recordings(root, "{camera}/shot_{frame:04d}.png")
    assert recordings["cam_A"].frames == tuple(sorted(numbers))


def test_the_camera_may_stand_twice_in_a_path_and_must_agree(tmp_path: Path) -> None:
    for name in ("a/a_001.jpg", "b/b_001.jpg", "b/a_002.jpg", "a/a_001.txt", "a/._a_001.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    recordings = find_recordings(tmp_path, "{camera}/{camera}_{frame:03d}.jpg")
    assert {camera: recording.frames for camera, recording in recordings.items()} == {"a": (1,), "b": (1,)}


@pytest.mark.parametrize(("folder", "beside"), [("walk [A]", "walk A"), ("walk*", "walks"), ("walk?", "walks")])
def test_a_name_that_looks_like_a_pattern_is_only_a_name(tmp_path: Path, folder: str, beside: str) -> None:
    for part, frame in ((folder, 1), (beside, 2)):
        (tmp_path / part / "cam_A").mkdir(parents=True)
        (tmp_path / part / f"cam_A/{part}_{frame}.png").touch()
    recordings = find_recordings(tmp_path, folder + "/{camera:cam_[A-C]}/" + folder + "_{frame}.png")
    assert {camera: recording.frames for camera, recording in recordings.items()} == {"cam_A": (1,)}


def test_one_single_picture_is_a_recording_of_frame_0(tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", PICTURES[0])
    ((number, picture),) = find_recordings(tmp_path, "{camera}.png")["a"].read(EIGHT)
    assert number == 0
    np.testing.assert_array_equal(picture, PICTURES[0])


def test_video_frames_are_counted_and_read_exactly(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", PICTURES)
    header, clock = read_video_header(tmp_path / "a.mkv")
    assert (header.width, header.height, header.dtype, len(clock.numbers)) == (48, 32, "uint8", 6)
    read = dict(read_video(tmp_path / "a.mkv", [1, 4]))
    assert sorted(read) == [1, 4]
    np.testing.assert_array_equal(read[4], PICTURES[4])
    recording = find_recordings(tmp_path, "{camera}.mkv")["a"].select((0, 5))
    np.testing.assert_array_equal(dict(recording.read(EIGHT))[5], PICTURES[5])


def test_deep_video_comes_in_the_low_bits(tmp_path: Path) -> None:
    import av

    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "gbrp12le"
        deep = (PICTURES[0].astype(np.uint16) << 4) | 5
        # rgb48 is at 16 bits; ffmpeg brings it to the 12 of the file.
        frame = av.VideoFrame.from_ndarray(deep << 4, format="rgb48le")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    ((_, again),) = find_recordings(tmp_path, "{camera}.mkv")["a"].read(Colour(12, "linear"))
    assert again.dtype == np.uint16
    assert np.abs(again.astype(int) - deep).max() <= 1


def test_a_video_that_ends_early_is_refused(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", PICTURES)
    with pytest.raises(ImageUnreadable, match="a.mkv: the video ends before frame 9"):
        list(read_video(tmp_path / "a.mkv", [2, 9]))
    (tmp_path / "b.mkv").write_bytes(b"not a video")
    with pytest.raises(ImageUnreadable, match="camera b, .*b.mkv: the video is damaged"):
        find_recordings(tmp_path, "{camera}.mkv")


def test_a_frame_of_a_video_that_does_not_fit_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "a.mkv", PICTURES)
    recording = find_recordings(tmp_path, "{camera}.mkv")["a"].select((2, 5))
    with pytest.raises(ImageUnreadable, match="camera a frame 2, .*a.mkv: the picture has 8 bits"):
        list(recording.read(Colour(12, "linear")))


def test_a_touched_file_changes_the_manifest(tmp_path: Path) -> None:
    for n in range(3):
        write_picture(tmp_path / f"a_{n}.png", PICTURES[n])
    template = "{camera}_{frame}.png"
    before = find_recordings(tmp_path, template)["a"].manifest()
    assert find_recordings(tmp_path, template)["a"].manifest() == before
    write_picture(tmp_path / "a_1.png", PICTURES[5])
    assert find_recordings(tmp_path, template)["a"].manifest() != before
    assert find_recordings(tmp_path, template)["a"].select((0, 2)).manifest() != before
