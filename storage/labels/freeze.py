"""Freezing labels: what people marked on frames becomes the next version of a label set.

    labels/<name>/l0001.json              what the version stores about every frame, see `LabelRecord`
    labels/<name>/pictures/<sha256>.png   (H, W) uint8: 0 background, 1 foreground, 255 open
    labels/<name>/strokes/<sha256>.json   what was drawn on a frame, see `storage.labels.strokes`

The picture is what trainings use. A label set only grows: a new version holds all of the last one, and what was
frozen now. Older versions stay as they were, so a training run can always be repeated. New pixels are painted over
earlier labels of their frame, which stay where the new ones are open; new strokes go on top of the earlier ones. A
stroke or picture that is frozen a second time stays where it is, below what came later. So two people who work on one
frame both find their work in the later version, in any order. To remove something, erase it with a stroke, or
freeze with `replace`.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np

from capmat_errors import ScribbleError
from storage.labels.label_set import (
    Key,
    LabelRecord,
    LabelSet,
    Layers,
    Pixels,
    label_versions,
    labels_folder,
    where_of,
)
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN
from storage.labels.strokes import Drawing, encode_strokes
from storage.pictures.png import decode_png, encode_png
from storage.store.root import Root

Entry = tuple[str, str, int, Pixels] | Drawing
"""Take, camera, frame and label (H, W), or a drawing."""


def freeze_labels(root: Root, name: str, entries: Iterable[Entry], *, replace: bool = False) -> LabelSet:
    """Create the next version of a label set. Nothing is stored if one entry is refused.

    Args:
        root: the store.
        name: the set's name.
        entries: labels and drawings. They go on top of what the last version has of their frame; see the module.
        replace: forget what the last version has of these frames.

    Returns:
        The new version; the last one if it holds all of this already. Two people who freeze at once get one version
        each, and the later holds the work of both. Frames that are all open are left out.

    Raises:
        ScribbleError: `entries` is empty, a label holds other values than 0, 1 and 255 or is all open, a drawing is
            not valid or empty, or the size is another one than in the last version.
        StoreError: the store cannot be written to.
    """
    new: dict[Key, list[bytes | Drawing]] = {}
    for entry in entries:
        key, item = _checked(entry)
        new.setdefault(key, []).append(item)
    if not new:
        raise ScribbleError("there is nothing to freeze", where=f"label set {name}", fix="Annotate a frame first.")

    def content(newest: str | None) -> dict[str, Any]:
        old = LabelSet.open(root, name, newest) if newest else LabelSet(root, name, "", [])
        records, files = dict(old.records), dict[str, bytes]()
        for key, items in new.items():
            existing = None if replace else records.get(key)
            combined = _combined(old.layers(*key) if existing else None, existing, items, key)
            if record := _record(labels_folder(name), key, combined, files):
                records[key] = record
            else:
                records.pop(key, None)
        if not records:
            raise ScribbleError("nothing is left labelled", where=f"label set {name}", fix="Annotate a frame.")
        if newest and records == old.records:
            raise _NothingNewError(newest)
        for path, data in files.items():
            root.write(path, data)
        return {"entries": [records[key] for key in sorted(records)]}

    try:
        version = label_versions(root, name).add(content)
    except _NothingNewError as nothing:
        version = str(nothing)
    return LabelSet.open(root, name, version)


class _NothingNewError(Exception):
    """The newest version, whose name it is, holds everything already."""


class _Combined(NamedTuple):
    """A frame's earlier label and what was frozen now; its authors, and the sha256 of pictures painted on it."""

    layers: Layers
    authors: set[str]
    painted: list[str]


def _combined(
    layers: Layers | None, existing: LabelRecord | None, items: list[bytes | Drawing], key: Key
) -> _Combined:
    authors, painted = set[str](), list[str]()
    if existing:
        authors |= set(existing.get("authors", ()))
        painted += existing.get("painted", [existing["picture"]])
    for item in items:
        if isinstance(item, Drawing):
            authors |= set(item.authors)
        elif (digest := sha256(item).hexdigest()) in painted:
            continue  # what came after it stays on top
        else:
            painted.append(digest)
        top = _layers_of(item)
        layers = top.over(layers, where_of(key)) if layers else top
    assert layers is not None  # without an existing label the first item is not skipped
    return _Combined(layers, authors, painted)


def _checked(entry: Entry) -> tuple[Key, bytes | Drawing]:
    """Return the frame of an entry, and the entry in a form that takes little memory."""
    if isinstance(entry, Drawing):
        encode_strokes(entry)
        if not entry.strokes:
            raise ScribbleError("nothing is drawn", where=entry.where, fix="Draw a stroke first.")
        return (entry.take, entry.camera, entry.frame), entry
    take, camera, frame, label = entry
    key = take, camera, int(frame)
    if label.ndim != 2 or not np.isin(label, (BACKGROUND, FOREGROUND, OPEN)).all():
        what, fix = "a label holds other values than 0, 1 and 255", "Import it with `capmat scribbles import`."
        raise ScribbleError(what, where=where_of(key), fix=fix)
    if (label == OPEN).all():
        raise ScribbleError("nothing is labelled", where=where_of(key), fix="Label some of it, or leave it out.")
    return key, encode_png(label.astype(np.uint8))


def _layers_of(item: bytes | Drawing) -> Layers:
    if isinstance(item, Drawing):
        return Layers((item.height, item.width), (item.strokes,))
    label = decode_png(item, "label").astype(np.uint8)
    return Layers((label.shape[0], label.shape[1]), (label,))


def _record(folder: str, key: Key, combined: _Combined, files: dict[str, bytes]) -> LabelRecord | None:
    """Return what a version stores about a frame, and add its files to `files`; None where all is open."""

    def add(kind: str, ending: str, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        files[f"{folder}/{kind}/{digest}.{ending}"] = data
        return digest

    layers, pixels = combined.layers, combined.layers.pixels()
    if (pixels == OPEN).all():
        return None
    take, camera, frame = key
    picture = add("pictures", "png", encode_png(pixels))
    record: LabelRecord = {"take": take, "camera": camera, "frame": frame, "picture": picture}
    if layers.strokes:
        height, width = layers.size
        record["layers"] = [
            ["strokes", add("strokes", "json", encode_strokes(Drawing(*key, width, height, part)))]
            if isinstance(part, tuple)
            else ["picture", add("pictures", "png", encode_png(part))]
            for part in layers.parts
        ]
    if combined.authors:
        record["authors"] = sorted(combined.authors)
    if combined.painted not in ([], [picture]):
        record["painted"] = combined.painted
    return record
