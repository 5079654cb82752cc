"""What people labelled, frame by frame: background, foreground, and the rest left open.

    labels/<name>/l0001.json              take, camera, frame and picture of every label
    labels/<name>/pictures/<sha256>.png   (H, W) uint8: 0 background, 1 foreground, 255 open
    labels/<name>/strokes/<sha256>.json   what was drawn on a frame, see `storage.strokes`

A label set only grows: a new version holds all of the last one, and what was frozen now. Older versions stay
as they were, so a training run can always be repeated. Who labels a frame that has labels paints over them: new
pixels win, and where the new ones are open the old ones stay; strokes are put on top of those that are there. So
two people who work on one frame both find their work in the later version, whoever is first. To take something
away, erase with a stroke, or freeze with `replace`.
"""

from collections.abc import Iterable
from hashlib import sha256
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, ScribbleError
from storage.frames import decode_png, encode_png
from storage.label_layers import Layers
from storage.rasterise import BACKGROUND, FOREGROUND, OPEN
from storage.root import Root, checked_name
from storage.strokes import Drawing, decode_strokes, encode_strokes
from storage.versions import add_version, list_versions, read_version

__all__ = [
    "BACKGROUND",
    "FOREGROUND",
    "OPEN",
    "Key",
    "LabelEntry",
    "LabelSet",
    "freeze_labels",
    "list_label_sets",
]
Key = tuple[str, str, int]
"""Take, camera and frame."""


class LabelEntry(NamedTuple):
    """One annotated frame: label is (H, W) uint8 of 0 background, 1 foreground, 255 open."""

    take: str
    camera: str
    frame: int
    label: NDArray[np.uint8]


class LabelSet:
    """One version of a label set; make one with `freeze_labels` or `LabelSet.open`.

    Attributes:
        name: the set's name.
        version: "l0001", ...
        keys: (take, camera, frame) of every label, sorted.
    """

    def __init__(self, root: Root, name: str, version: str, entries: list[dict[str, Any]]) -> None:
        self.root, self.name, self.version = root, name, version
        self._entries = {(e["take"], e["camera"], int(e["frame"])): e for e in entries}
        self.keys = sorted(self._entries)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"LabelSet({self.name!r}, {self.version!r}, {len(self)} frames)"

    @classmethod
    def open(cls, root: Root, name: str, version: str | None = None) -> "LabelSet":
        """Open a version, the newest if None.

        Raises:
            NotFound: there is no such set or version.
        """
        found, data = read_version(root, _folder(name), "l", version)
        return cls(root, name, found, data["entries"])

    @property
    def content(self) -> list[tuple[str, str, int, str]]:
        """(take, camera, frame, sha256 of the picture) of every label, sorted; nothing is read for it."""
        return [(*key, self._entries[key]["picture"]) for key in self.keys]

    @property
    def entries(self) -> list[LabelEntry]:
        """All labels, read from the store."""
        return [LabelEntry(*key, self.label(*key)) for key in self.keys]

    def label(self, take: str, camera: str, frame: int, scale: float = 1.0) -> NDArray[np.uint8]:
        """One label, (H, W) uint8, at the frame's size times `scale`.

        Strokes are painted anew at that size; of painted pixels the ones under the new pixels' centres are taken.

        Raises:
            NotFound: this frame is not in the set.
        """
        entry = self._entry(take, camera, frame)
        return _picture(self.root, self.name, entry["picture"]) if scale == 1.0 else self._layers(entry).pixels(scale)

    def strokes(self, take: str, camera: str, frame: int) -> Drawing | None:
        """What was drawn on a frame; None where pixels alone were painted.

        Raises:
            NotFound: this frame is not in the set.
        """
        digest = self._entry(take, camera, frame).get("strokes")
        return _drawing(self.root, self.name, digest) if digest else None

    def is_painted(self, take: str, camera: str, frame: int) -> bool:
        """Whether a frame has painted pixels, alone or below its strokes.

        Raises:
            NotFound: this frame is not in the set.
        """
        entry = self._entry(take, camera, frame)
        return "strokes" not in entry or "under" in entry

    def authors(self, take: str, camera: str, frame: int) -> list[str]:
        """Who drew on a frame, sorted; nothing is known of those who painted pixels."""
        return list(self._entry(take, camera, frame).get("authors", ()))

    def _layers(self, entry: dict[str, Any]) -> Layers:
        drawing = _drawing(self.root, self.name, entry["strokes"]) if "strokes" in entry else None
        lowest = entry.get("under") if drawing else entry["picture"]
        painted = _picture(self.root, self.name, lowest) if lowest else None
        if drawing:
            return Layers((drawing.height, drawing.width), painted, drawing.strokes)
        assert painted is not None  # an entry without strokes has its picture
        return Layers((painted.shape[0], painted.shape[1]), painted)

    def _entry(self, take: str, camera: str, frame: int) -> dict[str, Any]:
        entry = self._entries.get((take, camera, frame))
        if entry is None:
            raise NotFound(
                "this frame has no label",
                where=f"take {take} camera {camera} frame {frame}",
                fix=f"Annotate it, or take another version than {self.name} {self.version}.",
            )
        return entry


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
        The new version. Two people who freeze at once get one version each, and the later holds both's work.
        A frame on which nothing is left that is not open is not in it.

    Raises:
        ScribbleError: there is nothing to freeze, a label holds other values than 0, 1 and 255 or is all open, a
            drawing is none, or it is of another size than what the set has of that frame.
        StoreError: the store cannot be written to.
    """
    new: dict[Key, list[bytes | Drawing]] = {}
    for entry in entries:
        key, made = _checked(entry)
        new.setdefault(key, []).append(made)
    if not new:
        raise ScribbleError("there is nothing to freeze", where=f"label set {name}", fix="Annotate a frame first.")

    def content(newest: str | None) -> dict[str, Any]:
        old = LabelSet.open(root, name, newest) if newest else LabelSet(root, name, "", [])
        entries, files = dict(old._entries), dict[str, bytes]()
        for key, items in new.items():
            there = None if replace else entries.get(key)
            layers = old._layers(there) if there else None
            authors = set(there.get("authors", ()) if there else ())
            for item in items:
                top = _layers_of(item)
                layers = top.over(layers, _where(key)) if layers else top
                authors |= set(item.authors if isinstance(item, Drawing) else ())
            assert layers is not None  # there is an item
            pixels = layers.pixels()
            entries.pop(key, None)
            if (pixels != OPEN).any():
                entries[key] = _entry(_folder(name), key, layers, pixels, authors, files)
        if not entries:
            raise ScribbleError("nothing is left labelled", where=f"label set {name}", fix="Annotate a frame.")
        for path, data in files.items():
            root.write(path, data)
        return {"entries": [entries[key] for key in sorted(entries)]}

    return LabelSet.open(root, name, add_version(root, _folder(name), "l", content))


def list_label_sets(root: Root) -> dict[str, list[str]]:
    """The versions of every label set, oldest first."""
    return {name: list_versions(root, _folder(name), "l") for name in root.names("labels")}


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
            "a label holds other values than 0, 1 and 255", where=_where(key), fix="Make it with `capmat scribbles`."
        )
    if (label == OPEN).all():
        raise ScribbleError("nothing is labelled", where=_where(key), fix="Label some of it, or leave it out.")
    return key, encode_png(label.astype(np.uint8))


def _layers_of(item: bytes | Drawing) -> Layers:
    if isinstance(item, Drawing):
        return Layers((item.height, item.width), None, item.strokes)
    label = decode_png(item, "label").astype(np.uint8)
    return Layers((label.shape[0], label.shape[1]), label)


def _entry(
    folder: str, key: Key, layers: Layers, pixels: NDArray[np.uint8], authors: set[str], files: dict[str, bytes]
) -> dict[str, Any]:
    """What a version says of a frame; what it refers to is put into `files`."""

    def keep(kind: str, ending: str, data: bytes) -> str:
        digest = sha256(data).hexdigest()
        files[f"{folder}/{kind}/{digest}.{ending}"] = data
        return digest

    take, camera, frame = key
    entry: dict[str, Any] = {"take": take, "camera": camera, "frame": frame}
    entry["picture"] = keep("pictures", "png", encode_png(pixels))
    if layers.strokes:
        height, width = layers.size
        drawing = Drawing(take, camera, frame, width, height, layers.strokes)
        entry["strokes"] = keep("strokes", "json", encode_strokes(drawing))
        if layers.painted is not None:
            entry["under"] = keep("pictures", "png", encode_png(layers.painted))
    if authors:
        entry["authors"] = sorted(authors)
    return entry


def _picture(root: Root, name: str, digest: str) -> NDArray[np.uint8]:
    key = f"{_folder(name)}/pictures/{digest}.png"
    return decode_png(root.read(key), root.at(key)).astype(np.uint8)


def _drawing(root: Root, name: str, digest: str) -> Drawing:
    key = f"{_folder(name)}/strokes/{digest}.json"
    return decode_strokes(root.read(key), root.at(key))


def _folder(name: str) -> str:
    return f"labels/{checked_name('label set', name)}"


def _where(key: Key) -> str:
    return "take {} camera {} frame {}".format(*key)
