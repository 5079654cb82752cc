"""The mattes of a run as files that other programs open: EXR, PNG, TIFF, and videos.

Everything is checked before the first file is written. A file appears whole or not at all. Beside the files a small
record says what each was made of, so that the same export run again writes only what is missing or out of date.
"""

import json
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool, ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from multiprocessing import get_context, parent_process
from pathlib import Path

from capmat_errors import ConfigError, NotFound, StoreError, no_such
from storage.export.exr import Compression
from storage.export.frame import Source
from storage.export.job import Done, Job, Known, do, inputs_digest
from storage.export.names import NAME, check_names, outputs
from storage.store.errors import store_errors
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take

_BLOCK = 16  # frames per job: a kill loses at most this many per process
_RESERVE = 1.2  # frames differ in how well they compress


@dataclass(frozen=True)
class Exported:
    """Names of files below the folder: all of them in order, and those that were written this time."""

    files: list[str]
    written: list[str]


def export_mattes(
    take: Take,
    run: str,
    out: Root,
    formats: Sequence[str] = ("png", "exr"),
    *,
    what: Sequence[str] | None = None,
    cameras: Sequence[str] | None = None,
    frames: Sequence[int] | None = None,
    name: str = NAME,
    compression: Compression = "zip",
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Exported:
    """Write the mattes of a run.

    Args:
        take: the take.
        run: name of the run.
        out: folder to write into; files of these names are replaced if they were made of something else.
        formats: of `storage.export.names.FORMATS`.
        what: of `storage.export.names.WHAT`; None for what is usual in each format.
        cameras: None for all.
        frames: None for all.
        name: template of file names, see `storage.export.names`.
        compression: of EXR.
        workers: number of processes.
        progress: called with the number of files done and of all files.

    Raises:
        ConfigError: a format, name or template is not known.
        NotFound: the run, a camera, a frame or a matte is missing; nothing has been written then.
        StoreError: the disk is too full, or the folder cannot be written to.
    """
    wanted = outputs(formats, what, name)
    chosen, numbers = _chosen(take, cameras, frames)
    info = take.run_info(run)
    _check_mattes(take, run, chosen, numbers)
    known = {camera: _known(out, take, camera) for camera in chosen}
    pictures = tuple(output for output in wanted if not output.video)
    videos = tuple(output for output in wanted if output.video)
    jobs = []
    for camera in chosen:
        source = Source(take, camera, run, info)
        whole = Job(source, out, numbers, tuple(wanted), compression, inputs_digest(take, camera), {})
        if pictures:
            blocks = (numbers[start : start + _BLOCK] for start in range(0, len(numbers), _BLOCK))
            jobs += [replace(whole, frames=block, outputs=pictures) for block in blocks]
        threads = max(1, (os.cpu_count() or 1) // workers)
        jobs += [replace(whole, outputs=(video,), threads=threads) for video in videos]
    jobs = [replace(job, known={n: k for n in job.names() if (k := known[job.source.camera].get(n))}) for job in jobs]
    names = [name for job in jobs for name in job.names()]
    check_names(names)
    _check_room(out, jobs)
    done: set[str] = set()
    written: list[str] = []
    while jobs:
        again = []
        for finished in _all(jobs, workers):
            camera, files = finished.job.source.camera, finished.files
            done |= files.keys()
            written += finished.written
            known[camera] = {n: k for n, k in (known[camera] | files).items() if n not in finished.outdated}
            if finished.outdated:
                again.append(replace(finished.job, known=files))
            if finished.written or finished.outdated:
                out.write(_record(take, camera), json.dumps(known[camera], sort_keys=True).encode())
            if progress:
                progress(len(done), len(names))
        jobs = again
    _note(take, run, out, chosen)
    return Exported(names, sorted(written))


def _note(take: Take, run: str, out: Root, cameras: Sequence[str]) -> None:
    """Remember in the ledger what was exported last; a store that is only read exports without that."""
    when = datetime.now(UTC).isoformat(timespec="seconds")
    with suppress(StoreError):
        for camera in cameras:
            Ledger(take.root).record(f"export/{take.name}/{camera}", {"run": run, "out": out.url, "when": when})


def _chosen(
    take: Take, cameras: Sequence[str] | None, frames: Sequence[int] | None
) -> tuple[list[str], tuple[int, ...]]:
    where, span = f"take {take.name}", f"{take.frames[0]} to {take.frames[-1]}"
    chosen = list(take.cameras) if cameras is None else list(dict.fromkeys(cameras))
    for camera in chosen:
        take.camera(camera)  # refuses unknown names
    numbers = tuple(take.frames) if frames is None else tuple(sorted(set(frames)))
    if missing := sorted(set(numbers) - set(take.frames)):
        raise no_such("frame", missing[0], [span], where=where, fix="Choose other frames.", holder="the take")
    if not numbers:
        raise NotFound("no frame was chosen", where=where, fix=f"Choose from {span}.")
    if not chosen:
        raise ConfigError("no camera was chosen", where=where, fix="Name one, or remove the option for all.")
    return chosen, numbers


def _check_mattes(take: Take, run: str, cameras: Sequence[str], frames: Sequence[int]) -> None:
    for camera in cameras:
        if missing := sorted(set(frames) - set(take.matted(run, camera))):
            where = f"take {take.name} camera {camera} frame {missing[0]}"
            raise NotFound(f"run {run} has no matte", where=where, fix="Finish the run first.")


def _check_room(out: Root, jobs: Sequence[Job]) -> None:
    """Write one frame of every kind of file for trial, and compare with the free space on the disk."""
    todo = [(job, len(job.frames) * len(job.outputs)) for job in jobs if len(job.known) < len(job.names())]
    if out.remote or not todo:
        return
    free = _free(Path(out.url))
    need = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for key in dict.fromkeys(job.outputs for job, _ in todo):
            same = [(job, count) for job, count in todo if job.outputs == key]
            middle = same[len(same) // 2][0]
            trial = replace(middle, out=Root(folder), frames=middle.frames[len(middle.frames) // 2 :][:1], known={})
            size = sum(size for _, size in do(trial).files.values()) / len(key)
            need += size * sum(count for _, count in same) * _RESERVE
    if need > free:
        raise StoreError(
            f"the export needs about {need / 1e9:.1f} GB, the disk has {free / 1e9:.1f} GB left",
            where=out.url,
            fix="Free some space, or export fewer frames or formats.",
        )


def _free(folder: Path) -> int:
    with store_errors(str(folder)):
        existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
        return shutil.disk_usage(existing).free


def _known(out: Root, take: Take, camera: str) -> Known:
    """Return the files that earlier exports finished; an unreadable record counts as empty."""
    try:
        known = json.loads(out.read(_record(take, camera)))
    except (NotFound, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _record(take: Take, camera: str) -> str:
    return f".capmat-export/{take.name}/{camera}.json"


def _all(jobs: Sequence[Job], workers: int) -> Iterator[Done]:
    """Do all jobs, in this process or in several, and yield each as it ends."""
    if workers == 1 or len(jobs) == 1:
        yield from map(do, jobs)
        return
    # Spawned, because what S3 and the encoders keep open does not survive a fork.
    pool = ProcessPoolExecutor(min(workers, len(jobs)), get_context("spawn"), _end_with_parent)
    try:
        waiting: set[Future[Done]] = {pool.submit(do, job) for job in jobs}
        while waiting:
            ended, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in ended:
                yield future.result()
    except BrokenProcessPool as error:
        raise StoreError(
            "a process of the export was killed",
            fix="If memory ran out, use fewer workers. The next export continues from here.",
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """Make this worker process end with its parent; otherwise workers of a killed process would wait for ever."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
