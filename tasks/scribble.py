"""Scribbles in: painted overlays become an immutable label set (paper section 4.2)."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from capmat_errors import ScribbleError
from storage.root import Root
from storage.scribbles import freeze_labels, read_overlay
from storage.take import Take
from tasks.step import Record, retryable, run_once

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

    content = [(t, c, f, sha256(p.read_bytes()).hexdigest()) for t, c, f, p in files]
    return run_once(store, "scribbles", "inbox", {"content": content}, work)


import_scribbles_task = retryable("import scribbles")(import_scribbles)
