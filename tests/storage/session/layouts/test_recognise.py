"""Folders of known layouts need no session.toml: one is written that says what they say, and asks for the rest."""

import json
import re
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import pytest
from PIL import Image

from capmat_errors import CalibrationError, SessionError
from storage.descriptor import read_session
from storage.session.layouts.parts import numbered
from storage.session.layouts.recognise import LAYOUTS, describe
from storage.session.plan import check_session
from tests.storage.calibration.calibrations import (
    Rig,
    actorshq,
    colmap_text,
    easyvolcap,
    llff,
    make_rig,
    nerfstudio,
    pose2sim,
)
from tests.storage.tiny_session import HEIGHT, WIDTH, background, write_picture, write_video

NAMES = ("C01", "C02", "C03")
NUMBERS = ("00", "0", "000")
CASES = Path(__file__).parents[3] / "cases"


def _rigs(names: tuple[str, ...] = NAMES) -> list[Rig]:
    rigs = [make_rig(seed, name, bend=0.0) for seed, name in enumerate(names)]
    for rig in rigs:
        rig.width, rig.height = WIDTH, HEIGHT
        rig.fx = rig.fy
        rig.cx, rig.cy = WIDTH / 2 - 0.5, HEIGHT / 2 - 0.5
    return rigs


def _picture(number: int, frame: int | None = None) -> Any:
    """What camera `number` sees, 8 bits; with somebody in it if it is a frame."""
    picture = (background(number) / 16).astype(np.uint8)
    if frame is not None:
        picture[12:40, 8 + 6 * frame : 26 + 6 * frame] = (90, 60, 40)
    return picture


def _pictures(folder: Path, name: str, frames: int = 2) -> None:
    """Write pictures of every camera; `name` has {camera} and {frame}."""
    for number, camera in enumerate(NAMES):
        for frame in range(frames):
            path = folder / name.format(camera=camera, frame=frame)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_picture(path, _picture(number, frame))


def _plates(folder: Path, name: str) -> None:
    for number, camera in enumerate(NAMES):
        path = folder / name.format(camera=camera, frame=0)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_picture(path, _picture(number))


def _video(path: Path, number: int, frames: int = 2) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, [_picture(number, frame) for frame in range(frames)])


def _easyvolcap(folder: Path) -> None:
    easyvolcap(folder, _rigs())
    _pictures(folder, "images/{camera}/{frame:06d}.jpg")
    _plates(folder, "bkgd/{camera}.jpg")


def _easyvolcap_numbers(folder: Path) -> None:
    easyvolcap(folder, [replace(rig, name=name) for rig, name in zip(_rigs(), NUMBERS, strict=True)])
    (folder / "x").mkdir()
    _easyvolcap(folder / "x")
    for old, new in zip(NAMES, NUMBERS, strict=True):
        for name in (f"images/{old}", f"bkgd/{old}.jpg"):
            path = folder / name.replace(old, new)
            path.parent.mkdir(exist_ok=True, parents=True)
            (folder / "x" / name).rename(path)
    shutil.rmtree(folder / "x")


def _easymocap_background(folder: Path) -> None:
    easyvolcap(folder, _rigs())
    _pictures(folder, "images/{camera}/{frame:06d}.jpg")
    _plates(folder, "background1f/images/{camera}/{frame:06d}.jpg")


def _actorshq(folder: Path) -> None:
    actorshq(folder, _rigs())
    _pictures(folder, "rgbs/{camera}/{camera}_rgb{frame:06d}.jpg")
    _pictures(folder, "masks/{camera}/{camera}_mask{frame:06d}.png")


def _colmap(folder: Path) -> None:
    (folder / "sparse/0").mkdir(parents=True)
    colmap_text(folder / "sparse/0", _rigs(), "PINHOLE")
    _pictures(folder, "images/{camera}.jpg", frames=1)


def _colmap_folders(folder: Path) -> None:
    """One picture of every folder was placed, as with a camera that does not move."""
    _colmap(folder)
    shutil.rmtree(folder / "images")
    images = folder / "sparse/0/images.txt"
    images.write_text(re.sub(r"(C\d\d)\.jpg", r"\1/0001.jpg", images.read_text()))
    _pictures(folder, "images/{camera}/{frame:04d}.jpg", frames=3)


def _colmap_folder_per_frame(folder: Path) -> None:
    _colmap(folder)
    shutil.rmtree(folder / "images")
    images = folder / "sparse/0/images.txt"
    images.write_text(re.sub(r"(C\d\d)\.jpg", r"frame_0000/\1.jpg", images.read_text()))
    _pictures(folder, "images/frame_{frame:04d}/{camera}.jpg", frames=3)


def _nerfstudio_folders(folder: Path) -> None:
    file = nerfstudio(folder, _rigs())
    file.write_text(re.sub(r"images/(C\d\d)\.png", r"images/\1/\1_000.png", file.read_text()))
    _pictures(folder, "images/{camera}/{camera}_{frame:03d}.png", frames=2)
    _pictures(folder, "images_2/{camera}/{camera}_{frame:03d}.png", frames=2)


def _nerfstudio(folder: Path) -> None:
    nerfstudio(folder, _rigs())
    _pictures(folder, "images/{camera}.png", frames=1)


def _blender(folder: Path) -> None:
    frames = [{"file_path": f"./train/{rig.name}", "transform_matrix": np.eye(4).tolist()} for rig in _rigs()]
    (folder / "transforms_train.json").write_text(json.dumps({"camera_angle_x": 0.7, "frames": frames}))
    _pictures(folder, "train/{camera}.png", frames=1)


def _pose2sim(folder: Path) -> None:
    for part in ("calibration", "videos"):
        (folder / part).mkdir()
    pose2sim(folder / "calibration", _rigs())
    for number, camera in enumerate(NAMES):
        _video(folder / f"videos/{camera}.mkv", number)


def _storage(path: Path, rig: Rig, posed: bool = True) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    R, t = rig.to_camera
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    file.write("CameraMatrix", np.array([[rig.fx, 0, rig.cx], [0, rig.fy, rig.cy], [0, 0, 1]]))
    file.write("DistortionCoeffs", np.zeros((1, 5)))
    if posed:
        file.write("Rotation", cv2.Rodrigues(R)[0])
        file.write("Translation", t[:, None])
    file.release()


def _opencv(folder: Path) -> None:
    for number, rig in enumerate(_rigs()):
        _storage(folder / rig.name / "config.xml", rig)
        _storage(folder / rig.name / "intrinsics.xml", rig, posed=False)
        _video(folder / rig.name / "video.mkv", number)
        write_video(folder / rig.name / "background.mkv", [_picture(number)] * 2)
        write_video(folder / rig.name / "checkerboard.mkv", [_picture(number)] * 2)


def _opencv_stills(folder: Path) -> None:
    for number, rig in enumerate(_rigs()):
        _storage(folder / rig.name / "config.xml", rig)
        write_picture(folder / rig.name / "frame0.jpg", _picture(number, 0))
        write_video(folder / rig.name / "background.mkv", [_picture(number)] * 2)


def _smc(folder: Path, annotations: str) -> None:
    """Cameras 0 to 2 of two frames; the calibration may be in a file of its own."""
    import h5py

    with h5py.File(folder / "0012_11.smc", "w") as main, h5py.File(folder / annotations, "a") as beside:
        for number, rig in enumerate(_rigs()):
            for frame in range(2):
                _, data = cv2.imencode(".jpg", _picture(number, frame)[..., ::-1])
                main[f"Camera_5mp/{number}/color/{frame}"] = data.ravel()
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rig.to_world, rig.centre
            lens = np.array([[rig.fx, 0, rig.cx], [0, rig.fy, rig.cy], [0, 0, 1]])
            for key, value in (("K", lens), ("D", np.zeros(5)), ("RT", pose)):
                beside[f"Camera_Parameter/{number:02d}/{key}"] = value


METRES, RATE, SRGB = "calibration.unit=m", "fps=50", "colour.transfer=srgb"
TREES: dict[str, tuple[str, Callable[[Path], None], list[str], int, int]] = {
    # layout, maker, what must be stated, frames, cameras with plates
    "easyvolcap": ("easyvolcap", _easyvolcap, [METRES, RATE], 2, 3),
    "easyvolcap with numbers": ("easyvolcap", _easyvolcap_numbers, [METRES, RATE], 2, 3),
    "easymocap background1f": ("easyvolcap", _easymocap_background, [METRES, RATE], 2, 3),
    "actorshq": ("actorshq", _actorshq, [METRES, RATE], 2, 0),
    "colmap": ("colmap", _colmap, ["calibration.scale=0.5"], 1, 0),
    "nerfstudio": ("nerfstudio", _nerfstudio, [METRES, SRGB], 1, 0),
    "colmap with a folder per camera": ("colmap", _colmap_folders, ["calibration.scale=0.5", RATE], 3, 0),
    "colmap with a folder per frame": ("colmap", _colmap_folder_per_frame, ["calibration.scale=0.5", RATE], 3, 0),
    "nerfstudio with a folder per camera": ("nerfstudio", _nerfstudio_folders, [METRES, SRGB, RATE], 2, 0),
    "blender": ("nerfstudio", _blender, [METRES, SRGB], 1, 0),
    "pose2sim": ("pose2sim", _pose2sim, [METRES], 2, 0),
    "opencv": ("opencv", _opencv, ["calibration.unit=mm"], 2, 3),
    "opencv stills": ("opencv", _opencv_stills, ["calibration.unit=mm"], 1, 3),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "my day 1"
    made.mkdir()
    return made


def _checked(folder: Path, text: str) -> Any:
    file = folder.parent / "session.toml"
    file.write_text(text)
    return check_session(read_session(file))


@pytest.mark.parametrize("tree", TREES)
def test_a_layout_is_recognised_and_what_is_written_passes_the_check(tree: str, folder: Path) -> None:
    layout, make, stated, frames, plates = TREES[tree]
    make(folder)
    before = sorted(folder.rglob("*"))
    text, notes = describe(folder, root=str(folder), stated=stated)
    plan = _checked(folder, text)
    assert notes[0] == f"the folder is read as layout {layout}"
    names = NUMBERS if "numbers" in tree else NAMES
    assert {camera: len(r.frames) for camera, r in plan.takes["my-day-1"].recordings.items()} == dict.fromkeys(
        names, frames
    )
    assert len(plan.plates) == plates
    assert sorted(folder.rglob("*")) == before


@pytest.mark.parametrize("tree", TREES)
def test_what_a_folder_cannot_say_is_asked_for_at_once_and_exactly(tree: str, folder: Path) -> None:
    _, make, stated, _, _ = TREES[tree]
    make(folder)
    with pytest.raises(SessionError, match="leaves open") as refusal:
        describe(folder, root=".")
    asked = set(re.findall(r"--state (\S+)=", str(refusal.value)))
    assert asked == {item.partition("=")[0].replace("scale", "unit") for item in stated}


def test_neural_3d_video_is_recognised(folder: Path) -> None:
    import av

    names = ("cam00", "cam01")
    llff(folder, _rigs(names))
    for number, name in enumerate(names):
        with av.open(str(folder / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for frame in range(2):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(_picture(number, frame), format="rgb24")))
            container.mux(stream.encode(None))
    with pytest.raises(SessionError, match=r"video\.matrix.*video\.range"):
        describe(folder, root=".", stated=["calibration.scale=1"])
    stated = ["calibration.scale=1", "video.matrix=bt601", "video.range=limited"]
    plan = _checked(folder, describe(folder, root=str(folder), stated=stated)[0])
    assert set(plan.takes["my-day-1"].recordings) == set(names)
    assert plan.session.fps == 30


def test_dna_rendering_is_recognised_with_its_annotations_in_a_file_of_their_own(folder: Path) -> None:
    _smc(folder, "0012_11_annots.smc")
    text, notes = describe(folder, root=str(folder), stated=[METRES, "fps=15"])
    plan = _checked(folder, text)
    assert {camera: len(r.frames) for camera, r in plan.takes["my-day-1"].recordings.items()} == {
        "00": 2,
        "01": 2,
        "02": 2,
    }
    assert plan.takes["my-day-1"].rows["01"].source == "smc"
    assert any("plates" in note for note in notes)


def test_deep_pictures_need_bits_transfer_and_black(folder: Path) -> None:
    easyvolcap(folder, _rigs())
    for camera in NAMES:
        (folder / "images" / camera).mkdir(parents=True)
        write_picture(folder / f"images/{camera}/0.png", np.full((HEIGHT, WIDTH, 3), 900, np.uint16))
    with pytest.raises(SessionError) as refusal:
        describe(folder, root=".", stated=[METRES, RATE])
    for key in ("colour.bits", "colour.transfer", "colour.black"):
        assert f"--state {key}=" in str(refusal.value)


def test_jpeg_is_taken_as_srgb_and_that_is_said(folder: Path) -> None:
    _easyvolcap(folder)
    text, notes = describe(folder, root=".", stated=[METRES, RATE])
    assert tomllib.loads(text)["colour"] == {"bits": 8, "transfer": "srgb"}
    assert any("JPEG" in note and "sRGB" in note for note in notes)


def test_what_pictures_say_about_their_colours_is_stated(folder: Path) -> None:
    _easyvolcap(folder)
    wide = imagecodecs.cms_profile(
        "rgb", whitepoint=[0.3127, 0.329, 1], primaries=[0.68, 0.32, 1, 0.265, 0.69, 1, 0.15, 0.06, 1], gamma=1.0
    )
    for path in folder.rglob("*.jpg"):
        Image.open(path).save(path, icc_profile=wide)
    text, _ = describe(folder, root=str(folder), stated=[METRES, RATE])
    colour = tomllib.loads(text)["colour"]
    assert (colour["bits"], colour["transfer"]) == (8, "linear")
    smpte_eg_432 = [[1.2249, -0.2247, 0], [-0.0420, 1.0419, 0], [-0.0197, -0.0786, 1.0979]]
    np.testing.assert_allclose(colour["matrix"], smpte_eg_432, atol=1e-3)
    assert _checked(folder, text).takes


@pytest.mark.parametrize("tree", ["actorshq", "colmap", "nerfstudio", "pose2sim"])
def test_a_layout_without_plates_says_so(tree: str, folder: Path) -> None:
    _, make, stated, _, _ = TREES[tree]
    make(folder)
    assert any("plates" in note for note in describe(folder, root=".", stated=stated)[1])


def test_every_line_of_the_file_says_what_it_is(folder: Path) -> None:
    _easyvolcap(folder)
    text, _ = describe(folder, root=".", stated=[METRES, RATE])
    assert all("  # " in line for line in text.splitlines() if line and not line.startswith("["))


def test_what_was_stated_wins_and_reaches_the_take(folder: Path) -> None:
    _easyvolcap(folder)
    stated = [METRES, RATE, "stage=dome", "take.last=0", 'take.without=["C03"]', "take.offset={C02=1}"]
    data = tomllib.loads(describe(folder, root=".", name="walk", stated=stated)[0])
    assert (data["name"], data["stage"]) == ("walk", "dome")
    take = data["takes"]["walk"]
    assert (take["last"], take["without"], take["offset"]) == (0, ["C03"], {"C02": 1})


@pytest.mark.parametrize("wrong", ["fps=-1", "colour.transfer=hlg", "colour.blakc=3", "nonsense", "take.first=soon"])
def test_a_wrong_statement_is_refused(wrong: str, folder: Path) -> None:
    _easyvolcap(folder)
    with pytest.raises(SessionError):
        describe(folder, root=".", stated=[METRES, RATE, wrong])


def test_pictures_that_a_reconstruction_did_not_place_are_left_out_and_said(folder: Path) -> None:
    _colmap(folder)
    shutil.copy(folder / "images/C01.jpg", folder / "images/C09.jpg")
    text, notes = describe(folder, root=str(folder), stated=["calibration.scale=1"])
    assert any(note.startswith("left out") and "C09" in note for note in notes)
    assert set(_checked(folder, text).takes["my-day-1"].recordings) == set(NAMES)


def test_a_reconstruction_without_its_pictures_is_refused(folder: Path) -> None:
    colmap_text(folder, _rigs(), "PINHOLE")
    with pytest.raises(CalibrationError, match="none of the 3 pictures"):
        describe(folder, root=".")


def test_a_folder_of_no_known_layout_is_refused(folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing")
    with pytest.raises(SessionError, match="does not have the layout easyvolcap or actorshq"):
        describe(folder, root=".")


def test_a_folder_of_two_layouts_asks_which(folder: Path) -> None:
    _easyvolcap(folder)
    (folder / "sparse/0").mkdir(parents=True)
    colmap_text(folder / "sparse/0", _rigs(), "PINHOLE")
    _pictures(folder, "images/{camera}.jpg", frames=1)
    with pytest.raises(SessionError, match="easyvolcap, colmap all fit.*--layout"):
        describe(folder, root=".")
    assert describe(folder, root=".", layout="colmap", stated=["calibration.scale=1"])


def test_an_unknown_layout_is_refused_with_those_there_are(folder: Path) -> None:
    with pytest.raises(SessionError, match="kinovis.*easyvolcap"):
        describe(folder, root=".", layout="kinovis")


def test_layouts_look_at_an_empty_folder_in_peace(folder: Path) -> None:
    assert [layout(folder) for layout in LAYOUTS.values()] == [None] * len(LAYOUTS)


@pytest.mark.parametrize(
    ("case", "cameras", "frames"),
    [("01-camera-called-00", ("00", "01", "02"), 3), ("17-colmap-frames-in-folders", ("C00", "C01", "C02"), 4)],
)
def test_the_folders_that_were_reported_are_taken_whole(
    case: str, cameras: tuple[str, ...], frames: int, tmp_path: Path
) -> None:
    stated = ["calibration.unit=m", "fps=25", *(["colour.transfer=srgb"] if case[:2] == "17" else [])]
    text, _ = describe(CASES / case, root=str(CASES / case), name="s", stated=stated)
    (tmp_path / "session.toml").write_text(text)
    plan = check_session(read_session(tmp_path))
    assert {camera: r.frames for camera, r in plan.takes["s"].recordings.items()} == dict.fromkeys(
        cameras, tuple(range(frames))
    )


@pytest.mark.parametrize(
    ("first", "template"),
    [
        ({"0": "000000"}, "{frame:06d}.jpg"),
        ({"00": "00_0000", "01": "01_0000"}, "{camera}_{frame:04d}.jpg"),
        ({"00": "00000", "01": "01000"}, "{camera}{frame:03d}.jpg"),
        ({"1": "1000", "2": "1000"}, "{frame:04d}.jpg"),
        ({"C0": "C00003"}, "{camera}{frame:04d}.jpg"),
        ({"C0": "picture7", "C1": "picture7"}, "picture{frame:01d}.jpg"),
    ],
)
def test_a_number_is_a_camera_or_a_frame(first: dict[str, str], template: str) -> None:
    assert numbered({camera: Path(f"{stem}.jpg") for camera, stem in first.items()}) == template


def test_frames_in_folders_of_which_several_were_placed_are_refused_by_name(folder: Path) -> None:
    _colmap_folders(folder)
    images = folder / "sparse/0/images.txt"
    images.write_text(images.read_text().replace("C02/0001.jpg", "C01/0002.jpg").replace("C03/0001", "C03/0002"))
    with pytest.raises(CalibrationError, match="listed twice"):
        describe(folder, root=".")
