"""XML and JSON of annotation tools, parsed so that a hostile file can do no harm.

XML may define entities that become gigabytes, or that fetch files. Annotation tools do not need them, so a file with
a document type is refused before anything is expanded.
"""

import base64
import binascii
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from numpy.typing import NDArray

from capmat_errors import ImageUnreadable, ScribbleError
from storage.pictures.header import MOST_PIXELS
from storage.pictures.png import decode_png

Points = list[tuple[float, float]]
MAX_POINTS = 100_000
"""Of one shape."""
_MAX_BYTES = 512 * 2**20
_MAX_DEPTH = 100
_JSON_NAMES = {dict: "an object", list: "a list", str: "text", type(None): "null", bool: "true or false"}
_FAR = 1e6  # pixels; shapes that were dragged out of the picture stay far below


def refused(what: str, where: str, fix: str = "Export it again, or remove it.") -> ScribbleError:
    """Return the error for a fault in an export, to be raised by the caller."""
    return ScribbleError(what, where=where, fix=fix)


def read_document(path: Path, where: str) -> Any:
    """Return the root element of an XML file, or what another file holds as JSON.

    Raises:
        ScribbleError: it is not complete, declares a document type or entities, or is nested too deeply.
    """
    data = _bytes(path, where)
    if path.suffix.lower() == ".xml":
        return _xml_root(data, where)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise refused(f"it is not JSON ({error})", where) from error


def _xml_root(data: bytes, where: str) -> Element:
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
        parser.Parse(data, True)
    except (expat.ExpatError, LookupError, ValueError) as error:
        if isinstance(error, ScribbleError):
            raise
        raise refused(f"it is not XML ({error})", where) from error
    return tree.close()


def _bytes(path: Path, where: str) -> bytes:
    try:
        if (size := path.stat().st_size) > _MAX_BYTES:
            raise refused(f"it has {size} bytes, more than {_MAX_BYTES}", where)
        return path.read_bytes()
    except OSError as error:
        raise refused(f"it cannot be read ({error.strerror})", where) from error


def json_object(data: Any, where: str) -> dict[str, Any]:
    """Return `data` if it is a JSON object, and refuse everything else."""
    if not isinstance(data, dict):
        raise refused(f"expected a JSON object, got {_JSON_NAMES.get(type(data), 'a number')}", where)
    return data


def json_list(data: Any, where: str) -> list[Any]:
    """Return `data` if it is a JSON list, and refuse everything else."""
    if not isinstance(data, list):
        raise refused(f"expected a JSON list, got {_JSON_NAMES.get(type(data), 'a number')}", where)
    return data


def number(value: Any, what: str, where: str, far: float = _FAR) -> float:
    """Return a number of at most `far`, from JSON or from text."""
    try:
        given = math.nan if isinstance(value, bool) or value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        given = math.nan
    if not abs(given) <= far:
        raise refused(f"its {what} is {str(value)[:30]!r}, not a number", where)
    return given


def whole(value: Any, what: str, where: str) -> int:
    """Return a whole number from 0 on, from JSON or from text."""
    given = number(value, what, where, 2**53)
    if given != int(given) or given < 0:
        raise refused(f"its {what} is {str(value)[:30]!r}, not a whole number", where)
    return int(given)


def size_of(height: Any, width: Any, where: str) -> tuple[int, int]:
    """Return (height, width), both at least 1."""
    size = whole(height, "height", where), whole(width, "width", where)
    if not min(size):
        raise refused(f"its size is {size[1]}x{size[0]}", where)
    return size


def without_ending(path: str) -> str:
    """Return a path with slashes, without an ending such as `.png`; digits after a dot belong to the name."""
    return re.sub(r"\.[A-Za-z][A-Za-z0-9]{0,4}$", "", path.replace("\\", "/"))


def png_in_text(text: Any, where: str) -> NDArray[Any]:
    """Return the picture of a PNG that is written as base64, with or without `data:image/png;base64,` before it."""
    try:
        data = base64.b64decode(str(text).rpartition(",")[2], validate=True)
    except binascii.Error as error:
        raise refused("its mask is not base64", where) from error
    height, width = int.from_bytes(data[20:24], "big"), int.from_bytes(data[16:20], "big")
    if height * width > MOST_PIXELS:
        raise refused(f"its mask claims a size of {width}x{height}", where)
    try:
        return decode_png(data, where)
    except ImageUnreadable as error:
        raise refused("its mask is not a complete PNG", where) from error


def pairs(data: Any, what: str, where: str) -> Points:
    """Return points from a list of pairs."""
    points = json_list(data, where)
    if not 1 <= len(points) <= MAX_POINTS:
        raise refused(f"its {what} are {len(points)}, not 1 to {MAX_POINTS}", where)
    checked = []
    for n, point in enumerate(points):
        if not isinstance(point, Sequence) or isinstance(point, str) or len(point) != 2:
            raise refused(f"{what} {n} is not a pair x, y", where)
        checked.append((number(point[0], f"x of {what} {n}", where), number(point[1], f"y of {what} {n}", where)))
    return checked
