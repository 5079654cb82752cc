"""Programs on Windows put a byte order mark before text. Files that people bring are read with and without it."""

import json
from pathlib import Path

import numpy as np
import pytest

from storage.calibration.formats.files import open_calibration
from storage.descriptor import read_session
from storage.labels.formats.archive import opened
from storage.labels.formats.read import FORMATS, Reading, read_export
from storage.labels.strokes import Drawing, Stroke, encode_strokes
from storage.session.layouts.recognise import describe
from tests.storage.labels import label_exports as tools
from tests.storage.tiny_session import calibrated, write_picture

CASES = Path(__file__).parents[1] / "cases"
BOM = b"\xef\xbb\xbf"
SQUARE = {"label": "person", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}
ONE = '<annotations><image name="a.png" width="30" height="20"><box label="person" xtl="1" ytl="1" xbr="9" ybr="9"/>'
LABELS = {
    "cvat": ONE + "</image></annotations>",
    "labelme": json.dumps(tools.labelme_json(SQUARE)),
    "davis": json.dumps(tools.davis("walk", 1, f0=[(1, [(0, 0)])])),
    "strokes": encode_strokes(Drawing("walk", "c00", 1, 30, 20, (Stroke("fg", 2.0, ((1.0, 1.0),)),))).decode(),
    "coco": json.dumps({"images": [], "annotations": [], "categories": []}),
    "labelstudio": "[]",
}


def marked(path: Path, text: str) -> Path:
    return tools.put(path, BOM + text.encode())


def test_a_session_with_a_mark_is_read() -> None:
    file = CASES / "15-messages/session_bom.toml"
    assert file.read_bytes().startswith(BOM)
    assert (read_session(file).name, read_session(file).fps) == ("u_bom", 25)


@pytest.mark.parametrize("format", sorted(set(FORMATS) - {"overlay", "label", "trimap"}))
def test_labels_with_a_mark_are_read(format: str, tmp_path: Path) -> None:
    file = marked(tmp_path / ("a.xml" if format == "cvat" else "a.json"), LABELS[format])
    with opened(file) as export:
        assert len(read_export(export, Reading(format))) == (format not in ("coco", "labelstudio"))


def test_calibrations_with_a_mark_are_read(tmp_path: Path) -> None:
    cameras = {"units": "m", "cameras": {"c00": calibrated(0)}}
    marked(tmp_path / "calibration.json", json.dumps(cameras))
    assert list(open_calibration("capmat", "calibration.json", tmp_path).cameras) == ["c00"]


def test_a_scene_with_a_mark_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    write_picture(tmp_path / "images/a.png", np.zeros((20, 30, 3), np.uint8))
    pose = [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    frame = {"file_path": "images/a.png", "transform_matrix": pose}
    size = {"w": 30, "h": 20, "fl_x": 30.0, "fl_y": 30.0, "cx": 15.0, "cy": 10.0}
    marked(tmp_path / "transforms.json", json.dumps({**size, "frames": [frame]}))
    text, _ = describe(tmp_path, root=str(tmp_path), stated=["calibration.unit=m", "colour.transfer=srgb"])
    assert 'format = "nerfstudio"' in text
