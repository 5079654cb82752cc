"""Every format's cameras see points where the format's own rules put them, and writing loses nothing."""

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from capmat_errors import CalibrationError, ConfigError, StoreError
from storage.calibration.camera import Camera
from storage.calibration.formats.files import WRITERS, open_calibration, write_calibration
from storage.descriptor import read_session
from storage.pictures.png import encode_png
from storage.session.plan import check_session
from tests.storage.calibration import calibrations as made
from tests.storage.calibration.calibrations import Rig, assert_same, make_rig, opencv_pixels, read_cameras
from tests.storage.tiny_session import edit_toml, write_session

Fresh = pytest.TempPathFactory
seeds = st.integers(0, 2**31)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, matrix=st.booleans(), sizes=st.booleans())
def test_easyvolcap_is_opencv_with_pixel_centres_at_whole_numbers(
    tmp_path_factory: Fresh, seed: int, matrix: bool, sizes: bool
) -> None:
    rigs = [make_rig(seed, "01"), make_rig(seed + 1, "a-b")]
    folder = made.easyvolcap(tmp_path_factory.mktemp("c"), rigs, matrix=matrix, sizes=sizes)
    found = read_cameras("easyvolcap", folder)
    assert list(found) == ["01", "a-b"]
    assert found["01"].width == (640 if sizes else 0)
    for rig in rigs:
        assert_same(rig, found[rig.name], lambda points, rig=rig: opencv_pixels(rig, points), seed)


def test_easyvolcap_is_read_as_xml_and_without_a_list_of_names(tmp_path: Path) -> None:
    rig = make_rig(3)
    R, t = rig.to_camera
    for name, values in (
        ("intri", {"K": np.diag([5.0, 5, 1]), "D": np.zeros((1, 5))}),
        ("extri", {"Rot": R, "T": t}),
    ):
        file = cv2.FileStorage(str(tmp_path / f"{name}.xml"), cv2.FILE_STORAGE_WRITE)
        for key, value in values.items():
            file.write(f"{key}_C01", value)
        file.release()
    np.testing.assert_allclose(read_cameras("easyvolcap", tmp_path)["C01"].centre(), rig.centre)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_actorshq_has_parts_of_the_picture_and_camera_to_world(tmp_path_factory: Fresh, seed: int) -> None:
    rigs = [make_rig(seed, "Cam001"), replace(make_rig(seed + 1, "Cam002"), width=1022, height=747)]
    found = read_cameras("actorshq", made.actorshq(tmp_path_factory.mktemp("c"), rigs))
    for rig in rigs:
        assert (found[rig.name].width, found[rig.name].height) == (rig.width, rig.height)

        def by_its_rules(points: np.ndarray, rig: Rig = rig) -> np.ndarray:
            x, y, z = np.linalg.inv(rig.to_world) @ (points - rig.centre).T
            return np.stack([rig.fx * x / z + rig.cx, rig.fy * y / z + rig.cy], 1) - 0.5

        assert_same(rig, found[rig.name], by_its_rules, seed)


@settings(max_examples=40, deadline=None)
@given(seed=seeds, model=st.sampled_from(sorted(made.COLMAP_NUMBERS)), binary=st.booleans())
def test_colmap_puts_the_first_pixel_at_a_half(tmp_path_factory: Fresh, seed: int, model: str, binary: bool) -> None:
    rigs = [make_rig(seed, "C01"), make_rig(seed + 1, "C02")]
    make = made.colmap_binary if binary else made.colmap_text
    found = read_cameras("colmap", make(tmp_path_factory.mktemp("c"), rigs, model))
    kept = {"OPENCV": 4, "FULL_OPENCV": 5, "RADIAL": 2, "SIMPLE_RADIAL": 1}.get(model, 0)
    for rig in rigs:
        one_focal = model in ("SIMPLE_PINHOLE", "SIMPLE_RADIAL", "RADIAL")
        lens = replace(rig, dist=np.where(np.arange(5) < kept, rig.dist, 0), fy=rig.fx if one_focal else rig.fy)
        assert_same(rig, found[rig.name], lambda points, lens=lens: opencv_pixels(lens, points) - 0.5, seed)


def test_colmap_images_may_share_a_lens_and_lie_in_a_folder_per_camera(tmp_path: Path) -> None:
    made.colmap_text(tmp_path, [make_rig(1, "left"), make_rig(2, "right")])
    images = (tmp_path / "images.txt").read_text()
    shared = images.replace(" 8 right.jpg", " 7 right/0000.jpg").replace("left.jpg", "left/0000.jpg")
    (tmp_path / "images.txt").write_text(shared)
    found = read_cameras("colmap", tmp_path)
    assert list(found) == ["left", "right"]
    np.testing.assert_array_equal(found["left"].K, found["right"].K)


def _opengl_pixels(rig: Rig, points: np.ndarray) -> np.ndarray:
    x, y, z = np.linalg.inv(rig.to_world @ made.FLIP) @ (points - rig.centre).T
    u, v = made.bent(x / -z, -y / -z, rig.dist)
    return np.stack([rig.fx * u + rig.cx, rig.fy * v + rig.cy], 1) - 0.5


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_nerfstudio_looks_along_minus_z_with_y_up(tmp_path_factory: Fresh, seed: int) -> None:
    rigs = [make_rig(seed, "C01"), make_rig(seed + 1, "C02")]
    found = read_cameras("nerfstudio", made.nerfstudio(tmp_path_factory.mktemp("c"), rigs))
    for rig in rigs:
        assert_same(rig, found[rig.name], lambda points, rig=rig: _opengl_pixels(rig, points), seed)


def test_nerfstudio_lens_numbers_may_stand_at_the_top_and_a_frame_overrides_them(tmp_path: Path) -> None:
    path = made.nerfstudio(tmp_path, [make_rig(1, "C01"), make_rig(2, "C02")], fl_x=11.0, fl_y=12.0)
    data = json.loads(path.read_text())
    del data["frames"][0]["fl_x"], data["frames"][0]["fl_y"]
    path.write_text(json.dumps(data))
    found = read_cameras("nerfstudio", path)
    assert (found["C01"].K[0, 0], found["C01"].K[1, 1]) == (11, 12)
    assert found["C02"].K[0, 0] == make_rig(2).fx


@settings(max_examples=10, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 50))
def test_nerfstudio_cameras_go_back_to_the_world_before_the_applied_transform(
    tmp_path_factory: Fresh, seed: int, scale: float
) -> None:
    rig = make_rig(seed)
    turn, shift = Rotation.random(random_state=seed + 9).as_matrix(), np.array([0.3, -2, 1])
    saved = replace(rig, to_world=turn @ rig.to_world, centre=scale * (turn @ rig.centre + shift))
    applied = np.column_stack([turn, shift]).tolist()
    folder = tmp_path_factory.mktemp("c")
    path = made.nerfstudio(folder, [saved], applied_transform=applied, applied_scale=scale)
    assert_same(rig, read_cameras("nerfstudio", path)["C01"], lambda points: _opengl_pixels(rig, points), seed)


@pytest.mark.parametrize("file", ["./train/r_0", ".\\train\\r_0"])
def test_blender_gives_an_angle_and_the_picture_gives_the_size(tmp_path: Path, file: str) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "train/r_0.png").write_bytes(encode_png(np.zeros((30, 40, 3), np.uint8)))
    pose = np.eye(4)
    pose[2, 3] = 4.0  # four units up, looking down
    frames = [{"file_path": file, "transform_matrix": pose.tolist()}]
    (tmp_path / "t.json").write_text(json.dumps({"camera_angle_x": np.pi / 2, "frames": frames}))
    camera = read_cameras("nerfstudio", tmp_path / "t.json")["r_0"]
    assert (camera.width, camera.height) == (40, 30)
    # at 90 degrees the picture's right edge, 39.5 here, sees a point as far to the right as it is ahead
    np.testing.assert_allclose(
        camera.project([[4, 0, 0], [0, 3, 0], [0, 0, 0]]), [[39.5, 14.5], [19.5, -0.5], [19.5, 14.5]]
    )


@settings(max_examples=10, deadline=None)
@given(seed=seeds, inner=st.sets(st.sampled_from("0123")), outer=st.sets(st.sampled_from("0123")))
def test_easyvolcap_cameras_that_only_one_file_lists_are_left_out_and_said(
    tmp_path_factory: Fresh, seed: int, inner: set[str], outer: set[str]
) -> None:
    folder = tmp_path_factory.mktemp("c")
    (folder / "x").mkdir()
    for file, names in (("intri.yml", inner), ("extri.yml", outer)):
        made.easyvolcap(folder / "x", [make_rig(seed + int(name), name) for name in sorted(names)])
        (folder / "x" / file).rename(folder / file)
    if not inner & outer:
        with pytest.raises(CalibrationError, match="lists no cameras"):
            read_cameras("easyvolcap", folder)
        return
    found = open_calibration("easyvolcap", folder.name, folder.parent)
    assert list(found.cameras) == sorted(inner & outer)
    assert set(found.notes) == {
        f"camera {name} is left out: {'extri.yml' if name in inner else 'intri.yml'} does not list it"
        for name in inner ^ outer
    }


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_caliscope_and_pose2sim_are_opencv(tmp_path_factory: Fresh, seed: int) -> None:
    rigs = [make_rig(seed, "0"), make_rig(seed + 1, "1")]
    for rig in rigs:
        rig.dist[4] = 0.0  # Pose2Sim writes four coefficients
    folder = tmp_path_factory.mktemp("c")
    one, two = (
        read_cameras("caliscope", made.caliscope(folder, rigs)),
        read_cameras("pose2sim", made.pose2sim(folder, rigs)),
    )
    for rig in rigs:
        for camera in (one[f"cam_{rig.name}"], two[rig.name]):
            assert_same(rig, camera, lambda points, rig=rig: opencv_pixels(rig, points), seed)


def test_a_camera_that_caliscope_ignores_is_left_out_and_said(tmp_path: Path) -> None:
    path = made.caliscope(tmp_path, [make_rig(0, "0")], "[cam_9]\nignore = true\n")
    found = open_calibration("caliscope", path.name, tmp_path)
    assert list(found.cameras) == ["cam_0"]
    assert found.notes == ("camera cam_9 is left out: the file says ignore",)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_llff_looks_down_right_back_with_its_centre_in_the_middle(tmp_path_factory: Fresh, seed: int) -> None:
    rigs = [make_rig(seed), make_rig(seed + 1)]
    found = read_cameras("llff", made.llff(tmp_path_factory.mktemp("c"), rigs))
    assert list(found) == ["cam00", "cam01"]
    for rig, camera in zip(rigs, found.values(), strict=True):

        def by_its_rules(points: np.ndarray, rig: Rig = rig) -> np.ndarray:
            x, y, z = ((points - rig.centre) @ rig.to_world).T  # how far to the right, down and ahead
            return np.stack([rig.fx * x / z + 320, rig.fx * y / z + 240], 1) - 0.5

        assert_same(rig, camera, by_its_rules, seed)


def test_llff_takes_its_names_from_the_recordings_beside_it(tmp_path: Path) -> None:
    path = made.llff(tmp_path, [make_rig(0), make_rig(1)])
    for name in ("cam07.mp4", "cam02.mp4"):
        (tmp_path / name).write_bytes(b"")
    assert list(read_cameras("llff", path)) == ["cam02", "cam07"]
    (tmp_path / "cam09.mp4").write_bytes(b"")
    with pytest.raises(CalibrationError, match="2 poses for 3 recordings"):
        read_cameras("llff", path)


@pytest.mark.parametrize("kind", made.MAKERS)
def test_scale_and_unit_make_metres(tmp_path: Path, kind: str) -> None:
    format, make = made.MAKERS[kind]
    path = make(tmp_path, [make_rig(5)])
    (plain,) = read_cameras(format, path).values()
    (scaled,) = read_cameras(format, path, scale=2.5, unit="cm").values()
    np.testing.assert_allclose(scaled.centre(), plain.centre() * 0.025)


def _cameras(seed: int, half_turn: bool) -> dict[str, Camera]:
    """Two cameras; with `half_turn` at exactly 180 degrees, where quaternions and axes are hardest to find."""
    rng = np.random.default_rng(seed)
    found = {}
    for name, bend in (("C01", 0.05), ("left-2", rng.choice([0.0, 0.02]))):
        rig = make_rig(seed, name, bend)
        axis = rng.choice([-1.0, 1.0]) * np.eye(3)[rng.integers(3)]
        turn = 2 * np.outer(axis, axis) - np.eye(3) if half_turn else rig.to_world
        if rng.random() < 0.5:
            rig.dist[4] = 0
        K = np.array([[rig.fx, 0, rig.cx], [0, rig.fy, rig.cy], [0, 0, 1]])
        found[name] = Camera(name, 640, 480, K, rig.dist, turn, rig.centre)
        seed += 1
    return found


@pytest.mark.parametrize("format", WRITERS)
@settings(max_examples=40, deadline=None)
@given(seed=seeds, half_turn=st.booleans())
@example(seed=98523, half_turn=False)
def test_what_was_written_projects_the_same_when_read(
    tmp_path_factory: Fresh, format: str, seed: int, half_turn: bool
) -> None:
    cameras = _cameras(seed, half_turn)
    out = tmp_path_factory.mktemp("c") / "out"
    files = write_calibration(format, cameras, out)
    again = read_cameras(format, out if format in ("easyvolcap", "colmap") else files[0])
    assert list(again) == list(cameras)
    rng = np.random.default_rng(seed)
    for name, camera in cameras.items():
        assert (again[name].width, again[name].height) == (640, 480)
        ahead = np.column_stack([rng.uniform(-0.6, 0.6, (30, 2)), np.ones(30)]) * rng.uniform(0.5, 9, (30, 1))
        points = (ahead - camera.t) @ camera.R
        # points beyond the fold of a lens are NaN in both
        np.testing.assert_allclose(again[name].project(points), camera.project(points), rtol=0, atol=1e-6)


def test_a_written_calibration_is_never_replaced(tmp_path: Path) -> None:
    cameras = _cameras(0, False)
    (path,) = write_calibration("nerfstudio", cameras, tmp_path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="exists already"):
        write_calibration("nerfstudio", _cameras(1, False), tmp_path)
    assert path.read_bytes() == before


def test_a_camera_that_a_format_has_no_place_for_is_named(tmp_path: Path) -> None:
    camera = _cameras(0, False)["C01"]
    skew = np.array(camera.K)
    skew[0, 1] = 2.0
    for format in ("colmap", "nerfstudio"):
        with pytest.raises(CalibrationError, match="camera C01.*size is not known"):
            write_calibration(format, {"C01": camera.sized(0, 0)}, tmp_path)
        with pytest.raises(CalibrationError, match="camera C01.*skew"):
            write_calibration(format, {"C01": replace(camera, K=skew)}, tmp_path)
    with pytest.raises(CalibrationError, match="camera C.1.*dot"):
        write_calibration("easyvolcap", {"C.1": replace(camera, id="C.1")}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_session_is_taken_in_with_another_programs_calibration(tmp_path: Path) -> None:
    folder = write_session(tmp_path)
    before = check_session(read_session(folder)).cameras
    shrunk = {name: replace(camera, t=camera.t / 8) for name, camera in before.items()}
    write_calibration("colmap", shrunk, folder / "sparse")
    edit_toml(folder, 'format = "capmat"\npath = "calibration.json"', 'format = "colmap"\npath = "sparse"\nscale = 8')
    after = check_session(read_session(folder)).cameras
    assert list(after) == list(before)
    for name, camera in before.items():
        np.testing.assert_allclose(after[name].t, camera.t)
        np.testing.assert_allclose(after[name].K, camera.K)


def test_an_unknown_format_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="'kalibr' is not known.*colmap"):
        open_calibration("kalibr", "x", tmp_path)
    with pytest.raises(ConfigError, match="not written as 'llff'.*colmap"):
        write_calibration("llff", {}, tmp_path)
