"""Done: what was drawn becomes labels, the next version of the label set (paper section 4.2)."""

from collections.abc import Sequence

from capmat_errors import ScribbleError
from storage.labels.drafts import read_drafts
from storage.labels.freeze import freeze_labels
from storage.store.root import Root
from tasks.labels.desk import fresh, newest_set
from tasks.labels.in_use import LABELS, newest_labels
from tasks.runtime.step import Record


def finish_scribbles(store: str, takes: Sequence[str], author: str = "") -> Record:
    """Freeze all drafts that hold something which the newest label set does not.

    Strokes are added to those of the newest set, so whoever else freezes at the same moment loses nothing, and what
    is drawn while this runs is there the next time.

    Args:
        store: URL of the store.
        takes: whose drafts.
        author: only frames on which this person drew; with everything that others drew there. Empty: all.

    Returns:
        Record with `labels` (version of the set), `new` (whether it was made now), `frames` that went in now, `all`
        frames of the set, and their mean `painted_share`.

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
