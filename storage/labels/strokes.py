"""Strokes as vectors: what people drew on a frame, in a form that can become pixels at any size.

Coordinates are those of the frame at its full size: x to the right, y down, in pixels, the frame's upper left corner
at (0, 0). Pixel (row, column) covers the square from (column, row) to (column + 1, row + 1), so pixel centres lie at
half numbers. This is the convention of a browser's canvas. For another size multiply by the ratio of the sizes.

    {"capmat": "strokes", "schema": 1, "take": "walk", "camera": "c00", "frame": 3, "width": 4096, "height": 3000,
     "strokes": [{"label": "fg", "radius": 12.0, "points": [[812.5, 97.0], [840.0, 99.5]],
                  "author": "Mia", "time": "2026-03-01T10:00:00Z"}]}
"""

import json
import re
import reprlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, get_args

from capmat_errors import ScribbleError
from storage.store.root import checked_name

Label = Literal["fg", "bg", "erase"]
MIN_RADIUS = 0.75
"""In pixels; a thinner stroke could pass between all pixel centres and paint nothing."""
MAX_RADIUS = 2048.0
MAX_STROKES = 10_000
MAX_POINTS = 20_000
"""Of one stroke."""
MAX_SIDE = 32_768
_MAX_ALL_POINTS = 500_000
_MAX_ROWS = 2e8  # a minute's work for one core
_MAX_BYTES = 64 * 2**20
_MAX_TEXT = 200
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")  # control characters, ends of lines, halves
_DRAWING_KEYS = {"capmat", "schema", "take", "camera", "frame", "width", "height", "strokes"}
_STROKE_KEYS = {"label", "radius", "points", "author", "time"}


@dataclass(frozen=True)
class Stroke:
    """One movement of a round brush; a single point is a dot.

    Attributes:
        label: "fg" subject, "bg" background, "erase" opens again what lies below.
        radius: of the brush, in pixels of the frame at full size.
        points: (x, y) of its centre, see the module.
        author: name of the person; may be empty.
        time: when it was finished, ISO 8601 with an offset (or Z); may be empty.
    """

    label: Label
    radius: float
    points: tuple[tuple[float, float], ...]
    author: str = ""
    time: str = ""


@dataclass(frozen=True)
class Drawing:
    """All strokes on one frame, the later over the earlier.

    Attributes:
        take: the take.
        camera: the camera.
        frame: number of the frame.
        width: of the frame at full size.
        height: of the frame at full size.
        strokes: in the order in which they were drawn.
    """

    take: str
    camera: str
    frame: int
    width: int
    height: int
    strokes: tuple[Stroke, ...]

    @property
    def where(self) -> str:
        """Take, camera and frame, as errors name them."""
        return f"take {self.take} camera {self.camera} frame {self.frame}"

    @property
    def authors(self) -> list[str]:
        """The names of all people who drew a stroke, sorted."""
        return sorted({stroke.author for stroke in self.strokes if stroke.author})


def encode_strokes(drawing: Drawing) -> bytes:
    """Return the drawing as JSON; the same drawing gives the same bytes.

    Raises:
        ScribbleError: `decode_strokes` would refuse it.
    """
    data = {"capmat": "strokes", "schema": 1, **asdict(drawing)}
    drawing_from(data, drawing.where)
    return json.dumps(data, sort_keys=True, separators=(",", ":")).encode()


def decode_strokes(data: bytes, where: str = "the strokes") -> Drawing:
    """Read a drawing.

    Args:
        data: JSON as in the module's docstring.
        where: name of the data in errors.

    Raises:
        ScribbleError: it is other JSON, a number is not finite or out of bounds, or it is too large.
    """
    if len(data) > _MAX_BYTES:
        raise _refused(f"it has {len(data)} bytes, more than {_MAX_BYTES}", where)
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _refused("it is not JSON", where) from error
    return drawing_from(parsed, where)


def drawing_from(data: Any, where: str = "the strokes") -> Drawing:
    """Return the drawing of parsed JSON; see `decode_strokes`."""
    if not isinstance(data, dict) or set(data) != _DRAWING_KEYS:
        raise _refused(f"expected exactly the fields {', '.join(sorted(_DRAWING_KEYS))}", where)
    if data["capmat"] != "strokes" or data["schema"] != 1:
        raise _refused("expected strokes of schema 1", where)
    for kind in ("take", "camera"):
        checked_name(kind, _text(data[kind], kind, where))
    width, height = (_whole(data[key], key, where, 1, MAX_SIDE) for key in ("width", "height"))
    frame = _whole(data["frame"], "frame", where, 0, 2**53)
    strokes = data["strokes"]
    if not isinstance(strokes, list | tuple) or len(strokes) > MAX_STROKES:
        raise _refused(f"its strokes are not a list of up to {MAX_STROKES}", where)
    checked, count, rows = [], 0, 0.0
    for n, item in enumerate(strokes):
        checked.append(_stroke(item, (width, height), f"{where}, stroke {n}"))
        if (count := count + len(checked[-1].points)) > _MAX_ALL_POINTS:
            raise _refused(f"it has more than {_MAX_ALL_POINTS} points", where)
        if (rows := rows + 2 * checked[-1].radius * len(checked[-1].points)) > _MAX_ROWS:
            raise _refused(f"it has too many points for brushes as wide as {checked[-1].radius:g}", where)
    return Drawing(data["take"], data["camera"], frame, width, height, tuple(checked))


def joined(below: Sequence[Stroke], above: Sequence[Stroke]) -> tuple[Stroke, ...]:
    """Return both, `above` over `below`; a stroke that is in both stays once, at its position in `below`."""
    return (*below, *added(below, above))


def added(below: Sequence[Stroke], above: Sequence[Stroke]) -> tuple[Stroke, ...]:
    """Return the strokes of `above` that are not in `below`, counting repeated strokes."""
    left, new = Counter(below), []
    for stroke in above:
        if left[stroke]:
            left[stroke] -= 1
        else:
            new.append(stroke)
    return tuple(new)


def _stroke(data: Any, size: tuple[int, int], where: str) -> Stroke:
    if not isinstance(data, dict) or set(data) != _STROKE_KEYS:
        raise _refused(f"expected exactly the fields {', '.join(sorted(_STROKE_KEYS))}", where)
    if data["label"] not in get_args(Label):
        raise _refused(f"its label is {reprlib.repr(data['label'])}, not fg, bg or erase", where)
    radius = _number(data["radius"], "radius", where, MIN_RADIUS, MAX_RADIUS)
    points = data["points"]
    if not isinstance(points, list | tuple) or not 1 <= len(points) <= MAX_POINTS:
        raise _refused(f"its points are not a list of 1 to {MAX_POINTS}", where)
    author, time = (_text(data[key], key, where) for key in ("author", "time"))
    if time:
        try:
            offset = datetime.fromisoformat(time).utcoffset()
        except ValueError as error:
            raise _refused(f"its time is {time!r}, which is not ISO 8601", where) from error
        if offset is None:
            raise _refused(f"its time is {time!r}, without an offset from UTC", where)
    return Stroke(data["label"], radius, tuple(_points(points, size, where)), author, time)


def _points(data: Sequence[Any], size: tuple[int, int], where: str) -> Iterator[tuple[float, float]]:
    for n, point in enumerate(data):
        if not isinstance(point, list | tuple) or len(point) != 2:
            raise _refused("it is not a pair x, y", f"{where}, point {n}")
        for value, axis, side in zip(point, "xy", size, strict=True):
            # A hand may leave the picture and come back, but not by more than the size of the picture.
            if not _is_within(value, -side, 2 * side):
                _number(value, axis, f"{where}, point {n}", -side, 2 * side)
        yield float(point[0]), float(point[1])


def _number(value: Any, what: str, where: str, low: float, high: float) -> float:
    if not _is_within(value, low, high):
        raise _refused(f"its {what} is {reprlib.repr(value)}, not a number from {low:g} to {high:g}", where)
    return float(value)


def _is_within(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


def _whole(value: Any, what: str, where: str, low: int, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise _refused(f"its {what} is {reprlib.repr(value)}, not a whole number from {low} to {high}", where)
    return value


def checked_author(name: str) -> str:
    """Return the name of a painter as strokes may hold it; raises ScribbleError."""
    return _text(name, "name", "the author")


def _text(value: Any, what: str, where: str) -> str:
    if not isinstance(value, str) or len(value) > _MAX_TEXT or _NO_TEXT.search(value):
        raise _refused(f"its {what} is not one line of text of up to {_MAX_TEXT} characters", where)
    return value


def _refused(what: str, where: str) -> ScribbleError:
    return ScribbleError(what, where=where, fix="Draw it again with `capmat scribble`, or correct the file.")
