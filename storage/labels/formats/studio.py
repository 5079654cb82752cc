"""Label Studio's JSON: brushes, bit masks, polygons, boxes, ellipses and key points.

    [{"data": {"image": "/data/upload/1/0a1b2c3d-walk_c00_0003.png"}, "annotations": [{"result": [
        {"type": "brushlabels", "original_width", "original_height", "value": {"rle", "brushlabels"}},
        {"type": "polygonlabels", "value": {"points": [[x, y], ...], "polygonlabels": ["person"]}},
        {"id": "q", "type": "ellipse", "value": {"x", "y", "radiusX", "radiusY", "rotation"}},
        {"id": "q", "type": "labels", "value": {..., "labels": ["person"]}}, ...]}]}]

A shape has its label in itself, or in the result of the same id (where the template has <Labels> beside <Ellipse>).
Coordinates are per cent of the picture; boxes turn around their upper left corner, ellipses around their centre.
Results that say nothing of pixels (choices, ratings, relations), drafts, predictions and cancelled annotations are
counted. The eight digits that Label Studio puts before the names of uploads are removed, where they are not a date.
"""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from storage.labels.formats.parse import (
    json_list,
    json_object,
    number,
    pairs,
    png_in_text,
    refused,
    size_of,
    without_ending,
)
from storage.labels.formats.rle import from_brush
from storage.labels.formats.shapes import (
    Annotated,
    Shape,
    Size,
    dots,
    ellipse,
    exact,
    outline_missing,
    polygon,
    turned_box,
)

_SHAPES = {"brush", "bitmask", "polygon", "rectangle", "ellipse", "keypoint"}
_SAYINGS = {"choices", "taxonomy", "rating", "textarea", "number", "datetime", "pairwise", "ranker", "relation"}
_UPLOAD = re.compile(r"^([0-9a-f]{8})-(?=.)")
_ONE = "Label one picture in a task."
_LISTS = (".json", ".csv", ".tsv", ".txt")


def read_labelstudio(data: Any, where: str, radius: float) -> list[Annotated]:
    """Return every task that has a result.

    Args:
        data: the parsed JSON.
        where: the file, for errors.
        radius: of key points, in pixels.

    Raises:
        ScribbleError: it is another kind of file, or a shape is broken.
    """
    pictures = []
    for n, task in enumerate(json_list(data, where)):
        entry = f"{where}: task {json_object(task, f'{where}: task {n}').get('id', n)}"
        if "annotations" not in task:
            raise refused("it has no annotations", entry, "Export as JSON, not as JSON-MIN.")
        shapes: list[Shape] = []
        sizes: list[Size] = []
        on: list[str] = []
        unpainted = [kind for kind in ("draft", "prediction") for _ in json_list(task.get(f"{kind}s") or [], entry)]
        for annotation in json_list(task["annotations"], entry):
            if json_object(annotation, entry).get("was_cancelled"):
                unpainted.append("cancelled annotation")
                continue
            for shape, size, picture in _results(annotation, entry, radius, unpainted):
                shapes.append(shape)
                sizes.append(size)
                on.append(picture)
        if shapes:
            (height, width), *others = dict.fromkeys(sizes)
            if others:
                raise refused(f"its shapes are for {width}x{height} and for {others[0][1]}x{others[0][0]}", entry)
            if len(set(on)) > 1:
                raise refused(f"its shapes are on several pictures ({', '.join(sorted(set(on)))})", entry, _ONE)
            name, upload = _names(task, on[0], entry)
            rest = tuple(unpainted)
            pictures.append(Annotated(name, entry, sizes[0], tuple(shapes), upload=upload, unpainted=rest))
        elif unpainted:
            pictures.append(Annotated("", entry, unpainted=tuple(unpainted)))
    return pictures


def _results(
    annotation: dict[str, Any], where: str, radius: float, unpainted: list[str]
) -> Iterator[tuple[Shape, Size, str]]:
    """Yield the shapes of an annotation, with the size and the tag of the picture that each states."""
    results = [json_object(result, where) for result in json_list(annotation.get("result", []), where)]
    labels = {str(result.get("id")): result for result in results if result.get("type") == "labels"}
    for n, result in enumerate(results):
        kind, id = str(result.get("type")), str(result.get("id", n))
        entry = f"{where}, annotation {annotation.get('id', '')}, result {id}"
        if kind in _SAYINGS:
            unpainted.append(kind)
        elif kind.endswith("labels") and kind != "labels":
            yield _region(result, kind.removesuffix("labels"), _label(result, entry), entry, radius)
        elif kind != "labels":
            own = json_object(result.get("value"), entry).get("labels") or [""]  # of a region in a video
            name = _label(labels[id], entry) if id in labels else str(own[0])
            yield _region(result, kind, name, entry, radius)
        elif not any(str(other.get("id")) == id for other in results if other is not result):
            raise refused("it is a label without a shape", entry)


def _label(result: dict[str, Any], where: str) -> str:
    names = json_list(json_object(result.get("value"), where).get(result["type"]), where)
    if len(names) != 1 or not isinstance(names[0], str):
        raise refused(f"it has {len(names)} labels, not one", where)
    return names[0]


def _region(result: dict[str, Any], kind: str, name: str, where: str, radius: float) -> tuple[Shape, Size, str]:
    if result.get("item_index"):
        raise refused(f"it is on picture {result['item_index']} of a list", where, _ONE)
    if number(result.get("image_rotation") or 0, "image_rotation", where):
        raise refused("the picture was rotated", where, "Annotate it upright.")
    size = size_of(result.get("original_height"), result.get("original_width"), where)
    on = str(result.get("to_name", ""))
    if kind not in _SHAPES:
        return outline_missing(name, where, f"the kind of shape {kind[:30]}"), size, on
    return _shape(kind, name, json_object(result.get("value"), where), size, where, radius), size, on


def _shape(kind: str, name: str, value: dict[str, Any], size: Size, where: str, radius: float) -> Shape:
    height, width = size
    if kind == "brush":
        runs = json_list(value.get("rle"), where)
        return exact(name, where, lambda: from_brush(runs, size, where), size)
    if kind == "bitmask":
        picture = png_in_text(value.get("imageDataURL"), where)
        if picture.ndim != 3 or picture.shape[2] != 4:
            raise refused("its mask has no alpha", where)
        return exact(name, where, lambda: picture[..., 3] > 0, (picture.shape[0], picture.shape[1]))
    if kind == "polygon":
        if value.get("closed") is False:
            raise refused("the polygon is not closed", where, "Close it, or remove it.")
        points = pairs(value.get("points"), "points", where)
        return polygon(name, where, [(x / 100 * width, y / 100 * height) for x, y in points])

    def share(key: str, side: int) -> float:
        return number(value.get(key), key, where) / 100 * side

    left, top = share("x", width), share("y", height)
    if kind == "keypoint":
        return dots(name, where, [(left, top)], radius)
    degrees = number(value.get("rotation") or 0, "rotation", where)
    if kind == "ellipse":
        return ellipse(name, where, (left, top), (share("radiusX", width), share("radiusY", height)), degrees)
    right, bottom = left + share("width", width), top + share("height", height)
    return turned_box(name, where, (left, top, right, bottom), (left, top), degrees)


def _names(task: dict[str, Any], tag: str, where: str) -> tuple[str, str]:
    """Return the name of the picture: of its upload or, for tasks that came in a list, the name in the list.

    Of several entries in the list, the picture is that with the tag's name, or that which is called image.

    Of an upload also the name that it had before Label Studio put digits in front of it; otherwise "".
    """
    path = str(task.get("file_upload") or "")
    is_upload = bool(path) and not path.endswith(_LISTS)
    if not is_upload:
        data = json_object(task.get("data"), where)
        source = data.get(tag) or data.get("image") or next((v for v in data.values() if isinstance(v, str)), "")
        if not isinstance(source, str):
            raise refused("it has a list of pictures", where, _ONE)
        parts = urlsplit(source.replace("\\", "/"))
        path = parse_qs(parts.query).get("d", [unquote(parts.path)])[0]  # `?d=`: served from a folder
        is_upload = "/upload/" in path and "d=" not in parts.query
    path = without_ending(path)
    folder, slash, name = path.rpartition("/")
    if not name:
        raise refused("it does not name its picture", where)
    prefix = _UPLOAD.match(name)
    plain = folder + slash + _UPLOAD.sub("", name) if is_upload and prefix and not _is_date(prefix[1]) else ""
    return path, plain


def _is_date(digits: str) -> bool:
    try:
        return 1900 <= datetime.strptime(digits, "%Y%m%d").year < 2100  # noqa: DTZ007  # a day, wherever
    except ValueError:
        return False
