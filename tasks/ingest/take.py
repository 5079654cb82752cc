"""Bring a take into the store, bit for bit, several cameras at a time, one block of frames after the other.

Bad input is refused before anything is written. The ledger has every finished block, so an ingest that was stopped
goes on at the block where it was, and one that is complete does nothing.
"""

import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from capmat_errors import NotFound, StoreError
from storage.calibration.camera import Camera
from storage.descriptor import read_session
from storage.pictures.bayer import stored_planes
from storage.recordings.recording import Recording
from storage.session.cost import check_space, expected_cost
from storage.session.plan import SessionPlan, TakePlan, check_session
from storage.store.claim import claim
from storage.store.ledger import Files, Ledger, made_from, seal_key
from storage.store.root import Root
from storage.takes.group import group_key
from storage.takes.schema import SCHEMA
from storage.takes.take import Take
from storage.takes.views import make_preview
from storage.upkeep.findings import forget_take
from tasks.ingest.again import belongings, compare_again
from tasks.runtime.progress import Progress
from tasks.runtime.rates import timed

Block = tuple[int, tuple[int, ...], str]
"""Number of a block, its frames, and the manifest of the files they come from."""


def ingest_take(store_url: str, session_path: str | Path, take: str, workers: int = 0) -> dict[str, Any]:
    """Store a take's pictures.

    Args:
        store_url: folder or s3:// prefix.
        session_path: session.toml or its folder.
        take: name of the take in the session.
        workers: cameras at a time, one thread each; 0 for one per core.

    Returns:
        {"take", "written": [cameras], "kept": [cameras], "frames", "bytes", "seconds"}; a camera is written if
        any of its blocks was; bytes before compression.

    Raises:
        CapmatError: what `check_session` raises, before anything is written.
        ImageUnreadable: a picture is damaged; the take stays unsealed, and a second run goes on there.
        StoreError: the store cannot be used, or holds another take or other pictures under this name, or another
            process is ingesting it.
    """
    start = time.monotonic()
    session = read_session(session_path)
    session.check_takes([take], str(session_path))
    plan = check_session(session, only=take)
    chosen = plan.takes[take]
    root = Root(store_url).checked()
    check_space(expected_cost(plan, root), root)
    with claim(root, group_key("take", take)):
        todo = _bring_take(root, plan, chosen, workers)
    return {
        "take": take,
        "written": list(todo),
        "kept": [camera for camera in chosen.recordings if camera not in todo],
        "frames": len(chosen.frames),
        "bytes": chosen.bytes,
        "seconds": time.monotonic() - start,
    }


def _bring_take(root: Root, plan: SessionPlan, chosen: TakePlan, workers: int) -> dict[str, list[Block]]:
    """Write the blocks that are missing and seal the take; returns what was missing, by camera."""
    session = plan.session
    stored = same_take(root, plan, chosen)
    if stored is None:
        forget_take(root, chosen.name)
        stored = Take.create(
            root,
            chosen.name,
            stage=session.stage,
            cameras=_only(plan.cameras, chosen),
            colour=session.colour.colour(),
            frames=chosen.frames,
            fps=session.fps,
            timecode=chosen.timecode,
            source={"session": session.name, "path": session.takes[chosen.name].path, "gaps": chosen.gaps}
            | ({} if session.calibration.has_unit else {"unit": "not stated"}),
        )
    todo = missing_blocks(stored, chosen)
    if todo and (stored.complete or belongings(stored)):  # a labelled take may be open for a repair
        compare_again(stored, chosen, workers)
        todo = missing_blocks(stored, chosen)
    if todo:
        if stored.complete:
            stored.unseal()
        _bring(stored, chosen, todo, {"session": session.source, "capmat": version("capmat")}, workers)
    if not stored.complete or not Ledger(root).done(seal_key(group_key("take", chosen.name))):
        stored.seal()
    return todo


def missing_blocks(stored: Take, chosen: TakePlan) -> dict[str, list[Block]]:
    """The blocks that the store does not have of a take, by camera.

    A block is stored if its entry of the ledger stands for these source files, and the store holds what the entry
    lists at the sizes that were written. A camera whose layout alone is missing has an empty list.
    """
    entries = Ledger(stored.root).entries(f"ingest/{stored.name}/")
    missing = {}
    for camera, recording in chosen.recordings.items():
        key = f"ingest/{stored.name}/{camera}"
        if stored.schema != SCHEMA:
            if (entries.get(key) or {}).get("manifest") != recording.manifest():
                raise StoreError(
                    "the take was stored by an earlier version, from other files",
                    where=f"take {stored.name} camera {camera}",
                    fix="Give this take another name in session.toml, or delete the stored one.",
                )
            continue
        sizes = stored.raw_sizes(camera)
        todo = []
        for block, frames in enumerate(stored.blocks):
            entry, manifest = entries.get(f"{key}/{block:05d}"), recording.select(frames).manifest()
            if not entry or not made_from(entry, manifest) or not _is_stored(entry, sizes):
                todo.append((block, frames, manifest))
        layout = entries.get(f"{key}/layout")
        if todo or not layout or not _is_stored(layout, sizes):
            missing[camera] = todo
    return missing


def _bring(
    stored: Take,
    chosen: TakePlan,
    todo: dict[str, list[Block]],
    source: dict[str, str],
    workers: int,
) -> None:
    """Write the missing blocks, `workers` cameras at a time; the first error stops all of them."""
    stop, frames = Event(), {camera: sum(len(b[1]) for b in blocks) for camera, blocks in todo.items()}
    bar = Progress(f"ingest {stored.name}", sum(frames.values()), "frames")

    def one(camera: str) -> None:
        part = bar.part(f"camera {camera}", frames[camera])
        for _ in _camera_frames(stored, camera, chosen.recordings[camera], todo[camera], source):
            part.step()
            if stop.is_set():
                return

    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as threads:
        running = [threads.submit(one, camera) for camera in todo]
        try:
            for work in as_completed(running):
                work.result()
        except BaseException:
            stop.set()
            threads.shutdown(cancel_futures=True)
            raise


def _camera_frames(
    stored: Take, camera: str, recording: Recording, todo: list[Block], source: dict[str, str]
) -> Iterator[int]:
    """Write some blocks of a camera and record each when it is whole; yields the frames as they are stored."""
    ledger, key = Ledger(stored.root), f"ingest/{stored.name}/{camera}"
    ledger.record(f"{key}/layout", {**source, "files": stored.describe(camera)})
    # one pass over all missing blocks: a video opened anew for every block would be decoded many times
    pictures = recording.select(tuple(f for _, frames, _ in todo for f in frames)).read(stored.colour)
    sensor = stored.sensors[camera]
    for block, frames, manifest in todo:
        start = time.perf_counter()
        ledger.forget(f"{key}/{block:05d}")
        files: Files = {}
        previews = []
        for frame, picture in islice(pictures, len(frames)):
            planes = stored_planes(picture)
            files |= stored.write_planes(camera, frame, planes)
            previews.append(make_preview(stored.colour, planes))
            yield frame
        files |= stored.write_previews(camera, block, previews)
        pace = timed(len(frames) * sensor.width * sensor.height, time.perf_counter() - start)
        ledger.record(
            f"{key}/{block:05d}", {**source, **pace, "manifest": manifest, "frames": list(frames), "files": files}
        )


def _is_stored(entry: dict[str, Any], sizes: dict[str, int]) -> bool:
    return all(sizes.get(file) == listed[0] for file, listed in entry["files"].items())


def same_take(root: Root, plan: SessionPlan, chosen: TakePlan) -> Take | None:
    """The take in the store if it is this recording; None if it does not exist, or is another, unfinished one.

    Raises:
        StoreError: it is another one, of other frames, cameras or colour.
    """
    try:
        stored = Take.open(root, chosen.name, sealed=False)
    except NotFound:
        return None
    session = plan.session
    wanted = list(chosen.frames), _only(plan.cameras, chosen), session.colour.colour(), session.fps, session.stage
    if (stored.frames, stored.sensors, stored.colour, stored.fps, stored.stage) == wanted:
        return stored
    made = belongings(stored)
    if stored.complete or made:  # a labelled take may be open for a repair
        raise StoreError(
            f"the store holds a take {chosen.name} of other frames, cameras or colour{made}",
            where=root.url,
            fix="Give this take another name in session.toml.",
        )
    return None


def _only(cameras: dict[str, Camera], chosen: TakePlan) -> dict[str, Camera]:
    return {camera: cameras[camera] for camera in chosen.recordings}
