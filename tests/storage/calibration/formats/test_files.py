"""Calibrations of several programs become the same cameras."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from capmat_errors import CalibrationError
from storage.calibration.formats.files import open_calibration

K = np.array([[490.0, 0, 334], [0, 493, 222], [0, 0, 1]])
DIST = np.array([-0.37, 0.2, 3e-4, 2e-5, -0.07])
TURN = np.array([-1.37, 0.49, 0.61])
SHIFT = np.array([289.0, 1008, 5836])
VARIANTS = [
    ("CameraMatrix", "DistortionCoeffs", "Rotation", "Translation"),
    ("CameraIntrinsicMatrix", "DistortionCoeffs", "CameraRotationVecs", "CameraTranslationVecs"),
    ("camera_matrix", "distortion_coefficients", "R", "T"),
]


def _write(
    path: Path, names: tuple[str, ...] = VARIANTS[0], *, matrix: bool = False, K: np.ndarray = K, **others: int
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    file = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    turn = cv2.Rodrigues(TURN)[0] if matrix else TURN.reshape(3, 1)
    for name, value in zip(names, (K, DIST.reshape(1, 5), turn, SHIFT.reshape(3, 1)), strict=False):
        file.write(name, value)
    for name, number in others.items():
        file.write(name, number)
    file.release()


@pytest.mark.parametrize("names", VARIANTS)
@pytest.mark.parametrize("matrix", [False, True], ids=["axis and angle", "matrix"])
def test_opencv_files_are_read_under_the_names_people_use(
    tmp_path: Path, names: tuple[str, ...], matrix: bool
) -> None:
    _write(tmp_path / "cam1/config.xml", names, matrix=matrix)
    found = open_calibration("opencv-xml", "{camera}/config.xml", tmp_path, None, "mm").cameras["cam1"]
    np.testing.assert_allclose(found.K, K)
    np.testing.assert_allclose(found.dist, DIST)
    np.testing.assert_allclose(found.R, cv2.Rodrigues(TURN)[0], atol=1e-12)
    np.testing.assert_allclose(found.t, SHIFT / 1000)
    assert (found.width, found.height) == (0, 0)
    assert found.sized(644, 486).width == 644


@pytest.mark.parametrize("ending", ["xml", "yml", "json"])
@pytest.mark.parametrize("names", [("image_width", "image_height"), ("image_Width", "image_Height")])
def test_opencvs_own_programs_say_the_size_and_whether_the_lens_is_a_fisheye(
    tmp_path: Path, ending: str, names: tuple[str, str]
) -> None:
    size = dict(zip(names, (644, 486), strict=True))
    _write(tmp_path / f"cam1.{ending}", **size, fisheye_model=0)
    found = open_calibration("opencv-xml", f"./{{camera}}.{ending}", tmp_path).cameras["cam1"]
    assert (found.width, found.height) == (644, 486)
    _write(tmp_path / f"cam1.{ending}", **size, fisheye_model=1)
    with pytest.raises(CalibrationError, match=f"camera cam1, .*cam1.{ending}: the lens is a fisheye"):
        open_calibration("opencv-xml", f"{{camera}}.{ending}", tmp_path)


@pytest.mark.parametrize("folder", ["calib", "calib [A]", "c*lib"])
def test_cameras_are_found_by_the_template(tmp_path: Path, folder: str) -> None:
    for name in ("left", "right"):
        _write(tmp_path / folder / f"{name}.xml")
    _write(tmp_path / "calib A/other.xml")
    (tmp_path / folder / "._left.xml").write_bytes(b"\0\5\26\7")  # macOS writes it on disks of other systems
    found = open_calibration("opencv-xml", f"{folder}/{{camera}}.xml", tmp_path, None)
    assert sorted(found.cameras) == ["left", "right"]


def test_json_in_millimetres_becomes_metres(tmp_path: Path) -> None:
    data = {"width": 644, "height": 486, "K": K.tolist(), "dist": [], "R": np.eye(3).tolist(), "t": SHIFT.tolist()}
    (tmp_path / "c.json").write_text(json.dumps({"units": "mm", "cameras": {"a": data}}))
    np.testing.assert_allclose(open_calibration("capmat", "c.json", tmp_path, None).cameras["a"].t, SHIFT / 1000)


@pytest.mark.parametrize("width", ["64.5", "Infinity", "NaN", '"wide"', "null"])
def test_a_width_that_is_no_number_of_pixels_is_refused(tmp_path: Path, width: str) -> None:
    rest = f'"height": 48, "K": {K.tolist()}, "R": {np.eye(3).tolist()}, "t": [0, 0, 0]'
    (tmp_path / "c.json").write_text(f'{{"units": "m", "cameras": {{"a": {{"width": {width}, {rest}}}}}}}')
    with pytest.raises(CalibrationError, match="camera a, .*width or height is not"):
        open_calibration("capmat", "c.json", tmp_path)


def test_a_camera_that_is_listed_twice_in_json_is_refused(tmp_path: Path) -> None:
    camera = json.dumps({"width": 4, "height": 4, "K": K.tolist(), "R": np.eye(3).tolist(), "t": [0, 0, 0]})
    (tmp_path / "c.json").write_text(f'{{"units": "m", "cameras": {{"a": {camera}, "b": {camera}, "a": {camera}}}}}')
    with pytest.raises(CalibrationError, match=r"c\.json: a is listed twice"):
        open_calibration("capmat", "c.json", tmp_path)


def test_a_file_that_is_missing_broken_or_incomplete_is_named(tmp_path: Path) -> None:
    with pytest.raises(CalibrationError, match=r"camera cam1, .*cam1/config.xml: the calibration file is missing"):
        open_calibration("opencv-xml", "{camera}/config.xml", tmp_path, ["cam1"])
    _write(tmp_path / "cam1/config.xml", VARIANTS[0][:3])
    with pytest.raises(CalibrationError, match="camera cam1.*no t .Translation"):
        open_calibration("opencv-xml", "{camera}/config.xml", tmp_path, ["cam1"])
    (tmp_path / "cam1/config.xml").write_text("<html>not found</html>")
    with pytest.raises(CalibrationError, match="camera cam1"):
        open_calibration("opencv-xml", "{camera}/config.xml", tmp_path, ["cam1"])
    _write(tmp_path / "cam1/config.xml", K=np.full((3, 3), np.nan))
    with pytest.raises(
        CalibrationError, match="camera cam1.*config.xml: CameraMatrix holds a value that is not finite"
    ):
        open_calibration("opencv-xml", "{camera}/config.xml", tmp_path, ["cam1"])
