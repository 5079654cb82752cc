"""Annotations of a picture, whatever tool made them: named shapes, and how their names become labels.

A shape's name is what people called it in their tool ("person", "shadow"). Names without a given meaning leave their
pixels open, so that nothing is labelled by guess. If shapes of one frame claim a pixel for both sides, the frame is
refused, unless a rule was given. A shape that does not say which pixels it covers (a cuboid, a skeleton) is refused
if its name means a side. So nothing that somebody drew is dropped without a word.
"""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError
from storage.labels.formats.parse import Points, refused
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN, fill_ellipse, fill_polygon, rasterise
from storage.labels.strokes import Drawing, Stroke

Size = tuple[int, int]
"""(height, width)."""
Mask = NDArray[np.bool_]
Label = NDArray[np.uint8]
Overlap = Literal["refuse", "later", "open"]


class Shape(NamedTuple):
    """A named part of a picture.

    Attributes:
        name: of its label, in the tool.
        where: file, picture and number, for errors.
        mask: returns (H, W) bool, given (height, width) of the frame.
    """

    name: str
    where: str
    mask: Callable[[Size], Mask]


@dataclass(frozen=True)
class Annotated:
    """One picture of an export and its annotations.

    Attributes:
        name: of the picture in the export, a path without ending.
        upload: the same without what the tool put before it, if it may have done so.
        where: file and picture, for errors.
        size: (height, width) that the export states; None where it does not.
        shapes: the later over the earlier.
        label: reads the label, (H, W) of 0, 1 and 255, where the format holds pixels instead of shapes.
        drawing: strokes, where the format holds ours.
        unpainted: kinds of entries that say nothing of pixels, such as tags and ratings, one for each.
        counted: whether the frame in the name is counted by the tool, from 0 on, and not that of a file.
    """

    name: str
    where: str
    size: Size | None = None
    shapes: tuple[Shape, ...] = ()
    label: Callable[[], Label] | None = None
    drawing: Drawing | None = None
    upload: str = ""
    unpainted: tuple[str, ...] = ()
    counted: bool = False


@dataclass(frozen=True)
class Meaning:
    """Which names of a tool mean the subject and which the background; `*` is every other name.

    Attributes:
        foreground: names, in any case.
        background: names, in any case.
    """

    foreground: tuple[str, ...]
    background: tuple[str, ...]

    def __post_init__(self) -> None:
        if both := {n.casefold() for n in self.foreground} & {n.casefold() for n in self.background}:
            what = f"{', '.join(sorted(both))} cannot be foreground and background"
            raise ConfigError(what, where="names of labels")

    def of(self, name: str) -> int:
        """Return 0 for background, 1 for foreground, 255 for neither."""
        sides = ((FOREGROUND, self.foreground), (BACKGROUND, self.background))
        for wanted in (name.casefold(), "*"):
            for value, names in sides:
                if wanted in (known.casefold() for known in names):
                    return value
        return OPEN


def polygon(name: str, where: str, points: Points) -> Shape:
    """Return a filled polygon.

    Raises:
        ScribbleError: it has fewer than three corners.
    """
    if len(points) < 3:
        raise refused(f"a polygon has {len(points)} corners, not three or more", where)
    return Shape(name, where, lambda size: fill_polygon(points, size))


def box(name: str, where: str, left: float, top: float, right: float, bottom: float) -> Shape:
    """Return a filled box."""
    return polygon(name, where, [(left, top), (right, top), (right, bottom), (left, bottom)])


def turned_box(
    name: str, where: str, box: tuple[float, float, float, float], around: tuple[float, float], degrees: float
) -> Shape:
    """Return a filled box (left, top, right, bottom) that is turned around a point, clockwise as one sees it."""
    left, top, right, bottom = (side - around[n % 2] for n, side in enumerate(box))
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    corners = ((left, top), (right, top), (right, bottom), (left, bottom))
    turned = [(around[0] + x * cos - y * sin, around[1] + x * sin + y * cos) for x, y in corners]
    return polygon(name, where, turned)


def ellipse(
    name: str, where: str, centre: tuple[float, float], radii: tuple[float, float], degrees: float = 0
) -> Shape:
    """Return a filled ellipse; see `storage.labels.raster.fill_ellipse`.

    Raises:
        ScribbleError: a radius is not above 0.
    """
    if min(radii) <= 0:
        raise refused(f"the radii of an ellipse are {radii[0]:g} and {radii[1]:g}", where)
    return Shape(name, where, lambda size: fill_ellipse(centre, radii, degrees, size))


def dots(name: str, where: str, points: Points, radius: float) -> Shape:
    """Return points, each as wide as a brush of `radius`."""
    strokes = [Stroke("fg", radius, (point,)) for point in points]
    return Shape(name, where, lambda size: rasterise(strokes, size) == FOREGROUND)


def outline_missing(
    name: str, where: str, what: str, fix: str = "Draw its outline or a mask, or remove it."
) -> Shape:
    """Return a shape that is refused as soon as its pixels are asked for, since nobody knows them."""

    def mask(_: Size) -> Mask:
        raise refused(f"{what} does not say which pixels are {name!r}", where, fix)

    return Shape(name, where, mask)


def line(name: str, where: str, points: Points, radius: float) -> Shape:
    """Return a line as wide as a brush of `radius`; see `storage.labels.raster`."""
    stroke = Stroke("fg", radius, tuple(points))
    return Shape(name, where, lambda size: rasterise([stroke], size) == FOREGROUND)


def part(name: str, where: str, mask: Callable[[], Mask], size: Size, left: int, top: int) -> Shape:
    """Return a mask of `size` that covers a part of the picture; it is computed when needed, and must lie inside."""
    height, width = size

    def placed(frame: Size) -> Mask:
        if top + height > frame[0] or left + width > frame[1]:
            raise refused(f"a mask of {width}x{height} at {left}, {top} is not inside {frame[1]}x{frame[0]}", where)
        whole = np.zeros(frame, bool)
        whole[top : top + height, left : left + width] = mask()
        return whole

    return Shape(name, where, placed)


def exact(name: str, where: str, mask: Callable[[], Mask], size: Size) -> Shape:
    """Return a mask of `size` that covers the whole picture; it is computed when needed."""

    def whole(frame: Size) -> Mask:
        _check_size(size, frame, where)
        return mask()

    return Shape(name, where, whole)


def paint(
    pictures: Iterable[Annotated], size: Size, meaning: Meaning, overlap: Overlap, where: str
) -> tuple[Label, Counter[str], Counter[str]]:
    """Combine all annotations of one frame to a label.

    Args:
        pictures: all annotations of the frame.
        size: (height, width) of the frame.
        meaning: which names are foreground and background.
        overlap: what becomes of pixels that are both: refuse the frame, let the later win, or leave them open.
        where: the frame, for errors.

    Returns:
        (H, W) uint8 of 0 background, 1 foreground, 255 open; the number of shapes per name that mean neither; and
        the number of other entries that painted nothing, per kind.

    Raises:
        ScribbleError: an annotation has another size than the frame, a pixel is both, or a shape has no outline.
    """
    label, both = np.full(size, OPEN, np.uint8), np.zeros(size, bool)
    left_out: Counter[str] = Counter()
    unpainted: Counter[str] = Counter()
    for picture in pictures:
        unpainted.update(picture.unpainted)
        if picture.size:
            _check_size(picture.size, size, picture.where)
        for origin, mask, value in _claims(picture, size, meaning, left_out):
            if not mask.any() and not picture.label:
                unpainted["shape that covers no pixel"] += 1
            clash = mask & (label != OPEN) & (label != value)
            if clash.any() and overlap == "refuse":
                y, x = np.argwhere(clash)[0]
                raise refused(
                    f"{int(clash.sum())} pixels are foreground and background (first x={x}, y={y})",
                    f"{origin}, {where}",
                    "Correct it, or import with --overlap later (the later annotation wins) or open.",
                )
            both |= clash
            label[mask] = value
    if overlap == "open":
        label[both] = OPEN
    return label, left_out, unpainted


def _claims(
    picture: Annotated, size: Size, meaning: Meaning, left_out: Counter[str]
) -> Iterable[tuple[str, Mask, int]]:
    """Yield the origin, the pixels (H, W) and the side of every claim."""
    if picture.label:
        label = picture.label()
        _check_size((label.shape[0], label.shape[1]), size, picture.where)
        for value in (BACKGROUND, FOREGROUND):
            yield picture.where, label == value, value
    for shape in picture.shapes:
        if (value := meaning.of(shape.name)) == OPEN:
            left_out[shape.name] += 1
        else:
            yield shape.where, shape.mask(size), value


def _check_size(size: Size, frame: Size, where: str) -> None:
    if size != frame:
        what = f"it is for {size[1]}x{size[0]}, the frame is {frame[1]}x{frame[0]}"
        raise refused(what, where, "Annotate the frame at its full size.")


def names_of(pictures: Sequence[Annotated]) -> list[str]:
    """Return the names of all shapes, sorted."""
    return sorted({shape.name for picture in pictures for shape in picture.shapes})
