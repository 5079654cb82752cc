"""Labels in: files that people painted or annotated become an immutable label set (paper section 4.2)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ScribbleError
from storage.labels.formats.archive import Export, opened
from storage.labels.formats.names import check_template, meant, readings
from storage.labels.formats.read import Reading, files_of, format_of, read_export
from storage.labels.formats.shapes import Annotated, names_of, paint
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, Key, list_label_sets
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN, rasterise
from storage.labels.strokes import Drawing
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.runtime.progress import Progress
from tasks.runtime.step import Step, StepRecord, run_once

INBOX = Reading(format="overlay")
"""How the inbox is read: overlays <take>/<camera>/<frame>.png, green foreground, red background, the rest open."""


class Imported(TypedDict):
    """What was read."""

    frames: int  # that have labels
    painted_share: float  # of a picture, the mean over the frames
    left_out: dict[str, int]  # by name, the shapes that mean neither side
    several: int  # frames that the export has more than once


class ImportRecord(StepRecord, Imported):
    """What was read, and the set that it became."""

    labels: str  # version of the set


def import_labels(store: str, path: Path, reading: Reading, *, anew: bool = False) -> ImportRecord:
    """Freeze the labels of an export as the next label set. A refused label refuses all.

    Args:
        store: URL of the store.
        path: file, folder or zip file of a format in `storage.labels.formats.read`.
        reading: its format, and how names are understood.
        anew: forget earlier labels of the same frames; otherwise these are painted over them.

    Raises:
        ScribbleError: unknown take, camera or frame, wrong size, a pixel that is both, nothing labelled, or a file
            that is not what it should be; it names file and entry.
    """
    with opened(path) as export:
        reading = _settled(export, reading)
        root = Root(store)

        def work() -> ImportRecord:
            read = Labels(root, export, reading)
            labels = freeze_labels(root, LABELS, read, replace=anew)
            return cast(ImportRecord, {"labels": labels.version, **read.summary})

        # labels that replace earlier ones depend on the set that has those
        newest = {"anew": list_label_sets(root).get(LABELS, [])[-1:]} if anew else {}
        return run_once(store, "scribbles", "inbox", _inputs(export, reading) | newest, work)


def check_labels(store: str, path: Path, reading: Reading) -> tuple[str, "Labels"]:
    """Read an export to its end and store nothing.

    Returns:
        Its format, and its labels.

    Raises:
        ScribbleError: see `import_labels`.
    """
    with opened(path) as export:
        reading = _settled(export, reading)
        labels = Labels(Root(store), export, reading)
        for _ in labels:
            pass
        return reading.format, labels


def is_frozen(store: str, inbox: str) -> bool:
    """Whether the overlays of the inbox were frozen as they are now."""
    with opened(Path(inbox)) as export:
        return Step[ImportRecord](store, "scribbles", "inbox", _inputs(export, INBOX)).record() is not None


@dataclass
class Labels:
    """The labels of an export, frame after frame; iterating reads them.

    Attributes:
        root: the store with their takes.
        export: the files.
        reading: how they are read.
        frames: read so far: (take, camera, frame), and the shares of the picture that are fore- and background.
        left_out: by name, the shapes that mean neither side.
        several: frames that the export has more than once.
    """

    root: Root
    export: Export
    reading: Reading
    frames: list[tuple[Key, float, float]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    several: int = 0

    def __iter__(self) -> Iterator[tuple[str, str, int, NDArray[np.uint8]] | Drawing]:
        """Read the labels.

        Raises:
            ScribbleError: see `import_labels`.
        """
        check_template(self.reading.names, self.reading.take, self.reading.camera)
        by_frame: dict[Key, list[Annotated]] = {}
        takes = _Takes(self.root, self.reading, Path(self.export.name).absolute().as_posix())
        pictures = read_export(self.export, self.reading)
        for picture in pictures:
            by_frame.setdefault(takes.frame_of(picture), []).append(picture)
        self.several = sum(len(same) > 1 for same in by_frame.values())
        progress = Progress("labels", len(by_frame))
        for n, (key, same) in enumerate(sorted(by_frame.items()), 1):
            size = takes.size(key)
            where = "take {} camera {} frame {}".format(*key)
            label, left_out = paint(same, size, self.reading.meaning, self.reading.overlap, where)
            self.left_out += left_out
            drawings = [picture.drawing for picture in same if picture.drawing]
            for drawing in drawings:
                yield drawing
                label = rasterise(drawing.strokes, size, below=label)
            if (label != OPEN).any():
                self.frames.append((key, float((label == FOREGROUND).mean()), float((label == BACKGROUND).mean())))
                if not drawings:
                    yield (*key, label)
            progress(n, f"{key[0]} {key[1]} {key[2]}")
        if not self.frames:
            names = ", ".join(names_of(pictures)[:20]) or "none"
            raise ScribbleError(
                f"the export labels nothing (names of shapes: {names})",
                where=self.export.name,
                fix="Say which names are what: --foreground NAME --background NAME.",
            )

    @property
    def summary(self) -> Imported:
        """What was read, for a record."""
        shares = [foreground + background for _, foreground, background in self.frames]
        return {
            "frames": len(self.frames),
            "painted_share": float(np.mean(shares)),
            "left_out": dict(sorted(self.left_out.items())),
            "several": self.several,
        }


class _Takes:
    """The takes of a store, opened when a label asks for them."""

    def __init__(self, root: Root, reading: Reading, folder: str) -> None:
        self._root, self._reading, self._folder = root, reading, folder
        self._names = list_takes(root)
        self._open: dict[str, Take] = {}

    def frame_of(self, picture: Annotated) -> Key:
        """The frame that a picture is of.

        Raises:
            ScribbleError: the store has no such take, camera or frame, or the name does not tell.
        """
        reading = self._reading
        meaning: tuple[str, str, int] | None
        if picture.drawing:
            meaning = picture.drawing.take, picture.drawing.camera, picture.drawing.frame
            candidates = [meaning] if meaning[0] in self._names else []
        else:
            given = reading.take, reading.camera
            name = f"{self._folder}/{picture.name}"  # the folder may be called as the take
            shifted = readings(reading.names, name, self._names, self._cameras, *given)
            candidates = [(take, camera, frame + reading.offset) for take, camera, frame in shifted]
            meaning = meant(reading.names, name, *given)
        for key in candidates:
            if key[0] in self._names and self._has(key):
                return key
        if meaning is None:
            what = f"the name {picture.name!r} does not fit {reading.names}, so its frame is not known"
            raise ScribbleError(what, where=picture.where, fix="Name pictures so, or give --names.")
        take, camera, frame = candidates[0] if candidates else (*meaning[:2], meaning[2] + reading.offset)
        what = f"take {take} has no camera {camera} with frame {frame}"
        if take not in self._names:
            what = f"no take is called {take}; the store has: {', '.join(self._names) or 'none'}"
        raise ScribbleError(what, where=picture.where, fix="Rename or remove it, or give --names.")

    def size(self, key: Key) -> tuple[int, int]:
        view = self._take(key[0]).cameras[key[1]]
        return view.height, view.width

    def _cameras(self, take: str) -> list[str]:
        return list(self._take(take).cameras) if take in self._names else []

    def _has(self, key: Key) -> bool:
        take = self._take(key[0])
        return key[1] in take.cameras and key[2] in take.frames

    def _take(self, name: str) -> Take:
        if name not in self._open:
            self._open[name] = Take.open(self._root, name)
        return self._open[name]


def _settled(export: Export, reading: Reading) -> Reading:
    return replace(reading, format=format_of(export)) if reading.format == "auto" else reading


def _inputs(export: Export, reading: Reading) -> dict[str, Any]:
    files = files_of(export, reading.format)
    return {
        "content": [(export.path_of(file), _digest(file)) for file in files],
        "reading": asdict(reading),
    }


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise ScribbleError(
            f"the file cannot be read ({error.strerror})", where=str(file), fix="Check its permissions."
        ) from error
