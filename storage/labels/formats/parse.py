"""XML and JSON of annotation tools, read so that no file can do more than be refused.

XML may define entities that become gigabytes, or that fetch files; no tool needs them for its export, so a file with
a document type is refused before anything of it is expanded.
"""

import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from capmat_errors import ScribbleError

Points = list[tuple[float, float]]
MAX_POINTS = 100_000
"""Of one shape."""
_MAX_BYTES = 512 * 2**20
_MAX_DEPTH = 100
_FAR = 1e6  # pixels; what a tool writes for a shape that was pulled out of the picture is far less


def refused(what: str, where: str, fix: str = "Export it again, or remove it.") -> ScribbleError:
    """The error of everything that an export gets wrong."""
    return ScribbleError(what, where=where, fix=fix)


def read_xml(path: Path, where: str) -> Element:
    """The root of an XML file.

    Raises:
        ScribbleError: it is no whole XML, declares a document type or entities, or is nested too deeply.
    """
    tree, depth = TreeBuilder(), 0
    parser = expat.ParserCreate()
    parser.buffer_text = True

    def doctype(*_: Any) -> None:
        raise refused("it declares a document type, which may hide anything", where, "Remove the DOCTYPE.")

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        if (depth := depth + 1) > _MAX_DEPTH:
            raise refused(f"it is nested more than {_MAX_DEPTH} deep", where)
        tree.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        tree.end(tag)

    parser.StartDoctypeDeclHandler = doctype
    parser.EntityDeclHandler = doctype
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, tree.data
    try:
        parser.Parse(_bytes(path, where), True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, ScribbleError):
            raise
        raise refused(f"it is no XML ({error})", where) from error
    return tree.close()


def read_json(path: Path, where: str) -> Any:
    """What lies in a JSON file.

    Raises:
        ScribbleError: it is no JSON.
    """
    try:
        return json.loads(_bytes(path, where))
    except (ValueError, RecursionError) as error:
        raise refused(f"it is no JSON ({error})", where) from error


def _bytes(path: Path, where: str) -> bytes:
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise refused(f"it has {size} bytes, more than {_MAX_BYTES}", where)
        return path.read_bytes()
    except OSError as error:
        raise refused(f"it cannot be read ({error.strerror})", where) from error


def record(data: Any, where: str) -> dict[str, Any]:
    """`data` if it is an object of JSON."""
    if not isinstance(data, dict):
        raise refused("it is no object of JSON", where)
    return data


def several(data: Any, where: str) -> list[Any]:
    """`data` if it is a list of JSON."""
    if not isinstance(data, list):
        raise refused("it is no list of JSON", where)
    return data


def number(value: Any, what: str, where: str, far: float = _FAR) -> float:
    """A number of at most `far`, from JSON or from text."""
    try:
        found = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not abs(found) <= far:
        raise refused(f"its {what} is {str(value)[:30]!r}, not a number", where)
    return found


def whole(value: Any, what: str, where: str) -> int:
    """A whole number from 0 on, from JSON or from text."""
    found = number(value, what, where, 2**53)
    if found != int(found) or found < 0:
        raise refused(f"its {what} is {str(value)[:30]!r}, not a whole number", where)
    return int(found)


def size_of(height: Any, width: Any, where: str) -> tuple[int, int]:
    """(height, width), both at least 1."""
    size = whole(height, "height", where), whole(width, "width", where)
    if not min(size):
        raise refused(f"it says that it is {size[1]}x{size[0]}", where)
    return size


def without_ending(path: str) -> str:
    """A path without `.png` or the like; numbers after a dot are no ending."""
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]{0,4}$", "", path)


def pairs(data: Any, what: str, where: str) -> Points:
    """Points from a list of pairs."""
    points = several(data, where)
    if not 1 <= len(points) <= MAX_POINTS:
        raise refused(f"its {what} are {len(points)}, not 1 to {MAX_POINTS}", where)
    found = []
    for n, point in enumerate(points):
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
            raise refused(f"{what} {n} is no pair x, y", where)
        found.append((number(point[0], f"x of {what} {n}", where), number(point[1], f"y of {what} {n}", where)))
    return found
