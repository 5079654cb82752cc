"""Where a scribble would help most, best first: the queue that mining leaves and people work off.

    takes/<name>.zarr/mined/q0001.json    {"how": ..., "items": [...]}

A queue never changes; mining again writes the next one, so whoever is in the middle of one keeps it. It lies in the
take, since boxes of another recording with the same name would mean nothing.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from capmat_errors import NotFound
from storage.store.root import Root
from storage.store.versions import Versions
from storage.takes.take import Take, list_takes

Box = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the full-size picture; x1 and y1 are the first pixels behind it."""


@dataclass(frozen=True)
class Mined:
    """One box in one picture, and why somebody should look at it.

    Attributes:
        camera: its name.
        frame: number of the frame.
        score: 0..1, how much a scribble promises.
        box: where in the picture.
        reasons: in words, the strongest first.
        signals: name -> value that the score was made of.
        run: alpha run that it was mined from.
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
        how: what it was made with (runs, settings), plain json.
    """

    take: str
    version: str
    items: tuple[Mined, ...]
    how: Mapping[str, Any]


def write_queue(root: Root, take: str, items: Sequence[Mined], how: Mapping[str, Any]) -> Queue:
    """Store the next version of a take's queue; it is there whole or not at all.

    Args:
        root: the store.
        take: name of an ingested take.
        items: best first; an empty queue says that nothing was found.
        how: what it was made with, plain json.

    Raises:
        NotFound: the take is not there, or has no such camera, frame or run.
        ValueError: a score is not in 0..1, a signal is no number, a box is empty or leaves its picture, an item has
            no reason, or the scores rise.
        StoreError: the store cannot be written to.
    """
    stored = Take.open(root, take)
    for item in items:
        _check(stored, item)
    if any(a.score < b.score for a, b in zip(items, items[1:], strict=False)):
        raise ValueError("the scores of a queue fall from its first item to its last")
    content = {"how": dict(how), "items": [asdict(item) for item in items]}
    version = Versions(root, _folder(take), "q").add(lambda _: content)
    return Queue(take, version, tuple(items), how)


def read_queue(root: Root, take: str, version: str | None = None) -> Queue:
    """The queue of a take, the newest if None.

    Raises:
        NotFound: the take is not there, or was never mined.
    """
    Take.open(root, take)
    found, data = Versions(root, _folder(take), "q").read(version)
    items = (
        Mined(**{**item, "box": tuple(item["box"]), "reasons": tuple(item["reasons"])}) for item in data["items"]
    )
    return Queue(take, found, tuple(items), data["how"])


def list_queues(root: Root) -> dict[str, list[str]]:
    """The versions of the queues of every take that was mined, oldest first."""
    found = {take: Versions(root, _folder(take), "q").names() for take in list_takes(root)}
    return {take: versions for take, versions in found.items() if versions}


def _check(take: Take, item: Mined) -> None:
    where = f"{item.camera} frame {item.frame}"
    if not take.has_alpha(item.run, item.camera, item.frame):
        raise NotFound(
            f"there are no mattes {item.run} of {where}",
            where=f"take {take.name}",
            fix="Matte it, then mine it again.",
        )
    camera, (x0, y0, x1, y1) = take.cameras[item.camera], item.box
    if not (0 <= x0 < x1 <= camera.width and 0 <= y0 < y1 <= camera.height):
        raise ValueError(f"{where}: the box {item.box} is no part of {camera.width}x{camera.height} pixels")
    if not 0 <= item.score <= 1 or not all(math.isfinite(value) for value in item.signals.values()):
        raise ValueError(f"{where}: score {item.score}, signals {dict(item.signals)}")
    if not item.reasons:
        raise ValueError(f"{where}: nobody said why")


def _folder(take: str) -> str:
    return f"takes/{take}.zarr/mined"
