"""The desk of a person who scribbles: takes, the frames that mining proposes, what was painted so far.

Everything is plain JSON, for the page of `capmat scribble`. The strokes of a frame are those of the newest label set
and then those of the draft. Frozen strokes are only painted over, so two people lose nothing of each other.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, TypedDict, cast

from capmat_errors import NotFound, ScribbleError
from storage.labels.drafts import Draft, read_draft, read_drafts, save_draft
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.labels.marks import Kind, Mark, keep_mark, read_marks, remove_mark
from storage.labels.queue import read_queue
from storage.labels.strokes import Drawing, Stroke, joined
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.labels.in_use import newest_labels
from tasks.labels.preview import Preview, Previews
from tasks.labels.pyramid import level_sizes
from tasks.labels.views import FrameViews
from tasks.models.networks import Ref, Run

Json = dict[str, Any]


class FinishedRecord(TypedDict):
    """The newest label set after a person finished."""

    labels: str  # version of the set
    new: bool  # whether it was made now
    frames: int  # added now
    all: int  # frames of the set
    painted_share: float  # of a picture, the mean over all frames


def newest_set(root: Root) -> LabelSet | None:
    """The newest label set; None if the store has no label set."""
    return LabelSet.open(root, LABELS) if list_label_sets(root).get(LABELS) else None


def fresh(labels: LabelSet | None, draft: Drawing) -> list[Stroke]:
    """The strokes of a draft that the label set does not have."""
    frozen = set(_frozen(labels, draft.take, draft.camera, draft.frame))
    return [stroke for stroke in draft.strokes if stroke not in frozen]


def describe_take(root: Root, take: Take) -> Json:
    """A take, its queue, and what was painted on which frame.

    Returns:
        `name`; `cameras`, by name the sizes (height, width) of every level of the pyramid; `frames`; `queue` with
        `version` and `items` as mined, each with its `mark`, or None; `drafts`, by "camera/frame" how many `fg` and
        `bg` were made and their `authors`; `labelled`, the "camera/frame" of which every stroke is in the newest set.
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
    """A frame: `levels`, alpha `runs` (those in use first), whether it has a `plate`, `strokes` and `revision`.

    The first `frozen` strokes are in the newest label set. `painted` is the version of that set if it has painted
    pixels of the frame, which `tasks.labels.views` shows; else it is empty.

    Raises:
        NotFound: the take has no such camera or frame.
    """
    view = take.seen(camera, frame)
    labels, key = newest_set(root), (take.name, camera, frame)
    frozen = _frozen(labels, *key)
    draft = read_draft(root, take.name, camera, frame)
    return {
        "levels": level_sizes(view.height, view.width),
        "runs": _in_use_first(root, views.runs(take, camera, frame)),
        "plate": views.has_plate(take, camera),
        "frozen": len(frozen),
        "painted": labels.version if labels and key in labels.keys and labels.is_painted(*key) else "",
        **_strokes(draft, frozen),
    }


def frames_to_show(root: Root, take: Take, run: str, camera: str, frame: int) -> tuple[tuple[str, int], ...]:
    """This frame and up to three others with a matte of the run, to see what a training changes.

    One of them has strokes. The others are the most promising boxes of other cameras, without strokes, since strokes
    always look better afterwards. Where these are too few, other cameras of the same moment follow.
    """
    take.seen(camera, frame)
    known = describe_take(root, take)
    drawn = [(name.rpartition("/")[0], int(name.rpartition("/")[2])) for name in known["drafts"]]
    mined = [(item["camera"], item["frame"]) for item in (known["queue"] or {"items": []})["items"]]
    moment = [(other, frame) for other in take.cameras]
    shown = [(camera, frame)]
    for wanted, most in ((drawn, 2), ([at for at in [*mined, *moment] if at not in drawn], 4)):
        for at in wanted:
            if len(shown) < most and at[0] not in {c for c, _ in shown} and take.has_alpha(run, *at):
                shown.append(at)
    return tuple(shown)


def keep_strokes(root: Root, take: Take, camera: str, frame: int, drawing: Drawing, after: int) -> int:
    """Save the drawing of a frame, made from revision `after`; returns the new revision.

    Raises:
        NotFound: the take has no such camera or frame.
        ScribbleError: the drawing is of another frame, or of another size.
        DraftConflict: another person saved this frame since.
        StoreError: the store cannot be written to.
    """
    _check_drawing(take, camera, frame, drawing)
    return save_draft(root, drawing, after)


def preview_strokes(
    root: Root, views: FrameViews, previews: Previews, take: Take, run: str, drawing: Drawing, page: str
) -> Preview:
    """What the strokes on a frame would change in the mattes of a run; nothing is stored.

    Args:
        root: the store.
        views: of its takes.
        previews: that were made before.
        take: the take.
        run: which mattes.
        drawing: all strokes on the frame.
        page: a later preview for the same page ends this one.

    Raises:
        NotFound: the take has no such camera, frame or matte.
        ScribbleError: the drawing is of another size.
    """
    camera, frame = drawing.camera, drawing.frame
    _check_drawing(take, camera, frame, drawing)
    labels, key = newest_set(root), (take.name, camera, frame)
    below = labels.label(*key) if labels and key in labels.keys and labels.is_painted(*key) else None
    src, pha = (views.reader(take, camera, frame, name) for name in ("picture", run))
    bgr = views.reader(take, camera, frame, "plate") if views.has_plate(take, camera) else None
    return previews.make(drawing, below, src, bgr, pha, page)


def _check_drawing(take: Take, camera: str, frame: int, drawing: Drawing) -> None:
    view = take.seen(camera, frame)
    if (drawing.take, drawing.camera, drawing.frame) != (take.name, camera, frame):
        raise ScribbleError(
            f"the drawing was sent for take {take.name} camera {camera} frame {frame}",
            where=drawing.where,
            fix="Load the page again.",
        )
    if (drawing.width, drawing.height) != (view.width, view.height):
        raise ScribbleError(
            f"the drawing has {drawing.width}x{drawing.height} pixels, the frame {view.width}x{view.height}",
            where=drawing.where,
            fix="Load the page again.",
        )


def saved_strokes(root: Root, take: Take, camera: str, frame: int) -> Json:
    """`strokes` and `revision` of a frame as stored now."""
    return _strokes(read_draft(root, take.name, camera, frame), _frozen(newest_set(root), take.name, camera, frame))


def labels_left_out(root: Root, drawing: Drawing) -> Json:
    """`strokes` as stored, the first `frozen` of them labels, if the drawing lacks a label; else {}."""
    frozen = _frozen(newest_set(root), drawing.take, drawing.camera, drawing.frame)
    if set(frozen) <= set(drawing.strokes):
        return {}
    return {"strokes": [asdict(stroke) for stroke in joined(frozen, drawing.strokes)], "frozen": len(frozen)}


def _strokes(draft: Draft | None, frozen: Sequence[Stroke]) -> Json:
    strokes = joined(frozen, draft.drawing.strokes if draft else ())
    return {"strokes": [asdict(stroke) for stroke in strokes], "revision": draft.revision if draft else 0}


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
    said = {mark.place: mark.kind for mark in read_marks(root, take)}
    items = [{**asdict(item), "mark": said.get((item.camera, item.frame, item.box), "")} for item in queue.items]
    return {"version": queue.version, "items": items}


def mark_box(root: Root, take: Take, camera: str, frame: int, said: Any) -> Json:
    """Store what a person says of a mined box: `said` has its `box`, the `kind` of mark ("" for none), the `author`.

    Raises:
        NotFound: the take has no such camera or frame.
        ScribbleError: it does not say this.
        StoreError: the store cannot be written to.
    """
    take.seen(camera, frame)
    try:
        x0, y0, x1, y1 = (int(edge) for edge in said["box"])
        kind, author = str(said["kind"]), str(said["author"])
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise ScribbleError("expected a box, a kind and an author", where=f"take {take.name}") from error
    box = (x0, y0, x1, y1)
    if kind:
        keep_mark(root, take, Mark(camera, frame, box, cast(Kind, kind), author))
    else:
        remove_mark(root, take, camera, frame, box)
    return {"kind": kind}


def _counted(drawing: Drawing) -> Json:
    """Movements of the hand: the strokes of one have the same time."""
    made = {
        label: [(s.author, s.time or place) for place, s in enumerate(drawing.strokes) if s.label == label]
        for label in ("fg", "bg")
    }
    return {**{label: len(set(all)) for label, all in made.items()}, "authors": drawing.authors}


def _in_use_first(root: Root, runs: Sequence[str]) -> list[str]:
    """The runs of the teacher and the student in use, then all others, the newest names first."""
    registry = Registry(root)
    used = [
        Run(role, Ref(name=model.name, version=model.version)).name
        for role in ("teacher", "student")
        if (model := registry.champion(role))
    ]
    rest = sorted(set(runs) - set(used), reverse=True)
    return [run for run in used if run in runs] + rest


def finish_scribbles(store: str, takes: Sequence[str], author: str = "") -> FinishedRecord:
    """Freeze all drafts with strokes that the newest label set does not have.

    Strokes are added to those of the newest set, so a person who freezes at the same moment loses nothing. Strokes
    drawn meanwhile wait for the next time.

    Args:
        store: URL of the store.
        takes: whose drafts.
        author: only frames on which this person drew, with the strokes of others there; "" for all frames.

    Raises:
        ScribbleError: no draft has a stroke.
        StoreError: the store cannot be written to.
    """
    root = Root(store)
    labels = newest_set(root)
    drafts = [draft.drawing for take in takes for draft in read_drafts(root, take).values()]
    wanted = [drawing for drawing in drafts if fresh(labels, drawing) and (not author or author in drawing.authors)]
    # a frame on which people only erased has a label only if it had one before
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
