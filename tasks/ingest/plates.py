"""Bring the plates of a session into the store: what each camera saw of the empty stage."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from capmat_errors import NotFound, StoreError
from storage.descriptor import Session, read_session
from storage.pictures.bayer import stored_planes
from storage.pictures.colour import Colour
from storage.recordings.recording import Recording
from storage.session.plan import SessionPlan, check_stage
from storage.store.claim import claim
from storage.store.ledger import Ledger, made_from, seal_key
from storage.store.root import Root
from storage.takes.group import group_key
from storage.takes.plate import build_plate
from storage.takes.stage import Stage
from tasks.runtime.progress import Progress
from tasks.runtime.rates import timed


def ingest_plates(store_url: str, session_path: str | Path) -> dict[str, Any]:
    """Average every camera's recording of the empty stage and store it.

    Args:
        store_url: folder or s3:// prefix.
        session_path: session.toml or its folder.

    Returns:
        {"stage", "written": [cameras], "kept": [cameras], "seconds"}.

    Raises:
        CapmatError: what `check_session` raises, before anything is written.
        StoreError: the store cannot be used, or holds another set-up under the stage's name, or another process is
            ingesting these plates.
    """
    start = time.monotonic()
    session = read_session(session_path)
    plan = check_stage(session)
    root = Root(store_url).checked()
    with claim(root, group_key("stage", session.stage)):
        written, kept = _bring_plates(root, session, plan)
    return {"stage": session.stage, "written": written, "kept": kept, "seconds": time.monotonic() - start}


def same_stage(root: Root, plan: SessionPlan) -> Stage | None:
    """The stage in the store if it is this set-up; None if it does not exist, or is another, unfinished one.

    Raises:
        StoreError: it is another one, of other cameras or colour.
    """
    name = plan.session.stage
    try:
        stored = Stage.open(root, name, sealed=False)
    except NotFound:
        return None
    if (stored.sensors, stored.colour) == (plan.cameras, plan.session.colour.colour()):
        return stored
    if stored.complete:
        raise StoreError(
            f"the store holds a stage {name} of other cameras or colour",
            where=root.url,
            fix="Give this set-up another stage name in session.toml.",
        )
    return None


def _bring_plates(root: Root, session: Session, plan: SessionPlan) -> tuple[list[str], list[str]]:
    """Write the plates that are missing; returns the cameras written, and those kept."""
    ledger, colour, folder = Ledger(root), session.colour.colour(), f"plates/{session.stage}"
    old = same_stage(root, plan)
    manifests = {camera: recording.manifest() for camera, recording in plan.plates.items()}
    entries = {camera: ledger.done(f"{folder}/{camera}") or {} for camera in plan.plates} if old else {}
    sealed = old and old.complete and ledger.done(seal_key(group_key("stage", session.stage)))
    kept = []
    for camera, entry in entries.items():
        if not made_from(entry, manifests[camera]):
            if not (old and sealed and entry and _holds(old, plan.plates[camera])):
                continue
            ledger.record(f"{folder}/{camera}", {**entry, "same": manifests[camera]})  # only dates have changed
        kept.append(camera)
    if sealed and len(kept) == len(plan.plates):
        return [], kept
    stage = Stage.create(
        root,
        session.stage,
        cameras=plan.cameras,
        colour=colour,
        source={"session": session.name, "manifests": manifests},
    )
    todo = [camera for camera in plan.plates if camera not in kept]
    bar = Progress(f"plates of stage {session.stage}", len(todo), "plates")
    for camera in todo:
        key = f"{folder}/{camera}"
        ledger.forget(key)
        start, sensor = time.perf_counter(), plan.cameras[camera]
        plate = build_plate(_Pictures(plan.plates[camera], colour))
        files = stage.write_plate(camera, plate)
        described = {"manifest": manifests[camera], "frames": plate.n, "valid": float(plate.valid.mean())}
        pace = timed(plate.n * sensor.width * sensor.height, time.perf_counter() - start)
        ledger.record(key, {**described, **pace, "files": files, "session": session.source})
        bar.step(f"camera {camera}")
    stage.seal()
    return todo, kept


def _holds(stage: Stage, recording: Recording) -> bool:
    """Whether a recording of the empty stage gives the plate that is stored."""
    return stage.holds(recording.camera, build_plate(_Pictures(recording, stage.colour)))


class _Pictures:
    """The pictures of a recording, read again at each iteration; `build_plate` iterates twice."""

    def __init__(self, recording: Recording, colour: Colour) -> None:
        self.recording, self.colour = recording, colour

    def __len__(self) -> int:
        return len(self.recording.frames)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        # a Bayer mosaic is averaged by colour plane
        pictures = (picture for _, picture in self.recording.read(self.colour))
        return (stored_planes(p).transpose(1, 2, 0) if p.ndim == 2 else p for p in pictures)
