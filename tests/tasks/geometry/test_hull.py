"""A frame of a take as a surface: in metres, where the subject stood, and refused by the camera's name."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh

from capmat_errors import CalibrationError, ConfigError, MatteError, NotFound
from flows.command.main import main
from storage.store.root import Root
from tasks.config import Reconstruction
from tasks.geometry.hull import hull
from tests.ellipsoid_take import add_run, store_take
from tests.ellipsoids import ring

CAMERAS = ring(10, 96, 128)
SETTINGS = Reconstruction()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = Root(tmp_path_factory.mktemp("hull") / "store")
    take = store_take(root, CAMERAS)
    add_run(take, CAMERAS, "holed", lambda camera, alpha: np.zeros_like(alpha) if camera == "C03" else alpha)
    add_run(take, CAMERAS[:4], "started", lambda _, alpha: alpha)
    return root.url


def test_the_hull_stands_in_metres_where_the_subject_stood(store: str, tmp_path: Path) -> None:
    done = hull(store, "solids", "true", tmp_path / "hull.ply", SETTINGS, resolution=96)
    mesh = trimesh.load(tmp_path / "hull.ply")
    assert mesh.is_watertight
    assert mesh.volume == pytest.approx(done["volume"], rel=1e-3)
    assert 0.15 < done["volume"] < 0.2  # the solids: 0.17 m3
    np.testing.assert_allclose(done["low"], [-0.22, -0.3, 0.05], atol=0.06)
    np.testing.assert_allclose(done["high"], [0.25, 0.3, 1.37], atol=0.06)
    assert (done["frame"], done["cameras"]) == (4, 10)


BARREL = np.array([-0.3, -1.6, 0.0005, -0.0005, 0.0])  # folds between the subject and the corners of the picture


@pytest.mark.parametrize(("dist", "skew"), [(BARREL, 0.0), (np.zeros(5), 4.0)])
def test_the_hull_is_the_same_behind_a_strong_lens_and_a_skewed_sensor(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], dist: np.ndarray, skew: float
) -> None:
    root = Root(tmp_path / "store")
    K = np.array(CAMERAS[0].K)
    K[0, 1] = skew
    cameras = [replace(camera, K=K, dist=dist) for camera in CAMERAS]
    store_take(root, cameras)
    words = ["hull", "solids", "--run", "true", "--resolution", "96", "--out", str(tmp_path / "hull.ply")]
    assert main(["--set", f"store={root.url}", *words]) == 0
    mesh = trimesh.load(tmp_path / "hull.ply")
    assert 0.15 < mesh.volume < 0.2
    np.testing.assert_allclose(mesh.bounds, [[-0.22, -0.3, 0.05], [0.25, 0.3, 1.37]], atol=0.06)
    said = capsys.readouterr().out
    assert ("camera C03: its lens model describes" in said) == bool(dist.any())


def test_a_named_box_is_used(store: str, tmp_path: Path) -> None:
    legs = Reconstruction(box_centre=(0, 0, 0.3), box_size=0.7)
    done = hull(store, "solids", "true", tmp_path / "legs.glb", legs, resolution=64, points=True)
    assert done["box"] == [0, 0, 0.3, 0.7]
    assert done["high"][2] < 0.66
    assert done["faces"] == 0


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"run": "holed"}, MatteError, "take solids frame 4 camera C03: the matte is empty"),
        ({"run": "started"}, MatteError, "take solids frame 4 camera C04: this run wrote no matte"),
        ({"run": "other"}, NotFound, "the take has: holed, started, true"),
        ({"frame": 9}, NotFound, "no frame 9"),
        ({"out": Path("hull.obj")}, ConfigError, ".ply or .glb"),
        ({"resolution": 100}, ConfigError, "multiple of 16"),
    ],
)
def test_what_bounds_no_volume_is_refused_by_name(
    store: str, tmp_path: Path, change: dict, error: type[Exception], message: str
) -> None:
    how = {"run": "true", "out": Path("hull.ply"), "frame": 4, "resolution": 32} | change
    with pytest.raises(error, match=message):
        hull(store, "solids", how["run"], tmp_path / how["out"], SETTINGS, how["frame"], resolution=how["resolution"])
    assert list(tmp_path.iterdir()) == []


def test_two_cameras_are_too_few(tmp_path: Path) -> None:
    root = Root(tmp_path / "store")
    store_take(root, ring(2))
    with pytest.raises(ConfigError, match="2 cameras cannot bound a volume"):
        hull(root.url, "solids", "true", tmp_path / "hull.ply", SETTINGS)


def test_a_camera_in_the_middle_of_a_named_box_is_refused_by_name(store: str, tmp_path: Path) -> None:
    """Such as the camera that a calibration takes for its origin, where the middle of the box was left there."""
    x, y, z = CAMERAS[2].centre()
    box = Reconstruction(box_centre=(x, y, z), box_size=2)
    with pytest.raises(CalibrationError, match="C02: the camera stands in the middle"):
        hull(store, "solids", "true", tmp_path / "hull.ply", box, resolution=32)


def test_the_command_says_what_it_found(store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["hull", "solids", "--run", "true", "--resolution", "64", "--out", str(tmp_path / "a.ply")]
    assert main(["--set", f"store={store}", *words]) == 0
    out = capsys.readouterr().out
    assert "10 cameras" in out
    assert "1.3" in out  # metres of height
    assert (
        main(["--set", f"store={store}", "hull", "solids", "--run", "holed", "--out", str(tmp_path / "b.ply")]) == 2
    )
    assert "C03" in capsys.readouterr().err


def test_a_hull_in_an_unstated_unit_is_not_in_metres(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = Root(tmp_path / "store")
    store_take(root, CAMERAS, source={"unit": "not stated"})
    words = ["hull", "solids", "--run", "true", "--resolution", "32", "--out", str(tmp_path / "a.ply")]
    assert main(["--set", f"store={root.url}", *words]) == 0
    out = capsys.readouterr().out
    assert "in the calibration's own unit" in out
    assert "litres" not in out
