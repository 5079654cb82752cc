"""The mined queue: the boxes of a take where a scribble would help most, the best first.

    takes/<name>.zarr/mined/q0001.json    {"how": ..., "items": [...]}

A queue never changes; mining again writes the next one, so that people who work on an earlier one can finish it. It
lies in the take, because its boxes do not fit another recording with the same name.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from capmat_errors import NotFound
from storage.store.root import Root
from storage.store.versions import Versions
from storage.takes.group import group_key
from storage.takes.take import Take

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the full-size picture; x1 and y1 are exclusive."""


@dataclass(frozen=True)
class Mined:
    """One box in one picture, and the reasons to look at it.

    Attributes:
        camera: its name.
        frame: number of the frame.
        score: 0..1, how much a scribble is expected to help.
        box: where in the picture.
        reasons: in words, the strongest first.
        signals: the values by name of which the score was made.
        run: alpha run that was mined.
    """

    camera: str
    frame: int
    score: float
    box: Box
    reasons: tuple[str, ...]
    signals: Mapping[str, float]
    run: str


@dataclass(frozen=True)
class Queue:
    """One version of a take's queue.

    Attributes:
        take: its name.
        version: "q0001", ...
        items: best first.
        how: what it was made with (runs, settings), plain JSON.
    """

    take: str
    version: str
    items: tuple[Mined, ...]
    how: Mapping[str, Any]


def write_queue(root: Root, take: str, items: Sequence[Mined], how: Mapping[str, Any]) -> Queue:
    """Store the next version of a take's queue in one step.

    Args:
        root: the store.
        take: name of an ingested take.
        items: best first; empty if mining found nothing.
        how: what it was made with, plain JSON.

    Raises:
        NotFound: the take, or the camera, frame or run of an item, is not in the store.
        ValueError: a score is not in 0..1, a signal is not a number, a box is empty or leaves its picture, an item
            has no reason, or the scores rise.
        StoreError: the store cannot be written to.
    """
    stored = Take.open(root, take)
    for item in items:
        _check(stored, item)
    if any(a.score < b.score for a, b in zip(items, items[1:], strict=False)):
        raise ValueError("the scores of a queue fall from its first item to its last")
    content = {"how": dict(how), "items": [asdict(item) for item in items]}
    version = _versions(root, take).add(lambda _: content)
    return Queue(take, version, tuple(items), how)


def read_queue(root: Root, take: str, version: str | None = None) -> Queue:
    """Read a version of the queue of a take, the newest if None.

    Raises:
        NotFound: the take does not exist, or was never mined.
    """
    Take.open(root, take)
    name, data = _versions(root, take).read(version)
    items = (
        Mined(**{**item, "box": tuple(item["box"]), "reasons": tuple(item["reasons"])}) for item in data["items"]
    )
    return Queue(take, name, tuple(items), data["how"])


def _check(take: Take, item: Mined) -> None:
    where = f"{item.camera} frame {item.frame}"
    if not take.has_alpha(item.run, item.camera, item.frame):
        what = f"run {item.run} has no matte of {where}"
        raise NotFound(what, where=f"take {take.name}", fix="Matte it, then mine it again.")
    camera, (x0, y0, x1, y1) = take.cameras[item.camera], item.box
    if not (0 <= x0 < x1 <= camera.width and 0 <= y0 < y1 <= camera.height):
        raise ValueError(f"{where}: the box {item.box} is not inside {camera.width}x{camera.height} pixels")
    if not 0 <= item.score <= 1 or not all(math.isfinite(value) for value in item.signals.values()):
        raise ValueError(f"{where}: score {item.score}, signals {dict(item.signals)}")
    if not item.reasons:
        raise ValueError(f"{where}: the item has no reason")


def _versions(root: Root, take: str) -> Versions:
    return Versions(root, f"{group_key('take', take)}/mined", "q", {"items": list, "how": dict})
