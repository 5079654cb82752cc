"""Marks: what people say of mined boxes without painting, that nothing is wrong there or that they cannot tell.

    takes/<name>.zarr/marks/m0001.json    {"marks": [{"camera": "c00", "frame": 3, "box": [...], ...}]}

Every version has all marks. A mark is no label: mining leaves such boxes out, and no training sees it.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal, get_args

from capmat_errors import ScribbleError
from storage.labels.queue import Box
from storage.labels.strokes import checked_author
from storage.store.root import Root
from storage.store.versions import Versions
from storage.takes.group import group_key
from storage.takes.take import Take

Kind = Literal["right", "unsure"]
"""Nothing is wrong in the box; or the person cannot tell."""


@dataclass(frozen=True)
class Mark:
    """What a person said of one box.

    Attributes:
        camera: its name.
        frame: number of the frame.
        box: as it was mined.
        kind: what was said.
        author: who said it; may be empty.
    """

    camera: str
    frame: int
    box: Box
    kind: Kind
    author: str = ""

    @property
    def place(self) -> tuple[str, int, Box]:
        """Camera, frame and box."""
        return self.camera, self.frame, self.box


def keep_mark(root: Root, take: Take, mark: Mark) -> None:
    """Store a mark in place of an earlier one of the same box.

    Raises:
        NotFound: the take has no such camera or frame.
        ScribbleError: the box is not in the picture, or the kind or author is not one.
        StoreError: the store cannot be written to.
    """
    view, (x0, y0, x1, y1) = take.seen(mark.camera, mark.frame), mark.box
    if not (0 <= x0 < x1 <= view.width and 0 <= y0 < y1 <= view.height) or mark.kind not in get_args(Kind):
        what = f"{mark.kind!r} of box {mark.box} is no mark of a picture of {view.width}x{view.height} pixels"
        raise ScribbleError(what, where=f"take {take.name} camera {mark.camera} frame {mark.frame}")
    checked_author(mark.author)
    _change(root, take.name, mark.place, [mark])


def remove_mark(root: Root, take: Take, camera: str, frame: int, box: Box) -> None:
    """Take the mark of a box back, if it has one; raises StoreError."""
    _change(root, take.name, (camera, frame, box), [])


def read_marks(root: Root, take: str) -> list[Mark]:
    """Every mark of a take, the oldest first; raises StoreError."""
    versions = _versions(root, take)
    newest = next(reversed(versions.names()), None)
    return _read(versions, newest)


def _change(root: Root, take: str, place: tuple[str, int, Box], new: Sequence[Mark]) -> None:
    versions = _versions(root, take)
    versions.add(
        lambda newest: {
            "marks": [asdict(one) for one in [*(m for m in _read(versions, newest) if m.place != place), *new]]
        }
    )


def _read(versions: Versions, version: str | None) -> list[Mark]:
    marks = versions.read(version)[1]["marks"] if version else []
    return [Mark(**{**one, "box": tuple(one["box"])}) for one in marks]


def _versions(root: Root, take: str) -> Versions:
    return Versions(root, f"{group_key('take', take)}/marks", "m", {"marks": list})
