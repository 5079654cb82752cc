"""CVAT's XML 1.1, for images and for video: boxes, polygons, polylines and masks.

    <image name="walk/c00/0003.png" width height> <mask label rle left top width height/> <polygon label points/> ...
    <track label> <polygon frame outside points/> ...       of a video: one shape in many frames

Coordinates are pixels from the upper left corner. The runs of a mask go along the rows of its box. Shapes of an image
are stacked by z_order, then in the order of the file. In a video's export a picture is called <source>/<frame>, where
source is the video's file without ending. A frame does not have the shapes that are `outside` in it.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from storage.labels.formats.parse import Points, number, pairs, refused, size_of, whole, without_ending
from storage.labels.formats.rle import from_counts
from storage.labels.formats.shapes import Annotated, Shape, box, line, part, polygon

_SILENT = {"points", "cuboid", "skeleton", "ellipse", "tag", "attribute"}


def read_cvat(root: Element, where: str, radius: float) -> list[Annotated]:
    """Return every picture of an export.

    Args:
        root: of the document.
        where: the file, for errors.
        radius: of polylines, in pixels.

    Raises:
        ScribbleError: it is another kind of document, or a shape is broken.
    """
    if root.tag != "annotations":
        raise refused(f"its root is {root.tag}, not annotations", where, "Export as CVAT for images or for video.")
    pictures = [_image(image, where, radius) for image in root.iterfind("image")]
    return pictures + list(_video(root, where, radius))


def _image(image: Element, where: str, radius: float) -> Annotated:
    name = image.get("name", "")
    where = f"{where}: image {name!r}"
    size = size_of(image.get("height"), image.get("width"), where)
    stacked = sorted(image, key=lambda shape: number(shape.get("z_order", "0"), "z_order", where))
    shapes = (
        _shape(shape, shape.get("label", ""), f"{where}, {shape.tag} {n}", radius) for n, shape in enumerate(stacked)
    )
    return Annotated(without_ending(name), where, size, tuple(filter(None, shapes)))


def _video(root: Element, where: str, radius: float) -> Iterator[Annotated]:
    source = without_ending(root.findtext("meta/source") or root.findtext("meta/task/source") or "video")
    original = root.find("meta/task/original_size")
    if original is None:
        original = root.find("meta/original_size")
    frames: dict[int, list[tuple[float, Shape]]] = {}
    for track in root.iterfind("track"):
        for element in track:
            entry = f"track {track.get('id', '')}, {element.tag}"
            if element.tag in _SILENT or element.get("outside") == "1":
                continue
            frame = whole(element.get("frame"), "frame", f"{where}: {entry}")
            entry = f"{where}: frame {frame}, {entry}"
            if shape := _shape(element, track.get("label", ""), entry, radius):
                order = number(element.get("z_order", "0"), "z_order", entry)
                frames.setdefault(frame, []).append((order, shape))
    if not frames:
        return
    if original is None:
        raise refused("the export does not state the size of the video", where, "Export as CVAT for video 1.1.")
    size = size_of(original.findtext("height"), original.findtext("width"), where)
    for frame, shapes in sorted(frames.items()):
        stacked = tuple(shape for _, shape in sorted(shapes, key=lambda pair: pair[0]))
        yield Annotated(f"{source}/{frame}", f"{where}: frame {frame}", size, stacked)


def _shape(shape: Element, name: str, where: str, radius: float) -> Shape | None:
    """Return the shape of an element; None for kinds that do not cover pixels."""
    if shape.tag == "box":
        if number(shape.get("rotation", "0"), "rotation", where):
            raise refused("the box is rotated", where, "Draw it as a polygon.")
        sides = [number(shape.get(side), side, where) for side in ("xtl", "ytl", "xbr", "ybr")]
        return box(name, where, *sides)
    if shape.tag == "polygon":
        return polygon(name, where, _points(shape, where))
    if shape.tag == "polyline":
        return line(name, where, _points(shape, where), radius)
    if shape.tag == "mask":
        left, top = (whole(shape.get(side), side, where) for side in ("left", "top"))
        size = size_of(shape.get("height"), shape.get("width"), where)
        counts = [count.strip() for count in (shape.get("rle") or "").split(",")]
        return part(name, where, lambda: from_counts(counts, size, where, columns=False), size, left, top)
    if shape.tag in _SILENT:
        return None
    raise refused(f"the kind of shape {shape.tag} is not known", where)


def _points(shape: Element, where: str) -> Points:
    return pairs([point.split(",") for point in (shape.get("points") or "").split(";")], "points", where)
