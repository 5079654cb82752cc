"""Label Studio's JSON: brushes, polygons and boxes.

    [{"data": {"image": "/data/upload/1/0a1b2c3d-walk_c00_0003.png"}, "annotations": [{"result": [
        {"type": "brushlabels", "original_width", "original_height", "value": {"rle", "brushlabels"}},
        {"type": "polygonlabels", "value": {"points": [[x, y], ...], "polygonlabels": ["person"]}}, ...]}]}]

Polygons and boxes are in per cent of the picture. Cancelled annotations and predictions are ignored. The eight digits
that Label Studio puts before the names of uploads are removed.
"""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from storage.labels.formats.parse import json_list, json_object, number, pairs, refused, size_of, without_ending
from storage.labels.formats.rle import from_brush
from storage.labels.formats.shapes import Annotated, Shape, Size, box, exact, polygon

_SHAPES = {"brushlabels", "polygonlabels", "rectanglelabels"}
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
_LISTS = (".json", ".csv", ".tsv", ".txt")


def read_labelstudio(data: Any, where: str) -> list[Annotated]:
    """Return every task that has a shape.

    Args:
        data: the parsed JSON.
        where: the file, for errors.

    Raises:
        ScribbleError: it is another kind of file, or a shape is broken.
    """
    pictures = []
    for n, task in enumerate(json_list(data, where)):
        entry = f"{where}: task {json_object(task, f'{where}: task {n}').get('id', n)}"
        shapes: list[Shape] = []
        sizes: list[Size] = []
        for annotation in json_list(task.get("annotations", []), entry):
            if not json_object(annotation, entry).get("was_cancelled"):
                for shape, size in _results(annotation, entry):
                    shapes.append(shape)
                    sizes.append(size)
        if shapes:
            (height, width), *others = dict.fromkeys(sizes)
            if others:
                raise refused(f"its shapes are for {width}x{height} and for {others[0][1]}x{others[0][0]}", entry)
            pictures.append(Annotated(_name(task, entry), entry, sizes[0], tuple(shapes)))
    return pictures


def _results(annotation: dict[str, Any], where: str) -> Iterator[tuple[Shape, Size]]:
    """Yield the shapes of an annotation, and the size of the picture that each states."""
    for n, result in enumerate(json_list(annotation.get("result", []), where)):
        entry = f"{where}, annotation {annotation.get('id', '')}, result {json_object(result, where).get('id', n)}"
        if str(result.get("type")) not in _SHAPES:
            continue
        if number(result.get("image_rotation", 0), "image_rotation", entry):
            raise refused("the picture was rotated", entry, "Annotate it upright.")
        size = size_of(result.get("original_height"), result.get("original_width"), entry)
        value = json_object(result.get("value"), entry)
        names = json_list(value.get(result["type"]), entry)
        if len(names) != 1 or not isinstance(names[0], str):
            raise refused(f"it has {len(names)} labels, not one", entry)
        yield _shape(result["type"], names[0], value, size, entry), size


def _shape(kind: str, name: str, value: dict[str, Any], size: Size, where: str) -> Shape:
    height, width = size
    if kind == "brushlabels":
        runs = json_list(value.get("rle"), where)
        return exact(name, where, lambda: from_brush(runs, size, where), size)
    if kind == "polygonlabels":
        points = pairs(value.get("points"), "points", where)
        return polygon(name, where, [(x / 100 * width, y / 100 * height) for x, y in points])
    if number(value.get("rotation", 0), "rotation", where):
        raise refused("the box is rotated", where, "Draw it as a polygon.")
    left, top, wide, high = (number(value.get(key), key, where) / 100 for key in ("x", "y", "width", "height"))
    return box(name, where, left * width, top * height, (left + wide) * width, (top + high) * height)


def _name(task: dict[str, Any], where: str) -> str:
    """Return the name of the picture: of its upload or, for tasks that came in a list, the name in the list."""
    upload = str(task.get("file_upload") or "")
    if not upload or upload.endswith(_LISTS):
        data = json_object(task.get("data"), where)
        source = data.get("image") or next((value for value in data.values() if isinstance(value, str)), "")
        parts = urlsplit(str(source))
        upload = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]  # `?d=`: served from a folder
    folder, slash, name = upload.rpartition("/")
    if not name:
        raise refused("it does not name its picture", where)
    return folder + slash + without_ending(_UPLOAD.sub("", name))
