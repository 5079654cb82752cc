"""Scribbles in: painted overlays become an immutable label set (paper section 4.2)."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import ScribbleError
from storage.labels_overlay import read_overlay
from storage.ledger import Ledger
from storage.root import Root
from storage.scribbles import OPEN, LabelSet, freeze_labels, list_label_sets
from storage.take import Take
from tasks.step import Record, Step, retryable, run_once

LABELS = "scribbles"
"""Name of the label set; every import makes its next version, with all earlier labels in it."""


def overlay_files(inbox: Path) -> list[tuple[str, str, int, Path]]:
    """Every overlay of an inbox as (take, camera, frame, file).

    Raises:
        ScribbleError: a picture whose place or name says no take, camera and frame; an empty inbox.
    """
    found = []
    for file in sorted(inbox.rglob("*.png")):
        parts = file.relative_to(inbox).parts
        if len(parts) != 3 or not (file.stem.isascii() and file.stem.isdigit()):
            raise ScribbleError(
                "its place does not say what it is for",
                where=str(file),
                fix="Name overlays <take>/<camera>/<frame>.png",
            )
        if not file.is_file():
            raise ScribbleError("the overlay is no file", where=str(file), fix="Copy it again, or remove it.")
        found.append((parts[0], parts[1], int(file.stem), file))
    if not found:
        raise ScribbleError("holds no overlay", where=str(inbox), fix="Paint some, <take>/<camera>/<frame>.png")
    return found


def import_scribbles(store: str, inbox: str) -> Record:
    """Freeze what lies in the inbox as the next label set. Nothing is stored if a single overlay is refused.

    Args:
        store: URL of the store.
        inbox: folder of overlays: green foreground, red background, unpainted ignored.

    Returns:
        Record with `labels` (version of the set), `frames` and the mean `painted_share`.

    Raises:
        ScribbleError: unknown take, camera or frame, wrong size, nothing or everything painted.
    """
    files = overlay_files(Path(inbox))
    inputs = _content(files)

    def work() -> dict[str, Any]:
        root, entries, shares = Root(store), [], []
        takes = {name: Take.open(root, name) for name in {f[0] for f in files}}
        for name, camera, frame, file in files:
            take = takes[name]
            if camera not in take.cameras or frame not in take.frames:
                what = f"take {name} has no camera {camera} with frame {frame}"
                raise ScribbleError(what, where=str(file), fix="Rename or remove it.")
            view = take.cameras[camera]
            label = read_overlay(file, (view.height, view.width))
            entries.append((name, camera, frame, label))
            shares.append(float(np.mean(label != 255)))
        labels = freeze_labels(root, LABELS, entries)
        return {"labels": labels.version, "frames": len(entries), "painted_share": float(np.mean(shares))}

    return run_once(store, "scribbles", "inbox", inputs, work)


def newest_labels(store: str, inbox: str = "") -> Record:
    """The newest label set, after freezing what lies in the inbox; an empty inbox is no fault if there is a set.

    Args:
        store: URL of the store.
        inbox: folder of overlays. Empty: only what is frozen already.

    Returns:
        Record with `labels` (version of the set), `frames` and the mean `painted_share`. It depends on the labels
        alone, whoever froze them and in how many steps.

    Raises:
        ScribbleError: see `import_scribbles`.
        NotFound: there is no label set, and no inbox was given.
    """
    if inbox and (_overlays_in(inbox) or not _versions(store)):
        import_scribbles(store, inbox)
    labels = LabelSet.open(Root(store), LABELS)

    def work() -> dict[str, Any]:
        shares = [float(np.mean(labels.label(*key) != OPEN)) for key in labels.keys]
        return {"labels": labels.version, "frames": len(labels), "painted_share": float(np.mean(shares))}

    return run_once(store, "scribbles", f"set {labels.version}", {"content": labels.content}, work)


def waiting(store: str, inbox: str = "") -> bool:
    """Whether there are labels that no finished round of training has used.

    Args:
        store: URL of the store.
        inbox: folder of overlays, to count those that nobody froze yet. Empty: label sets alone.

    Raises:
        ScribbleError: a file in the inbox whose name says nothing.
    """
    if inbox and _overlays_in(inbox) and not _frozen(store, inbox):
        return True
    versions = _versions(store)
    return bool(versions) and Ledger(Root(store)).done(_used(versions[-1])) is None


def mark_used(store: str, labels: Record, verdicts: Record) -> None:
    """Record that a round of training with `labels` is finished; `verdicts` is what the gate said, by role."""
    Ledger(Root(store)).record(_used(labels["labels"]), {"labels": labels["digest"], "gate": verdicts})


def _frozen(store: str, inbox: str) -> bool:
    return Step(store, "scribbles", "inbox", _content(overlay_files(Path(inbox)))).record() is not None


def _used(version: str) -> str:
    return f"redistill/{LABELS}-{version}"


def _versions(store: str) -> list[str]:
    return list_label_sets(Root(store)).get(LABELS, [])


def _overlays_in(inbox: str) -> bool:
    return next(Path(inbox).rglob("*.png"), None) is not None


def _content(files: list[tuple[str, str, int, Path]]) -> dict[str, Any]:
    return {"content": [(t, c, f, sha256(p.read_bytes()).hexdigest()) for t, c, f, p in files]}


newest_labels_task = retryable("newest labels")(newest_labels)
mark_used_task = retryable("mark labels as used")(mark_used)
