"""What people painted, as labels: green is foreground, red is background, unpainted is left open.

    labels/<name>/l0001.json              take, camera, frame and picture of every label
    labels/<name>/pictures/<sha256>.png   (H, W) uint8: 0 background, 1 foreground, 255 open

A label set only grows: a new version holds all of the last one, and what was frozen now. Older versions stay
as they were, so a training run can always be repeated.
"""

from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, ScribbleError
from storage.frames import decode_png, encode_png, read_rgba
from storage.root import Root, checked_name
from storage.versions import add_version, list_versions, read_version

BACKGROUND, FOREGROUND, OPEN = 0, 1, 255
_GREEN, _RED = (0, 255, 0), (255, 0, 0)
# Programs save colours within a few levels; a soft brush leaves mixtures at its rim, which mean nothing.
_TOLERANCE = 40
_MOST_UNKNOWN = 0.2


class LabelEntry(NamedTuple):
    """One annotated frame: label is (H, W) uint8 of 0 background, 1 foreground, 255 open."""

    take: str
    camera: str
    frame: int
    label: NDArray[np.uint8]


def read_overlay(path: Path, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Read a scribble overlay: a PNG with alpha, painted over a frame.

    Args:
        path: the file.
        size: (height, width) of the frame that it was painted on.

    Returns:
        (H, W) uint8: 0 background, 1 foreground, 255 open.

    Raises:
        ImageUnreadable: it is no whole picture with alpha.
        ScribbleError: wrong size, nothing painted, all painted, or more than a fifth in other colours.
    """
    rgba = read_rgba(path)
    where = str(path)
    if rgba.shape[:2] != size:
        raise ScribbleError(
            f"the overlay is {rgba.shape[1]}x{rgba.shape[0]}, the frame {size[1]}x{size[0]}",
            where=where,
            fix="Paint on the frame at its full size.",
        )
    return overlay_to_label(rgba, where)


def overlay_to_label(rgba: NDArray[Any], where: str = "the overlay") -> NDArray[np.uint8]:
    """Turn an overlay's pixels, (H, W, 4) uint8, into labels; see `read_overlay`."""
    if rgba.dtype != np.uint8:
        raise ScribbleError("the overlay is not 8-bit", where=where, fix="Save it as PNG, 8 bits, RGBA.")
    solid = rgba[..., 3] >= 128
    painted = rgba[..., 3] > 0
    if not painted.any():
        raise ScribbleError(
            "nothing is painted", where=where, fix="Paint green on the subject and red on the background."
        )
    label = np.full(rgba.shape[:2], OPEN, np.uint8)
    label[solid & _near(rgba, _GREEN)] = FOREGROUND
    label[solid & _near(rgba, _RED)] = BACKGROUND
    unknown = float((solid & (label == OPEN)).sum()) / max(int(solid.sum()), 1)
    if unknown > _MOST_UNKNOWN or not solid.any():
        raise ScribbleError(
            f"{unknown:.0%} of what is painted is neither green nor red",
            where=where,
            fix="Use pure green (0,255,0) and pure red (255,0,0) with a hard brush.",
        )
    if (label != OPEN).all():
        raise ScribbleError(
            "every pixel is painted", where=where, fix="Save the strokes alone, on a transparent layer."
        )
    return label


class LabelSet:
    """One version of a label set; make one with `freeze_labels` or `LabelSet.open`.

    Attributes:
        name: the set's name.
        version: "l0001", ...
        keys: (take, camera, frame) of every label, sorted.
    """

    def __init__(self, root: Root, name: str, version: str, entries: list[dict[str, Any]]) -> None:
        self.root, self.name, self.version = root, name, version
        self._pictures = {(e["take"], e["camera"], int(e["frame"])): e["picture"] for e in entries}
        self.keys = sorted(self._pictures)

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
        return [(*key, self._pictures[key]) for key in self.keys]

    @property
    def entries(self) -> list[LabelEntry]:
        """All labels, read from the store."""
        return [LabelEntry(*key, self.label(*key)) for key in self.keys]

    def label(self, take: str, camera: str, frame: int) -> NDArray[np.uint8]:
        """One label, (H, W) uint8.

        Raises:
            NotFound: this frame is not in the set.
        """
        picture = self._pictures.get((take, camera, frame))
        if picture is None:
            raise NotFound(
                "this frame has no label",
                where=f"take {take} camera {camera} frame {frame}",
                fix=f"Annotate it, or take another version than {self.name} {self.version}.",
            )
        key = f"{_folder(self.name)}/pictures/{picture}.png"
        return decode_png(self.root.read(key), self.root.at(key)).astype(np.uint8)


def freeze_labels(root: Root, name: str, entries: Iterable[tuple[str, str, int, NDArray[np.uint8]]]) -> LabelSet:
    """Make the next version of a label set: all of the last one, and these.

    Args:
        root: the store.
        name: the set's name.
        entries: (take, camera, frame, label); a frame that the last version has too is replaced in the new
            one.

    Returns:
        The new version. Two people who freeze at once get one version each, and the later holds both's work.

    Raises:
        ScribbleError: there is nothing to freeze, or a label holds other values than 0, 1 and 255.
        StoreError: the store cannot be written to.
    """
    new: dict[tuple[str, str, int], dict[str, Any]] = {}
    for take, camera, frame, label in entries:
        where = f"take {take} camera {camera} frame {frame}"
        if label.ndim != 2 or not np.isin(label, (BACKGROUND, FOREGROUND, OPEN)).all():
            raise ScribbleError(
                "a label holds other values than 0, 1 and 255", where=where, fix="Make it with read_overlay."
            )
        png = encode_png(label.astype(np.uint8))
        picture = sha256(png).hexdigest()
        root.write(f"{_folder(name)}/pictures/{picture}.png", png)
        new[(take, camera, int(frame))] = {
            "take": take,
            "camera": camera,
            "frame": int(frame),
            "picture": picture,
        }
    if not new:
        raise ScribbleError("there is nothing to freeze", where=f"label set {name}", fix="Annotate a frame first.")

    def content(newest: str | None) -> dict[str, Any]:
        old = read_version(root, _folder(name), "l", newest)[1]["entries"] if newest else []
        merged = {(e["take"], e["camera"], e["frame"]): e for e in old} | new
        return {"entries": [merged[key] for key in sorted(merged)]}

    return LabelSet.open(root, name, add_version(root, _folder(name), "l", content))


def list_label_sets(root: Root) -> dict[str, list[str]]:
    """The versions of every label set, oldest first."""
    return {name: list_versions(root, _folder(name), "l") for name in root.names("labels")}


def _folder(name: str) -> str:
    return f"labels/{checked_name('label set', name)}"


def _near(rgba: NDArray[Any], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    off = np.abs(rgba[..., :3].astype(np.int16) - np.array(colour, np.int16))
    return np.all(off <= _TOLERANCE, axis=2)
