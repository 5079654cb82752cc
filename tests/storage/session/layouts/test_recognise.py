"""Folders of known layouts need no session.toml: one is written that says what they say, and asks for the rest."""

import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

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
    colmap_text,
    easyvolcap,
    llff,
)
from tests.storage.session.layouts.trees import (
    METRES,
    NAMES,
    NUMBERS,
    RATE,
    TREES,
    colmap_folders_tree,
    colmap_tree,
    easyvolcap_tree,
    picture_of,
    smc_tree,
    tiny_rigs,
    write_pictures,
)
from tests.storage.tiny_session import HEIGHT, WIDTH, write_picture

CASES = Path(__file__).parents[3] / "cases"


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
    llff(folder, tiny_rigs(names))
    for number, name in enumerate(names):
        with av.open(str(folder / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("mpeg4", rate=30)
            stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
            for frame in range(2):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture_of(number, frame), format="rgb24")))
            container.mux(stream.encode(None))
    with pytest.raises(SessionError, match=r"video\.matrix.*video\.range"):
        describe(folder, root=".", stated=["calibration.scale=1"])
    stated = ["calibration.scale=1", "video.matrix=bt601", "video.range=limited"]
    plan = _checked(folder, describe(folder, root=str(folder), stated=stated)[0])
    assert set(plan.takes["my-day-1"].recordings) == set(names)
    assert plan.session.fps == 30


def test_dna_rendering_is_recognised_with_its_annotations_in_a_file_of_their_own(folder: Path) -> None:
    smc_tree(folder, "0012_11_annots.smc")
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
    easyvolcap(folder, tiny_rigs())
    for camera in NAMES:
        (folder / "images" / camera).mkdir(parents=True)
        write_picture(folder / f"images/{camera}/0.png", np.full((HEIGHT, WIDTH, 3), 900, np.uint16))
    with pytest.raises(SessionError) as refusal:
        describe(folder, root=".", stated=[METRES, RATE])
    for key in ("colour.bits", "colour.transfer", "colour.black"):
        assert f"--state {key}=" in str(refusal.value)


def test_jpeg_is_taken_as_srgb_and_that_is_said(folder: Path) -> None:
    easyvolcap_tree(folder)
    text, notes = describe(folder, root=".", stated=[METRES, RATE])
    assert tomllib.loads(text)["colour"] == {"bits": 8, "transfer": "srgb"}
    assert any("JPEG" in note and "sRGB" in note for note in notes)


def test_what_pictures_say_about_their_colours_is_stated(folder: Path) -> None:
    easyvolcap_tree(folder)
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
    easyvolcap_tree(folder)
    text, _ = describe(folder, root=".", stated=[METRES, RATE])
    assert all("  # " in line for line in text.splitlines() if line and not line.startswith("["))


def test_what_was_stated_wins_and_reaches_the_take(folder: Path) -> None:
    easyvolcap_tree(folder)
    stated = [METRES, RATE, "stage=dome", "take.last=0", 'take.without=["C03"]', "take.offset={C02=1}"]
    data = tomllib.loads(describe(folder, root=".", name="walk", stated=stated)[0])
    assert (data["name"], data["stage"]) == ("walk", "dome")
    take = data["takes"]["walk"]
    assert (take["last"], take["without"], take["offset"]) == (0, ["C03"], {"C02": 1})


@pytest.mark.parametrize("wrong", ["fps=-1", "colour.transfer=hlg", "colour.blakc=3", "nonsense", "take.first=soon"])
def test_a_wrong_statement_is_refused(wrong: str, folder: Path) -> None:
    easyvolcap_tree(folder)
    with pytest.raises(SessionError):
        describe(folder, root=".", stated=[METRES, RATE, wrong])


def test_pictures_that_a_reconstruction_did_not_place_are_left_out_and_said(folder: Path) -> None:
    colmap_tree(folder)
    shutil.copy(folder / "images/C01.jpg", folder / "images/C09.jpg")
    text, notes = describe(folder, root=str(folder), stated=["calibration.scale=1"])
    assert any(note.startswith("left out") and "C09" in note for note in notes)
    assert set(_checked(folder, text).takes["my-day-1"].recordings) == set(NAMES)


def test_a_reconstruction_without_its_pictures_is_refused(folder: Path) -> None:
    colmap_text(folder, tiny_rigs(), "PINHOLE")
    with pytest.raises(CalibrationError, match="none of the 3 pictures"):
        describe(folder, root=".")


def test_a_folder_of_no_known_layout_is_refused(folder: Path) -> None:
    (folder / "notes.txt").write_text("nothing")
    with pytest.raises(SessionError, match="does not have the layout easyvolcap or actorshq"):
        describe(folder, root=".")


def test_a_folder_of_two_layouts_asks_which(folder: Path) -> None:
    easyvolcap_tree(folder)
    (folder / "sparse/0").mkdir(parents=True)
    colmap_text(folder / "sparse/0", tiny_rigs(), "PINHOLE")
    write_pictures(folder, "images/{camera}.jpg", frames=1)
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
    colmap_folders_tree(folder)
    images = folder / "sparse/0/images.txt"
    images.write_text(images.read_text().replace("C02/0001.jpg", "C01/0002.jpg").replace("C03/0001", "C03/0002"))
    with pytest.raises(CalibrationError, match="listed twice"):
        describe(folder, root=".")
