"""What people are drawing: the strokes on a frame as they were last saved, before they are frozen as labels.

    drafts/<take>/<camera>/<frame>/r0001.json   a drawing, see `storage.labels.strokes`

Whoever saves says which revision the drawing is made from. If somebody else has saved since, nothing is written, and
the caller reads the other drawing and puts its own strokes on top: of two people at one frame nobody loses a stroke,
whatever the storage and however many programs are at work on it.
"""

import re
from typing import NamedTuple

from capmat_errors import StoreError
from storage.labels.strokes import Drawing, decode_strokes, encode_strokes
from storage.store.root import Root, checked_name
from storage.store.versions import Versions

KEPT = 20
"""Revisions of a frame that stay."""
_KEY = re.compile(r"drafts/([^/]+)/([^/]+)/(\d+)/r(\d{4,})\.json")

Address = tuple[str, str, int]
"""Take, camera, number of the frame."""


class Draft(NamedTuple):
    """A frame's drawing, and its revision: 1, 2, ..."""

    drawing: Drawing
    revision: int


class DraftConflict(StoreError):
    """Somebody saved this frame in the meantime; read it again, and put the strokes on top."""


def save_draft(root: Root, drawing: Drawing, after: int) -> int:
    """Keep a frame's drawing.

    Args:
        root: the store.
        drawing: all strokes on the frame.
        after: the revision that it was made from; 0 if there was none.

    Returns:
        The new revision.

    Raises:
        DraftConflict: the newest revision is another one.
        ScribbleError: the drawing is none that could be read again.
        StoreError: the store cannot be written to.
    """
    folder, data = _folder(drawing.take, drawing.camera, drawing.frame), encode_strokes(drawing)
    mine = after + 1
    if _newest(root, folder) != after or not root.create(f"{folder}/r{mine:04d}.json", data):
        raise _conflict(root, folder)
    there = _revisions(root, folder)
    if there[-1] > mine and mine + 1 not in there:  # its place was free only because old ones had gone
        root.remove(f"{folder}/r{mine:04d}.json")
        raise _conflict(root, folder)
    for old in there[:-KEPT]:
        root.remove(f"{folder}/r{old:04d}.json")
    return mine


def read_draft(root: Root, take: str, camera: str, frame: int) -> Draft | None:
    """The newest drawing on a frame; None if nobody drew there.

    Raises:
        ScribbleError: the file is damaged.
        StoreError: the store cannot be read.
    """
    folder = _folder(take, camera, frame)
    if not (newest := _newest(root, folder)):
        return None
    key = f"{folder}/r{newest:04d}.json"
    return Draft(decode_strokes(root.read(key), root.at(key)), newest)


def read_drafts(root: Root, take: str) -> dict[Address, Draft]:
    """The newest drawing on every frame of a take that somebody drew on; errors as in `read_draft`."""
    newest: dict[Address, int] = {}
    for key in root.list(f"drafts/{checked_name('take', take)}"):
        if hit := _KEY.fullmatch(key):
            address = (hit[1], hit[2], int(hit[3]))
            newest[address] = max(newest.get(address, 0), int(hit[4]))
    keys = {f"{_folder(*address)}/r{number:04d}.json": address for address, number in newest.items()}
    found = root.read_all(list(keys))
    return {keys[key]: Draft(decode_strokes(found[key], root.at(key)), newest[keys[key]]) for key in sorted(found)}


def _newest(root: Root, folder: str) -> int:
    there = _revisions(root, folder)
    return there[-1] if there else 0


def _revisions(root: Root, folder: str) -> list[int]:
    return [int(version[1:]) for version in Versions(root, folder, "r").names()]


def _conflict(root: Root, folder: str) -> DraftConflict:
    return DraftConflict(
        "somebody saved this frame in the meantime", where=root.at(folder), fix="Read it again and add yours."
    )


def _folder(take: str, camera: str, frame: int) -> str:
    return f"drafts/{checked_name('take', take)}/{checked_name('camera', camera)}/{int(frame)}"
