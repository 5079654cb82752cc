"""Scribbles of the DAVIS interactive challenge, JSON.

    {"sequence": "walk_c00", "scribbles": [[], [{"path": [[x, y], ...], "object_id": 1, "start_time": 0}], ...]}

There is one list for each frame of the sequence, from 0 on; a picture is called <sequence>/<frame>. Paths go from 0
to 1, where 0 is the centre of the first pixel and 1 that of the last. The number of an object is the name of its
shapes; 0 is the background.
"""

from typing import Any

from storage.labels.formats.parse import json_list, json_object, pairs, refused, whole
from storage.labels.formats.shapes import Annotated, Shape, Size, line

_FAR = 0.5  # how far a path may leave the picture, as a share of its size


def read_davis(data: Any, where: str, radius: float) -> list[Annotated]:
    """Return every frame that has scribbles.

    Args:
        data: the parsed JSON.
        where: the file, for errors.
        radius: of the brush, in pixels.

    Raises:
        ScribbleError: it is another kind of file, or a path is broken.
    """
    document = json_object(data, where)
    sequence = document.get("sequence")
    if not isinstance(sequence, str) or not sequence:
        raise refused("it does not name its sequence", where)
    pictures = []
    for frame, scribbles in enumerate(json_list(document.get("scribbles"), where)):
        entry = f"{where}: frame {frame}"
        shapes = tuple(
            _shape(json_object(item, entry), f"{entry}, scribble {n}", radius)
            for n, item in enumerate(json_list(scribbles, entry))
        )
        if shapes:
            pictures.append(Annotated(f"{sequence}/{frame}", entry, None, shapes, counted=True))
    return pictures


def _shape(scribble: dict[str, Any], where: str, radius: float) -> Shape:
    path = pairs(scribble.get("path"), "points", where)
    if not all(-_FAR <= value <= 1 + _FAR for point in path for value in point):
        raise refused("its path does not go from 0 to 1", where)
    name = str(whole(scribble.get("object_id"), "object_id", where))

    def mask(size: Size) -> Any:
        height, width = size
        points = [(x * (width - 1) + 0.5, y * (height - 1) + 0.5) for x, y in path]
        return line(name, where, points, radius).mask(size)

    return Shape(name, where, mask)
