"""What somebody who scribbles has before them: takes, the frames that mining proposes, what was painted so far.

Everything is plain json, for the page of `capmat scribble`. Strokes of a frame are those of the newest label set with
the draft's on top: what was frozen once is only ever painted over, so two people lose nothing of each other.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypedDict

from capmat_errors import NotFound, ScribbleError
from storage.labels.drafts import Draft, read_draft, read_drafts, save_draft
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.labels.queue import read_queue
from storage.labels.strokes import Drawing, Stroke, joined
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.labels.in_use import newest_labels
from tasks.labels.pyramid import level_sizes
from tasks.labels.views import FrameViews
from tasks.models.networks import Ref, Run

Json = dict[str, Any]


class FinishedRecord(TypedDict):
    """The newest label set after somebody finished.

    Attributes:
        labels: version of the set.
        new: whether it was made now.
        frames: how many went in now.
        all: how many the set has.
        painted_share: of a picture, the mean over them.
    """

    labels: str
    new: bool
    frames: int
    all: int
    painted_share: float


def newest_set(root: Root) -> LabelSet | None:
    """The newest label set; None if nothing was ever frozen."""
    return LabelSet.open(root, LABELS) if list_label_sets(root).get(LABELS) else None


def fresh(labels: LabelSet | None, draft: Drawing) -> list[Stroke]:
    """The strokes of a draft that the label set does not have."""
    there = set(_frozen(labels, draft.take, draft.camera, draft.frame))
    return [stroke for stroke in draft.strokes if stroke not in there]


def describe_take(root: Root, take: Take) -> Json:
    """A take, its queue, and what was painted on which frame.

    Returns:
        Plain json: `name`; `cameras`, by name the sizes (height, width) of every level of the pyramid; `frames`;
        `queue` with `version` and `items` as mined, or None; `drafts`, by "camera/frame" the numbers of strokes
        `fg` and `bg` and their `authors`; `labelled`, the "camera/frame" whose strokes all are in the newest set.
    """
    labels = newest_set(root)
    drafts = {address: draft.drawing for address, draft in read_drafts(root, take.name).items()}
    inside = [key for key in labels.keys if key[0] == take.name] if labels else []
    for key in inside:
        if key not in drafts and labels and (drawing := labels.strokes(*key)):
            drafts[key] = drawing
    settled = [key for key in inside if key not in drafts or not fresh(labels, drafts[key])]
    return {
        "name": take.name,
        "cameras": {id: level_sizes(view.height, view.width) for id, view in take.cameras.items()},
        "frames": take.frames,
        "queue": _queue(root, take.name),
        "drafts": {f"{key[1]}/{key[2]}": _counted(drawing) for key, drawing in drafts.items() if drawing.strokes},
        "labelled": [f"{camera}/{frame}" for _, camera, frame in settled],
    }


def describe_frame(root: Root, views: FrameViews, take: Take, camera: str, frame: int) -> Json:
    """A frame: `levels`, alpha `runs` (those in use first), whether there is a `plate`, `strokes` and `revision`.

    `frozen` says how many of the strokes, from the first, are in the newest label set.

    Raises:
        NotFound: the take has no such camera or frame.
    """
    view = _there(take, camera, frame)
    frozen = _frozen(newest_set(root), take.name, camera, frame)
    draft = read_draft(root, take.name, camera, frame)
    return {
        "levels": level_sizes(view.height, view.width),
        "runs": _in_use_first(root, views.runs(take, camera, frame)),
        "plate": views.has_plate(take, camera),
        "frozen": len(frozen),
        **_told(draft, frozen),
    }


def keep_strokes(root: Root, take: Take, camera: str, frame: int, drawing: Drawing, after: int) -> int:
    """Save the drawing of a frame, made from revision `after`; returns the new revision.

    Raises:
        NotFound: the take has no such camera or frame.
        ScribbleError: the drawing is of another frame, or of another size.
        DraftConflict: somebody saved this frame since.
        StoreError: the store cannot be written to.
    """
    view = _there(take, camera, frame)
    if (drawing.take, drawing.camera, drawing.frame) != (take.name, camera, frame):
        raise ScribbleError(
            f"it was sent for take {take.name} camera {camera} frame {frame}",
            where=drawing.where,
            fix="Load the page again.",
        )
    if (drawing.width, drawing.height) != (view.width, view.height):
        raise ScribbleError(
            f"it is for a picture of {drawing.width}x{drawing.height}, the frame has {view.width}x{view.height}",
            where=drawing.where,
            fix="Load the page again.",
        )
    return save_draft(root, drawing, after)


def saved_strokes(root: Root, take: Take, camera: str, frame: int) -> Json:
    """`strokes` and `revision` of a frame as they are in the store now."""
    return _told(read_draft(root, take.name, camera, frame), _frozen(newest_set(root), take.name, camera, frame))


def _told(draft: Draft | None, frozen: Sequence[Stroke]) -> Json:
    strokes = joined(frozen, draft.drawing.strokes if draft else ())
    return {"strokes": [asdict(stroke) for stroke in strokes], "revision": draft.revision if draft else 0}


def _there(take: Take, camera: str, frame: int) -> Any:
    if camera not in take.cameras or frame not in take.frames:
        raise NotFound(
            f"there is no camera {camera} with frame {frame}", where=f"take {take.name}", fix="Choose another one."
        )
    return take.cameras[camera]


def _frozen(labels: LabelSet | None, take: str, camera: str, frame: int) -> tuple[Stroke, ...]:
    if labels is None or (take, camera, frame) not in labels.keys:
        return ()
    drawing = labels.strokes(take, camera, frame)
    return drawing.strokes if drawing else ()


def _queue(root: Root, take: str) -> Json | None:
    try:
        queue = read_queue(root, take)
    except NotFound:
        return None
    return {"version": queue.version, "items": [asdict(item) for item in queue.items]}


def _counted(drawing: Drawing) -> Json:
    count = {label: sum(stroke.label == label for stroke in drawing.strokes) for label in ("fg", "bg")}
    return {**count, "authors": drawing.authors}


def _in_use_first(root: Root, runs: Sequence[str]) -> list[str]:
    """Teacher's and student's in use, then all others, the newest names first."""
    registry = Registry(root)
    used = [
        Run(role, Ref(name=found[0], version=found[1])).name
        for role in ("teacher", "student")
        if (found := registry.champion(role))
    ]
    rest = sorted(set(runs) - set(used), reverse=True)
    return [run for run in used if run in runs] + rest


def finish_scribbles(store: str, takes: Sequence[str], author: str = "") -> FinishedRecord:
    """Freeze all drafts that hold something which the newest label set does not.

    Strokes are added to those of the newest set, so whoever else freezes at the same moment loses nothing, and what
    is drawn while this runs is there the next time.

    Args:
        store: URL of the store.
        takes: whose drafts.
        author: only frames on which this person drew; with everything that others drew there. Empty: all.

    Raises:
        ScribbleError: nobody has painted anything.
        StoreError: the store cannot be written to.
    """
    root = Root(store)
    labels = newest_set(root)
    drafts = [draft.drawing for take in takes for draft in read_drafts(root, take).values()]
    wanted = [drawing for drawing in drafts if fresh(labels, drawing) and (not author or author in drawing.authors)]
    # Who only erased, where there is nothing, labels nothing.
    painted = [
        drawing
        for drawing in wanted
        if any(stroke.label != "erase" for stroke in drawing.strokes)
        or (labels and (drawing.take, drawing.camera, drawing.frame) in labels.keys)
    ]
    if not painted and labels is None:
        raise ScribbleError("nothing is painted", where=", ".join(takes), fix="Paint where the matte failed.")
    if painted:
        freeze_labels(root, LABELS, painted)
    newest = newest_labels(store)
    return {
        "labels": newest["labels"],
        "new": bool(painted),
        "frames": len(painted),
        "all": newest["frames"],
        "painted_share": newest["painted_share"],
    }
