"""COCO's instances JSON: polygons, and masks as run lengths, packed or not.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}],
     "annotations": [{"image_id", "category_id", "segmentation": [[x, y, x, y, ...], ...] or {"counts", "size"}}]}

Runs go down the columns. The polygons of one annotation together are its shape; one polygon may also be a flat list.
An annotation with a bounding box alone is refused if its category means a side: the box holds background, too.
"""

from typing import Any

import numpy as np

from storage.labels.formats.parse import json_list, json_object, pairs, refused, size_of, without_ending
from storage.labels.formats.rle import coco_counts, from_counts
from storage.labels.formats.shapes import Annotated, Shape, Size, exact, outline_missing, polygon


def read_coco(data: Any, where: str) -> list[Annotated]:
    """Return every picture that has a shape.

    Args:
        data: the parsed JSON.
        where: the file, for errors.

    Raises:
        ScribbleError: it is another kind of file, or a shape is broken.
    """
    document = json_object(data, where)
    images, annotations, categories = (
        [
            json_object(item, f"{where}: {key} {n}")
            for n, item in enumerate(json_list(document.get(key), f"{where}: {key}"))
        ]
        for key in ("images", "annotations", "categories")
    )
    names = {str(category.get("id")): str(category.get("name", "")) for category in categories}
    shapes: dict[str, list[dict[str, Any]]] = {}
    for annotation in annotations:
        shapes.setdefault(str(annotation.get("image_id")), []).append(annotation)
    pictures = []
    for kind, listed in (("images", images), ("categories", categories)):
        if len({str(item.get("id")) for item in listed}) != len(listed):
            raise refused(f"two of its {kind} have one id", where)
    for image in images:
        own = shapes.pop(str(image.get("id")), [])
        name = str(image.get("file_name", ""))
        entry = f"{where}: image {name!r}"
        size = size_of(image.get("height"), image.get("width"), entry)
        if own and not name:
            raise refused("it has no file_name", entry)
        if own:
            parts = (_shape(a, names, size, f"{entry}, annotation {a.get('id', n)}") for n, a in enumerate(own))
            points = ("key points",) * sum(bool(a.get("keypoints")) for a in own)
            pictures.append(Annotated(without_ending(name), entry, size, tuple(parts), unpainted=points))
    if shapes:
        raise refused(f"it has annotations of image {next(iter(shapes))}, but not this image", where)
    return pictures


def _shape(annotation: dict[str, Any], names: dict[str, str], size: Size, where: str) -> Shape:
    if (name := names.get(category := str(annotation.get("category_id")))) is None:
        raise refused(f"its category {category} is not in the file", where)
    if not (segmentation := annotation.get("segmentation")):
        fix = "Draw outlines; or, if boxes are meant as they are, export in the tool's own format."
        return outline_missing(name, where, "an annotation without segmentation", fix)
    if not isinstance(segmentation, list):
        parts = [segmentation]
    else:
        parts = segmentation if isinstance(segmentation[0], list | dict) else [segmentation]
    masks = [_part(name, part, size, where).mask for part in parts]
    return Shape(name, where, lambda frame: np.logical_or.reduce([mask(frame) for mask in masks]))


def _part(name: str, part: Any, size: Size, where: str) -> Shape:
    """Return a polygon, given as a flat list, or run lengths."""
    if isinstance(part, list):
        if len(part) < 6 or len(part) % 2:
            raise refused(f"a polygon has {len(part)} numbers, not pairs for three corners or more", where)
        corners = [list(pair) for pair in zip(part[::2], part[1::2], strict=True)]
        return polygon(name, where, pairs(corners, "points", where))
    runs = json_object(part, where)
    stated = json_list(runs.get("size"), where)
    if len(stated) != 2 or size_of(stated[0], stated[1], where) != size:
        raise refused(f"its mask is of another size than the image, {size[1]}x{size[0]}", where)
    counts = runs.get("counts")
    listed = coco_counts(counts, where) if isinstance(counts, str) else json_list(counts, where)
    return exact(name, where, lambda: from_counts(listed, size, where, columns=True), size)
