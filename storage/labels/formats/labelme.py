"""LabelMe: JSON of the program of that name, XML of the older web page.

JSON lies beside its picture: polygons, boxes (also turned ones, of four corners), circles, lines, points and masks,
in pixels. X-AnyLabeling writes the same JSON. XML states folder and file name of its picture; its masks are separate
PNG files below Masks/<folder>.
"""

import posixpath
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

from storage.labels.formats.archive import Export
from storage.labels.formats.parse import (
    json_list,
    json_object,
    pairs,
    png_in_text,
    refused,
    size_of,
    without_ending,
)
from storage.labels.formats.shapes import (
    Annotated,
    Mask,
    Shape,
    box,
    dots,
    ellipse,
    exact,
    line,
    outline_missing,
    part,
    polygon,
)
from storage.pictures.files import read_header, read_rgba

_FOUR_CORNERS = {"rotation", "oriented_rectangle", "quadrilateral"}


def read_labelme_json(data: Any, where: str, path: str, radius: float) -> Annotated:
    """Return the picture of a JSON file.

    Args:
        data: the parsed JSON.
        where: the file, for errors.
        path: of the file in the export.
        radius: of lines and points, in pixels.

    Raises:
        ScribbleError: it is another kind of file, or a shape is broken.
    """
    document = json_object(data, where)
    size = size_of(document.get("imageHeight"), document.get("imageWidth"), where)
    picture = str(document.get("imagePath") or posixpath.basename(path)).replace("\\", "/")
    name = posixpath.normpath(posixpath.join(posixpath.dirname(path), picture))
    shapes = (
        _json_shape(json_object(item, where), f"{where}, shape {n}", radius)
        for n, item in enumerate(json_list(document.get("shapes"), where))
    )
    flags = document.get("flags")
    unpainted = tuple(f"flag {flag}" for flag, is_set in (flags if isinstance(flags, dict) else {}).items() if is_set)
    return Annotated(without_ending(name), where, size, tuple(shapes), unpainted=unpainted)


def _json_shape(shape: dict[str, Any], where: str, radius: float) -> Shape:
    kind, name = str(shape.get("shape_type") or "polygon"), str(shape.get("label", ""))
    if kind == "cuboid":
        return outline_missing(name, where, "a cuboid")
    points = pairs(shape.get("points"), "points", where)
    if kind in _FOUR_CORNERS and len(points) != 4:
        raise refused(f"a {kind} has {len(points)} points, not four", where)
    if kind in {"polygon", *_FOUR_CORNERS} or (kind == "rectangle" and len(points) == 4):
        return polygon(name, where, points)
    if kind in ("line", "linestrip"):
        return line(name, where, points, radius)
    if kind in ("point", "points"):
        return dots(name, where, points, radius)
    if kind not in ("rectangle", "circle", "mask"):
        raise refused(f"the kind of shape {kind[:30]} is not known", where)
    if len(points) != 2:
        raise refused(f"a {kind} has {len(points)} points, not two", where)
    (x0, y0), (x1, y1) = points
    if kind == "rectangle":
        return box(name, where, min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
    if kind == "circle":
        radius = ((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5
        return ellipse(name, where, (x0, y0), (radius, radius))
    picture = png_in_text(shape.get("mask"), where)
    mask = (picture if picture.ndim == 2 else picture[..., :3].max(axis=2)) > 0
    size = round(y1) - round(y0) + 1, round(x1) - round(x0) + 1
    if mask.shape != size or min(round(x0), round(y0)) < 0:
        raise refused(f"its mask is {mask.shape[1]}x{mask.shape[0]}, its box {size[1]}x{size[0]}", where)
    return part(name, where, lambda: mask, size, round(x0), round(y0))


def read_labelme_xml(root: Element, where: str, export: Export, radius: float) -> Annotated:
    """Return the picture of an XML file.

    Args:
        root: of the document.
        where: the file, for errors.
        export: holds the files of masks.
        radius: of lines, in pixels.

    Raises:
        ScribbleError: it is another kind of document, a shape is broken, or the file of a mask is missing.
    """
    if root.tag != "annotation":
        raise refused(f"its root is {root.tag}, not annotation", where)
    folder, file = (root.findtext("folder") or "").strip(), (root.findtext("filename") or "").strip()
    if not file:
        raise refused("it does not name its picture", where)
    shapes = []
    for n, thing in enumerate(root.iterfind("object")):
        if (thing.findtext("deleted") or "0").strip() == "1":
            continue
        name = (thing.findtext("name") or "").strip()
        entry = f"{where}, object {thing.findtext('id') or n}"
        outline, mask = thing.find("polygon"), (thing.findtext("segm/mask") or "").strip()
        if outline is not None:
            points = pairs([[p.findtext("x"), p.findtext("y")] for p in outline.iterfind("pt")], "points", entry)
            is_line = (thing.findtext("type") or "").strip() == "line"
            shapes.append(line(name, entry, points, radius) if is_line else polygon(name, entry, points))
        elif mask:
            path = f"{folder}/{mask}"
            files = (f for f in export.files if f.name == mask and export.path_of(f).endswith(path))
            if (mask_file := next(files, None)) is None:
                raise refused(f"its mask {mask!r} is missing", entry, "Export the Masks folder too.")
            shapes.append(_file_mask(name, entry, mask_file))
        else:
            shapes.append(outline_missing(name, entry, "an object without polygon and mask"))
    stated = root.find("imagesize")
    size = None if stated is None else size_of(stated.findtext("nrows"), stated.findtext("ncols"), where)
    return Annotated(without_ending(posixpath.join(folder, file)), where, size, tuple(shapes))


def _file_mask(name: str, where: str, file: Path) -> Shape:
    header = read_header(file)
    if header.channels != 4:
        raise refused("its mask has no alpha", where)

    def mask() -> Mask:
        alpha = read_rgba(file)[..., 3]
        return alpha >= (128 if alpha.dtype.itemsize == 1 else 128 * 257)

    return exact(name, where, mask, (header.height, header.width))
