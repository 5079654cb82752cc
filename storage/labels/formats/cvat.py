"""CVAT's XML 1.1, for images and for video, of a task or a project.

    <image name="walk/c00/0003.png" width height> <mask label rle left top width height/> <polygon label points/> ...
    <track label> <polygon frame outside points/> ...       of a video: one shape in many frames

Boxes, ellipses, polygons, polylines, points and masks are read. Coordinates are pixels from the upper left corner;
boxes and ellipses turn around their centre. The runs of a mask go along the rows of its box. Shapes of an image are
stacked by z_order, then in the order of the file. In a video's export a picture is called <source>/<frame>, where
source is the video's file without ending, or the task's name if the export does not say it. A frame does not have the
shapes that are `outside` in it. Pictures of a project are called <task>/<name>.
"""

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from storage.labels.formats.parse import Points, number, pairs, refused, size_of, whole, without_ending
from storage.labels.formats.rle import from_counts
from storage.labels.formats.shapes import (
    Annotated,
    Shape,
    dots,
    ellipse,
    line,
    outline_missing,
    part,
    polygon,
    turned_box,
)

_SIDES = ("xtl", "ytl", "xbr", "ybr")


def read_cvat(root: Element, where: str, radius: float) -> list[Annotated]:
    """Return every picture of an export.

    Args:
        root: of the document.
        where: the file, for errors.
        radius: of polylines and points, in pixels.

    Raises:
        ScribbleError: it is another kind of document, or a shape is broken.
    """
    if root.tag != "annotations":
        raise refused(f"its root is {root.tag}, not annotations", where, "Export as CVAT for images or for video.")
    if others := {child.tag for child in root} - {"version", "meta", "image", "track"}:
        raise refused(f"it holds {', '.join(sorted(others))}", where, "Export as CVAT for images or for video 1.1.")
    tasks = {task.findtext("id"): task for task in root.iterfind("meta/project/tasks/task")}
    pictures = [_image(image, tasks.get(image.get("task_id")), where, radius) for image in root.iterfind("image")]
    tracks: dict[str | None, list[Element]] = {}
    for track in root.iterfind("track"):
        tracks.setdefault(track.get("task_id"), []).append(track)
    for task, own in tracks.items():
        pictures += _video(root, tasks.get(task), own, where, radius)
    return pictures


def _image(image: Element, task: Element | None, where: str, radius: float) -> Annotated:
    name = image.get("name", "")
    folder = "" if task is None else f"{task.findtext('name')}/"
    where = f"{where}: image {name!r}"
    size = size_of(image.get("height"), image.get("width"), where)
    stacked = sorted(image, key=lambda shape: number(shape.get("z_order", "0"), "z_order", where))
    shapes = (
        shape
        for n, element in enumerate(stacked)
        if element.tag != "tag"
        for shape in _shapes(element, element.get("label", ""), f"{where}, {element.tag} {n}", radius)
    )
    tags = tuple(f"tag {tag.get('label', '')}" for tag in image.iterfind("tag"))
    return Annotated(folder + without_ending(name), where, size, tuple(shapes), unpainted=tags)


def _video(
    root: Element, task: Element | None, tracks: list[Element], where: str, radius: float
) -> Iterator[Annotated]:
    """Yield the frames of a video; `task` is given in the export of a project, which may hold several."""
    frames: dict[int, list[tuple[float, Shape]]] = {}
    for track in tracks:
        for element in track:
            if element.tag == "attribute" or element.get("outside") == "1":
                continue
            entry = f"track {track.get('id', '')}, {element.tag}"
            frame = whole(element.get("frame"), "frame", f"{where}: {entry}")
            entry = f"{where}: frame {frame}, {entry}"
            order = number(element.get("z_order", "0"), "z_order", entry)
            for shape in _shapes(element, track.get("label", ""), entry, radius):
                frames.setdefault(frame, []).append((order, shape))
    if not frames:
        return
    about = [] if task is None else [task]
    about += root.findall("meta/task") + root.findall("meta/job") + root.findall("meta")
    original = next((found for meta in about if (found := meta.find("original_size")) is not None), None)
    if original is None:
        raise refused("the export does not state the size of the video", where, "Export as CVAT for video 1.1.")
    size = size_of(original.findtext("height"), original.findtext("width"), where)
    stated = [meta.findtext(key) for key in ("source", "name") for meta in about]
    source = without_ending(next(filter(None, stated), "video"))
    for frame, shapes in sorted(frames.items()):
        stacked = tuple(shape for _, shape in sorted(shapes, key=lambda pair: pair[0]))
        yield Annotated(f"{source}/{frame}", f"{where}: frame {frame}", size, stacked, counted=True)


def _shapes(shape: Element, name: str, where: str, radius: float) -> Iterator[Shape]:
    """Yield the shape of an element; of a skeleton also its points, which have names of their own."""
    degrees = number(shape.get("rotation", "0"), "rotation", where)

    def value(key: str) -> float:
        return number(shape.get(key), key, where)

    match shape.tag:
        case "box":
            left, top, right, bottom = map(value, _SIDES)
            centre = (left + right) / 2, (top + bottom) / 2
            yield turned_box(name, where, (left, top, right, bottom), centre, degrees)
        case "ellipse":
            yield ellipse(name, where, (value("cx"), value("cy")), (value("rx"), value("ry")), degrees)
        case "polygon":
            yield polygon(name, where, _points(shape, where))
        case "polyline":
            yield line(name, where, _points(shape, where), radius)
        case "points":
            yield dots(name, where, _points(shape, where), radius)
        case "mask":
            x, y = (whole(shape.get(side), side, where) for side in ("left", "top"))
            size = size_of(shape.get("height"), shape.get("width"), where)
            counts = [count.strip() for count in (shape.get("rle") or "").split(",")]
            yield part(name, where, lambda: from_counts(counts, size, where, columns=False), size, x, y)
        case "skeleton" | "cuboid":
            yield outline_missing(name, where, f"a {shape.tag}")
            for n, joint in enumerate(shape.iterfind("points")):
                if joint.get("outside") != "1":
                    yield dots(joint.get("label", ""), f"{where}, points {n}", _points(joint, where), radius)
        case _:
            raise refused(f"the kind of shape {shape.tag} is not known", where)


def _points(shape: Element, where: str) -> Points:
    return pairs([point.split(",") for point in (shape.get("points") or "").split(";")], "points", where)
