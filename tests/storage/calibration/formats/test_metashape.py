"""Cameras of Metashape: chunks, components, rigs and skew put points where its manual does."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from capmat_errors import CalibrationError
from storage.calibration.formats.files import open_calibration
from storage.export.read_scene import placed_in_box
from tests.storage.calibration import calibrations as made
from tests.storage.calibration.calibrations import Rig, assert_same, make_rig, read_cameras

Fresh = pytest.TempPathFactory
seeds = st.integers(0, 2**31)


def test_the_rig_that_was_reported_stands_where_its_sensors_say() -> None:
    cases = Path(__file__).parents[3] / "cases"
    found = open_calibration("metashape", "05-metashape-rig.xml", cases)
    assert not found.notes
    assert {name: camera.centre().tolist() for name, camera in found.cameras.items()} == {
        "A_0001": [0, 0, -3],
        "B_0001": [0.5, 0, -3],
        "C_0001": [1, 0, -3],
    }
    assert found.cameras["C_0001"].K[0].tolist() == [620, 0, 319.5]


def _rig_of_metashape(folder: Path, master: Rig, slave: Rig, chunk: str = "") -> Path:
    """The second camera has no pose of its own, but its sensor's place in the rig."""
    path = made.metashape(folder, [master, slave], chunk=chunk, unaligned="")
    place = np.linalg.inv(master.to_world)  # from the chunk's axes to those of the master camera
    words = [
        " ".join(repr(float(x)) for x in value.ravel())
        for value in (place @ slave.to_world, place @ (slave.centre - master.centre))
    ]
    document = ElementTree.parse(path)
    first, second = document.iter("camera")
    second.remove(second.find("transform"))
    second.set("master_id", first.get("id"))
    first, second = document.iter("sensor")
    second.set("master_id", first.get("id"))
    for key, text in zip(("rotation", "location"), words, strict=True):
        ElementTree.SubElement(second, key, {"locked": "false"}).text = text
    document.write(path)
    return path


@settings(max_examples=15, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 50))
def test_a_camera_of_a_metashape_rig_stands_where_its_sensor_says(
    tmp_path_factory: Fresh, seed: int, scale: float
) -> None:
    rigs = [make_rig(seed, "C01"), make_rig(seed + 1, "C02")]
    chunk = f"<transform><scale>{scale}</scale></transform>"
    found = read_cameras("metashape", _rig_of_metashape(tmp_path_factory.mktemp("c"), *rigs, chunk=chunk))
    for rig in rigs:
        world = replace(rig, centre=scale * rig.centre)
        assert_same(world, found[rig.name], lambda points, world=world: _metashape_pixels(world, points), seed)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("rotation", "turn", "camera C02.*no rotation and location in the rig"),
        ("location", "place", "camera C02.*no rotation and location in the rig"),
        ('type="frame" master_id="0"', 'type="frame" master_id="7"', "camera C02.*its sensor the master 7"),
        ('<rotation locked="false">', '<rotation locked="false">2 ', "camera C02.*the rotation of its sensor"),
        ('<location locked="false">', '<location locked="false">nan ', "camera C02.*the location of its sensor"),
    ],
)
def test_a_metashape_rig_that_is_not_whole_is_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    path = _rig_of_metashape(tmp_path, make_rig(1, "C01"), make_rig(2, "C02"))
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    with pytest.raises(CalibrationError, match=says):
        read_cameras("metashape", path)


@pytest.mark.parametrize("value", ["false", "0", "False"])
def test_a_camera_that_metashape_disables_is_left_out_and_said(tmp_path: Path, value: str) -> None:
    path = made.metashape(tmp_path, [make_rig(1, "C01"), make_rig(2, "C02")])
    path.write_text(path.read_text().replace('label="C02', f'enabled="{value}" label="C02'))
    found = open_calibration("metashape", path.name, tmp_path)
    assert list(found.cameras) == ["C01"]
    assert "camera C02 is left out: it is disabled in Metashape" in found.notes


def test_metashape_chunks_and_components_that_are_not_in_one_space_are_refused(tmp_path: Path) -> None:
    path = made.metashape(tmp_path, [make_rig(1, "C01"), make_rig(2, "C02")], unaligned="")
    whole = ElementTree.parse(path)
    for number, camera in enumerate(whole.iter("camera")):
        camera.set("component_id", str(number))
    whole.write(path)
    with pytest.raises(CalibrationError, match="2 components, of which not all are placed"):
        read_cameras("metashape", path)
    path = made.metashape(tmp_path, [make_rig(1, "C01")])
    text = path.read_text()
    old = text[text.index("<chunk>") : text.index("</chunk>") + 8].replace("C01", "C99")
    path.write_text(text.replace("<chunk>", old + "<chunk>"))
    with pytest.raises(CalibrationError, match="has 2 chunks"):
        read_cameras("metashape", path)
    path.write_text(text.replace("<chunk>", old.replace("<chunk>", '<chunk enabled="false">') + "<chunk>"))
    assert list(read_cameras("metashape", path)) == ["C01"]


def test_the_skew_of_metashape_reaches_the_geometry(tmp_path: Path) -> None:
    path = made.metashape(tmp_path, [make_rig(3)])
    path.write_text(path.read_text().replace("<b1>", "<b2>4.0</b2><b1>"))
    camera = open_calibration("metashape", path.name, tmp_path).cameras["C01"]
    placed = placed_in_box(camera, np.zeros(3), 2.0)
    assert placed.K[0].tolist() == [camera.K[0, 0], 4.0, camera.K[0, 2] + 0.5]


def _metashape_pixels(rig: Rig, points: np.ndarray) -> np.ndarray:
    """The frame camera of Metashape's manual: f, cx, cy, b1, b2 in pixels; its p1 is OpenCV's p2."""
    x, y, z = np.linalg.inv(rig.to_world) @ (points - rig.centre).T
    x, y = x / z, y / z
    k1, k2, P2, P1, k3 = rig.dist
    r2 = x * x + y * y
    radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
    x, y = x * radial + P1 * (r2 + 2 * x * x) + 2 * P2 * x * y, y * radial + P2 * (r2 + 2 * y * y) + 2 * P1 * x * y
    u = rig.width / 2 + (rig.cx - rig.width / 2) + x * rig.fy + x * (rig.fx - rig.fy)
    return np.stack([u, rig.height / 2 + (rig.cy - rig.height / 2) + y * rig.fy], 1) - 0.5


@settings(max_examples=20, deadline=None)
@given(seed=seeds, scale=st.floats(0.01, 50), where=st.sampled_from(["chunk", "component"]))
def test_metashape_poses_pass_through_the_chunk(tmp_path_factory: Fresh, seed: int, scale: float, where: str) -> None:
    rigs = [make_rig(seed, "C01"), make_rig(seed + 1, "C02")]
    turn, shift = Rotation.random(random_state=seed + 9).as_matrix(), np.array([100.0, -20, 3])
    words = [" ".join(repr(float(x)) for x in value.ravel()) for value in (turn, shift)]
    text = f"<rotation>{words[0]}</rotation><translation>{words[1]}</translation><scale>{scale}</scale>"
    text = f"<transform>{text}</transform>"
    path = made.metashape(tmp_path_factory.mktemp("c"), rigs, **{where: text})
    found = open_calibration("metashape", path.name, path.parent)
    assert found.notes == ("camera lost is left out: it was not aligned and has no pose",)
    for rig in rigs:
        world = replace(rig, to_world=turn @ rig.to_world, centre=scale * turn @ rig.centre + shift)
        assert_same(
            world, found.cameras[rig.name], lambda points, world=world: _metashape_pixels(world, points), seed
        )
