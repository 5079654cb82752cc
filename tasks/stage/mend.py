"""Plates that no longer lie under a take are laid there, once per take and camera; the stage's own plates stay.

What to do is measured once for the files of a take and its plates. Doing it follows `stage.mend` and can be taken
back: a take without mended plates has the digest that it always had, and so has everything made from it.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from prefect import runtime

from capmat_errors import NotFound
from capmat_models.stage.mend import Change, find_change
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Config
from tasks.ingest.session import TakeRecord, take_record
from tasks.runtime.progress import say
from tasks.runtime.step import Record, digest, retryable, run_once
from tasks.stage.source import evenly

_AT_A_TIME = 2  # cameras; each holds some frames at full size


def mend_plates(config: Config, take: TakeRecord) -> TakeRecord:
    """Lay the plates of a take under it where that is clearly better.

    Args:
        config: the settings; `stage.mend` says whether that is done, only said, or not even looked at.
        take: its record.

    Returns:
        The record; its digest now stands for the plates as they are.

    Raises:
        StoreError: the store cannot be used, or what it holds is damaged.
    """
    name, mode, root = take["take"], config.stage.mend, Root(config.store)
    recording = Take.open(root, name)
    try:
        own, under = Stage.open(root, recording.stage), Stage.under(recording)
    except NotFound:
        return take
    cameras = [camera for camera in recording.cameras if camera in own.source.get("manifests", recording.cameras)]
    changes: Mapping[str, Record] = {}
    if mode != "off" and cameras:
        frames = evenly(recording.frames, config.stage.take_frames)
        inputs = {"recorded": take["recorded"], "frames": frames}
        changes = run_once(config.store, "fit", name, inputs, lambda: _look(recording, own, cameras, frames))[
            "cameras"
        ]
    for camera in cameras:
        change = changes.get(camera, {"words": "", "warning": ""})
        if change["words"] or change["warning"]:
            advice = "" if mode == "auto" or not change["words"] else '; stage.mend = "auto" would mend it'
            say(f"take {name} camera {camera}: its plate: {change['words'] or change['warning']}{advice}")
        if mode != "auto" or not change["words"]:
            under.forget_mended(camera)
            continue
        manifest = digest([take["recorded"], change])
        if (under.change(camera) or {}).get("manifest") != manifest:
            plate, valid = Change.from_json(change).apply(own.plate(camera), own.valid(camera))
            under.write_mended(camera, plate, valid, {**change, "manifest": manifest})
    return {**take, **take_record(config.store, name)}


def _look(take: Take, stage: Stage, cameras: Sequence[str], frames: Sequence[int]) -> dict[str, Any]:
    """What would lay the plate of every camera under a take."""

    def one(camera: str) -> dict[str, Any]:
        return find_change(stage.plate(camera), [take.read(camera, frame) for frame in frames]).to_json()

    with ThreadPoolExecutor(_AT_A_TIME) as threads:
        return {"cameras": dict(zip(cameras, threads.map(one, cameras), strict=True))}


def _name() -> str:
    return f"fit the plates of {runtime.task_run.parameters['take']['take']}"


mend_task = retryable("fit plates", _name)(mend_plates)
