"""What people labelled, frame by frame: background, foreground, and the rest left open.

    labels/<name>/l0001.json              take, camera, frame and picture of every label
    labels/<name>/pictures/<sha256>.png   (H, W) uint8: 0 background, 1 foreground, 255 open
    labels/<name>/strokes/<sha256>.json   what was drawn on a frame, see `storage.labels.strokes`

The picture is what counts. Where there are strokes, `layers` says what it was made of,
see `storage.labels.label_set`.
A label set only grows: a new version holds all of the last one, and what was frozen now. Older versions stay
as they were, so a training run can always be repeated. Who labels a frame that has labels paints over them: new
pixels win, and where the new ones are open the old ones stay; strokes are put on top of those that are there. What
is frozen a second time, a stroke or the same picture, stays where it is, below what came later. So two people who
work on one frame both find their work in the later version, whoever is first. To take something away, erase with a
stroke, or freeze with `replace`.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ScribbleError
from storage.labels.label_set import Key, LabelSet, Layers, labels_folder, where_of
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN
from storage.labels.strokes import Drawing, encode_strokes
from storage.pictures.png import decode_png, encode_png
from storage.store.root import Root
from storage.store.versions import Versions


def freeze_labels(
    root: Root,
    name: str,
    entries: Iterable[tuple[str, str, int, NDArray[np.uint8]] | Drawing],
    *,
    replace: bool = False,
) -> LabelSet:
    """Make the next version of a label set: all of the last one, and these. Nothing is stored if one is refused.

    Args:
        root: the store.
        name: the set's name.
        entries: (take, camera, frame, label), or a drawing. They are painted over what the last version has of
            their frame; see the module.
        replace: forget what the last version has of these frames.

    Returns:
        The new version; the last one if it holds all of this already. Two people who freeze at once get one version
        each, and the later holds both's work. A frame on which nothing is left that is not open is not in it.

    Raises:
        ScribbleError: there is nothing to freeze, a label holds other values than 0, 1 and 255 or is all open, a
            drawing is none, or it is of another size than what the set has of that frame.
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
        entries, files = dict(old.records), dict[str, bytes]()
        for key, items in new.items():
            there = None if replace else entries.get(key)
            layers = old.layers(*key) if there else None
            made = _made(layers, there or {}, items, key)
            if entry := _entry(labels_folder(name), key, made, files):
                entries[key] = entry
            else:
                entries.pop(key, None)
        if not entries:
            raise ScribbleError("nothing is left labelled", where=f"label set {name}", fix="Annotate a frame.")
        if newest and entries == old.records:
            raise _NothingNewError(newest)
        for path, data in files.items():
            root.write(path, data)
        return {"entries": [entries[key] for key in sorted(entries)]}

    try:
        version = Versions(root, labels_folder(name), "l").add(content)
    except _NothingNewError as nothing:
        version = str(nothing)
    return LabelSet.open(root, name, version)


class _NothingNewError(Exception):
    """The newest version, whose name it is, holds everything already."""


class _Made(NamedTuple):
    """A frame's label with what was frozen now; who drew on it, and which pictures were painted on it, by sha256."""

    layers: Layers
    authors: set[str]
    painted: list[str]


def _made(below: Layers | None, there: dict[str, Any], items: list[bytes | Drawing], key: Key) -> _Made:
    made, authors = below, set(there.get("authors", ()))
    painted = list(there.get("painted", [there["picture"]] if there else []))
    for item in items:
        if isinstance(item, Drawing):
            authors |= set(item.authors)
        elif (digest := sha256(item).hexdigest()) in painted:
            continue  # what came after it stays on top
        else:
            painted.append(digest)
        top = _layers_of(item)
        made = top.over(made, where_of(key)) if made else top
    assert made is not None  # the first item is on top of something, or something itself
    return _Made(made, authors, painted)


def _checked(entry: tuple[str, str, int, NDArray[np.uint8]] | Drawing) -> tuple[Key, bytes | Drawing]:
    """Where it belongs, and the entry in a form that takes little room."""
    if isinstance(entry, Drawing):
        encode_strokes(entry)
        if not entry.strokes:
            raise ScribbleError("nothing is drawn", where=entry.where, fix="Draw a stroke first.")
        return (entry.take, entry.camera, entry.frame), entry
    take, camera, frame, label = entry
    key = take, camera, int(frame)
    if label.ndim != 2 or not np.isin(label, (BACKGROUND, FOREGROUND, OPEN)).all():
        raise ScribbleError(
            "a label holds other values than 0, 1 and 255",
            where=where_of(key),
            fix="Make it with `capmat scribbles`.",
        )
    if (label == OPEN).all():
        raise ScribbleError("nothing is labelled", where=where_of(key), fix="Label some of it, or leave it out.")
    return key, encode_png(label.astype(np.uint8))


def _layers_of(item: bytes | Drawing) -> Layers:
    if isinstance(item, Drawing):
        return Layers((item.height, item.width), (item.strokes,))
    label = decode_png(item, "label").astype(np.uint8)
    return Layers((label.shape[0], label.shape[1]), (label,))


def _entry(folder: str, key: Key, made: _Made, files: dict[str, bytes]) -> dict[str, Any] | None:
    """What a version says of a frame; what it refers to is put into `files`. None where all is open."""

    def keep(kind: str, ending: str, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        files[f"{folder}/{kind}/{digest}.{ending}"] = data
        return digest

    layers, pixels = made.layers, made.layers.pixels()
    if (pixels == OPEN).all():
        return None
    take, camera, frame = key
    entry: dict[str, Any] = {"take": take, "camera": camera, "frame": frame}
    entry["picture"] = keep("pictures", "png", encode_png(pixels))
    if layers.strokes:
        height, width = layers.size
        entry["layers"] = [
            ["strokes", keep("strokes", "json", encode_strokes(Drawing(*key, width, height, part)))]
            if isinstance(part, tuple)
            else ["picture", keep("pictures", "png", encode_png(part))]
            for part in layers.parts
        ]
    if made.authors:
        entry["authors"] = sorted(made.authors)
    if made.painted not in ([], [entry["picture"]]):
        entry["painted"] = made.painted
    return entry
