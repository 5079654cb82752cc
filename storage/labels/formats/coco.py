"""COCO's instances JSON: polygons, and masks as run lengths, packed or not.

    {"images": [{"id", "file_name", "width", "height"}], "categories": [{"id", "name"}],
     "annotations": [{"image_id", "category_id", "segmentation": [[x, y, x, y, ...], ...] or {"counts", "size"}}]}

Runs go down the columns. The polygons of one annotation together are its shape.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from storage.labels.formats.parse import Points, json_list, json_object, pairs, refused, size_of, without_ending
from storage.labels.formats.rle import coco_counts, from_counts
from storage.labels.formats.shapes import Annotated, Mask, Shape, Size, exact
from storage.labels.raster import fill_polygon


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
    for image in images:
        own = shapes.pop(str(image.get("id")), [])
        name = str(image.get("file_name", ""))
        entry = f"{where}: image {name!r}"
        size = size_of(image.get("height"), image.get("width"), entry)
        if own and not name:
            raise refused("it has no file_name", entry)
        if own:
            parts = (
                _shape(a, names.get(str(a.get("category_id")), ""), size, f"{entry}, annotation {a.get('id', n)}")
                for n, a in enumerate(own)
            )
            pictures.append(Annotated(without_ending(name), entry, size, tuple(parts)))
    if shapes:
        raise refused(f"it has annotations of image {next(iter(shapes))}, but not this image", where)
    return pictures


def _shape(annotation: dict[str, Any], name: str, size: Size, where: str) -> Shape:
    segmentation = annotation.get("segmentation")
    if isinstance(segmentation, list):
        polygons = [_flat(points, where) for points in segmentation]
        return Shape(name, where, lambda frame: _union(polygons, frame))
    runs = json_object(segmentation, where)
    stated = json_list(runs.get("size"), where)
    if len(stated) != 2 or size_of(stated[0], stated[1], where) != size:
        raise refused(f"its mask is of another size than the image, {size[1]}x{size[0]}", where)
    counts = runs.get("counts")
    listed = coco_counts(counts, where) if isinstance(counts, str) else json_list(counts, where)
    return exact(name, where, lambda: from_counts(listed, size, where, columns=True), size)


def _flat(points: Any, where: str) -> Points:
    flat = json_list(points, where)
    if len(flat) < 6 or len(flat) % 2:
        raise refused(f"a polygon has {len(flat)} numbers, not pairs for three corners or more", where)
    return pairs([list(pair) for pair in zip(flat[::2], flat[1::2], strict=True)], "points", where)


def _union(polygons: Sequence[Points], size: Size) -> Mask:
    mask = np.zeros(size, bool)
    for points in polygons:
        mask |= fill_polygon(points, size)
    return mask
