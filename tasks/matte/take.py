"""Inference: alpha beside the frames, by any network, with the plate of the camera where it wants one."""

import time
from collections.abc import Sequence
from typing import Any, TypedDict, cast

from prefect import runtime

from storage.registry import Registry
from storage.store.ledger import Files, Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.matte.provenance import begun, provenance
from tasks.models.infer import check_take, infer_camera
from tasks.models.networks import Ref, Run, load_network
from tasks.runtime.progress import Progress, say
from tasks.runtime.rates import Timed, timed
from tasks.runtime.step import Step, StepRecord, retryable


class BlockRecord(StepRecord, Timed):
    """The mattes of one block of frames of one camera; `frames` is how many, `numbers` are which."""

    run: str
    camera: str
    frames: int
    numbers: list[int]
    threads: int
    files: Files


class MattesRecord(TypedDict):
    """The mattes of some cameras of a take; `frames` is how many, `digest` those of the blocks' records."""

    run: str
    take: str
    frames: int
    wall_s: float
    reused: bool
    digest: list[str]


def snap(pha: Any) -> Any:
    """Make alphas within 1/255 of 0 or 1 exactly that.

    Networks hardly ever say 0 or 1; left alone, the faint rest makes the stored matte twenty times larger and
    fills empty space in a reconstruction.
    """
    pha[pha <= 1 / 255] = 0
    pha[pha >= 254 / 255] = 1
    return pha


def open_run(store: str, take: str, role: str, model: Ref, tile: int = 0, config: str = "") -> str:
    """Announce a run of alphas in a take, before cameras write to it side by side; returns its name.

    `config` is the digest of the settings; what else a run says of itself is in `tasks.matte.provenance`.
    """
    run = Run(role, model, tile).name
    root = Root(store)
    (entry,) = (e for e in Registry(root).entries(model["name"]) if e["version"] == model["version"])
    said = {"role": role, **model, "weights": entry["weights"]} | ({"tile": tile} if tile else {})
    recording = Take.open(root, take)
    said = begun(recording, run, said | provenance(store, recording, model, config))
    recording.start_run(run, said)
    Ledger(root).record(f"run/{take}/{run}", {**said, "files": recording.run_files(run)})
    return run


def block_steps(
    store: str,
    take: str,
    camera: str,
    run: str,
    blocks: Sequence[Sequence[int]],
    model: Ref,
    ingested: str,
    tile: int = 0,
) -> list[Step[BlockRecord]]:
    """The step of every block of frames of one camera; arguments as those of `matte`."""
    common = {"model": model, "ingested": ingested} | ({"tile": tile} if tile else {})
    subject = f"{take} {camera} {run}"
    return [Step[BlockRecord](store, "matte", subject, {**common, "frames": list(block)}) for block in blocks]


def matte(
    store: str,
    take: str,
    cameras: Sequence[str],
    frames: Sequence[int],
    role: str,
    model: Ref,
    ingested: str,
    threads: int = 1,
    tile: int = 0,
) -> MattesRecord:
    """Matte some cameras of a take; each block of frames is a step of its own, so a killed run repeats one at most.

    A recurrent network sees the frames of a camera in their order, each with the state of the one before; its
    state never crosses to another camera, and a camera that is repeated starts from the first frame again.

    Args:
        store: URL of the store.
        take: name of an ingested take.
        cameras: which cameras.
        frames: which frame numbers.
        role: `teacher`, `student`, or the model's own name; part of the name of the run.
        model: the network.
        ingested: digest of the take's ingest record.
        threads: torch threads.
        tile: side of the tiles where whole frames do not fit; 0 for whole frames. The run's name tells the two
            apart, since tiles are an approximation.

    Raises:
        ConfigError: the network needs a trimap, which takes do not have.
    """
    root = Root(store)
    recording = Take.open(root, take)
    stage = Stage.open(root, recording.stage)
    run = Run(role, model, tile).name
    bar = Progress(f"{role} mattes {take} {cameras[0]}-{cameras[-1]}", len(cameras) * len(frames))
    if tile:
        say(f"{take}: in tiles of {tile} pixels, which is not quite what whole frames would give")
    wanted = set(frames)
    blocks = [chosen for block in recording.blocks if (chosen := [f for f in block if f in wanted])]
    records: list[BlockRecord] = []
    for i, camera in enumerate(cameras):
        steps = block_steps(store, take, camera, run, blocks, model, ingested, tile)
        found = [step.record() for step in steps]
        records += [record for record in found if record]
        todo = [(step, block) for step, block, record in zip(steps, blocks, found, strict=True) if record is None]
        if not todo:
            continue
        network = load_network(store, model, threads)
        check_take(model["name"], network.inputs, take)
        if network.recurrent:
            todo = list(zip(steps, blocks, strict=True))  # its memory starts at the first frame
            records = [record for record in records if record["camera"] != camera]
        bgr = stage.plate(camera) if "bgr" in network.inputs else None
        ordered = [frame for _, block in todo for frame in block]
        mattes = infer_camera(network, (recording.read(camera, frame) for frame in ordered), bgr, tile=tile)
        done = (i + 1) * len(frames) - len(ordered)
        for step, block in todo:
            start, held = time.perf_counter(), {}
            for frame, pha in zip(block, mattes, strict=False):
                held[frame] = snap(pha)
                done += 1
                bar(done, camera)
            files = recording.write_alphas(run, camera, held)
            seconds = time.perf_counter() - start
            said = {"run": run, "camera": camera, "frames": len(block), "numbers": block, "threads": threads}
            made = {**said, **timed(sum(pha.size for pha in held.values()), seconds), "files": files}
            records.append(step.keep(cast(BlockRecord, made), seconds))
    return {
        "run": run,
        "take": take,
        "frames": sum(r["frames"] for r in records),
        "wall_s": round(sum(r["wall_s"] for r in records), 2),
        "reused": all(r["reused"] for r in records),
        "digest": [r["digest"] for r in records],
    }


def _name() -> str:
    """`teacher mattes amber c00-c05, frames 1-2` for the Prefect UI."""
    given = runtime.task_run.parameters
    cameras, frames = given["cameras"], given["frames"]
    span = f"frame {frames[0]}" if len(frames) == 1 else f"frames {frames[0]}-{frames[-1]}"
    return f"{given['role']} mattes {given['take']} {cameras[0]}-{cameras[-1]}, {span}"


matte_task = retryable("matte", _name, gpu=True)(matte)
open_run_task = retryable("open run", "open {role} run in {take}")(open_run)
