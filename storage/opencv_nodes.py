"""What lies in a file of cv2.FileStorage: YAML 1.0, XML or json.

OpenCV's own reader is not asked: on damaged files it can bring the whole process down.
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from storage.calibration.formats.parts import Floats, file_text, numbers, refused

_PARTS = ("rows", "cols", "sizes", "data")  # of a matrix; OpenCV 5 writes vectors with sizes


def opencv_nodes(path: Path) -> dict[str, Any]:
    """Every key of a file: matrices as arrays, `names` as a list of words, the rest as text.

    Raises:
        CalibrationError: the file is missing, is no such storage, or a matrix is broken.
    """
    text = file_text(path)
    reader = {"<": _xml, "{": _json}.get(text.lstrip()[:1], _yaml)
    found: dict[str, Any] = {}
    for key, value in reader(text, path):
        if key in found:
            raise refused(f"{key} is there twice", path, fix="Keep one of the two.")
        found[key] = value
    if not found:
        raise refused("the file is no OpenCV storage", path)
    return found


def _yaml(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    blocks = re.split(r"^([A-Za-z_][^:\n]*):", text, flags=re.MULTILINE)
    for key, block in zip(blocks[1::2], blocks[2::2], strict=True):
        if block.lstrip().startswith("!!opencv-matrix"):
            found = [re.search(rf"\b{part}:\s*(\[[^\]]*\]|[^\s\[]+)", block) for part in _PARTS]
            words = ["" if part is None else part[1].strip("[]").replace(",", " ") for part in found]
            yield key, _matrix_of(key, words, path)
        elif key == "names":
            words = re.sub(r"^\s*-\s|[\[\],]", " ", block, flags=re.MULTILINE).split()
            yield key, [word.strip("\"'") for word in words]
        else:
            yield key, block.strip()


def _json(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        nodes = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise refused(f"the file is no json ({error})", path) from error
    for key, value in nodes.items():
        if isinstance(value, dict) and isinstance(value.get("data"), list):
            parts = [value.get(part, []) for part in _PARTS]
            words = [" ".join(map(str, part)) if isinstance(part, list) else str(part) for part in parts]
            yield key, _matrix_of(key, words, path)
        else:
            yield key, value


def _xml(text: str, path: Path) -> Iterator[tuple[str, Any]]:
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError, RecursionError) as error:
        raise refused(f"the file is no xml ({error})", path) from error
    for node in root:
        if node.find("data") is not None:
            yield node.tag, _matrix_of(node.tag, [node.findtext(part) or "" for part in _PARTS], path)
        else:
            words = " ".join(node.itertext())
            yield node.tag, [word.strip('"') for word in words.split()] if node.tag == "names" else words.strip()


def _matrix_of(key: str, parts: Sequence[str], path: Path) -> Floats:
    rows, cols, sizes, data = parts
    words = data.lower().replace(".nan", "nan").replace(".inf", "inf").split()
    shape = [int(side) for side in (sizes or f"{rows} {cols}").split() if side.isdecimal() and len(side) < 9]
    if not shape or math.prod(shape) != len(words):
        raise refused(f"{key} does not hold {' x '.join(map(str, shape)) or 'so many'} values", path)
    return numbers(words, (len(words),), key, path).reshape(shape)
