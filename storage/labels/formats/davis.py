"""Scribbles of the DAVIS interactive challenge, JSON.

    {"sequence": "walk_c00", "scribbles": [[], [{"path": [[x, y], ...], "object_id": 1, "start_time": 0}], ...]}

One list for each frame of the sequence, from 0 on; a picture is called <sequence>/<frame>. Paths go from 0 to 1,
where 0 is the centre of the first pixel and 1 that of the last. Names are the objects' numbers; 0 is the background.
"""

from typing import Any

from storage.labels.formats.parse import pairs, record, refused, several, whole
from storage.labels.formats.shapes import Annotated, Shape, Size, line

_FAR = 0.5  # of a picture beside it; further is not from 0 to 1


def read_davis(data: Any, where: str, radius: float) -> list[Annotated]:
    """Every frame that has scribbles.

    Args:
        data: what the JSON held.
        where: the file, for errors.
        radius: of the brush, in pixels.

    Raises:
        ScribbleError: no such file, or a path that is none.
    """
    parts = record(data, where)
    sequence = parts.get("sequence")
    if not isinstance(sequence, str) or not sequence:
        raise refused("it does not say which sequence it is of", where)
    pictures = []
    for frame, scribbles in enumerate(several(parts.get("scribbles"), where)):
        place = f"{where}: frame {frame}"
        shapes = tuple(
            _shape(record(item, place), f"{place}, scribble {n}", radius)
            for n, item in enumerate(several(scribbles, place))
        )
        if shapes:
            pictures.append(Annotated(f"{sequence}/{frame}", place, None, shapes))
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
