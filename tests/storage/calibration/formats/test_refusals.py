"""A broken calibration is refused with its file and camera, in one line, whatever is broken about it."""

import re
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import CalibrationError, CapmatError
from storage.calibration.formats.files import open_calibration
from tests.storage.calibration.calibrations import MAKERS, make_rig

Edit = Callable[[Path], None]


def _made(folder: Path, kind: str) -> tuple[str, Path]:
    format, make = MAKERS[kind]
    return format, make(folder, [make_rig(1, "C01"), make_rig(2, "C02")])


def swap(name: str, pattern: str, new: str, count: int = 1) -> Edit:
    """Replace what a pattern finds in one of the files."""

    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        changed = re.sub(pattern, new, text, count=count, flags=re.DOTALL)
        assert changed != text, f"{pattern} is not in {name}"
        (folder / name).write_text(changed)

    return edit


def cut(name: str, keep: int) -> Edit:
    """Keep the first bytes only; counted from the end if negative."""
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:keep]) and None


def bytes_at(name: str, at: int, new: bytes) -> Edit:
    def edit(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[at : at + len(new)] = new
        (folder / name).write_bytes(data)

    return edit


def poses(change: Callable[[np.ndarray], np.ndarray]) -> Edit:
    def edit(folder: Path) -> None:
        np.save(folder / "poses_bounds.npy", change(np.load(folder / "poses_bounds.npy")))

    return edit


def _nan(table: np.ndarray) -> np.ndarray:
    table[1, 3] = np.nan
    return table


def _no_focal(table: np.ndarray) -> np.ndarray:
    table[1, 14] = 0
    return table


def _squashed(table: np.ndarray) -> np.ndarray:
    table[1, [0, 5, 10]] = 0
    return table


NUMBER = r"-?[\d.]+(e-?\d+)?"
THREE = rf"({NUMBER}), ({NUMBER}), ({NUMBER})"
CASES: list[tuple[str, str, Edit, str]] = [
    # easyvolcap
    ("easyvolcap", "a file gone", lambda folder: (folder / "extri.yml").unlink(),
     "extri.yml: the calibration file is missing"),
    ("easyvolcap", "no K", swap("intri.yml", "K_C02", "Q_C02"), "camera C02, .*intri.yml: missing key K_C02"),
    ("easyvolcap", "no distortion", swap("intri.yml", "dist_C02", "d_C02"), "camera C02.*missing key D_C02"),
    ("easyvolcap", "no R", swap("extri.yml", "R_C01", "r_C01"), "camera C01, .*extri.yml: missing key R_C01"),
    ("easyvolcap", "no T", swap("extri.yml", "T_C02", "t_C02"), "camera C02, .*extri.yml: missing key T_C02"),
    ("easyvolcap", "nan", swap("extri.yml", r"(T_C02.*?data: \[)[^,]*", r"\1.Nan"), "extri.yml: T_C02 .*finite"),
    ("easyvolcap", "no focal", swap("intri.yml", r"(K_C01.*?data: \[)[^,]*", r"\g<1>0.0"), "camera C01.*K is not a"),
    ("easyvolcap", "twice", swap("intri.yml", '"C02"', '"C01"'), "camera C01.*listed twice"),
    ("easyvolcap", "key twice", swap("intri.yml", "K_C02", "K_C01"), "K_C01 is listed twice"),
    ("easyvolcap", "ragged", swap("intri.yml", "rows: 3", "rows: 4"), "intri.yml: K_C01 does not hold 4 x 3 values"),
    ("easyvolcap", "a word", swap("intri.yml", "K_C01: !!", "K_C01: "), "camera C01, .*intri.yml: K "),
    ("easyvolcap", "empty", cut("extri.yml", 0), "extri.yml: the file is not an OpenCV storage"),
    ("easyvolcap", "no size", swap("intri.yml", r"H_C01: 480", "H_C01: -480"), "camera C01.*H is -480"),
    # actorshq
    ("actorshq", "no column", swap("calibration.csv", "px", "ppx"), "calibration.csv: missing column px"),
    ("actorshq", "a value gone", swap("calibration.csv", r",[^,]*$", ""), "camera C02, .*more or fewer values"),
    ("actorshq", "nan", swap("calibration.csv", rf"(C02,640,480),{NUMBER}", r"\1,nan"), "camera C02.*rx.* finite"),
    ("actorshq", "a word", swap("calibration.csv", "C02,640", "C02,wide"), "camera C02.*w is not made of numbers"),
    ("actorshq", "twice", swap("calibration.csv", "C02", "C01"), "camera C01.*listed twice"),
    ("actorshq", "no cameras", swap("calibration.csv", r"\n.*", "\n"), "calibration.csv: .*lists no cameras"),
    ("actorshq", "a bad name", swap("calibration.csv", "C02", "../C02"), "'../C02' cannot be the name"),
    # colmap
    ("colmap text", "a fisheye", swap("cameras.txt", "8 OPENCV ", "8 OPENCV_FISHEYE "), "camera C02.*OPENCV_FISHEYE"),
    ("colmap text", "an unknown lens", swap("cameras.txt", "8 OPENCV", "8 WIDE"), "camera C02.*lens model WIDE"),
    ("colmap text", "a parameter gone", swap("cameras.txt", r" [^ ]*\n$", "\n"), "lens 8, .*shape"),
    ("colmap text", "no focal", swap("cameras.txt", rf"480 {NUMBER}", "480 0"), "C01.*K is not a camera matrix"),
    ("colmap text", "the lens gone", swap("cameras.txt", r"\n8 [^\n]*", ""), "camera C02.*lens 8 is not in the"),
    ("colmap text", "a lens twice", swap("cameras.txt", r"\n8 ", "\n7 "), "lens 7 is listed twice"),
    ("colmap text", "zero turn", swap("images.txt", rf"\n7 {NUMBER} {NUMBER} {NUMBER} {NUMBER}", "\n7 0 0 0 0"),
     "camera C01.*quaternion has length 0"),
    ("colmap text", "one line each", swap("images.txt", r"\n1.5 2.5[^\n]*", ""), "expected two lines per image"),
    ("colmap text", "twice", swap("images.txt", "C02", "C01"), "camera C01.*listed twice"),
    ("colmap text", "a big model", swap("cameras.txt", r"7 OPENCV ([^\n]*)", r"7 FULL_OPENCV \1 0 0.1 0 0"),
     "camera C01.*8 coefficients"),
    ("colmap binary", "lenses cut off", cut("cameras.bin", -1), "cameras.bin: the file is cut off"),
    ("colmap binary", "images cut off", cut("images.bin", -30), "images.bin: the file is cut off"),
    ("colmap binary", "a name cut off", cut("images.bin", 8 + 64 + 3), "images.bin: the file is cut off"),
    ("colmap binary", "too long", bytes_at("images.bin", 10**6, b"x"), "longer than its header says"),
    ("colmap binary", "an unknown lens", bytes_at("cameras.bin", 12, struct.pack("<i", 77)), "lens 7, .*number 77"),
    ("colmap binary", "nan", bytes_at("images.bin", 12, struct.pack("<d", np.nan)), "camera C01.jpg.*not finite"),
    # nerfstudio
    ("nerfstudio", "no json", cut("transforms.json", -9), "transforms.json: .*is not JSON"),
    ("nerfstudio", "no frames", swap("transforms.json", '"frames"', '"views"'), 'missing list "frames"'),
    ("nerfstudio", "no pose", swap("transforms.json", '"transform_matrix"', '"pose"'),
     "camera C01.*missing transform_matrix"),
    ("nerfstudio", "no focal", swap("transforms.json", '"fl_', '"f_', 2), "camera C01.*missing focal length"),
    ("nerfstudio", "nan", swap("transforms.json", r'"k1": [^,]*', '"k1": NaN'), "camera C01.*k1 .*not finite"),
    ("nerfstudio", "a word", swap("transforms.json", r'"cx": [^,]*', '"cx": "mid"'), "camera C01.*cx is not made"),
    ("nerfstudio", "a fisheye", swap("transforms.json", '"OPENCV"', '"FISHEYE624"'), "camera C01.*FISHEYE624"),
    ("nerfstudio", "k4", swap("transforms.json", r'"k1": [^,]*', '"k4": 0.1'), "camera C01.*6 coefficients"),
    ("nerfstudio", "squashed", swap("transforms.json", rf"\[\s+{NUMBER},\s+{NUMBER},\s+{NUMBER}", "[0, 0, 0"),
     "camera C01.*R is not a rotation"),
    ("nerfstudio", "twice", swap("transforms.json", "C02", "C01"), "camera C01.*listed twice"),
    # metashape
    ("metashape", "no xml", cut("cameras.xml", -9), "cameras.xml: the file is not XML"),
    ("metashape", "another xml", swap("cameras.xml", "chunk", "junk", 0), "cameras.xml: the file has no chunk"),
    ("metashape", "a fisheye", swap("cameras.xml", 'type="frame" class="adj', 'type="fisheye" class="adj'),
     "camera C01.*lens type fisheye"),
    ("metashape", "k4", swap("cameras.xml", "<k1>", "<k4>0.1</k4><k1>"), "camera C01.*uses k4"),
    ("metashape", "no focal", swap("cameras.xml", rf"<f>{NUMBER}</f><b1>{NUMBER}<", "<f>0</f><b1>0<"),
     "camera C01.*K is not a camera matrix"),
    ("metashape", "f gone", swap("cameras.xml", rf"<f>{NUMBER}</f><b1>", "<b1>"), "C01.*missing focal length f"),
    ("metashape", "sensor gone", swap("cameras.xml", 'sensor_id="1"', 'sensor_id="5"'), "camera C02.*sensor 5"),
    ("metashape", "a flat pose", swap("cameras.xml", rf"<transform>{NUMBER} {NUMBER}", "<transform>0 0"),
     "camera C01.*R is not a rotation"),
    ("metashape", "a short pose", swap("cameras.xml", rf"<transform>{NUMBER} ", "<transform>"), "C01.*shape .15"),
    ("metashape", "none aligned", swap("cameras.xml", r"<transform>[^<]*</transform>", "", 2), "lists no cameras"),
    # caliscope and pose2sim
    ("caliscope", "no toml", swap("camera_array.toml", r"\]\n", "\n"), "camera_array.toml: .*is not TOML"),
    ("caliscope", "no pose", swap("camera_array.toml", "translation", "shift"), "cam_C01.*missing translation"),
    ("caliscope", "a rational lens", swap("camera_array.toml", r"(distortions = [^\]]*)", r"\1, 0.1"),
     "camera cam_C01.*6 coefficients"),
    ("caliscope", "nan", swap("camera_array.toml", r"translation = \[[^,]*", "translation = [nan"),
     "camera cam_C01.*translation .*not finite"),
    ("caliscope", "squashed", swap("camera_array.toml", rf"rotation = \[\[{THREE}", "rotation = [[0.0, 0.0, 0.0"),
     "camera cam_C01.*R is not a rotation"),
    ("pose2sim", "a fisheye", swap("Calib.toml", "fisheye = false", "fisheye = true"), "camera C01.*fisheye"),
    ("pose2sim", "twice", swap("Calib.toml", '"C02"', '"C01"'), "camera C01.*listed twice"),
    ("pose2sim", "no size", swap("Calib.toml", "640.0", "0.0"), "camera C01.*width is 0.0"),
    # llff
    ("llff", "cut off", cut("poses_bounds.npy", -8), "poses_bounds.npy: the file is not a numpy array"),
    ("llff", "another shape", poses(lambda table: table[:, :15]), r"shape \(2, 15\)"),
    ("llff", "nan", poses(_nan), "camera cam01.*not finite"),
    ("llff", "no focal", poses(_no_focal), "camera cam01.*K is not a camera matrix"),
    ("llff", "squashed", poses(_squashed), "camera cam01.*R is not a rotation"),
    ("llff", "words", lambda f: np.save(f / "poses_bounds.npy", np.array([["x"] * 17])), "not made of numbers"),
    ("llff", "a pickle", lambda f: np.save(f / "poses_bounds.npy", np.array([{}] * 17)), "not a numpy array"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "broken", "edit", "says"), CASES, ids=[f"{c[0]}: {c[1]}" for c in CASES])
def test_it_is_refused_by_file_and_camera(tmp_path: Path, kind: str, broken: str, edit: Edit, says: str) -> None:
    format, path = _made(tmp_path, kind)
    assert len(open_calibration(format, path.name, path.parent).cameras) == 2
    edit(tmp_path)
    with pytest.raises(CalibrationError, match=says) as error:
        open_calibration(format, path.name, path.parent)
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("kind", MAKERS)
def test_a_file_that_is_not_there_is_named(tmp_path: Path, kind: str) -> None:
    format, path = _made(tmp_path, kind)
    with pytest.raises(CalibrationError, match="gone.*the calibration file is missing") as error:
        open_calibration(format, "gone", path.parent)
    assert str(error.value).count("gone") == 1  # it is not called damaged, too


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_not_a_positive_number_is_refused(tmp_path: Path, scale: float) -> None:
    format, path = _made(tmp_path, "llff")
    with pytest.raises(CalibrationError, match="scale is"):
        open_calibration(format, path.name, path.parent, scale=scale)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_with_damaged_bytes_is_read_or_refused_but_never_a_fault(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    format, path = _made(tmp_path_factory.mktemp("c"), kind)
    files = sorted(path.iterdir() if path.is_dir() else [path])
    file = data.draw(st.sampled_from(files))
    content = bytearray(file.read_bytes())
    start = data.draw(st.integers(0, len(content)))
    length = data.draw(st.integers(0, 40))
    content[start : start + length] = data.draw(st.binary(max_size=12))
    file.write_bytes(content)
    message = ""
    try:
        assert open_calibration(format, path.name, path.parent).cameras
    except CapmatError as error:
        message = str(error)
    assert not message or str(path) in message
