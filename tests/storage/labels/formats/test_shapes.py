"""Every kind of shape that an annotation tool can write is read where it was drawn, or refused by its name.

Where a shape lies is judged by OpenCV (turned boxes) and scikit-image (ellipses, polygons).
"""

import base64
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from skimage import draw, measure

from capmat_errors import ScribbleError
from storage.labels.formats.archive import opened
from storage.labels.formats.read import Reading, format_of, read_export
from storage.labels.formats.shapes import paint
from storage.pictures.png import encode_png
from tests.storage.labels import label_exports as tools

HEIGHT, WIDTH = SIZE = (40, 60)
Mask = NDArray[np.bool_]
CASES = Path(__file__).parents[3] / "cases"


def read(path: Path, radius: float = 3.0) -> tuple[str, NDArray[np.uint8], dict[str, int], dict[str, int]]:
    """The one picture of an export: its name, label, and what painted nothing."""
    with opened(path) as export:
        reading = Reading(format_of(export), radius=radius, overlap="later")
        (one,) = read_export(export, reading)
        size = one.size or SIZE
        label, left_out, unpainted = paint([one], size, reading.meaning, "later", "")
        return one.name, label, dict(left_out), dict(unpainted)


# What each tool writes: a background over everything, and one shape called person over it.


def studio(kind: str, value: dict[str, Any], *, paired: bool = False) -> list[Any]:
    def result(type: str, value: dict[str, Any], id: str) -> dict[str, Any]:
        size = {"original_width": WIDTH, "original_height": HEIGHT, "image_rotation": 0}
        return {"id": id, "type": type, "value": value, "to_name": "image", **size}

    ground = {"x": 0, "y": 0, "width": 100, "height": 100, "rotation": 0, "rectanglelabels": ["background"]}
    results = [result("rectanglelabels", ground, "ground")]
    if paired:
        results += [result(kind, value, "q"), result("labels", {**value, "labels": ["person"]}, "q")]
    else:
        results.append(result(f"{kind}labels", {**value, f"{kind}labels": ["person"]}, "q"))
    return [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"id": 1, "result": results}]}]


def cvat(element: str, *, video: bool = False) -> str:
    ground = f'<box label="background" frame="4" outside="0" xtl="0" ytl="0" xbr="{WIDTH}" ybr="{HEIGHT}"/>'
    if not video:
        return (
            f'<annotations><image id="0" name="a.png" width="{WIDTH}" height="{HEIGHT}">{ground}{element}</image>'
            "</annotations>"
        )
    size = f"<original_size><width>{WIDTH}</width><height>{HEIGHT}</height></original_size>"
    in_frame = element.replace(' label="person"', ' frame="4" outside="0"', 1)
    return (
        f"<annotations><meta><task><name>t</name>{size}</task><source>a.mp4</source></meta>"
        f'<track id="0" label="background">{ground}</track><track id="1" label="person">{in_frame}</track>'
        "</annotations>"
    )


def coco(segmentation: Any, **more: Any) -> dict[str, Any]:
    over = [[0, 0, WIDTH, 0, WIDTH, HEIGHT, 0, HEIGHT]]
    return {
        "images": [{"id": 1, "file_name": "a.png", "width": WIDTH, "height": HEIGHT}],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "background"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 2, "bbox": [0, 0, WIDTH, HEIGHT], "segmentation": over},
            {"id": 2, "image_id": 1, "category_id": 1, "segmentation": segmentation, **more},
        ],
    }


def labelme(kind: str, points: Any, **more: Any) -> dict[str, Any]:
    ground = {"label": "background", "shape_type": "rectangle", "points": [[0, 0], [WIDTH, HEIGHT]]}
    return tools.labelme_json(ground, {"label": "person", "shape_type": kind, "points": points, **more}, size=SIZE)


def inside(corners: Any) -> Mask:
    """Whether the centre of a pixel is inside a polygon, as scikit-image has it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.asarray(measure.points_in_poly(np.stack([x.ravel(), y.ravel()], 1), corners)).reshape(SIZE)


def oval(x: float, y: float, a: float, b: float, degrees: float) -> Mask:
    """The same of an ellipse; scikit-image turns the other way, and its pixels are where our centres are."""
    mask = np.zeros(SIZE, bool)
    mask[
        draw.ellipse(y - 0.5, x - 0.5, b, a, shape=SIZE, rotation=-math.remainder(math.radians(degrees), 2 * math.pi))
    ] = True
    return mask


def near(points: Any, radius: float) -> Mask:
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    return np.logical_or.reduce([np.hypot(x - px, y - py) <= radius for px, py in points])


def flat(corners: Any) -> list[float]:
    return [value for corner in corners for value in corner]


def text(corners: Any) -> str:
    return ";".join(f"{x},{y}" for x, y in corners)


def bits(mask: Mask) -> str:
    """What Label Studio's bit mask looks like: black on nothing."""
    picture = np.zeros((*SIZE, 4), np.uint8)
    picture[..., 3] = mask * 255
    return "data:image/png;base64," + base64.b64encode(encode_png(picture)).decode()


def cropped(mask: Mask) -> tuple[Mask, int, int]:
    rows, columns = np.nonzero(mask)
    part = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    return part, int(columns.min()), int(rows.min())


def cvat_mask(mask: Mask) -> str:
    part, left, top = cropped(mask)
    runs = ", ".join(map(str, tools.to_counts(part, columns=False)))
    size = f'width="{part.shape[1]}" height="{part.shape[0]}"'
    return f'<mask label="person" rle="{runs}" left="{left}" top="{top}" {size}/>'


def labelme_mask(mask: Mask) -> dict[str, Any]:
    part, left, top = cropped(mask)
    box = [[left, top], [left + part.shape[1] - 1, top + part.shape[0] - 1]]
    return labelme("mask", box, mask=base64.b64encode(encode_png(part.astype(np.uint8) * 255)).decode())


class Geometry:
    """One ellipse, box, or set of corners, and what each tool would write of it."""

    def __init__(self, x: float, y: float, a: float, b: float, degrees: float) -> None:
        self.x, self.y, self.a, self.b, self.degrees = x, y, a, b, degrees
        self.turned = cv2.boxPoints(((x, y), (2 * a, 2 * b), degrees)).astype(float).tolist()
        self.upright = [[x - a, y - b], [x + a, y - b], [x + a, y + b], [x - a, y + b]]
        self.box, self.oval = inside(self.turned), oval(x, y, a, b, degrees)

    def per_cent(self, x: float, y: float) -> tuple[float, float]:
        return x / WIDTH * 100, y / HEIGHT * 100

    def studio_box(self) -> dict[str, Any]:
        """Turned around its upper left corner: the corner that an upright box would have there."""
        angle = math.radians(self.degrees)
        left = self.x - self.a * math.cos(angle) + self.b * math.sin(angle)
        top = self.y - self.a * math.sin(angle) - self.b * math.cos(angle)
        x, y = self.per_cent(left, top)
        width, height = self.per_cent(2 * self.a, 2 * self.b)
        return {"x": x, "y": y, "width": width, "height": height, "rotation": self.degrees}

    def studio_oval(self) -> dict[str, Any]:
        (x, y), (a, b) = self.per_cent(self.x, self.y), self.per_cent(self.a, self.b)
        return {"x": x, "y": y, "radiusX": a, "radiusY": b, "rotation": self.degrees}

    def studio_polygon(self) -> dict[str, Any]:
        return {"points": [list(self.per_cent(*corner)) for corner in self.turned], "closed": True}


def cvat_box(g: Geometry) -> str:
    sides = f'xtl="{g.x - g.a}" ytl="{g.y - g.b}" xbr="{g.x + g.a}" ybr="{g.y + g.b}"'
    return f'<box label="person" {sides} rotation="{g.degrees}"/>'


def cvat_oval(g: Geometry) -> str:
    return f'<ellipse label="person" cx="{g.x}" cy="{g.y}" rx="{g.a}" ry="{g.b}" rotation="{g.degrees}"/>'


def counts(mask: Mask, *, packed: bool) -> dict[str, Any]:
    runs = tools.to_counts(mask, columns=True)
    return {"size": [HEIGHT, WIDTH], "counts": tools.coco_text(runs) if packed else runs}


SKELETON = '<skeleton label="person"><points label="nose" outside="0" points="9,9"/></skeleton>'
Case = tuple[Callable[[Geometry], Any], Callable[[Geometry], Mask | None]]
KINDS: dict[str, Case] = {
    "studio rectangle": (lambda g: studio("rectangle", g.studio_box()), lambda g: g.box),
    "studio rectangle + labels": (lambda g: studio("rectangle", g.studio_box(), paired=True), lambda g: g.box),
    "studio ellipse": (lambda g: studio("ellipse", g.studio_oval()), lambda g: g.oval),
    "studio ellipse + labels": (lambda g: studio("ellipse", g.studio_oval(), paired=True), lambda g: g.oval),
    "studio polygon": (lambda g: studio("polygon", g.studio_polygon()), lambda g: g.box),
    "studio polygon + labels": (lambda g: studio("polygon", g.studio_polygon(), paired=True), lambda g: g.box),
    "studio brush": (lambda g: studio("brush", {"format": "rle", "rle": tools.brush(g.oval)}), lambda g: g.oval),
    "studio brush + labels": (lambda g: studio("brush", {"rle": tools.brush(g.oval)}, paired=True), lambda g: g.oval),
    "studio bitmask": (lambda g: studio("bitmask", {"imageDataURL": bits(g.oval)}), lambda g: g.oval),
    "studio keypoint": (
        lambda g: studio("keypoint", dict(zip("xy", g.per_cent(g.x, g.y), strict=True), width=0.3)),
        lambda g: near([(g.x, g.y)], 3),
    ),
    "studio vector": (lambda g: studio("vector", {"vertices": [{"x": 1, "y": 2}]}), lambda g: None),
    "cvat box": (lambda g: cvat(cvat_box(g)), lambda g: g.box),
    "cvat box of a video": (lambda g: cvat(cvat_box(g), video=True), lambda g: g.box),
    "cvat ellipse": (lambda g: cvat(cvat_oval(g)), lambda g: g.oval),
    "cvat ellipse of a video": (lambda g: cvat(cvat_oval(g), video=True), lambda g: g.oval),
    "cvat polygon": (lambda g: cvat(f'<polygon label="person" points="{text(g.turned)}"/>'), lambda g: g.box),
    "cvat points": (
        lambda g: cvat(f'<points label="person" points="{text(g.turned)}"/>'),
        lambda g: near(g.turned, 3),
    ),
    "cvat mask": (lambda g: cvat(cvat_mask(g.oval)), lambda g: g.oval),
    "cvat skeleton": (lambda g: cvat(SKELETON), lambda g: None),
    "cvat skeleton of a video": (lambda g: cvat(SKELETON, video=True), lambda g: None),
    "cvat cuboid": (lambda g: cvat('<cuboid label="person" xtl1="1" ytl1="1"/>'), lambda g: None),
    "cvat thing": (lambda g: cvat('<blob label="person"/>'), lambda g: None),
    "coco polygon": (lambda g: coco([flat(g.turned)]), lambda g: g.box),
    "coco flat polygon": (lambda g: coco(flat(g.turned)), lambda g: g.box),
    "coco packed runs": (lambda g: coco(counts(g.oval, packed=True)), lambda g: g.oval),
    "coco runs": (lambda g: coco(counts(g.oval, packed=False), iscrowd=1), lambda g: g.oval),
    "coco box": (lambda g: coco([], bbox=[g.x, g.y, g.a, g.b]), lambda g: None),
    "labelme polygon": (lambda g: labelme("polygon", g.turned), lambda g: g.box),
    "labelme rectangle": (lambda g: labelme("rectangle", g.upright[::2]), lambda g: inside(g.upright)),
    "labelme rectangle of four corners": (lambda g: labelme("rectangle", g.upright), lambda g: inside(g.upright)),
    "labelme rotation": (lambda g: labelme("rotation", g.turned, direction=1.0), lambda g: g.box),
    "labelme circle": (
        lambda g: labelme("circle", [[g.x, g.y], [g.x, g.y + g.a]]),
        lambda g: oval(g.x, g.y, g.a, g.a, 0),
    ),
    "labelme point": (lambda g: labelme("point", [[g.x, g.y]]), lambda g: near([(g.x, g.y)], 3)),
    "labelme line": (
        lambda g: labelme("line", [[g.x, g.y], [g.x, g.y + g.b]]),
        lambda g: near([(g.x, g.y + g.b * n / 400) for n in range(401)], 3),
    ),
    "labelme mask": (lambda g: labelme_mask(g.oval), lambda g: g.oval),
    "labelme cuboid": (lambda g: labelme("cuboid", g.turned), lambda g: None),
    "labelme thing": (lambda g: labelme("blob", g.turned), lambda g: None),
}
numbers = st.floats(4, 14).map(lambda value: round(value, 2) + 0.0011)  # no edge lies on the middle of a pixel
geometries = st.builds(
    Geometry,
    st.floats(-2, WIDTH + 2).map(lambda value: round(value, 2) + 0.003),
    st.floats(-2, HEIGHT + 2).map(lambda value: round(value, 2) + 0.003),
    numbers,
    numbers,
    st.sampled_from((0.0, 12.5, 45.0, 90.0, 200.0, 330.0)),
)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(geometry=geometries)
def test_a_shape_is_where_it_was_drawn_or_refused_by_its_name(kind: str, geometry: Geometry, tmp_path: Path) -> None:
    write, expected = KINDS[kind]
    document, mask = write(geometry), expected(geometry)
    file = tools.put(tmp_path / ("a.xml" if isinstance(document, str) else "a.json"), document)
    if mask is None:
        with pytest.raises(ScribbleError) as refusal:
            read(file)
        assert "'person'" in str(refusal.value) or "is not known" in str(refusal.value)
        return
    _, label, left_out, unpainted = read(file)
    assert left_out == {}
    assert unpainted == ({} if mask.any() else {"shape that covers no pixel": 1})
    # the edge may pass a pixel's centre closer than numbers in a file are exact
    wrong = (label == 1) != mask
    assert (label != 255).all()
    assert wrong.sum() <= 1


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("06-shapes/ls_over.json", {1: 20 * 30 * 0.01 * 0.01 * math.pi * 96 * 64}),
        ("06-shapes/cv_e2.xml", {1: math.pi * 15 * 25}),
        ("06-shapes/ls_rect+labels.json", {1: 0.3 * 96 * 0.3 * 64}),
        ("06-shapes/coco_over.json", "annotation 2: an annotation without segmentation does not say which pixels"),
        ("15-messages/coco_box3.json", "annotation 1: an annotation without segmentation does not say which pixels"),
        ("15-messages/coco_win.json", {1: 30 * 40 / 2}),
        ("15-messages/walk_c00_0000.json", {1: 30 * 40}),
    ],
)
def test_a_person_over_a_background_is_no_background(file: str, says: Any) -> None:
    if isinstance(says, str):
        with pytest.raises(ScribbleError, match=says):
            read(CASES / file)
        return
    name, label, _, _ = read(CASES / file)
    assert name.rpartition("/")[2].removeprefix("0a1b2c3d-") in [f"walk_c00_{n:04}" for n in range(4)]
    assert int((label == 1).sum()) == pytest.approx(says[1], rel=0.02)


def test_what_says_nothing_of_pixels_is_counted(tmp_path: Path) -> None:
    task = studio("ellipse", {"x": 50, "y": 50, "radiusX": 9, "radiusY": 9})[0]
    task["annotations"][0]["result"] += [
        {"id": "c", "type": "choices", "value": {"choices": ["good"]}},
        {"type": "relation", "from_id": "q", "to_id": "ground"},
        {**task["annotations"][0]["result"][1], "id": "n", "type": "keypointlabels"}
        | {"value": {"x": 1, "y": 1, "width": 1, "keypointlabels": ["nose"]}},
    ]
    task["predictions"] = [{"result": []}]
    _, _, left_out, unpainted = read(tools.put(tmp_path / "a.json", [task]))
    assert left_out == {"nose": 1}
    assert unpainted == {"prediction": 1, "choices": 1, "relation": 1}
    element = '<tag label="night"/><polygon label="person" points="1,1;1.1,1;1.1,1.1"/>'
    _, _, _, unpainted = read(tools.put(tmp_path / "a.xml", cvat(element)))
    assert unpainted == {"tag night": 1, "shape that covers no pixel": 1}


@pytest.mark.parametrize(
    ("document", "says"),
    [
        ([{"id": 3, "annotation_id": 4, "image": "a.png", "label": []}], "not as JSON-MIN"),
        (studio("ellipse", {"x": 5, "y": 5, "radiusX": 0, "radiusY": 5}), "the radii of an ellipse are 0"),
        (studio("polygon", {"points": [[1, 1], [9, 1], [9, 9]], "closed": False}), "the polygon is not closed"),
        (labelme("polygon", [[0, 0], [4, 4]]), "a polygon has 2 corners"),
        (labelme("rotation", [[0, 0], [4, 4]]), "a rotation has 2 points, not four"),
        (coco([[0, 0, 4, 4, 0, 4]], category_id=7), "its category 7 is not in the file"),
    ],
)
def test_a_shape_that_is_half_a_shape_is_refused(document: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ScribbleError, match=says):
        read(tools.put(tmp_path / "a.json", document))


def test_projects_of_cvat_name_the_task_of_each_picture(tmp_path: Path) -> None:
    tasks = "".join(
        f"<task><id>{id}</id><name>{name}</name><original_size><width>{WIDTH}</width><height>{HEIGHT}</height>"
        f"</original_size></task>"
        for id, name in ((7, "walk_c00"), (8, "walk_c01"))
    )
    box = '<box label="person" frame="0" outside="0" xtl="2" ytl="2" xbr="9" ybr="9"/>'
    picture = f'name="0001.png" width="{WIDTH}" height="{HEIGHT}"'
    for inner, names in (
        (f'<image id="0" task_id="7" {picture}>{box}</image><image id="1" task_id="8" {picture}>{box}</image>',
         ["walk_c00/0001", "walk_c01/0001"]),
        (f'<track id="0" task_id="7" label="person">{box}</track><track task_id="8" label="person">{box}</track>',
         ["walk_c00/0", "walk_c01/0"]),
    ):  # fmt: skip
        project = (
            f"<annotations><meta><project><id>1</id><tasks>{tasks}</tasks></project></meta>{inner}</annotations>"
        )
        tools.put(tmp_path / "annotations.xml", project)
        with opened(tmp_path) as export:
            pictures = read_export(export, Reading("cvat"))
        assert [picture.name for picture in pictures] == names
        assert [len(picture.shapes) for picture in pictures] == [1, 1]
