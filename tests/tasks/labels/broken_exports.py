"""Label exports that are broken in one way each, with the words that the refusal must say."""

import stat
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np

from storage.labels.strokes import Drawing, Stroke, encode_strokes
from tests.storage.labels import label_exports as tools
from tests.storage.tiny_session import HEIGHT, WIDTH

SIZE = (HEIGHT, WIDTH)
NAME = "walk/c00/0001"
SOUND = np.full(SIZE, 255, np.uint8)
SOUND[2:4, 2:8], SOUND[6:8, 2:8] = 1, 0
FULL = np.where(np.arange(WIDTH) < 5, 1, 0).astype(np.uint8) * np.ones(SIZE, np.uint8)


BOMB = (
    '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]><annotations>&c;</annotations>'
)
THIEF = '<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation><filename>&f;</filename></annotation>'


def link(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


def edited(find: str, replace: str) -> str:
    text = tools.cvat({f"{NAME}.jpg": SOUND})
    assert find in text
    return text.replace(find, replace)


def brushed(change: Callable[[dict[str, Any]], object]) -> list[Any]:
    tasks = tools.labelstudio({f"{NAME}.jpg": SOUND})
    change(tasks[0]["annotations"][0]["result"][0])
    return tasks


def instances(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    data = tools.coco({f"{NAME}.jpg": SOUND})
    change(data)
    return data


TWICE = {"shapes": [{"label": n, "shape_type": "rectangle", "points": [[0, 0], [4, 4]]} for n in ("person", "floor")]}
REFUSED: dict[str, tuple[str, Any, str]] = {
    "an unknown take": (f"run/c00/{1:04d}.png", tools.overlay(SOUND), "no take is called run; the store has: walk"),
    "an unknown camera": ("walk/c77/0001.png", tools.overlay(SOUND), "take walk has no camera c77 with frame 1"),
    "an unknown frame": ("walk/c00/0077.png", tools.overlay(SOUND), "has no camera c00 with frame 77"),
    "a name that says nothing": ("walk/c00/first.png", tools.overlay(SOUND), "so its frame is not known"),
    "an overlay of another size": (f"{NAME}.png", tools.overlay(SOUND[1:]), f"the frame is {WIDTH}x{HEIGHT}"),
    "an overlay that is all painted": (f"{NAME}.png", tools.overlay(FULL), "every pixel is painted"),
    "a label picture that leaves nothing open": (f"{NAME}.png", FULL, "every pixel is labelled"),
    "a trimap that leaves nothing open": (f"{NAME}.png", FULL * np.uint8(255), "fit neither a label"),
    "an xml bomb": ("annotations.xml", BOMB, "declares a document type"),
    "an xml that reads files": ("annotations.xml", THIEF, "declares a document type"),
    "a deep xml": ("annotations.xml", "<a>" * 5000 + "</a>" * 5000, "nested more than 100 deep"),
    "half an xml": ("annotations.xml", tools.cvat({f"{NAME}.jpg": SOUND})[:300], "it is not XML"),
    "a cvat mask of another size": (
        "annotations.xml",
        edited(' height="2"', ' height="3"'),
        "its runs are 12 pixels",
    ),
    "a cvat mask of a million millions": (
        "annotations.xml",
        f"""<annotations><image id="0" name="{NAME}.jpg" width="{WIDTH}" height="{HEIGHT}"><mask label="person"
        rle="0, 1000000000000" left="0" top="0" width="1000000" height="1000000"/></image></annotations>""",
        "a mask of 1000000x1000000 at 0, 0 is not inside",
    ),
    "a labelme mask of another size": (
        f"{NAME}.json",
        tools.labelme("0001.jpg", SOUND) | {"imageWidth": WIDTH - 1},
        f"it is for {WIDTH - 1}x{HEIGHT}",
    ),
    "a labelme mask that is none": (
        f"{NAME}.json",
        tools.labelme_json(
            {"label": "fg", "shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": "abcd"}, size=SIZE
        ),
        "shape 0: its mask is not a complete PNG",
    ),
    "a cvat mask outside": ("annotations.xml", edited('left="2"', f'left="{WIDTH}"'), "is not inside"),
    "a cvat mask without numbers": ("annotations.xml", edited('rle="0', 'rle="x'), "its run is 'x'"),
    "a cvat picture of another size": (
        "annotations.xml",
        edited(f'jpg" width="{WIDTH}"', f'jpg" width="{WIDTH + 1}"'),
        f"image '{NAME}.jpg': it is for {WIDTH + 1}x{HEIGHT}",
    ),
    "a brush of another size": (
        "a.json",
        brushed(lambda r: r["value"].update(rle=tools.brush(SOUND[1:] == 0))),
        "not the RGBA of",
    ),
    "a brush that is cut off": (
        "a.json",
        brushed(lambda r: r["value"]["rle"].__delitem__(slice(12, None))),
        "cut off",
    ),
    "a brush of no bytes": ("a.json", brushed(lambda r: r["value"]["rle"].append(300)), "'300', which is not a byte"),
    "a brush without a name": ("a.json", brushed(lambda r: r["value"].update(brushlabels=[])), "0 labels, not one"),
    "a turned picture": ("a.json", brushed(lambda r: r.update(image_rotation=90)), "the picture was rotated"),
    "a task with a number of drafts": (
        "a.json",
        [{**task, "drafts": 3} for task in tools.labelstudio({f"{NAME}.jpg": SOUND})],
        "expected a JSON list, got a number",
    ),
    "a coco mask of another size": (
        "a.json",
        instances(lambda d: d["annotations"][1]["segmentation"].update(size=[HEIGHT + 1, WIDTH])),
        "annotation 1: its mask is of another size",
    ),
    "coco runs that are too short": (
        "a.json",
        instances(lambda d: d["annotations"][1]["segmentation"].update(counts="061M")),
        "annotation 1: its runs are 10 pixels",
    ),
    "coco runs that are none": (
        "a.json",
        instances(lambda d: d["annotations"][1]["segmentation"].update(counts="\u00e4")),
        "annotation 1: its counts hold",
    ),
    "coco annotations of no image": (
        "a.json",
        instances(lambda d: d["images"].clear()),
        "annotations of image 0",
    ),
    "a coco file with two categories of one id": (
        "a.json",
        instances(lambda d: d["categories"].append({**d["categories"][0], "name": "floor"})),
        "two of its categories have one id",
    ),
    "a polygon to infinity": (
        f"{NAME}.json",
        tools.labelme_json({"label": "person", "points": [[0, 0], [1e308 * 10, 0], [0, 4]]}, size=SIZE),
        "its x of points 1 is 'inf'",
    ),
    "a shape of no kind": (
        f"{NAME}.json",
        tools.labelme_json({"label": "person", "shape_type": ["x"], "points": [[0, 0], [4, 4]]}, size=SIZE),
        "shape 0: the kind of shape ['x'] is not known",
    ),
    "a picture that is called ..": (
        "a.json",
        instances(lambda d: d["images"][0].update(file_name="..")),
        "the name '..' does not fit",
    ),
    "a pixel that is both": (
        f"{NAME}.json",
        tools.labelme_json(*TWICE["shapes"], size=SIZE),
        "16 pixels are foreground",
    ),
    "names that nobody explained": (
        f"{NAME}.json",
        tools.labelme_json({"label": "lamp", "shape_type": "rectangle", "points": [[0, 0], [4, 4]]}, size=SIZE),
        "the export labels nothing (names of shapes: lamp)",
    ),
    "a path beyond the picture": ("a.json", tools.davis("walk", 1, f0=[(1, [(7, 0)])]), "does not go from 0 to 1"),
    "strokes of another size": (
        "a.json",
        encode_strokes(Drawing("walk", "c00", 1, WIDTH + 1, HEIGHT, (Stroke("fg", 2.0, ((1.0, 1.0),)),))),
        f"it is for {WIDTH + 1}x{HEIGHT}",
    ),
    "half a json": ("a.json", '[{"annotations": [', "it is not JSON"),
    "an endless json": ("a.json", "[" * 200_000, "it is not JSON"),
    "a file that is not a picture": (f"{NAME}.png", "<html>", "not a PNG"),
}
