"""One piece of an export, done by one process: some frames of a camera as pictures, or all of them as a video.

A file is left alone if it is there and was made of the same things: the matte's own numbers, the stored frame, the
plate, the run, the settings. So an export that was killed goes on, and a matte that changed is written again.
"""

import hashlib
import json
from dataclasses import dataclass
from math import gcd
from typing import Any

import google_crc32c
import numpy as np

from storage.export.exr import Compression
from storage.export.frame import Plates, lineage, read_cut, read_plates, write_picture
from storage.export.names import Output
from storage.export.video import video_file
from storage.recordings.timecode import exact_rate, timecode_after
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take

Known = dict[str, list[Any]]
"""Finished files: [what they were made of, bytes] by name."""


@dataclass(frozen=True)
class Job:
    """What one process does.

    Attributes:
        take: the take.
        out: where files go.
        run: whose mattes.
        info: what was said when the run was started.
        camera: the camera.
        frames: which frames.
        outputs: either pictures or videos, not both.
        compression: of EXR.
        inputs: stands for the stored frames and the plate of the camera, see `inputs`.
        known: what is finished already.
        threads: of a video's encoder.
    """

    take: Take
    out: Root
    run: str
    info: dict[str, Any]
    camera: str
    frames: tuple[int, ...]
    outputs: tuple[Output, ...]
    compression: Compression
    inputs: str
    known: Known
    threads: int = 1

    def names(self) -> list[str]:
        """The files that this job is about."""
        frames = self.frames[:1] if self.outputs[0].video else self.frames
        return [o.name(self.take.name, self.run, self.camera, frame) for frame in frames for o in self.outputs]


@dataclass(frozen=True)
class Done:
    """What became of a job: its files, and the names of those that were written now."""

    camera: str
    files: Known
    written: tuple[str, ...]


def inputs(take: Take, camera: str) -> str:
    """What the ledger knows of the camera's stored frames and plate, as sixteen hex digits."""
    ledger = Ledger(take.root)
    entries: dict[str, Any] = {}
    for start in (f"ingest/{take.name}/{camera}", f"plates/{take.stage}/{camera}"):
        found = ledger.entries(start)
        entries |= {key: entry for key, entry in found.items() if key == start or key.startswith(f"{start}/")}
    return _digest(entries)


def do(job: Job) -> Done:
    """Write what is missing or out of date.

    Raises:
        NotFound: a frame or matte is missing.
        StoreError: a store cannot be used, or what it holds is damaged.
    """
    return _Worker(job).video() if job.outputs[0].video else _Worker(job).pictures()


class _Worker:
    """What the steps of one job share; the plate is read once, and only if a file has to be written."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.plates: Plates | None = None
        self.files: Known = {}
        self.written: list[str] = []

    def pictures(self) -> Done:
        job = self.job
        for frame in job.frames:
            pha = job.take.read_alpha(job.run, job.camera, frame)
            made_of = self._digest(google_crc32c.value(np.ascontiguousarray(pha).tobytes()), frame)
            names = {o.name(job.take.name, job.run, job.camera, frame): o for o in job.outputs}
            stale = {name: output for name, output in names.items() if not self._kept(name, output, made_of)}
            if stale:
                plates = self._plates()
                cut = read_cut(job.take, pha, job.camera, frame, plates)
                for name, output in stale.items():
                    said = self._said(plates)
                    write_picture(job.out, name, output, cut, job.take, frame, said, job.compression)
                    self._finished(name, output, made_of)
        return self._done()

    def video(self) -> Done:
        job, take = self.job, self.job.take
        phas = (take.read_alpha(job.run, job.camera, frame) for frame in job.frames)
        sums = [google_crc32c.value(np.ascontiguousarray(pha).tobytes()) for pha in phas]
        made_of = self._digest(sums, list(job.frames))
        step = gcd(*(frame - job.frames[0] for frame in job.frames)) or 1
        clock = timecode_after(take.timecode, job.frames[0] - take.frames[0], take.fps) if step == 1 else None
        for output in job.outputs:
            name = output.name(take.name, job.run, job.camera, job.frames[0])
            if self._kept(name, output, made_of):
                continue
            camera = take.cameras[job.camera]
            job.out.sweep(name)
            with (
                job.out.file(name) as path,
                video_file(
                    path,
                    output.form,
                    (camera.height, camera.width),
                    exact_rate(take.fps) / step,
                    ":".join(f"{part:02d}" for part in clock or ()),
                    alpha=output.what == "rgba",
                    threads=job.threads,
                ) as add,
            ):
                for frame in job.frames:
                    pha = take.read_alpha(job.run, job.camera, frame)
                    picture = read_cut(take, pha, job.camera, frame, self._plates()).picture(output.what)
                    if picture.ndim == 2:
                        picture = np.repeat(picture[..., None], 3, axis=2)
                    add(picture, (frame - job.frames[0]) // step)
            self._finished(name, output, made_of)
        return self._done()

    def _plates(self) -> Plates:
        if self.plates is None:
            self.plates = read_plates(self.job.take, self.job.camera)
        return self.plates

    def _said(self, plates: Plates) -> dict[str, Any]:
        job = self.job
        return lineage(job.take, job.run, job.info, job.camera, plates.light is not None)

    def _digest(self, mattes: Any, frames: Any) -> str:
        job = self.job
        said = lineage(job.take, job.run, job.info, job.camera, plates=False)
        return _digest([said, job.info, job.inputs, job.take.fps, job.take.timecode, frames, mattes])

    def _kept(self, name: str, output: Output, made_of: str) -> bool:
        identity, size = self.job.known.get(name, ["", -1])
        if identity != self._identity(output, made_of) or self.job.out.size(name) != size:
            return False
        self.files[name] = [identity, size]
        return True

    def _finished(self, name: str, output: Output, made_of: str) -> None:
        self.files[name] = [self._identity(output, made_of), self.job.out.size(name)]
        self.written.append(name)

    def _identity(self, output: Output, made_of: str) -> str:
        return _digest([made_of, output.form, output.what, self.job.compression if output.form == "exr" else ""])

    def _done(self) -> Done:
        return Done(self.job.camera, self.files, tuple(self.written))


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]
