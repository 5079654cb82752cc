"""A rendered session is what a stage would deliver: complete, calibrated, resumable."""

import json
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pytest

from tasks.sim.cameras import mitsuba_sensor, ring
from tasks.sim.session import render_session
from tasks.sim.solid import Cloth, Part, surface

SIZE = (64, 80)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stage") / "session"
    render_session(out, size=SIZE, cameras=2, takes={"amber": 1, "cedar": 1}, spp=4, plate_frames=2)
    return out


def test_the_folder_is_what_its_descriptor_says(rendered: Path) -> None:
    descriptor = tomllib.loads((rendered / "session.toml").read_text())
    cameras = json.loads((rendered / descriptor["calibration"]["path"]).read_text())["cameras"]
    assert list(cameras) == ["C01", "C02"]
    assert descriptor["colour"] == {"bits": 12, "transfer": "linear", "black": 64}
    for camera in cameras:
        for take in descriptor["takes"].values():
            assert (rendered / take["path"].format(camera=camera, frame=1)).exists()
        for frame in (1, 2):
            assert (rendered / descriptor["plates"]["path"].format(camera=camera, frame=frame)).exists()
        assert (rendered / descriptor["benchmark"]["trimaps"].format(camera=camera, frame=1)).exists()
    assert not list(rendered.rglob("*alpha*")), "truth lies outside the session"


def test_pictures_are_twelve_bit_and_of_the_calibrated_size(rendered: Path) -> None:
    picture = cv2.imread(str(rendered / "takes/amber/C01/0001.png"), cv2.IMREAD_UNCHANGED)
    assert picture.dtype == np.uint16
    assert picture.shape == (SIZE[1], SIZE[0], 3)
    assert 2000 < picture.max() <= 4095


def test_truth_covers_a_standing_performer_and_agrees_with_the_trimap(rendered: Path) -> None:
    alpha = cv2.imread(str(rendered.parent / "truth/cedar/C01/0001_alpha.png"), cv2.IMREAD_UNCHANGED)
    trimap = cv2.imread(str(rendered / "trimaps/C01/0001.png"), cv2.IMREAD_UNCHANGED)
    assert 0.05 < (alpha > 127).mean() < 0.5
    assert (alpha[trimap == 255] >= 252).all()
    assert (alpha[trimap == 0] <= 3).all()


def test_the_stage_differs_between_plate_and_take_only_by_noise_and_the_performer(rendered: Path) -> None:
    take, plate = (
        cv2.imread(str(rendered / name), cv2.IMREAD_UNCHANGED).astype(float)
        for name in ("takes/amber/C01/0001.png", "plates/C01/0001.png")
    )
    alpha = cv2.imread(str(rendered.parent / "truth/amber/C01/0001_alpha.png"), cv2.IMREAD_UNCHANGED)
    apart = np.abs(take - plate).mean(axis=-1)
    assert np.median(apart[alpha == 0]) < 0.4 * np.median(apart[alpha == 255])


def test_a_second_run_renders_only_what_is_missing(rendered: Path) -> None:
    lost = rendered / "takes/amber/C02/0001.png"
    content = lost.read_bytes()
    lost.unlink()
    written: list[str] = []
    render_session(
        rendered, size=SIZE, cameras=2, takes={"amber": 1, "cedar": 1}, spp=4, plate_frames=2, progress=written.append
    )
    assert written == [str(lost)]
    assert _close(content, lost.read_bytes())


def _close(one: bytes, two: bytes) -> bool:
    """Equal up to sensor noise: a threaded renderer rounds differently, which starts another draw of it."""
    a, b = (cv2.imdecode(np.frombuffer(c, np.uint8), cv2.IMREAD_UNCHANGED).astype(float) for c in (one, two))
    return bool(np.median(np.abs(a - b)) < 60)


@pytest.mark.parametrize("index", [0, 1])
def test_calibration_projects_points_to_where_they_are_rendered(rendered: Path, index: int) -> None:
    import mitsuba as mi

    from tasks.sim.render import matte
    from tasks.sim.solid import mesh

    camera = ring(2, (160, 200), seed=5)[index]
    for point in np.array([[0.0, 0.0, 1.0], [0.4, -0.3, 1.6], [-0.5, 0.35, 0.3]]):
        ball = surface([Part("ellipsoid", point, np.full(3, 0.06), Cloth((0.5, 0.5, 0.5)))], voxel=0.005)
        scene = mi.load_dict({"type": "scene", "ball": mesh("ball", ball, {"type": "diffuse"})})
        alpha = matte(scene, camera, spp=64, seed=1)
        rows, columns = np.mgrid[: alpha.shape[0], : alpha.shape[1]]
        seen = np.array([(alpha * columns).sum(), (alpha * rows).sum()]) / alpha.sum()
        np.testing.assert_allclose(seen, camera.project(point[None])[0], atol=0.1)


def test_the_sensor_keeps_the_principal_point(rendered: Path) -> None:
    camera = ring(3, SIZE, seed=1)[2]
    assert abs(camera.K[0, 2] - (SIZE[0] - 1) / 2) > 1e-3
    assert mitsuba_sensor(camera, spp=4).film().size()[0] == SIZE[0]
