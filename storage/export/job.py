"""One piece of an export, done by one process: some frames of a camera as pictures, or all of them as a video.

A file is kept if it exists and was made of the same things: the matte's own numbers, the stored frame, the plate, the
run, the settings. So a killed export goes on where it was, and a matte that changed is written again. No file is
replaced while the record knows it: a kill would leave a record of what was there before.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Any

import google_crc32c
import numpy as np
from numpy.typing import NDArray

from storage.export.exr import Compression
from storage.export.frame import Cut, Plates, Source, write_picture
from storage.export.names import Output
from storage.export.video import video_file
from storage.recordings.timecode import exact_rate, timecode_after
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take

Known = dict[str, list[Any]]
"""Finished files by name: [digest of what they were made of, bytes]."""


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        source: camera, take and run.
        out: where files go.
        frames: which frames.
        outputs: either pictures or videos, not both.
        compression: of EXR.
        inputs: digest of the stored frames and the plate of the camera, see `inputs_digest`.
        known: the files that are finished already.
        threads: of a video's encoder.
    """

    source: Source
    out: Root
    frames: tuple[int, ...]
    outputs: tuple[Output, ...]
    compression: Compression
    inputs: str
    known: Known
    threads: int = 1

    def name(self, output: Output, frame: int) -> str:
        """Return the name of a file below the folder of the export."""
        return output.name(self.source.take.name, self.source.run, self.source.camera, frame)

    def names(self) -> list[str]:
        """Return the names of all files of this job."""
        frames = self.frames[:1] if self.outputs[0].video else self.frames
        return [self.name(output, frame) for frame in frames for output in self.outputs]


@dataclass(frozen=True)
class Done:
    """The result of a job.

    Attributes:
        job: what was to be done.
        files: those that are finished.
        written: names of those that were written now.
        outdated: names of those that the record must forget before they can be written.
    """

    job: Job
    files: Known
    written: tuple[str, ...]
    outdated: tuple[str, ...]


def inputs_digest(take: Take, camera: str) -> str:
    """Return what the ledger records of the camera's stored frames and plate, as sixteen hex digits."""
    ledger = Ledger(take.root)
    entries: dict[str, Any] = {}
    for start in (f"ingest/{take.name}/{camera}", f"plates/{take.stage}/{camera}"):
        listed = ledger.entries(start)
        entries |= {key: entry for key, entry in listed.items() if key == start or key.startswith(f"{start}/")}
    return _digest(entries)


def do(job: Job) -> Done:
    """Write the files of a job that are missing, and tell which are out of date.

    Raises:
        NotFound: a frame or matte is missing.
        StoreError: a store cannot be used, or what it holds is damaged.
    """
    worker = _Worker(job)
    if job.outputs[0].video:
        worker.videos()
    else:
        worker.pictures()
    return Done(job, worker.files, tuple(worker.written), tuple(worker.outdated))


class _Worker:
    """The progress of one job; the plate is read once, and only if a file has to be written."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.files: Known = {}
        self.written: list[str] = []
        self.outdated: list[str] = []

    def pictures(self) -> None:
        job, source = self.job, self.job.source
        for frame in job.frames:
            pha = source.pha(frame)
            made_of = self._made_of(_checksum(pha), frame)
            missing = [output for output in job.outputs if self._is_missing(job.name(output, frame), output, made_of)]
            if missing:
                cut = Cut(source, frame, pha, self._plates)
                for output in missing:
                    name = job.name(output, frame)
                    write_picture(job.out, name, output, cut, job.compression)
                    self._finished(name, output, made_of)

    def videos(self) -> None:
        job, source, take = self.job, self.job.source, self.job.source.take
        made_of = self._made_of([_checksum(source.pha(frame)) for frame in job.frames], list(job.frames))
        step = gcd(*(frame - job.frames[0] for frame in job.frames)) or 1
        clock = timecode_after(take.timecode, job.frames[0] - take.frames[0], take.fps) if step == 1 else None
        for output in job.outputs:
            name = job.name(output, job.frames[0])
            if not self._is_missing(name, output, made_of):
                continue
            camera = take.cameras[source.camera]
            job.out.sweep(name)
            with (
                job.out.file(name) as path,
                video_file(
                    path,
                    output.form,
                    (camera.height, camera.width),
                    exact_rate(take.fps) / step,
                    str(clock or ""),
                    alpha=output.what == "rgba",
                    threads=job.threads,
                ) as add,
            ):
                for frame in job.frames:
                    picture = Cut(source, frame, source.pha(frame), self._plates).display(output.what)
                    if picture.ndim == 2:
                        picture = np.repeat(picture[..., None], 3, axis=2)
                    add(picture, (frame - job.frames[0]) // step)
            self._finished(name, output, made_of)

    @cached_property
    def _plates(self) -> Plates:
        return self.job.source.plates()

    def _made_of(self, mattes: int | list[int], frames: int | list[int]) -> str:
        """Return the digest of what a picture or video is made of: the checksums of its mattes, its frames, ..."""
        source, take = self.job.source, self.job.source.take
        lineage = source.lineage(plates=False)
        return _digest([lineage, source.info, self.job.inputs, take.fps, take.timecode, frames, mattes])

    def _is_missing(self, name: str, output: Output, made_of: str) -> bool:
        if name not in self.job.known:
            return True
        digest, size = self.job.known[name]
        if digest == self._file_digest(output, made_of) and self.job.out.size(name) == size:
            self.files[name] = [digest, size]
        else:
            self.outdated.append(name)
        return False

    def _finished(self, name: str, output: Output, made_of: str) -> None:
        self.files[name] = [self._file_digest(output, made_of), self.job.out.size(name)]
        self.written.append(name)

    def _file_digest(self, output: Output, made_of: str) -> str:
        return _digest([made_of, output.form, output.what, self.job.compression if output.form == "exr" else ""])


def _checksum(pha: NDArray[np.float32]) -> int:
    return google_crc32c.value(np.ascontiguousarray(pha).tobytes())


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
