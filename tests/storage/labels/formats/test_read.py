"""What people marked in other tools becomes the same labels here, and nothing else gets one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from capmat_errors import CapmatError, ConfigError, ImageUnreadable
from storage.labels.formats.archive import opened
from storage.labels.formats.names import check_template, meant, readings
from storage.labels.formats.read import Reading, format_of, read_export
from storage.labels.formats.shapes import Annotated, Meaning, paint
from storage.pictures.png import encode_png
from tests.storage.labels import label_exports as tools
from tests.storage.tiny_session import write_picture

SIZE = (20, 30)
WHAT = Reading(foreground=("person",), background=("floor",))
NAME = "walk/c00/0003"
labels = arrays(np.uint8, SIZE, elements=st.sampled_from([0, 1, 255]), fill=st.just(255)).filter(
    lambda label: {0, 1} <= set(np.unique(label).tolist()) and (label == 255).any()
)
WRITERS: dict[str, Callable[[Path, NDArray[np.uint8]], Any]] = {
    "overlay": lambda folder, label: write_picture(folder / f"{NAME}.png", tools.overlay(label)),
    "label": lambda folder, label: write_picture(folder / f"{NAME}.png", label),
    "trimap": lambda folder, label: write_picture(folder / f"{NAME}.png", tools.trimap(label)),
    "cvat": lambda folder, label: tools.put(folder / "annotations.xml", tools.cvat({f"{NAME}.jpg": label})),
    "labelstudio": lambda folder, label: tools.put(folder / "a.json", tools.labelstudio({f"{NAME}.jpg": label})),
    "coco": lambda folder, label: tools.put(folder / "instances.json", tools.coco({f"{NAME}.jpg": label})),
    "labelme": lambda folder, label: tools.put(folder / f"{NAME}.json", tools.labelme("0003.jpg", label)),
}


def read(path: Path, reading: Reading = WHAT, size: tuple[int, int] = SIZE) -> dict[str, NDArray[np.uint8]]:
    with opened(path) as export:
        kind = format_of(export) if reading.format == "auto" else reading.format
        names = reading if kind not in ("overlay", "davis") else Reading(radius=reading.radius)
        reading = Reading(kind, foreground=names.foreground, background=names.background, radius=reading.radius)
        found = read_export(export, reading)
        return {one.name: paint([one], size, reading.meaning, reading.overlap, one.where)[0] for one in found}


@pytest.mark.parametrize("format", WRITERS)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(label=labels)
def test_every_label_comes_back_and_nothing_open_gets_one(
    format: str, tmp_path_factory: pytest.TempPathFactory, label: NDArray[np.uint8]
) -> None:
    folder = tmp_path_factory.mktemp("export")
    (folder / "walk/c00").mkdir(parents=True)
    WRITERS[format](folder, label)
    with opened(folder) as export:
        assert format_of(export) == format
    (back,) = read(folder).values()
    np.testing.assert_array_equal(back, label)
    assert list(read(folder)) == [NAME]


def test_trimaps_of_several_equal_channels_are_trimaps(tmp_path: Path) -> None:
    label = np.full(SIZE, 255, np.uint8)
    label[2:5], label[10:12] = 1, 0
    grey = tools.trimap(label)
    for n, picture in enumerate((np.dstack([grey] * 3), np.dstack([grey] * 3 + [np.full_like(grey, 255)]))):
        tools.put(tmp_path / f"{n}/0003.png", encode_png(picture))
        np.testing.assert_array_equal(read(tmp_path / str(n))["0003"], label)


def test_unpacked_coco_and_palette_labels_are_read_too(tmp_path: Path) -> None:
    from PIL import Image

    label = np.full(SIZE, 255, np.uint8)
    label[2:5, 3:9], label[10:12] = 1, 0
    tools.put(tmp_path / "a/coco.json", tools.coco({f"{NAME}.jpg": label}, packed=False))
    np.testing.assert_array_equal(read(tmp_path / "a")[NAME], label)
    picture = Image.fromarray(label, "P")
    picture.putpalette([200, 0, 0, 0, 200, 0] + [9, 9, 9] * 254)
    (tmp_path / "b").mkdir()
    picture.save(tmp_path / "b/0003.png")
    np.testing.assert_array_equal(read(tmp_path / "b")["0003"], label)
    whole = (tmp_path / "b/0003.png").read_bytes()
    for at in range(whole.index(b"IDAT") + 4, len(whole) - 16, 5):
        damaged = bytearray(whole)
        damaged[at] ^= 16
        (tmp_path / "b/0003.png").write_bytes(damaged)
        with pytest.raises(ImageUnreadable, match=r"0003\.png: the picture is damaged"):
            read(tmp_path / "b")


def test_tiff_overlays_have_their_own_colours(tmp_path: Path) -> None:
    import tifffile

    painted = np.zeros((*SIZE, 4), np.uint8)
    painted[2:5] = (0, 0, 255, 255)
    painted[9:12] = (255, 255, 0, 255)
    painted[5] = (0, 0, 255, 90)  # what a soft brush leaves
    tifffile.imwrite(tmp_path / "0003.tif", painted, photometric="rgb", extrasamples=["unassalpha"])
    with opened(tmp_path) as export:
        reading = Reading("overlay", foreground=("0000ff",), background=("#FFFF00",))
        label = paint(read_export(export, reading), SIZE, reading.meaning, "refuse", "")[0]
    assert (label[2:5] == 1).all()
    assert (label[9:12] == 0).all()
    assert (label == 255).sum() == 14 * 30


CVAT_SHAPES = """<annotations><image id="0" name="walk/c00/0003.png" width="30" height="20">
<polygon label="person" points="2,2;12,2;12,8;2,8" z_order="0"/>
<polygon label="floor" points="0,15;30,15;30,20;0,20" z_order="0"/>
<polyline label="person" points="20.5,2.5;20.5,10.5" z_order="0"/>
<box label="tripod" xtl="0" ytl="0" xbr="5" ybr="5" z_order="1"/>
<points label="person" points="27.5,12.5" z_order="0"/>
<box label="person" xtl="24" ytl="2" xbr="26" ybr="4" z_order="0"/></image></annotations>"""


def test_cvat_polygons_polylines_and_boxes_are_where_they_were_drawn(tmp_path: Path) -> None:
    tools.put(tmp_path / "annotations.xml", CVAT_SHAPES)
    label = read(tmp_path, Reading(foreground=("person",), background=("floor",), radius=1.5))[NAME]
    expected = np.full(SIZE, 255, np.uint8)
    expected[2:8, 2:12] = 1
    expected[15:] = 0
    expected[2:11, 19:22] = 1
    expected[[1, 11], 19:22] = 1  # the round ends reach over three pixels
    expected[2:4, 24:26] = 1
    expected[11:14, 26:29] = 1  # a point is as wide as a line
    np.testing.assert_array_equal(label, expected)


def test_cvat_videos_have_shapes_in_their_frames_and_not_where_they_are_outside(tmp_path: Path) -> None:
    tools.put(
        tmp_path / "annotations.xml",
        """<annotations><meta><task><original_size><width>30</width><height>20</height></original_size></task>
        <source>walk_c00.mp4</source></meta><track id="0" label="person">
        <box frame="4" outside="0" xtl="2" ytl="3" xbr="6" ybr="8"/>
        <box frame="5" outside="1" xtl="2" ytl="3" xbr="6" ybr="8"/></track>
        <track id="1" label="floor"><mask frame="4" outside="0" rle="0, 4" left="0" top="18" width="2" height="2"/>
        </track></annotations>""",
    )
    (label,) = read(tmp_path).values()
    assert list(read(tmp_path)) == ["walk_c00/4"]
    assert (label[3:8, 2:6] == 1).all()
    assert (label[18:, :2] == 0).all()
    assert (label == 255).sum() == 600 - 20 - 4


def test_label_studio_polygons_and_boxes_are_per_cent_of_the_picture(tmp_path: Path) -> None:
    def result(kind: str, name: str, **value: Any) -> dict[str, Any]:
        value = {kind: [name], **value}
        return {"id": "r", "type": kind, "original_width": 30, "original_height": 20, "value": value}

    polygon = result("polygonlabels", "Person", points=[[10, 10], [40, 10], [40, 50], [10, 50]])
    box = result("rectanglelabels", "floor", x=0, y=90, width=100, height=10, rotation=0)
    point = result("keypointlabels", "person", x=95, y=45, width=1)
    cancelled = result("rectanglelabels", "person", x=50, y=50, width=10, height=10)
    task = {
        "data": {"image": "/data/upload/18/whatever.jpg"},
        "file_upload": "0a1b2c3d-walk_c00_0003.jpg",
        "annotations": [{"result": [polygon, box, point]}, {"was_cancelled": True, "result": [cancelled]}],
        "predictions": [{"result": [cancelled]}],
    }
    tools.put(tmp_path / "export.json", [task])
    label = read(tmp_path, Reading(foreground=("person",), background=("floor",), radius=0.6))[
        "0a1b2c3d-walk_c00_0003"
    ]
    assert label[8:10, 28].tolist() == [1, 1]
    assert (label[2:10, 3:12] == 1).all()
    assert (label[18:] == 0).all()
    assert (label == 255).sum() == 600 - 72 - 60 - 2


def test_labelme_shapes_are_where_they_were_drawn(tmp_path: Path) -> None:
    shapes = [
        {"label": "person", "shape_type": "polygon", "points": [[2, 2], [12, 2], [12, 8], [2, 8]]},
        {"label": "person", "shape_type": "circle", "points": [[20.5, 5.5], [23.5, 5.5]]},
        {"label": "floor", "shape_type": "rectangle", "points": [[30, 20], [0, 18]]},
        {"label": "floor", "shape_type": "linestrip", "points": [[0.5, 14.5], [9.5, 14.5]]},
        {"label": "person", "shape_type": "point", "points": [[28.5, 0.5]]},
    ]
    tools.put(tmp_path / "walk/c00/0001.json", tools.labelme_json(*shapes))
    label = read(tmp_path, Reading(foreground=("person",), background=("floor",), radius=0.8))["walk/c00/0001"]
    assert (label[2:8, 2:12] == 1).all()
    assert label[5, 18:24].tolist() == [1, 1, 1, 1, 1, 1]
    assert (label[18:] == 0).all()
    assert label[14, :10].tolist() == [0] * 10
    assert (label[13, 0], label[0, 28]) == (255, 1)


def test_labelme_xml_has_polygons_and_masks_and_forgets_what_was_deleted(tmp_path: Path) -> None:
    mask = np.zeros((*SIZE, 4), np.uint8)
    mask[15:18, 5:9] = (9, 9, 9, 255)
    mask[14, 5:9] = (9, 9, 9, 60)
    tools.put(tmp_path / "Masks/walk/c00/0003_mask_1.png", encode_png(mask))
    tools.put(tmp_path / "Masks/other/0003_mask_1.png", encode_png(np.zeros((4, 4, 4), np.uint8)))
    corners = "".join(f"<pt><x>{x}</x><y>{y}</y></pt>" for x, y in ((2, 2), (12, 2), (12, 8), (2, 8)))
    tools.put(
        tmp_path / "Annotations/walk/c00/0003.xml",
        f"""<annotation><filename>0003.jpg</filename><folder>walk/c00</folder>
        <object><name>person</name><deleted>0</deleted><id>0</id><polygon>{corners}</polygon></object>
        <object><name>floor</name><deleted>1</deleted><id>1</id><polygon>{corners}</polygon></object>
        <object><name>floor</name><deleted>0</deleted><id>2</id><segm><mask>0003_mask_1.png</mask></segm></object>
        <imagesize><nrows>20</nrows><ncols>30</ncols></imagesize></annotation>""",
    )
    label = read(tmp_path)[NAME]
    assert (label[2:8, 2:12] == 1).all()
    assert (label[15:18, 5:9] == 0).all()
    assert (label == 255).sum() == 600 - 60 - 12


def test_davis_scribbles_go_from_the_first_pixel_to_the_last(tmp_path: Path) -> None:
    drawn = tools.davis("walk_c00", 4, f2=[(1, [(0, 0), (1, 0)]), (0, [(1, 1)])])
    tools.put(tmp_path / "001.json", drawn)
    found = read(tmp_path, Reading(radius=0.8))
    assert list(found) == ["walk_c00/2"]
    label = found["walk_c00/2"]
    assert (label[0] == 1).all()
    assert label[19, 29] == 0
    assert (label == 255).sum() == 600 - 31


def test_names_that_nobody_explained_stay_open_and_are_counted() -> None:
    meaning = Meaning(("Person", "hair"), ("*",))
    assert [meaning.of(name) for name in ("person", "HAIR", "lamp")] == [1, 1, 0]
    one = Annotated("x", "x", None, ())
    assert (paint([one], SIZE, meaning, "refuse", "")[0] == 255).all()
    with pytest.raises(ConfigError, match="hair cannot be foreground and background"):
        Meaning(("hair",), ("Hair",))


@pytest.mark.parametrize(
    ("template", "name", "found"),
    [
        ("{take}/{camera}/{frame}", "exported/walk/c00/0003", [("walk", "c00", 3)]),
        ("{take}_{camera}_{frame}", "a/walk_2_c00_0003", [("walk_2", "c00", 3)]),
        ("{take}_{camera}_{frame}", "walk_2_c_00_3", [("walk_2", "c_00", 3)]),
        ("{take}_{camera}/{frame}", "walk_c00/12", [("walk", "c00", 12)]),
        ("{take}/{camera}/*_{frame}", "walk/c00/frame_12", [("walk", "c00", 12)]),
        ("{take}/{camera}/*{frame}", "walk/c00/frame00120", [("walk", "c00", 120)]),
        ("{take}/*{camera}-{frame}", "walk/stage-c00-3", [("walk", "c00", 3)]),
        ("{take}/{camera}/{frame}", "c00/0003", []),
        ("{take}/{camera}/{frame}", "walk/c77/0003", []),
        ("{take}/{camera}/{frame}", "walk/c00/\u0662", []),
        ("{take}.{camera}.{frame}", "walkxc00x3", []),
    ],
)
def test_names_are_read_by_a_template(template: str, name: str, found: list[Any]) -> None:
    stage = {"walk": ["c00", "c_00"], "walk_2": ["c00", "c_00"]}
    assert readings(template, name, stage, stage.__getitem__) == found


def test_a_take_or_camera_can_be_said_for_all() -> None:
    assert readings("{frame}", "any/0003", ["walk"], lambda _: ["c00"], "walk", "c00") == [("walk", "c00", 3)]
    assert meant("{camera}-{frame}", "c00-3", "run") == ("run", "c00", 3)
    assert meant("{camera}-{frame}", "c00/3", "run") is None
    for template, take in (("{take}/{frame}", ""), ("{take}/{camera}/{frame}", "walk"), ("{take}/{camera}/{f}", "")):
        with pytest.raises(ConfigError, match="--names"):
            check_template(template, take)


def test_what_says_nothing_of_its_format_is_asked_for(tmp_path: Path) -> None:
    tools.put(tmp_path / "a/0001.png", encode_png(np.full((9, 9, 3), (9, 0, 0), np.uint8)))
    tools.put(tmp_path / "b/0001.png", encode_png(np.full((9, 9), 255, np.uint8)))
    tools.put(tmp_path / "c/notes.json", {"hello": 1})
    for folder, says in (("a", "no alpha"), ("b", "fit neither a label"), ("c", "no file in it")):
        with pytest.raises(CapmatError, match=says) as error, opened(tmp_path / folder) as export:
            format_of(export)
        assert "--format" in str(error.value)
