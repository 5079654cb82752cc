"""Labels in: files that people painted or annotated become an immutable label set (paper section 4.2)."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any, TypedDict, cast

import numpy as np
from numpy.typing import NDArray

from capmat_errors import ConfigError, ScribbleError, did_you_mean, listed
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

_TEMPLATES = (
    "{take}_{camera}_{frame}",
    "{take}_{camera}/{frame}",
    "{take}-{camera}-{frame}",
    "{take}/{camera}_{frame}",
)
INBOX = Reading(format="overlay")
"""How the inbox is read: overlays <take>/<camera>/<frame>.png, green foreground, red background, the rest open."""


class Imported(TypedDict):
    """What was read."""

    frames: int  # that have labels
    painted_share: float  # of a picture, the mean over the frames
    left_out: dict[str, int]  # by name, the shapes that mean neither side
    unpainted: dict[str, int]  # by kind, the other entries that painted nothing
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
        unpainted: by kind, the other entries that painted nothing.
        several: frames that the export has more than once.
    """

    root: Root
    export: Export
    reading: Reading
    frames: list[tuple[Key, float, float]] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    unpainted: Counter[str] = field(default_factory=Counter)
    several: int = 0

    def __iter__(self) -> Iterator[tuple[str, str, int, NDArray[np.uint8]] | Drawing]:
        """Read the labels.

        Raises:
            ScribbleError: see `import_labels`.
        """
        check_template(self.reading.template, self.reading.take, self.reading.camera)
        by_frame: dict[Key, list[Annotated]] = {}
        pictures = read_export(self.export, self.reading)
        takes = _Takes(self.root, self.reading, Path(self.export.name).absolute().as_posix(), pictures)
        for picture in pictures:
            if not (picture.shapes or picture.label or picture.drawing):
                self.unpainted.update(picture.unpainted)
                continue
            by_frame.setdefault(takes.frame_of(picture), []).append(picture)
        self.several = sum(len(same) > 1 for same in by_frame.values())
        progress = Progress("labels", len(by_frame), "pictures")
        for n, (key, same) in enumerate(sorted(by_frame.items()), 1):
            size = takes.size(key)
            where = "take {} camera {} frame {}".format(*key)
            label, left_out, unpainted = paint(same, size, self.reading.meaning, self.reading.overlap, where)
            self.left_out += left_out
            self.unpainted += unpainted
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
            "unpainted": dict(sorted(self.unpainted.items())),
            "several": self.several,
        }


class _Takes:
    """The takes of a store, opened when a label asks for them."""

    def __init__(self, root: Root, reading: Reading, folder: str, pictures: list[Annotated]) -> None:
        self._root, self._reading, self._folder, self._pictures = root, reading, folder, pictures
        self._names = list_takes(root)
        self._open: dict[str, Take] = {}

    def frame_of(self, picture: Annotated) -> Key:
        """The frame that a picture is of.

        Raises:
            ScribbleError: the store has no such take, camera or frame, or the name does not tell.
        """
        candidates = self._candidates(picture)
        for key in candidates:
            if key[0] in self._names and self._has(key):
                first = self._take(key[0]).frames[0]
                if picture.counted and first and self._reading.offset is None:
                    what = f"the tool counts frames from 0, and take {key[0]} starts at {first}"
                    fix = f"Give --offset {first}, or --offset 0 if its numbers are those of the take."
                    raise ScribbleError(what, where=picture.where, fix=fix)
                return key
        if not candidates:
            what = f"the name {picture.name!r} does not fit {self._reading.template}, so its frame is not known"
            raise ScribbleError(what, where=picture.where, fix=self._other_names(picture))
        take, camera, frame = candidates[0]
        what, fix = f"take {take} has no camera {camera} with frame {frame}", "Rename or remove it, or give --names."
        if take not in self._names:
            what = f"no take is called {take}; the store has: {listed(self._names)}"
            fix = f"{did_you_mean(take, self._names)} {fix}".lstrip()
        elif shift := self._shift(take):
            fix = f"Give --offset {shift}, if frames start at {self._take(take).frames[0] - shift} in the tool."
        raise ScribbleError(what, where=picture.where, fix=fix)

    def _candidates(self, picture: Annotated) -> list[Key]:
        """The frames that a name may mean, the likeliest first; also those that the store does not have."""
        if picture.drawing:
            return [(picture.drawing.take, picture.drawing.camera, picture.drawing.frame)]
        reading, offset = self._reading, self._reading.offset or 0
        # the folder may be called as the take
        paths = [f"{self._folder}/{name}" for name in (picture.name, picture.upload) if name]
        how = reading.take, reading.camera
        keys = [key for path in paths for key in readings(reading.template, path, self._names, self._cameras, *how)]
        keys += [key for path in reversed(paths) if (key := meant(reading.template, path, *how))]
        return [(take, camera, frame + offset) for take, camera, frame in keys]

    def _other_names(self, picture: Annotated) -> str:
        """What to do about names that do not fit: the template that does, if one is likely."""
        for template in () if self._reading.take or self._reading.camera else _TEMPLATES:
            for name in filter(None, (picture.name, picture.upload)):
                if readings(template, name, self._names, self._cameras):
                    return f"Give --names '{template}'."
        return "Name pictures so, or give --names."

    def _shift(self, take: str) -> int:
        """What makes all numbers of the export frames of a take, if they start at 0 or are as many; 0 if nothing."""
        keys = [keys[0] for picture in self._pictures if (keys := self._candidates(picture))]
        numbers, frames = {frame for name, _, frame in keys if name == take}, self._take(take).frames
        shift = int(frames[0]) - min(numbers)
        likely = min(numbers) == 0 or len(numbers) == len(frames)
        return shift if likely and {number + shift for number in numbers} <= set(frames) else 0

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
    if reading.ground and reading.format not in ("auto", "overlay"):
        raise ConfigError("only painted overlays have a ground", where="--ground", fix="Give --format overlay.")
    if reading.format == "auto":
        return replace(reading, format="overlay" if reading.ground else format_of(export))
    return reading


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
