"""Take a session in: plates first, then takes, one camera after the other.

Bad input is found before anything is written. What is finished is in the ledger, so an ingest that was
stopped goes on at the camera where it was, and one that is complete does nothing.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import NotFound, SessionError, StoreError
from storage.camera import Camera
from storage.colour import Colour
from storage.forget import forget_take
from storage.ledger import Ledger
from storage.plates import Stage, build_plate
from storage.recording import Recording
from storage.root import Root
from storage.seal import seal_key
from storage.session import SessionPlan, TakePlan, check_session, read_session
from storage.take import Take

Progress = Callable[[int, int, str], None]
"""Called with (pieces done, pieces in all, what comes now)."""


def ingest_plates(store_url: str, session_path: str | Path, progress: Progress | None = None) -> dict[str, Any]:
    """Average every camera's recording of the empty stage and store it.

    Args:
        store_url: folder or s3:// prefix.
        session_path: session.toml or its folder.
        progress: told before every camera.

    Returns:
        {"stage", "written": [cameras], "kept": [cameras], "seconds"}.

    Raises:
        CapmatError: what `check_session` raises, before anything is written.
        StoreError: the store cannot be used, or holds another set-up under the stage's name.
    """
    start = time.monotonic()
    session = read_session(session_path)
    plan = check_session(session)
    root = Root(store_url).checked()
    ledger, colour = Ledger(root), session.colour.colour()
    old = _open_stage(root, session.stage)
    if old and (old.cameras, old.colour) != (plan.cameras, colour):
        if old.complete:
            raise StoreError(
                f"the store holds a stage {session.stage} of other cameras or colour",
                where=root.url,
                fix="Give this set-up another stage name in session.toml.",
            )
        old = None
    manifests = {camera: recording.manifest() for camera, recording in plan.plates.items()}
    kept = [
        camera for camera in plan.plates if old and _is(ledger, f"plates/{session.stage}/{camera}", manifests[camera])
    ]
    sealed = old and old.complete and ledger.done(seal_key(f"stages/{session.stage}.zarr"))
    if sealed and len(kept) == len(plan.plates):
        return {"stage": session.stage, "written": [], "kept": kept, "seconds": time.monotonic() - start}
    stage = Stage.create(
        root,
        session.stage,
        cameras=plan.cameras,
        colour=colour,
        source={"session": session.name, "manifests": manifests},
    )
    todo = [camera for camera in plan.plates if camera not in kept]
    for place, camera in enumerate(todo):
        if progress:
            progress(place, len(todo), f"plate of camera {camera}")
        key = f"plates/{session.stage}/{camera}"
        ledger.forget(key)
        plate = build_plate(_Pictures(plan.plates[camera], colour))
        files = stage.write_plate(camera, plate)
        said = {"manifest": manifests[camera], "frames": plate.n, "valid": float(plate.valid.mean())}
        ledger.record(key, {**said, "files": files, "session": session.source})
    stage.seal()
    return {"stage": session.stage, "written": todo, "kept": kept, "seconds": time.monotonic() - start}


def ingest_take(
    store_url: str, session_path: str | Path, take: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Store a take's pictures, bit for bit.

    Args:
        store_url: folder or s3:// prefix.
        session_path: session.toml or its folder.
        take: name of the take in the session.
        progress: told before every camera.

    Returns:
        {"take", "written": [cameras], "kept": [cameras], "frames", "bytes", "seconds"}; bytes before
        compression.

    Raises:
        CapmatError: what `check_session` raises, before anything is written.
        ImageUnreadable: a picture is damaged inside; the take stays unsealed, and a second run goes on there.
        StoreError: the store cannot be used, or holds another take under this name.
    """
    start = time.monotonic()
    session = read_session(session_path)
    if take not in session.takes:
        raise SessionError(
            f"the session has no take {take}; it has {', '.join(session.takes)}",
            where=str(session_path),
            fix="Check the name.",
        )
    plan = check_session(session, only=take)
    chosen = plan.takes[take]
    root = Root(store_url).checked()
    ledger = Ledger(root)
    manifests = {camera: recording.manifest() for camera, recording in chosen.recordings.items()}
    stored = _same_take(root, plan, chosen)
    if stored is None:
        forget_take(root, take)
        colour = session.colour.colour()
        stored = Take.create(
            root,
            take,
            stage=session.stage,
            cameras=_only(plan.cameras, chosen),
            colour=colour,
            frames=chosen.frames,
            fps=session.fps,
            dtype=colour.dtype,
            source={"session": session.name, "path": session.takes[take].path},
        )
    kept = [
        camera
        for camera in chosen.recordings
        if _is(ledger, f"ingest/{take}/{camera}", manifests[camera])
        and all(stored.has_raw(camera, frame) for frame in chosen.frames)
    ]
    todo = [camera for camera in chosen.recordings if camera not in kept]
    if todo and stored.complete:
        stored.unseal()
    for place, camera in enumerate(todo):
        if progress:
            progress(place, len(todo), f"take {take} camera {camera}")
        ledger.forget(f"ingest/{take}/{camera}")
        files = stored.empty_raw(camera)
        for frame, picture in chosen.recordings[camera].read(session.colour.colour()):
            files |= stored.write_raw(camera, frame, picture)
        said = {"manifest": manifests[camera], "frames": len(chosen.frames)}
        ledger.record(f"ingest/{take}/{camera}", {**said, "files": files, "session": session.source})
    if not stored.complete or not ledger.done(seal_key(f"takes/{take}.zarr")):
        stored.seal()
    return {
        "take": take,
        "written": todo,
        "kept": kept,
        "frames": len(chosen.frames),
        "bytes": chosen.bytes,
        "seconds": time.monotonic() - start,
    }


class _Pictures:
    """A recording's pictures, to go through as often as needed; `build_plate` does so twice."""

    def __init__(self, recording: Recording, colour: Colour) -> None:
        self.recording, self.colour = recording, colour

    def __len__(self) -> int:
        return len(self.recording)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        return (np.asarray(picture) for _, picture in self.recording.read(self.colour))


def _same_take(root: Root, plan: SessionPlan, chosen: TakePlan) -> Take | None:
    """The take in the store if it is this recording; None if there is none, or another, broken-off one."""
    try:
        stored = Take.open(root, chosen.name, sealed=False)
    except NotFound:
        return None
    session = plan.session
    ours = (
        list(chosen.frames),
        _only(plan.cameras, chosen),
        session.colour.colour(),
        session.fps,
        session.stage,
    )
    if (stored.frames, stored.cameras, stored.colour, stored.fps, stored.stage) == ours:
        return stored
    if stored.complete:
        raise StoreError(
            f"the store holds a take {chosen.name} of other frames, cameras or colour",
            where=root.url,
            fix="Give this take another name in session.toml.",
        )
    return None


def _open_stage(root: Root, name: str) -> Stage | None:
    try:
        return Stage.open(root, name, sealed=False)
    except NotFound:
        return None


def _only(cameras: dict[str, Camera], chosen: TakePlan) -> dict[str, Camera]:
    return {camera: cameras[camera] for camera in chosen.recordings}


def _is(ledger: Ledger, key: str, manifest: str) -> bool:
    entry = ledger.done(key)
    return entry is not None and entry.get("manifest") == manifest
