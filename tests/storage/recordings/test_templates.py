"""Path templates: any camera name, camera beside frame, and folders with every character that a disk allows."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import SessionError
from storage.calibration.formats.files import open_calibration
from storage.descriptor import read_session
from storage.recordings.recording import expected_file, find_recordings, misnamed
from storage.session.plan import plan_session
from tests.storage.tiny_session import write_picture, write_video

CASES = Path(__file__).parents[2] / "cases"
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,5}", fullmatch=True)
TEMPLATES = (
    "{camera}/{frame:04d}.png",
    "{camera}{frame:04d}.png",
    "{frame:04d}{camera}.png",
    "{camera}/{camera}{frame}.png",
)
FOLDERS = st.text("a1 []*?{}!%#&()'+,;=@^~-", min_size=1, max_size=8).map(lambda name: f"x{name}x")


@settings(max_examples=25, deadline=None)
@given(
    cameras=st.lists(NAMES, min_size=1, max_size=3, unique=True),
    frames=st.lists(st.integers(0, 999), min_size=1, max_size=3, unique=True),
    folder=FOLDERS,
    name=st.sampled_from(TEMPLATES),
)
def test_what_the_template_wrote_it_finds(
    tmp_path_factory: pytest.TempPathFactory, cameras: list[str], frames: list[int], folder: str, name: str
) -> None:
    root = tmp_path_factory.mktemp("t")
    for camera in cameras:
        for frame in frames:
            file = name.replace("{camera}", camera).replace("{frame:04d}", f"{frame:04d}")
            path = root / folder / file.replace("{frame}", str(frame))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"")
    found = find_recordings(root, f"{folder}/{name}")
    assert {camera: set(recording.frames) for camera, recording in found.items()} == dict.fromkeys(
        cameras, set(frames)
    )
    for camera, recording in found.items():
        for frame in frames:
            assert expected_file(root, f"{folder}/{name}", camera, frame) == recording.file(frame)


@settings(max_examples=20, deadline=None)
@given(folder=FOLDERS)
def test_calibrations_of_one_file_per_camera_lie_in_any_folder(
    tmp_path_factory: pytest.TempPathFactory, folder: str
) -> None:
    root = tmp_path_factory.mktemp("c")
    (root / folder).mkdir()
    for camera in ("C01", "C02"):
        file = cv2.FileStorage(str(root / "made.xml"), cv2.FILE_STORAGE_WRITE)
        for key, value in (("K", np.eye(3)), ("DistortionCoeffs", np.zeros((1, 5))), ("R", np.eye(3))):
            file.write(key, value)
        file.write("T", np.ones((3, 1)))
        file.release()
        (root / "made.xml").rename(root / folder / f"{camera}.xml")  # OpenCV takes what follows a ? for options
    assert sorted(open_calibration("opencv-xml", f"{folder}/{{camera}}.xml", root).cameras) == ["C01", "C02"]


def test_a_camera_and_a_frame_that_nothing_parts_are_refused(tmp_path: Path) -> None:
    for template in ("{camera}{frame}.png", "{frame}{camera}.png"):
        with pytest.raises(SessionError, match="unknown where .camera. ends.*State the digits"):
            find_recordings(tmp_path, template)
    with pytest.raises(SessionError, match="is not a frame's number"):
        find_recordings(tmp_path, "{camera}/{frame:name}.png")


@pytest.mark.parametrize("folder", ["./takes", "takes/.", "takes/", "../{root}/takes"])
def test_a_path_may_be_written_in_any_way(tmp_path: Path, folder: str) -> None:
    folder = folder.format(root=tmp_path.name)
    (tmp_path / "takes/C01").mkdir(parents=True)
    write_picture(tmp_path / "takes/C01/0003.png", np.zeros((4, 4, 3), np.uint8))
    assert find_recordings(tmp_path, f"{folder}/{{camera}}/{{frame:04d}}.png")["C01"].frames == (3,)
    (tmp_path / "takes/C01/0003.png").rename(tmp_path / "takes/C01/0.25.png")
    assert misnamed(tmp_path, f"{folder}/{{camera}}/{{frame:04d}}.png") is not None


def test_hidden_files_are_no_cameras(tmp_path: Path) -> None:
    write_video(tmp_path / "C01.mkv", [np.zeros((16, 16, 3), np.uint8)] * 2)
    (tmp_path / "._C01.mkv").write_bytes(b"\0\5\26\7")  # as macOS writes it
    assert [*find_recordings(tmp_path, "{camera}.mkv")] == ["C01"]


def test_a_pattern_of_the_camera_parts_it_from_the_frame(tmp_path: Path) -> None:
    for name in ("C0010000.png", "C000002.png"):
        (tmp_path / name).write_bytes(b"")
    found = find_recordings(tmp_path, r"{camera:C\d{2}}{frame}.png")
    assert {camera: recording.frames for camera, recording in found.items()} == {"C00": (2, 10000)}


@pytest.mark.parametrize("case", ["brackets", "camera_beside_frame"])
def test_the_sessions_that_were_reported_fit(case: str) -> None:
    plan = plan_session(read_session(CASES / "02-templates" / case))
    assert not plan.problems
    assert sorted(plan.cameras) == ["C00", "C01"]
    assert plan.takes["s"].frames == (0, 1)


def test_videos_lie_in_folders_with_brackets(tmp_path: Path) -> None:
    (tmp_path / "take [1]").mkdir()
    write_video(tmp_path / "take [1]/00.mkv", [np.zeros((16, 16, 3), np.uint8)] * 2)
    write_picture(tmp_path / "take [1]/x.png", np.zeros((4, 4, 3), np.uint8))
    assert find_recordings(tmp_path, "take [1]/{camera}.mkv")["00"].frames == (0, 1)
