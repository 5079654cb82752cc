"""Label Studio's JSON: brushes, polygons and boxes.

    [{"data": {"image": "/data/upload/1/0a1b2c3d-walk_c00_0003.png"}, "annotations": [{"result": [
        {"type": "brushlabels", "original_width", "original_height", "value": {"rle", "brushlabels"}},
        {"type": "polygonlabels", "value": {"points": [[x, y], ...], "polygonlabels": ["person"]}}, ...]}]}]

Polygons and boxes are in per cent of the picture. What was cancelled or only predicted counts for nothing. The eight
digits that Label Studio puts before the names of uploads are left away.
"""

import re
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from storage.labels.formats.parse import number, pairs, record, refused, several, size_of, without_ending
from storage.labels.formats.rle import from_brush
from storage.labels.formats.shapes import Annotated, Shape, Size, box, exact, polygon

_SHAPES = {"brushlabels", "polygonlabels", "rectanglelabels"}
_UPLOAD = re.compile(r"^[0-9a-f]{8}-(?=.)")
_LISTS = (".json", ".csv", ".tsv", ".txt")


def read_labelstudio(data: Any, where: str) -> list[Annotated]:
    """Every task that has a shape.

    Args:
        data: what the JSON held.
        where: the file, for errors.

    Raises:
        ScribbleError: no such export, or a shape that is none.
    """
    pictures = []
    for n, task in enumerate(several(data, where)):
        place = f"{where}: task {record(task, f'{where}: task {n}').get('id', n)}"
        found: list[tuple[Shape, Size]] = []
        for annotation in several(task.get("annotations", []), place):
            if not record(annotation, place).get("was_cancelled"):
                found += _results(annotation, place)
        if found:
            size = found[0][1]
            if other := next((made for _, made in found if made != size), None):
                raise refused(f"its shapes are for {size[1]}x{size[0]} and for {other[1]}x{other[0]}", place)
            pictures.append(Annotated(_name(task, place), place, size, tuple(shape for shape, _ in found)))
    return pictures


def _results(annotation: dict[str, Any], where: str) -> list[tuple[Shape, Size]]:
    found = []
    for n, result in enumerate(several(annotation.get("result", []), where)):
        place = f"{where}, annotation {annotation.get('id', '')}, result {record(result, where).get('id', n)}"
        if str(result.get("type")) not in _SHAPES:
            continue
        if number(result.get("image_rotation", 0), "image_rotation", place):
            raise refused("the picture was turned", place, "Annotate it upright.")
        size = size_of(result.get("original_height"), result.get("original_width"), place)
        value = record(result.get("value"), place)
        names = several(value.get(result["type"]), place)
        if len(names) != 1 or not isinstance(names[0], str):
            raise refused(f"it has {len(names)} labels, not one", place)
        found.append((_shape(result["type"], names[0], value, size, place), size))
    return found


def _shape(kind: str, name: str, value: dict[str, Any], size: Size, where: str) -> Shape:
    height, width = size
    if kind == "brushlabels":
        runs = several(value.get("rle"), where)
        return exact(name, where, lambda: from_brush(runs, size, where), size)
    if kind == "polygonlabels":
        points = pairs(value.get("points"), "points", where)
        return polygon(name, where, [(x / 100 * width, y / 100 * height) for x, y in points])
    if number(value.get("rotation", 0), "rotation", where):
        raise refused("the box is turned", where, "Draw it as a polygon.")
    left, top, wide, high = (number(value.get(key), key, where) / 100 for key in ("x", "y", "width", "height"))
    return box(name, where, left * width, top * height, (left + wide) * width, (top + high) * height)


def _name(task: dict[str, Any], where: str) -> str:
    """Of the picture: as it was uploaded, or, for tasks that came in a list, as the list says."""
    upload = str(task.get("file_upload") or "")
    if not upload or upload.endswith(_LISTS):
        data = record(task.get("data"), where)
        source = data.get("image") or next((value for value in data.values() if isinstance(value, str)), "")
        parts = urlsplit(str(source))
        upload = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]  # `?d=`: served from a folder
    folder, slash, name = upload.rpartition("/")
    if not name:
        raise refused("it does not say which picture it is of", where)
    return folder + slash + without_ending(_UPLOAD.sub("", name))
