"""An exported frame says the same as the calibration, holds the same pixels, and is never half there."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import (
    CalibrationError,
    CameraMissing,
    CapmatError,
    ConfigError,
    MatteError,
    NotFound,
    SizeMismatch,
    StoreError,
)
from storage.calibration.camera import Camera
from storage.export.read_scene import Scene, read_scene
from storage.export.scene import Cutout, export_cutouts, export_frame, read_cutout
from storage.pictures.colour import Colour, encode_srgb
from storage.store.root import Root
from storage.takes.take import Take
from tests.storage.export.mixed_take import PHA, SUBJECT, make_take
from tests.storage.raw_pictures import write_raw

AIM = (0.1, -0.2, 1.0)


def _camera(seed: int, id: str = "A", aim: tuple[float, float, float] = AIM) -> Camera:
    """A camera at a place of chance that looks at `aim`."""
    rng = np.random.default_rng(seed)
    R, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    R *= np.sign(np.linalg.det(R))
    K = np.array([[rng.uniform(8, 30), 0, rng.uniform(2, 6)], [0, rng.uniform(8, 30), rng.uniform(2, 8)], [0, 0, 1]])
    return Camera(id, 8, 10, K, rng.uniform(-0.1, 0.1, 5), R, np.array([0, 0, rng.uniform(2, 9)]) - R @ np.array(aim))


def _cutout(camera: Camera, seed: int = 0) -> Cutout:
    rng = np.random.default_rng(seed)
    alpha = rng.uniform(size=(camera.height, camera.width)).astype(np.float32)
    alpha[0, 0], alpha[0, 1] = 0, 1
    return Cutout(camera, rng.uniform(size=(3, camera.height, camera.width)).astype(np.float32), alpha)


def _export(out: Path, cutouts: list[Cutout], **changed: object) -> Scene:
    names = [cutout.camera.id for cutout in cutouts]
    how: dict = {"train": names[:-1], "test": names[-1:], "box_centre": AIM, "box_size": 2.5} | changed
    return read_scene(export_cutouts(out, cutouts, **how))


def _four(seed: int = 0, aim: tuple[float, float, float] = AIM) -> list[Cutout]:
    return [_cutout(_camera(seed + i, id, aim), seed + i) for i, id in enumerate("ABCD")]


def _reproject(scene: Scene, name: str, world: np.ndarray) -> np.ndarray:
    """Points of the stage to pixels, by Nerfstudio's rules alone: OpenGL axes, centres at half integers."""
    view = scene.views[name]
    local = ((world - scene.centre) * scene.scale - view.camera_to_world[:3, 3]) @ view.camera_to_world[:3, :3]
    x, y = local[:, 0] / -local[:, 2], local[:, 1] / local[:, 2]
    k1, k2, p1, p2, k3 = view.dist
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    u = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
    v = y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y
    return np.stack([view.K[0, 0] * u + view.K[0, 2], view.K[1, 1] * v + view.K[1, 2]], 1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31), size=st.floats(0.1, 50), z=st.floats(-2, 2))
def test_points_fall_on_the_same_pixels_as_by_the_calibration(
    tmp_path_factory: pytest.TempPathFactory, seed: int, size: float, z: float
) -> None:
    cutouts = _four(seed, (0.3, -0.4, z))
    scene = _export(tmp_path_factory.mktemp("scene") / "out", cutouts, box_size=size, box_centre=(0.3, -0.4, z))
    rng = np.random.default_rng(seed)
    for cutout in cutouts:
        camera = cutout.camera
        ahead = np.column_stack([rng.uniform(-0.5, 0.5, (20, 2)), np.ones(20)]) * rng.uniform(0.5, 5, (20, 1))
        world = (ahead - camera.t) @ camera.R
        assert np.abs(_reproject(scene, camera.id, world) - (camera.project(world) + 0.5)).max() < 1e-6


def _colmap(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray, list[float], str]]:
    """Rotation, translation, parameters and model by picture, read as COLMAP's documentation says."""
    rows = [line.split() for line in (folder / "cameras.txt").read_text().splitlines() if not line.startswith("#")]
    lenses = {row[0]: (row[1], [float(value) for value in row[4:]]) for row in rows}
    found = {}
    for line in (folder / "images.txt").read_text().splitlines():
        if line.startswith("#") or not line:
            continue
        _, *numbers, lens, name = line.split()
        w, x, y, z, *t = map(float, numbers)
        R = np.array(
            [
                [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
                [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
                [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
            ]
        )
        found[name] = (R, np.array(t), lenses[lens][1], lenses[lens][0])
    return found


def test_the_colmap_files_of_the_folder_say_the_same_as_its_transforms(tmp_path: Path) -> None:
    cutouts = _four(11)
    scene = _export(tmp_path / "out", cutouts)
    second = _colmap(tmp_path / "out/sparse/0")
    assert {f"images/{name}" for name in second} == {f"images/{name}.png" for name in scene.views}
    rng = np.random.default_rng(3)
    for cutout in cutouts:
        camera = cutout.camera
        world = (np.column_stack([rng.uniform(-0.4, 0.4, (9, 2)), np.ones(9)]) * 3 - camera.t) @ camera.R
        R, t, (fx, fy, cx, cy, k1, k2, p1, p2, k3, *_), model = second[f"{camera.id}.png"]
        assert model == "FULL_OPENCV"
        x, y = ((world @ R.T + t)[:, :2] / (world @ R.T + t)[:, 2:]).T
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        u = fx * (x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)) + cx
        v = fy * (y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y) + cy
        np.testing.assert_allclose(np.stack([u, v], 1), _reproject(scene, camera.id, world), atol=1e-6)


def test_the_box_becomes_the_cube_of_minus_one_to_one(tmp_path: Path) -> None:
    scene = _export(tmp_path / "out", _four(), box_centre=(0.1, -0.2, 1.0), box_size=2.5)
    corner = np.array([0.1, -0.2, 1.0]) + 1.25
    assert np.allclose((corner - scene.centre) * scene.scale, 1)
    meta = json.loads((tmp_path / "out" / "transforms.json").read_text())
    applied = np.array(meta["applied_transform"])
    assert np.allclose((applied[:, :3] @ corner + applied[:, 3]) * meta["applied_scale"], 1)


def test_pixels_survive_with_straight_alpha(tmp_path: Path) -> None:
    cutouts = _four()
    scene = _export(tmp_path / "out", cutouts)
    for cutout in cutouts:
        rgba = scene.views[cutout.camera.id].rgba
        assert cutout.alpha is not None
        assert np.abs(rgba[:3] - cutout.image).max() <= 0.5 / 255 + 1e-6
        assert np.abs(rgba[3] - cutout.alpha).max() <= 0.5 / 255 + 1e-6


def test_every_frame_carries_its_own_lens_and_the_split_is_listed_three_times(tmp_path: Path) -> None:
    _export(tmp_path / "out", _four())
    meta = json.loads((tmp_path / "out" / "transforms.json").read_text())
    assert meta["camera_model"] == "OPENCV"
    assert not any("mask_path" in f for f in meta["frames"])  # there it means: ignore, and never: empty
    assert all({"fl_x", "fl_y", "cx", "cy", "w", "h", "k1", "k2", "p1", "p2"} <= set(f) for f in meta["frames"])
    assert meta["train_filenames"] == ["images/A.png", "images/B.png", "images/C.png"]
    assert meta["val_filenames"] == meta["test_filenames"] == ["images/D.png"]


def test_an_export_replaces_an_export_and_leaves_nothing_else_behind(tmp_path: Path) -> None:
    _export(tmp_path / "out", _four(0))
    before = (tmp_path / "out" / "images" / "A.png").read_bytes()
    _export(tmp_path / "out", _four(5))
    assert (tmp_path / "out" / "images" / "A.png").read_bytes() != before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_refused_export_leaves_the_old_one_whole(tmp_path: Path) -> None:
    _export(tmp_path / "out", _four(0))
    before = (tmp_path / "out" / "transforms.json").read_bytes()
    with pytest.raises(MatteError):
        _export(tmp_path / "out", [replace(cutout, alpha=None) for cutout in _four(5)])
    assert (tmp_path / "out" / "transforms.json").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(StoreError, match="something else than an export"):
        _export(tmp_path, _four())
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_folder_without_an_export_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no exported frame"):
        read_scene(tmp_path)


@pytest.mark.parametrize(
    ("alpha", "word"),
    [
        (None, "no matte"),
        (np.zeros((10, 8), np.float32), "empty"),
        (np.ones((10, 8), np.float32), "full"),
        (np.full((10, 8), np.nan, np.float32), "NaN"),
    ],
)
def test_a_broken_matte_is_refused_by_its_cameras_name(tmp_path: Path, alpha: np.ndarray | None, word: str) -> None:
    a, b, c, d = _four()
    with pytest.raises(MatteError, match=rf"^C: .*{word}"):
        _export(tmp_path / "out", [a, b, replace(c, alpha=alpha), d])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"train": ["A", "B"]}, ConfigError),
        ({"test": []}, ConfigError),
        ({"test": ["A"]}, ConfigError),
        ({"test": ["Z"]}, CameraMissing),
        ({"box_size": 0.0}, ConfigError),
        ({"box_centre": (0.0, float("nan"), 0.0)}, ConfigError),
    ],
)
def test_a_split_or_box_that_cannot_work_is_refused(tmp_path: Path, changed: dict, error: type[CapmatError]) -> None:
    with pytest.raises(error):
        _export(tmp_path / "out", _four(), **changed)


def test_a_matte_of_another_size_is_refused(tmp_path: Path) -> None:
    a, b, c, d = _four()
    with pytest.raises(SizeMismatch, match="^B"):
        _export(tmp_path / "out", [a, replace(b, alpha=np.zeros((4, 4), np.float32)), c, d])


def test_a_pose_that_is_no_number_and_a_rational_lens_are_refused() -> None:
    good = _camera(0).to_json()
    with pytest.raises(CalibrationError, match="not finite"):
        Camera.from_json("A", good | {"t": [0, float("nan"), 0]})
    with pytest.raises(CalibrationError, match="8 coefficients"):
        Camera.from_json("A", good | {"dist": [0.1, 0, 0, 0, 0, 0.2, 0, 0]})


def test_a_lens_with_skew_is_refused(tmp_path: Path) -> None:
    a, b, c, d = _four()
    K = a.camera.K.copy()
    K[0, 1] = 0.5
    with pytest.raises(CalibrationError, match="camera A, .*skew"):
        _export(tmp_path / "out", [replace(a, camera=replace(a.camera, K=K)), b, c, d])


def test_a_frame_of_a_take_is_exported_with_the_mattes_of_a_run(tmp_path: Path) -> None:
    cameras = {id: _camera(i, id) for i, id in enumerate("ABCD")}
    take = Take.create(
        Root(str(tmp_path / "store")),
        "day",
        stage="cylinder",
        cameras=cameras,
        colour=Colour(8, "srgb", 0),
        frames=[7],
        fps=25.0,
        source={},
    )
    rng = np.random.default_rng(0)
    take.start_run("student", {})
    recorded = {}
    for id in cameras:
        recorded[id] = rng.integers(0, 256, (10, 8, 3), dtype=np.uint8)
        write_raw(take, id, 7, recorded[id])
        if id != "D":
            take.write_alphas("student", id, {7: np.eye(10, 8, dtype=np.float32)})
    how: dict = {"train": "ABC", "test": "D", "box_centre": (0, 0, 1), "box_size": 2}
    with pytest.raises(MatteError, match="^take day frame 7 camera D: .*no matte"):
        export_frame(tmp_path / "out", take, 7, "student", **how)
    take.write_alphas("student", "D", {7: np.eye(10, 8, dtype=np.float32)})
    scene = read_scene(export_frame(tmp_path / "out", take, 7, "student", **how))
    solid = np.eye(10, 8) == 1
    assert np.array_equal(np.round(scene.views["B"].rgba[:3] * 255)[:, solid].T, recorded["B"][solid])
    assert np.array_equal(scene.views["B"].rgba[3], np.eye(10, 8))


def test_a_cut_out_has_the_subjects_colour_however_thin_its_matte(folder: Root) -> None:
    cutout = read_cutout(make_take(folder), "c0", 3, "teacher")
    np.testing.assert_array_equal(cutout.alpha, np.rint(PHA * 65535).astype(np.float32) / 65535)
    np.testing.assert_allclose(cutout.image, encode_srgb(SUBJECT), atol=0.02)


def test_cameras_that_all_stand_at_one_place_are_refused(tmp_path: Path) -> None:
    cutouts = _four()
    first = cutouts[0].camera
    turned = [replace(c, camera=replace(first, id=c.camera.id)) for c in cutouts]
    with pytest.raises(CalibrationError, match="A, B, C: all cameras stand at one point"):
        _export(tmp_path / "out", turned)
    assert not (tmp_path / "out").exists()


def test_a_camera_that_looks_away_from_the_box_is_refused_by_name(tmp_path: Path) -> None:
    for index, letter in ((1, "B"), (3, "D")):  # one to learn from, and one to be judged by
        cutouts = _four()
        camera = cutouts[index].camera
        away = np.diag([-1.0, 1.0, -1.0])
        cutouts[index] = replace(cutouts[index], camera=replace(camera, R=away @ camera.R, t=away @ camera.t))
        with pytest.raises(CalibrationError, match=rf"^{letter}: the subject box of 2.5 .* out of its view"):
            _export(tmp_path / "out", cutouts)
        assert not (tmp_path / "out").exists()


def test_a_box_around_the_camera_is_in_its_view(tmp_path: Path) -> None:
    assert len(_export(tmp_path / "out", _four(), box_size=80.0).views) == 4
