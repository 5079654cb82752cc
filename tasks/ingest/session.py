"""A session as steps of a flow: the check of all its files, then its plates and takes."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from prefect import runtime

from storage.descriptor import read_session
from storage.session.plan import check_session, check_stage, plan_session
from storage.store.marker import begin_store
from storage.store.root import Root
from storage.takes.sources import sources
from storage.takes.take import Take
from tasks.ingest.plates import ingest_plates, same_stage
from tasks.ingest.take import ingest_take, same_take
from tasks.runtime.progress import say
from tasks.runtime.step import StepRecord, digest, retryable, run_once


class SessionRecord(TypedDict):
    """The takes of a session."""

    takes: list[str]
    benchmark: str  # the take that has trimaps, or ""


class PlatesRecord(StepRecord):
    """The plates of a stage in the store."""

    stage: str
    cameras: list[str]


class TakeRecord(StepRecord):
    """A take in the store; its digest stands for its files and its plates."""

    take: str
    cameras: list[str]
    frames: list[int]
    recorded: str  # digest of its files and of those of its plates, however these were mended


def check(session: str) -> SessionRecord:
    """Check everything that a session refers to, before any work.

    Raises:
        CapmatError: the first problem, with take, camera and frame; the others are said.
    """
    plan = plan_session(read_session(session))
    plan.refuse(say)
    for note in plan.notes:
        say(f"note: {note}")
    section = plan.session.benchmark
    say(f"session {plan.session.name}: {len(plan.takes)} takes, {len(plan.cameras)} cameras, all files fit")
    return {"takes": list(plan.takes), "benchmark": section.take if section else ""}


def plates(store: str, session: str) -> PlatesRecord:
    """Average the recordings of the empty stage; the record depends on their files.

    Raises:
        StoreError: the store holds a stage of this name with another calibration or colour, whatever its files.
        CapmatError: what `check_stage` raises.
    """
    plan = check_stage(read_session(session), decode=False)
    manifests = {camera: recording.manifest() for camera, recording in plan.plates.items()}

    def work() -> PlatesRecord:
        done = ingest_plates(store, session)
        return {"stage": done["stage"], "cameras": list(plan.plates)}

    begin_store(Root(store))
    same_stage(Root(store), plan)
    return run_once(store, "plates", plan.session.stage, {"manifests": manifests}, work)


def take_record(store: str, take: str) -> TakeRecord:
    """What later steps need to know about an ingested take."""
    recording = Take.open(Root(store), take)
    manifests, mended = sources(recording)
    recorded = digest([take, recording.stage, manifests])
    return {
        "take": take,
        "cameras": list(recording.cameras),
        "frames": list(recording.frames),
        "recorded": recorded,
        "digest": digest([recorded, mended]) if mended else recorded,
    }


def ingest(store: str, session: str, take: str, plates_digest: str) -> TakeRecord:
    """Bring one take into the store.

    Returns:
        The record of the step with the digest of `take_record`: mattes are the same work whoever asks for them.

    Raises:
        StoreError: the store holds a take of this name with another calibration or colour, whatever its files.
        CapmatError: what `ingest_take` raises.
    """
    plan = check_session(read_session(session), only=take, decode=False)
    recordings = plan.takes[take].recordings
    manifests = {camera: recording.manifest() for camera, recording in recordings.items()}

    same_take(Root(store), plan, plan.takes[take])

    def work() -> TakeRecord:
        ingest_take(store, session, take)
        return take_record(store, take)

    record = run_once(store, "take", take, {"manifests": manifests, "plates": plates_digest}, work)
    return {**record, **take_record(store, take)}


def _name(verb: str) -> Callable[[], str]:
    """`check day1`: by the session's folder."""
    return lambda: f"{verb} {Path(runtime.task_run.parameters['session']).resolve().parent.name}"


check_task = retryable("check", _name("check"))(check)
plates_task = retryable("plates", _name("ingest the plates of"))(plates)
ingest_task = retryable("ingest", "ingest {take}")(ingest)
