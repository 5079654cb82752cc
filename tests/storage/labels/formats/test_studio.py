"""A task of Label Studio may hold several pictures; a shape is read for its own, or the task is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from capmat_errors import ScribbleError
from storage.labels.formats.archive import opened
from storage.labels.formats.read import Reading, read_export
from storage.labels.formats.shapes import paint


def _names(folder: Path, results: list[dict[str, Any]], **data: Any) -> list[str]:
    box = {"x": 10, "y": 10, "width": 50, "height": 50, "rotation": 0, "rectanglelabels": ["person"]}
    size = {"original_width": 60, "original_height": 40, "image_rotation": 0}
    made = [{"id": str(n), "type": "rectanglelabels", "value": box, **size, **one} for n, one in enumerate(results)]
    file = folder / "a.json"
    file.write_text(json.dumps([{"id": 1, "data": data, "annotations": [{"id": 1, "result": made}]}]))
    with opened(file) as export:
        reading = Reading("labelstudio")
        pictures = read_export(export, reading)
    for picture in pictures:
        paint([picture], (40, 60), reading.meaning, "refuse", "")
    return [picture.name for picture in pictures]


def test_a_shape_belongs_to_the_picture_of_its_tag(tmp_path: Path) -> None:
    two = {"image": "walk/c00/0001.png", "right": "walk/c01/0001.png"}
    assert _names(tmp_path, [{"to_name": "right"}], **two) == ["walk/c01/0001"]
    assert _names(tmp_path, [{"to_name": "img"}], **two) == ["walk/c00/0001"]


@pytest.mark.parametrize(
    ("results", "data", "says"),
    [
        ([{"to_name": "image"}, {"to_name": "right"}], {"image": "a.png", "right": "b.png"}, "several pictures"),
        ([{"to_name": "image", "item_index": 1}], {"image": ["a.png", "b.png"]}, "picture 1 of a list"),
        ([{"to_name": "image"}], {"image": ["a.png", "b.png"]}, "a list of pictures"),
        (
            [{"type": "videorectangle", "value": {"labels": ["person"], "sequence": []}}],
            {"video": "a.mp4"},
            "'person'",
        ),
    ],
)
def test_shapes_whose_picture_is_not_one_are_refused(
    tmp_path: Path, results: list[dict[str, Any]], data: dict[str, Any], says: str
) -> None:
    with pytest.raises(ScribbleError, match=says):
        _names(tmp_path, results, **data)
