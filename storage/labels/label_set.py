"""Reading a label set, which `storage.labels.freeze` writes: which frames it has, and what is labelled on them."""

from typing import NamedTuple, NotRequired, TypedDict

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, ScribbleError
from storage.labels.raster import OPEN, rasterise
from storage.labels.strokes import Drawing, Stroke, added, decode_strokes
from storage.pictures.png import decode_png
from storage.store.root import Root, checked_name
from storage.store.versions import Versions

LABELS = "scribbles"
"""Name of the label set; every import makes its next version, with all earlier labels in it."""
Pixels = NDArray[np.uint8]
Part = Pixels | tuple[Stroke, ...]
Key = tuple[str, str, int]
"""Take, camera and frame."""


class LabelRecord(TypedDict):
    """What a version stores about one frame.

    `picture` is the sha256 of the label as pixels. `layers` lists what it was made of, the lowest first, as kind and
    sha256; without it the picture was painted. `authors` drew strokes. `painted` lists the pictures that were frozen
    on the frame; without it, `picture` alone.
    """

    take: str
    camera: str
    frame: int
    picture: str
    layers: NotRequired[list[list[str]]]
    authors: NotRequired[list[str]]
    painted: NotRequired[list[str]]


class Layers(NamedTuple):
    """The label of one frame, as the parts that it was made of.

    Attributes:
        size: (height, width) of the frame.
        parts: the lowest first: painted pixels, (H, W) uint8 of 0 background, 1 foreground, 255 open, or strokes.
    """

    size: tuple[int, int]
    parts: tuple[Part, ...]

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        """Return all strokes, the lowest first."""
        return tuple(stroke for part in self.parts if isinstance(part, tuple) for stroke in part)

    def pixels(self, scale: float = 1.0) -> Pixels:
        """Return the label, (H, W) uint8, at `scale` times the frame's size.

        Strokes are painted at that size; painted pixels are sampled at the centres of the new pixels.
        """
        label = rasterise((), self.size, scale)
        for part in self.parts:
            if isinstance(part, tuple):
                label = rasterise(part, self.size, scale, label)
            else:
                label = _over(part if scale == 1.0 else _sampled(part, label.shape), label)
        return label

    def over(self, below: "Layers", where: str) -> "Layers":
        """Return both, this one on top.

        Raises:
            ScribbleError: their sizes differ.
        """
        if self.size != below.size:
            (height, width), (old_height, old_width) = self.size, below.size
            raise ScribbleError(
                f"the label is {width}x{height}, the earlier one of this frame {old_width}x{old_height}",
                where=where,
                fix="Label the frame at its full size.",
            )
        parts = list(below.parts)
        for part in self.parts:
            top = parts[-1] if parts else None
            if isinstance(part, tuple):
                new = added(below.strokes, part)
                if isinstance(top, tuple):
                    parts[-1] = (*top, *new)
                elif new:
                    parts.append(new)
            elif top is None or isinstance(top, tuple):
                parts.append(part)
            else:
                parts[-1] = _over(part, top)
        return Layers(self.size, tuple(parts))


def _over(above: Pixels, below: Pixels) -> Pixels:
    return np.where(above == OPEN, below, above)


def _sampled(pixels: Pixels, size: tuple[int, ...]) -> Pixels:
    rows, columns = (
        ((np.arange(made) + 0.5) * side / made).astype(int) for side, made in zip(pixels.shape, size, strict=True)
    )
    return pixels[rows[:, None], columns]


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
        records: what the version stores about each, by key.
    """

    def __init__(self, root: Root, name: str, version: str, records: list[LabelRecord]) -> None:
        self.root, self.name, self.version = root, name, version
        self.records: dict[Key, LabelRecord] = {(r["take"], r["camera"], int(r["frame"])): r for r in records}
        self.keys = sorted(self.records)

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"LabelSet({self.name!r}, {self.version!r}, {len(self)} frames)"

    @classmethod
    def open(cls, root: Root, name: str, version: str | None = None) -> "LabelSet":
        """Open a version, the newest if None.

        Raises:
            NotFound: the set or version does not exist.
        """
        try:
            newest, data = label_versions(root, name).read(version)
        except NotFound as error:
            if version:
                raise
            fix = "Paint some with `capmat scribble`, or bring some in with `capmat scribbles import`."
            raise NotFound("no labels are stored yet", where=root.at(labels_folder(name)), fix=fix) from error
        return cls(root, name, newest, data["entries"])

    @property
    def content(self) -> list[tuple[str, str, int, str]]:
        """Take, camera, frame and sha256 of the picture of every label, sorted; no file is read for it."""
        return [(*key, self.records[key]["picture"]) for key in self.keys]

    @property
    def entries(self) -> list[LabelEntry]:
        """All labels, read from the store."""
        return [LabelEntry(*key, self.label(*key)) for key in self.keys]

    def label(self, take: str, camera: str, frame: int, scale: float = 1.0) -> NDArray[np.uint8]:
        """Return one label, (H, W) uint8, at the frame's size times `scale`, see `Layers.pixels`.

        Raises:
            NotFound: this frame is not in the set.
        """
        record = self._record(take, camera, frame)
        if scale != 1.0:
            return self.layers(take, camera, frame).pixels(scale)
        return self._picture(record["picture"])

    def strokes(self, take: str, camera: str, frame: int) -> Drawing | None:
        """Return what was drawn on a frame; None where only pixels were painted.

        Raises:
            NotFound: this frame is not in the set.
        """
        if "layers" not in self._record(take, camera, frame):
            return None
        layers = self.layers(take, camera, frame)
        return Drawing(take, camera, frame, layers.size[1], layers.size[0], layers.strokes)

    def is_painted(self, take: str, camera: str, frame: int) -> bool:
        """Return whether a frame has painted pixels, alone or beside its strokes.

        Raises:
            NotFound: this frame is not in the set.
        """
        record = self._record(take, camera, frame)
        return "layers" not in record or any(kind == "picture" for kind, _ in record["layers"])

    def authors(self, take: str, camera: str, frame: int) -> list[str]:
        """Return who drew on a frame, sorted; people who painted pixels are not recorded."""
        return list(self._record(take, camera, frame).get("authors", ()))

    def layers(self, take: str, camera: str, frame: int) -> Layers:
        """Return what the label of a frame was made of.

        Raises:
            NotFound: this frame is not in the set.
        """
        record, parts = self._record(take, camera, frame), list[Part]()
        for kind, digest in record.get("layers", [("picture", record["picture"])]):
            if kind == "picture":
                parts.append(pixels := self._picture(digest))
                size = pixels.shape[0], pixels.shape[1]
            else:
                key = f"{labels_folder(self.name)}/strokes/{digest}.json"
                drawing = decode_strokes(self.root.read(key), self.root.at(key))
                parts.append(drawing.strokes)
                size = drawing.height, drawing.width
        return Layers(size, tuple(parts))

    def _record(self, take: str, camera: str, frame: int) -> LabelRecord:
        key = take, camera, frame
        if key not in self.records:
            fix = f"Annotate it, or use another version than {self.name} {self.version}."
            raise NotFound("this frame has no label", where=where_of(key), fix=fix)
        return self.records[key]

    def _picture(self, digest: str) -> Pixels:
        key = f"{labels_folder(self.name)}/pictures/{digest}.png"
        return decode_png(self.root.read(key), self.root.at(key)).astype(np.uint8)


def list_label_sets(root: Root) -> dict[str, list[str]]:
    """Return the versions of every label set, oldest first."""
    return {name: label_versions(root, name).names() for name in root.names("labels")}


def label_versions(root: Root, name: str) -> Versions:
    """The versions of a label set."""
    return Versions(root, labels_folder(name), "l", {"entries": list})


def labels_folder(name: str) -> str:
    """Return the key of the folder of a label set."""
    return f"labels/{checked_name('label set', name)}"


def where_of(key: Key) -> str:
    """Return the name of a frame for errors."""
    return "take {} camera {} frame {}".format(*key)
