"""Drafts: the strokes on a frame as they were last saved, before they are frozen as labels.

    drafts/<take>/<camera>/<frame>/r0001.json   a drawing, see `storage.labels.strokes`

A caller that saves names the revision from which the drawing was made. If another person has saved since, nothing is
written, and the caller reads the other drawing and puts its own strokes on top. So two people who draw on one frame
lose no stroke, whatever the storage and however many programs write to it.
"""

import re
from typing import NamedTuple

from capmat_errors import StoreError
from storage.labels.label_set import Key
from storage.labels.strokes import Drawing, decode_strokes, encode_strokes
from storage.store.root import Root, checked_name
from storage.store.versions import Versions

KEPT = 20
"""Number of revisions of a frame that stay."""
_KEY = re.compile(r"drafts/([^/]+)/([^/]+)/(\d+)/r(\d{4,})\.json")


class Draft(NamedTuple):
    """A frame's drawing, and its revision: 1, 2, ..."""

    drawing: Drawing
    revision: int


class DraftConflict(StoreError):
    """Another person saved this frame in the meantime; read it again, and put the strokes on top."""


def save_draft(root: Root, drawing: Drawing, after: int) -> int:
    """Store a frame's drawing and return its revision.

    Args:
        root: the store.
        drawing: all strokes on the frame.
        after: the revision that it was made from; 0 for the first.

    Raises:
        DraftConflict: the newest revision is another one.
        ScribbleError: the drawing could not be read again.
        StoreError: the store cannot be written to.
    """
    folder, data = _folder(drawing.take, drawing.camera, drawing.frame), encode_strokes(drawing)
    own = after + 1
    if _newest(root, folder) != after or not root.create(_key(folder, own), data):
        raise _conflict(root, folder)
    revisions = _revisions(root, folder)
    if revisions[-1] > own and own + 1 not in revisions:  # the number was free only because old ones were removed
        root.remove(_key(folder, own))
        raise _conflict(root, folder)
    for old in revisions[:-KEPT]:
        root.remove(_key(folder, old))
    return own


def read_draft(root: Root, take: str, camera: str, frame: int) -> Draft | None:
    """Return the newest drawing on a frame; None if the frame was never drawn on.

    Raises:
        ScribbleError: the file is damaged.
        StoreError: the store cannot be read.
    """
    folder = _folder(take, camera, frame)
    if not (newest := _newest(root, folder)):
        return None
    key = _key(folder, newest)
    return Draft(decode_strokes(root.read(key), root.at(key)), newest)


def read_drafts(root: Root, take: str) -> dict[Key, Draft]:
    """Return the newest drawing of every frame of a take that was drawn on; errors as in `read_draft`."""
    newest: dict[Key, int] = {}
    for key in root.list(f"drafts/{checked_name('take', take)}"):
        if hit := _KEY.fullmatch(key):
            frame = (hit[1], hit[2], int(hit[3]))
            newest[frame] = max(newest.get(frame, 0), int(hit[4]))
    frames = {_key(_folder(*frame), revision): frame for frame, revision in newest.items()}
    files = root.read_all(list(frames))
    return {
        frames[key]: Draft(decode_strokes(files[key], root.at(key)), newest[frames[key]]) for key in sorted(files)
    }


def _newest(root: Root, folder: str) -> int:
    return max(_revisions(root, folder), default=0)


def _revisions(root: Root, folder: str) -> list[int]:
    return [int(version[1:]) for version in Versions(root, folder, "r").names()]


def _conflict(root: Root, folder: str) -> DraftConflict:
    what, fix = "somebody saved this frame in the meantime", "Read it again and add your strokes."
    return DraftConflict(what, where=root.at(folder), fix=fix)


def _folder(take: str, camera: str, frame: int) -> str:
    return f"drafts/{checked_name('take', take)}/{checked_name('camera', camera)}/{int(frame)}"


def _key(folder: str, revision: int) -> str:
    return f"{folder}/r{revision:04d}.json"
