"""Labels in: what people painted, drew or annotated elsewhere becomes an immutable label set (paper section 4.2)."""

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
"""How the inbox of painted overlays is read."""


class Imported(TypedDict):
    """What was read.

    Attributes:
        frames: how many have labels.
        painted_share: of a picture, the mean over the frames.
        left_out: how many shapes of which name mean neither side.
        several: how many frames are in it more than once.
    """

    frames: int
    painted_share: float
    left_out: dict[str, int]
    several: int


class ImportRecord(StepRecord, Imported):
    """What was read, and `labels`, the version of the set that it became."""

    labels: str


def import_scribbles(store: str, inbox: str) -> ImportRecord:
    """Freeze what lies in the inbox as the next label set. Nothing is stored if a single overlay is refused.

    Args:
        store: URL of the store.
        inbox: folder of overlays, <take>/<camera>/<frame>.png: green foreground, red background, the rest open.

    Raises:
        ScribbleError: unknown take, camera or frame, wrong size, nothing or everything painted.
    """
    return import_labels(store, Path(inbox), INBOX)


def import_labels(store: str, path: Path, reading: Reading, *, anew: bool = False) -> ImportRecord:
    """Freeze what an export holds as the next label set. Nothing is stored if a single label is refused.

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
            found = Labels(root, export, reading)
            labels = freeze_labels(root, LABELS, found, replace=anew)
            return cast(ImportRecord, {"labels": labels.version, **found.summary})

        # Said anew, it depends on what was said before.
        newest = {"anew": list_label_sets(root).get(LABELS, [])[-1:]} if anew else {}
        return run_once(store, "scribbles", "inbox", _inputs(export, reading) | newest, work)


def check_labels(store: str, path: Path, reading: Reading) -> tuple[str, "Labels"]:
    """Read an export to its end and store nothing.

    Returns:
        Its format, and what was found.

    Raises:
        ScribbleError: see `import_labels`.
    """
    with opened(path) as export:
        reading = _settled(export, reading)
        found = Labels(Root(store), export, reading)
        for _ in found:
            pass
        return reading.format, found


def is_frozen(store: str, inbox: str) -> bool:
    """Whether what lies in the inbox was frozen as it is."""
    with opened(Path(inbox)) as export:
        return Step[ImportRecord](store, "scribbles", "inbox", _inputs(export, INBOX)).record() is not None


@dataclass
class Labels:
    """The labels of an export, frame after frame; iterating reads them.

    Attributes:
        root: the store with the takes that they are of.
        export: the files.
        reading: how they are read.
        frames: what was read so far: take, camera, frame, and shares of the picture that are fore- and background.
        left_out: how many shapes of which name mean neither side.
        several: how many frames are in it more than once.
    """

    root: Root
    export: Export
    reading: Reading
    frames: list[tuple[Key, float, float]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    several: int = 0

    def __iter__(self) -> Iterator[tuple[str, str, int, NDArray[np.uint8]] | Drawing]:
        """Read everything, and refuse what does not fit.

        Raises:
            ScribbleError: see `import_labels`.
        """
        check_template(self.reading.names, self.reading.take, self.reading.camera)
        by_frame: dict[Key, list[Annotated]] = {}
        takes = _Takes(self.root, self.reading, Path(self.export.name).absolute().as_posix())
        pictures = read_export(self.export, self.reading)
        for picture in pictures:
            by_frame.setdefault(takes.frame_of(picture), []).append(picture)
        self.several = sum(len(found) > 1 for found in by_frame.values())
        progress = Progress("labels", len(by_frame))
        for n, (key, found) in enumerate(sorted(by_frame.items())):
            size = takes.size(key)
            where = "take {} camera {} frame {}".format(*key)
            label, left_out = paint(found, size, self.reading.meaning, self.reading.overlap, where)
            self.left_out += left_out
            drawings = [picture.drawing for picture in found if picture.drawing]
            for drawing in drawings:
                yield drawing
                label = rasterise(drawing.strokes, size, below=label)
            if (label != OPEN).any():
                self.frames.append((key, float((label == FOREGROUND).mean()), float((label == BACKGROUND).mean())))
                if not drawings:
                    yield (*key, label)
            progress(n + 1, f"{key[0]} {key[1]} {key[2]}")
        if not self.frames:
            names = ", ".join(names_of(pictures)[:20]) or "none"
            raise ScribbleError(
                f"nothing in it is labelled (names of shapes: {names})",
                where=self.export.name,
                fix="Say which names are what: --foreground NAME --background NAME.",
            )

    @property
    def summary(self) -> Imported:
        """What a record says of them."""
        shares = [foreground + background for _, foreground, background in self.frames]
        return {
            "frames": len(self.frames),
            "painted_share": float(np.mean(shares)),
            "left_out": dict(sorted(self.left_out.items())),
            "several": self.several,
        }


class _Takes:
    """The takes of a store, opened when a label asks for them."""

    def __init__(self, root: Root, reading: Reading, place: str) -> None:
        self._root, self._reading, self._place = root, reading, place
        self._names = list_takes(root)
        self._open: dict[str, Take] = {}

    def frame_of(self, picture: Annotated) -> Key:
        """The frame that a picture is of, which there must be."""
        reading = self._reading
        if picture.drawing:
            there = picture.drawing.take, picture.drawing.camera, picture.drawing.frame
            found = [there] if there[0] in self._names else []
            said: tuple[str, str, int] | None = there
        else:
            how = (reading.take, reading.camera)
            name = f"{self._place}/{picture.name}"  # who names the folder of a take means that take
            shifted = readings(reading.names, name, self._names, self._cameras, *how)
            found = [(take, camera, frame + reading.offset) for take, camera, frame in shifted]
            said = meant(reading.names, name, *how)
        for key in found:
            if key[0] in self._names and self._has(key):
                return key
        if said is None:
            what = f"the name {picture.name!r} does not say what it is for by {reading.names}"
            raise ScribbleError(what, where=picture.where, fix="Name pictures so, or give --names.")
        take, camera, frame = found[0] if found else (said[0], said[1], said[2] + reading.offset)
        what = (
            f"take {take} has no camera {camera} with frame {frame}"
            if take in self._names
            else f"there is no take {take}; there is {', '.join(self._names) or 'none'}"
        )
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
        "content": [(export.place(file), _digest(file)) for file in files],
        "reading": asdict(reading),
    }


def _digest(file: Path) -> str:
    try:
        with file.open("rb") as data:
            return file_digest(data, "sha256").hexdigest()
    except OSError as error:
        raise ScribbleError(
            f"it cannot be read ({error.strerror})", where=str(file), fix="Check its permissions."
        ) from error
