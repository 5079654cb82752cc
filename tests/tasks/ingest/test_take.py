"""An ingest keeps every bit, goes on where it stopped, and never shows half a take."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from capmat_errors import ImageUnreadable, NotFound, StoreError
from storage.descriptor import read_session
from storage.pictures.files import read_image
from storage.recordings.raw_pixels import pack
from storage.recordings.recording import find_recordings, recorded_timecode
from storage.session.plan import check_session
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take, list_takes
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.runtime.progress import hand_to
from tests.project import ROOT
from tests.storage.raw_pictures import join, read_raw
from tests.storage.tiny_session import (
    BLACK,
    CAMERAS,
    HEIGHT,
    WIDTH,
    background,
    edit_toml,
    tree,
    write_picture,
    write_session,
    write_video,
)


@pytest.fixture
def session(tmp_path: Path) -> Path:
    return write_session(tmp_path / "session", frames=5)


@pytest.fixture
def store(tmp_path: Path) -> Root:
    return Root(tmp_path / "store")


def _holds_all(root: Root, session: Path, suffix: str = ".png") -> bool:
    take = Take.open(root, "walk")
    return all(
        np.array_equal(
            read_raw(take, camera, frame), read_image(session / f"takes/walk/{camera}/{frame:04d}{suffix}")
        )
        for camera in take.cameras
        for frame in take.frames
    )


def test_plates_are_taken_in_although_a_take_is_broken(session: Path, store: Root) -> None:
    (session / "takes/walk/c01/0002.png").write_bytes(b"")
    assert ingest_plates(store.url, session)["written"] == list(CAMERAS)
    with pytest.raises(ImageUnreadable, match="take walk camera c01 frame 2"):
        ingest_take(store.url, session, "walk")


def _mosaics(folder: Path, frames: int) -> dict[tuple[str, int], np.ndarray]:
    """Make the session's pictures into headerless packed mosaics of twice the size; returns those of the take."""
    out = {}
    for file in sorted(folder.rglob("*.png")):
        picture = read_image(file)
        planes = np.stack([picture[..., 0], picture[..., 1], picture[..., 1], picture[..., 2]])
        mosaic = join(planes)
        file.with_suffix(".raw").write_bytes(pack(mosaic, "lsb"))
        file.unlink()
        if "walk" in file.parts:
            out[file.parent.name, int(file.stem)] = mosaic
    edit_toml(folder, ".png", ".raw")
    edit_toml(folder, "[calibration]", f'cfa = "RGGB"\n[raw]\nwidth = {2 * WIDTH}\nheight = {2 * HEIGHT}\n'
              'pixel_format = "BayerRG12p"\n[calibration]')  # fmt: skip
    file = folder / "calibration.json"
    data = json.loads(file.read_text())
    for camera in data["cameras"].values():
        camera["width"], camera["height"] = 2 * WIDTH, 2 * HEIGHT
        camera["K"] = [[120.0, 0, 63.5], [0, 120.0, 47.5], [0, 0, 1]]
    file.write_text(json.dumps(data))
    return out


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_mosaics_are_kept_to_the_bit_and_shown_at_half_the_size(
    session: Path, place: str, request: pytest.FixtureRequest
) -> None:
    root: Root = request.getfixturevalue("store" if place == "folder" else "s3_root")
    mosaics = _mosaics(session, 5)
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")
    take, stage = Take.open(root, "walk"), Stage.open(root, "ring")
    for (camera, frame), mosaic in mosaics.items():
        np.testing.assert_array_equal(read_raw(take, camera, frame), mosaic)
    sensor, view = take.sensors["c00"], take.cameras["c00"]
    assert (sensor.width, view.width, view.height) == (2 * WIDTH, WIDTH, HEIGHT)
    np.testing.assert_allclose(view.K, [[60, 0, 31.5], [0, 60, 23.5], [0, 0, 1]])
    whole = take.read("c01", 2)
    assert whole.shape == stage.plate("c01").shape == stage.noise("c01").shape == (3, HEIGHT, WIDTH)
    np.testing.assert_array_equal(take.read("c01", 2, (5, 30, 0, 17)), whole[:, 5:30, 0:17])
    # The stage is grey steps: where nobody stands, frame and plate agree to the noise.
    away = np.abs(whole - stage.plate("c01"))[:, :10]
    assert away.mean() < 0.01
    small = take.read_preview("c01", 2)
    assert small.shape == (3, HEIGHT // 4, WIDTH // 4)
    blocks = whole.reshape(3, HEIGHT // 4, 4, WIDTH // 4, 4).mean(axis=(2, 4))
    assert np.abs(small / 255 - blocks).mean() < 0.01


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_a_session_is_taken_in_bit_for_bit(session: Path, place: str, request: pytest.FixtureRequest) -> None:
    root: Root = request.getfixturevalue("store" if place == "folder" else "s3_root")
    told: list[Any] = []
    before = hand_to(lambda event: told.append((event["work"], event["done"], event["total"], event.get("part"))))
    plates = ingest_plates(root.url, session)
    take = ingest_take(root.url, session / "session.toml", "walk")
    hand_to(before)
    assert plates["written"] == take["written"] == list(CAMERAS)
    assert (take["frames"], take["bytes"]) == (5, 3 * 5 * WIDTH * HEIGHT * 3 * 2)
    whole = {("plates of stage ring", 3, 3, None), ("ingest walk", 15, 15, None)}
    assert whole | {("ingest walk", 5, 5, f"camera {camera}") for camera in CAMERAS} <= set(told)
    assert _holds_all(root, session)
    opened, stage = Take.open(root, "walk"), Stage.open(root, "ring")
    assert (opened.stage, opened.fps, opened.colour.black, opened.frames) == ("ring", 25.0, BLACK, [0, 1, 2, 3, 4])
    assert opened.cameras == stage.cameras
    for number, camera in enumerate(CAMERAS):
        true = stage.colour.display(background(number).transpose(2, 0, 1))
        assert np.abs(stage.plate(camera) - true).mean() < 0.002
        assert stage.valid(camera).mean() > 0.99


def test_a_second_ingest_does_nothing(session: Path, store: Root) -> None:
    for _ in range(2):
        plates = ingest_plates(store.url, session)
        take = ingest_take(store.url, session, "walk")
        before = tree(Path(store.url))
    assert plates["written"] == take["written"] == []
    assert plates["kept"] == take["kept"] == list(CAMERAS)
    ingest_take(store.url, session, "walk")
    assert tree(Path(store.url)) == before


def test_a_plate_that_was_recorded_again_is_taken_in_again(session: Path, store: Root) -> None:
    ingest_plates(store.url, session)
    file = session / "plates/c02/0000.png"
    write_picture(file, np.asarray(read_image(file)) // 2)
    assert ingest_plates(store.url, session)["written"] == ["c02"]
    assert Stage.open(store, "ring").complete


def test_a_frame_that_vanished_from_the_store_is_written_again(session: Path, store: Root) -> None:
    ingest_take(store.url, session, "walk")
    store.delete("takes/walk.zarr/cameras/c02/rgb/c/3")
    assert ingest_take(store.url, session, "walk")["written"] == ["c02"]
    assert _holds_all(store, session)


def test_damage_inside_a_picture_stops_the_ingest_before_the_take_shows(session: Path, store: Root) -> None:
    # Frame 1 of 5 is none of those that the check decodes, and its header and end are sound.
    file = session / "takes/walk/c01/0001.png"
    sound = file.read_bytes()
    file.write_bytes(sound[:900] + bytes([sound[900] ^ 1]) + sound[901:])
    with pytest.raises(ImageUnreadable, match="camera c01 frame 1, .*0001.png"):
        ingest_take(store.url, session, "walk", workers=1)
    assert list_takes(store) == []
    with pytest.raises(StoreError, match="not complete"):
        Take.open(store, "walk")
    file.write_bytes(sound)
    again = ingest_take(store.url, session, "walk")
    assert (again["kept"], again["written"]) == (["c00"], ["c01", "c02"])
    assert _holds_all(store, session)


_KILLED = """
import os, sys
from tasks.ingest.take import ingest_take
from storage.takes.take import Take
write, count = Take.write_planes, 0
def write_some(take, camera, frame, picture):
    global count
    count += 1
    if count > 7:
        os.kill(os.getpid(), 9)
    return write(take, camera, frame, picture)
Take.write_planes = write_some
ingest_take(sys.argv[1], sys.argv[2], "walk", workers=1)
"""


def test_a_killed_ingest_goes_on_and_ends_with_the_same_store(session: Path, store: Root, tmp_path: Path) -> None:
    killed = subprocess.run([sys.executable, "-c", _KILLED, store.url, session], cwd=ROOT)
    assert killed.returncode == -9
    assert list_takes(store) == []
    assert [Ledger(store).done(f"ingest/walk/{c}/00000") is not None for c in CAMERAS] == [True, False, False]
    again = ingest_take(store.url, session, "walk")
    assert (again["kept"], again["written"]) == (["c00"], ["c01", "c02"])
    ingest_take(str(tmp_path / "straight"), session, "walk")
    straight = Root(str(tmp_path / "straight"))
    assert _stored(store) == _stored(straight)
    assert _recorded(store) == _recorded(straight)


def _stored(root: Root) -> dict[str, bytes]:
    return {key: data for key, data in tree(Path(root.url)).items() if not key.startswith("ledger/")}


def _recorded(root: Root) -> dict[str, dict[str, Any]]:
    """The ledger, but for the clock."""
    entries = Ledger(root).entries("").items()
    return {key: {k: v for k, v in (e or {}).items() if k not in ("seconds", "ended")} for key, e in entries}


def test_another_recording_does_not_replace_a_take_of_the_same_name(session: Path, store: Root) -> None:
    ingest_take(store.url, session, "walk")
    edit_toml(session, "[takes.walk]", "[takes.walk]\nlast = 2")
    with pytest.raises(StoreError, match="a take walk of other frames"):
        ingest_take(store.url, session, "walk")
    assert Take.open(store, "walk").frames == [0, 1, 2, 3, 4]


def test_another_setup_does_not_replace_a_stage_of_the_same_name(session: Path, store: Root) -> None:
    ingest_plates(store.url, session)
    edit_toml(session, "black = 64", "black = 60")
    with pytest.raises(StoreError, match="a stage ring of other cameras or colour"):
        ingest_plates(store.url, session)
    assert Stage.open(store, "ring").colour.black == 64


def test_a_broken_off_ingest_of_another_recording_is_replaced(session: Path, store: Root) -> None:
    file = session / "takes/walk/c02/0001.png"
    sound = file.read_bytes()
    file.write_bytes(sound[:900] + bytes([sound[900] ^ 1]) + sound[901:])
    with pytest.raises(ImageUnreadable):
        ingest_take(store.url, session, "walk")
    file.write_bytes(sound)
    edit_toml(session, "[takes.walk]", "[takes.walk]\nfirst = 1\nlast = 3\nstep = 2")
    assert ingest_take(store.url, session, "walk")["written"] == list(CAMERAS)
    assert Take.open(store, "walk").frames == [1, 3]
    assert _holds_all(store, session)


@pytest.mark.parametrize("suffix", [".tif", ".exr", ".jpg"])
def test_other_picture_formats_are_taken_in(tmp_path: Path, store: Root, suffix: str) -> None:
    session = write_session(tmp_path / "session")
    for path in session.rglob("*.png"):
        picture = read_image(path)
        if suffix == ".jpg":
            picture = (picture >> 4).astype(np.uint8)
        write_picture(path.with_suffix(suffix), picture / 4095 if suffix == ".exr" else picture)
        path.unlink()
    edit_toml(session, ".png", suffix)
    bits = {".tif": "bits = 12", ".exr": "bits = 16\nhalf = true", ".jpg": "bits = 8"}[suffix]
    edit_toml(session, "bits = 12", bits)
    edit_toml(session, "black = 64", "black = 0")
    ingest_plates(store.url, session)
    ingest_take(store.url, session, "walk")
    take = Take.open(store, "walk")
    file = session / f"takes/walk/c01/0001{suffix}"
    if suffix == ".exr":
        np.testing.assert_array_equal(read_raw(take, "c01", 1), read_image(file))
    else:
        assert _holds_all(store, session, suffix)


def _film(folder: Path, frames: int) -> Path:
    """A session of videos and OpenCV calibrations, as small stages deliver it; the plates are 40 frames long."""
    for number, camera in enumerate(CAMERAS):
        (folder / camera).mkdir(parents=True)
        empty = background(number) / 13
        rng = np.random.default_rng(number)
        noisy = [np.rint(empty + rng.normal(0, 2, empty.shape)).clip(0, 255).astype(np.uint8) for _ in range(40)]
        write_video(folder / camera / "background.mkv", noisy)
        for frame, picture in enumerate(noisy[:frames]):
            picture[10:40, 4 * frame : 4 * frame + 16] = 240
        write_video(folder / camera / "video.mkv", noisy[:frames], timecode="10:00:00:24")
        file = cv2.FileStorage(str(folder / camera / "config.xml"), cv2.FILE_STORAGE_WRITE)
        file.write("CameraMatrix", np.array([[60.0, 0, 31.5], [0, 60, 23.5], [0, 0, 1]]))
        file.write("DistortionCoeffs", np.zeros((1, 5)))
        file.write("Rotation", np.full((3, 1), 0.1 * number))
        file.write("Translation", np.array([[0.0], [0], [3000]]))
        file.release()
    (folder / "session.toml").write_text(
        'name = "film"\nstage = "room"\nfps = 25.0\n[colour]\nbits = 8\ntransfer = "srgb"\n'
        '[calibration]\nformat = "opencv-xml"\npath = "{camera}/config.xml"\nunit = "mm"\n'
        '[plates]\npath = "{camera}/background.mkv"\n'
        '[takes.walk]\npath = "{camera}/video.mkv"\nfirst = 1\nlast = 7\nstep = 3\n'
    )
    return folder


def test_videos_with_opencv_calibration_are_taken_in(tmp_path: Path, store: Root) -> None:
    session = _film(tmp_path / "session", 9)
    ingest_plates(store.url, session)
    assert ingest_take(store.url, session, "walk")["frames"] == 3
    take, stage = Take.open(store, "walk"), Stage.open(store, "room")
    assert take.frames == [1, 4, 7]
    assert take.timecode == "10:00:01:00"  # of frame 1, at 25 frames per second
    assert (take.cameras["c02"].width, take.cameras["c02"].height) == (WIDTH, HEIGHT)
    np.testing.assert_allclose(np.linalg.norm(take.cameras["c02"].centre()), 3)
    for number, camera in enumerate(CAMERAS):
        assert np.abs(stage.plate(camera) * 255 - (background(number) / 13).transpose(2, 0, 1)).mean() < 0.5
        assert np.median(stage.noise(camera)) * 255 == pytest.approx(2, rel=0.15)
    assert read_raw(take, "c00", 4)[20, 20].min() == 240


@pytest.mark.parametrize(("other", "agreed"), [("10:00:00:23", ""), ("", "10:00:00:24")])
def test_videos_that_do_not_agree_on_a_timecode_give_none(tmp_path: Path, other: str, agreed: str) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    for camera, code in (("c00", "10:00:00:24"), ("c01", other)):
        write_video(tmp_path / f"{camera}.mkv", [picture], timecode=code)
    found = find_recordings(tmp_path, "{camera}.mkv")
    assert recorded_timecode(found.values(), 25) == agreed
    assert recorded_timecode([found["c00"]], 25) == "10:00:00:24"


def test_the_plan_says_what_will_be_stored_and_writes_nothing(session: Path) -> None:
    before = tree(session)
    plan = check_session(read_session(session))
    row = plan.takes["walk"].rows["c00"]
    assert (row.first, row.last, row.count, row.width, row.height, row.plate) == (0, 4, 5, WIDTH, HEIGHT, 2)
    assert plan.takes["walk"].bytes == 3 * 5 * WIDTH * HEIGHT * 3 * 2
    assert tree(session) == before


def test_a_store_that_cannot_be_written_to_is_found_before_the_work(session: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        ingest_take(str(tmp_path / "file/store"), session, "walk")


def test_takes_that_were_deleted_by_hand_are_taken_in_again(session: Path, store: Root) -> None:
    ingest_take(store.url, session, "walk")
    shutil.rmtree(Path(store.url, "takes"))
    with pytest.raises(NotFound):
        Take.open(store, "walk")
    assert ingest_take(store.url, session, "walk")["written"] == list(CAMERAS)
