"""SMC files of DNA-Rendering give every camera's pictures and calibration out of one file."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from capmat_errors import CalibrationError, ImageUnreadable
from storage.calibration.formats.files import open_calibration
from storage.pictures.colour import Colour
from storage.recordings.recording import find_recordings

EIGHT = Colour(8, "srgb")
RNG = np.random.default_rng(4)


def _jpeg(value: int, size: tuple[int, int]) -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.fromarray(np.full((*size[::-1], 3), value, np.uint8)).save(out, "jpeg", quality=95)
    return out.getvalue()


def _pose(seed: int) -> np.ndarray:
    """A camera to world matrix, (4, 4)."""
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn * np.sign(np.linalg.det(turn)), (seed, 1, 2)
    return pose


def _write(path: Path, frames: int = 3) -> Path:
    import h5py

    with h5py.File(path, "w") as file:
        for group, numbers, size in (("Camera_5mp", (0, 2), (24, 20)), ("Camera_12mp", (48,), (40, 30))):
            for number in numbers:
                for frame in range(frames):
                    data = np.frombuffer(_jpeg(2 * number + 5 * frame, size), np.uint8)
                    file[f"{group}/{number}/color/{frame}"] = data
                file[f"Camera_Parameter/{number:02d}/K"] = np.array([[50.0, 0, 12], [0, 50, 10], [0, 0, 1]])
                file[f"Camera_Parameter/{number:02d}/D"] = np.array([0.1, 0.01, 0, 0, 0.001])
                file[f"Camera_Parameter/{number:02d}/RT"] = _pose(number)
    return path


def test_every_camera_and_frame_is_found_and_read(tmp_path: Path) -> None:
    _write(tmp_path / "take.smc", frames=11)
    recordings = find_recordings(tmp_path, "take.smc")
    assert list(recordings) == ["00", "02", "48"]
    assert recordings["48"].frames == tuple(range(11))
    sizes = {camera: (h.width, h.height) for camera, r in recordings.items() for _, h in r.select((0,)).headers()}
    assert sizes == {"00": (24, 20), "02": (24, 20), "48": (40, 30)}
    for number, picture in recordings["02"].select((2, 10)).read(EIGHT):
        assert np.abs(picture.astype(int) - (4 + 5 * number)).max() <= 2
    assert recordings["00"].file(3) == tmp_path / "take.smc"
    before = recordings["00"].manifest()
    _write(tmp_path / "take.smc", frames=2)
    assert find_recordings(tmp_path, "take.smc")["00"].manifest() != before
    assert find_recordings(tmp_path, "other.smc") == {}


def test_what_is_no_smc_file_or_a_part_of_one_is_refused(tmp_path: Path) -> None:
    import h5py

    path = _write(tmp_path / "take.smc")
    data = path.read_bytes()
    for length in (0, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(ImageUnreadable, match="take.smc: .*damaged or cut off"):
            find_recordings(tmp_path, "take.smc")
    with h5py.File(path, "w") as file:
        file["Mask/0/mask/0"] = np.zeros(3, np.uint8)
    with pytest.raises(ImageUnreadable, match="take.smc: .*no colour pictures.*annotations"):
        find_recordings(tmp_path, "take.smc")


def test_a_damaged_picture_is_refused_with_its_camera_and_frame(tmp_path: Path) -> None:
    import h5py

    path = _write(tmp_path / "take.smc")
    with h5py.File(path, "a") as file:
        whole = file["Camera_5mp/2/color/1"][()]
        del file["Camera_5mp/2/color/1"]
        file["Camera_5mp/2/color/1"] = whole[: len(whole) // 2]
    with pytest.raises(ImageUnreadable, match="camera 02 frame 1, .*take.smc: .*(?i:truncated)"):
        list(find_recordings(tmp_path, "take.smc")["02"].read(EIGHT))


def test_the_calibration_is_turned_round_to_world_to_camera(tmp_path: Path) -> None:
    _write(tmp_path / "take.smc")
    cameras = open_calibration("smc", "take.smc", tmp_path, None).cameras
    assert list(cameras) == ["00", "02", "48"]
    pose, camera = _pose(48), cameras["48"]
    np.testing.assert_allclose(camera.centre(), pose[:3, 3])
    ahead = pose @ (0, 0, 5, 1)  # a point on the camera's axis
    np.testing.assert_allclose(camera.R @ ahead[:3] + camera.t, (0, 0, 5), atol=1e-12)
    np.testing.assert_allclose(camera.dist, (0.1, 0.01, 0, 0, 0.001))
    assert (camera.width, camera.height) == (0, 0)


def test_a_calibration_that_cannot_be_is_refused(tmp_path: Path) -> None:
    import h5py

    path = _write(tmp_path / "take.smc")
    for key, value, says in (
        ("K", np.eye(4), "K has shape"),
        ("RT", np.full((4, 4), np.nan), "not finite"),
        ("RT", np.diag((2.0, 1, 1, 1)), "R is not a rotation"),
        ("RT", np.ones((2, 4)), "RT has shape"),
        ("D", None, "missing D"),
    ):
        _write(path)
        with h5py.File(path, "a") as file:
            del file[f"Camera_Parameter/02/{key}"]
            if value is not None:
                file[f"Camera_Parameter/02/{key}"] = value
        with pytest.raises(CalibrationError, match=f"take.smc: .*{says}"):
            open_calibration("smc", "take.smc", tmp_path, None)
    with pytest.raises(CalibrationError, match="the calibration file is missing"):
        open_calibration("smc", "none.smc", tmp_path, None)
