"""Mattes of a take: any network writes alpha beside the frames, camera by camera, block by block."""

import time
from collections.abc import Iterator, Sequence
from typing import Any, NotRequired, TypedDict, cast

from prefect import runtime

from capmat_errors import NotFound
from storage.registry import Registry
from storage.store.claim import claim
from storage.store.ledger import Files, Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import PATIENCE, Take
from tasks.matte.coverage import coverage_note, unusual
from tasks.matte.provenance import begun, provenance
from tasks.models.infer import check_take, infer_camera
from tasks.models.networks import Run, load_network
from tasks.runtime.progress import Progress, say
from tasks.runtime.rates import Timed, timed
from tasks.runtime.step import Step, StepRecord, retryable


class BlockRecord(StepRecord, Timed):
    """The mattes of one block of frames of one camera."""

    run: str
    camera: str
    frames: int  # how many
    numbers: list[int]  # which
    threads: int
    coverage: NotRequired[float]  # mean of alpha, 0..1; earlier versions did not record it
    files: Files


class MattesRecord(TypedDict):
    """The mattes of some cameras of a take."""

    run: str
    take: str
    frames: int  # of all cameras
    wall_s: float
    reused: bool
    coverage: dict[str, float]  # by camera: mean of alpha, 0..1
    digest: list[str]  # of the records of the blocks


def snap(pha: Any) -> Any:
    """Make alphas within 1/255 of 0 or 1 exactly that, in place.

    Networks hardly ever say 0 or 1. The faint rest makes the stored matte twenty times larger and fills empty space
    in a reconstruction.
    """
    pha[pha <= 1 / 255] = 0
    pha[pha >= 254 / 255] = 1
    return pha


def open_run(store: str, take: str, run: Run) -> str:
    """Announce a run of alphas in a take, before cameras write to it side by side; returns its name."""
    root, model = Root(store), run.model
    weights = next(e["weights"] for e in Registry(root).entries(model["name"]) if e["version"] == model["version"])
    recording = Take.open(root, take)
    described = {"role": run.role, **model, "weights": weights} | ({"tile": run.tile} if run.tile else {})
    described |= provenance(store, recording, model, run.config)
    with claim(root, f"{recording.key}/runs/{run.name}", "matting", PATIENCE):
        described = begun(recording, run.name, described)
        recording.start_run(run.name, described)
        Ledger(root).record(f"run/{take}/{run.name}", {**described, "files": recording.run_files(run.name)})
    return run.name


def block_steps(
    store: str, take: str, camera: str, run: Run, blocks: Sequence[Sequence[int]], ingested: str
) -> list[Step[BlockRecord]]:
    """The step of every block of frames of one camera; arguments as those of `matte`."""
    inputs = {"model": run.model, "ingested": ingested} | ({"tile": run.tile} if run.tile else {})
    subject = f"{take} {camera} {run.name}"
    return [Step[BlockRecord](store, "matte", subject, {**inputs, "frames": list(block)}) for block in blocks]


def matte(
    store: str, take: str, cameras: Sequence[str], frames: Sequence[int], run: Run, ingested: str
) -> MattesRecord:
    """Matte some cameras of a take. Each block of frames is a step, so a killed run repeats one block at most.

    A recurrent network sees the frames of a camera in order, each with the state of the one before. Its state never
    crosses to another camera, and a camera that is repeated starts from the first frame again.

    Args:
        store: URL of the store.
        take: name of an ingested take.
        cameras: which cameras.
        frames: which frame numbers.
        run: who mattes.
        ingested: digest of the take's ingest record.

    Raises:
        ConfigError: the network needs a trimap, which takes do not have.
    """
    recording = Take.open(Root(store), take)
    bar = Progress(f"{run.role} mattes {take} {cameras[0]}-{cameras[-1]}", len(cameras) * len(frames), "frames")
    if run.tile:
        say(f"{take}: the mattes are made in tiles of {run.tile} pixels; whole frames give slightly different mattes")
    wanted = set(frames)
    blocks = [chosen for block in recording.blocks if (chosen := [f for f in block if f in wanted])]
    records: list[BlockRecord] = []
    coverage = {}
    for camera in cameras:
        steps = block_steps(store, take, camera, run, blocks, ingested)
        kept = [step.record() for step in steps]
        todo = [(step, block) for step, block, record in zip(steps, blocks, kept, strict=True) if record is None]
        own = [*filter(None, kept)]
        if todo:
            network = load_network(store, run.model, run.threads)
            check_take(run.model["name"], network.inputs, take)
            if network.recurrent:  # its memory starts at the first frame
                todo, own = list(zip(steps, blocks, strict=True)), []
            bar.skip(sum(record["frames"] for record in own))
            part = bar.part(f"camera {camera}", sum(len(block) for _, block in todo))
            own += _matted(recording, camera, run, network, todo, part)
        else:
            bar.skip(len(wanted))
        records += own
        if shares := [(r["coverage"], r["frames"]) for r in own if "coverage" in r]:
            coverage[camera] = sum(share * count for share, count in shares) / sum(count for _, count in shares)
            _doubted(recording, camera, coverage[camera])
    return {
        "run": run.name,
        "take": take,
        "frames": sum(r["frames"] for r in records),
        "wall_s": round(sum(r["wall_s"] for r in records), 2),
        "reused": all(r["reused"] for r in records),
        "coverage": coverage,
        "digest": [r["digest"] for r in records],
    }


def _matted(
    recording: Take,
    camera: str,
    run: Run,
    network: Any,
    todo: Sequence[tuple[Step[BlockRecord], Sequence[int]]],
    bar: Progress,
) -> Iterator[BlockRecord]:
    """Matte some blocks of a camera, each recorded when it is stored; `bar` counts the frames."""
    bgr = Stage.under(recording).plate(camera) if "bgr" in network.inputs else None
    ordered = [frame for _, block in todo for frame in block]
    mattes = infer_camera(network, (recording.read(camera, frame) for frame in ordered), bgr, tile=run.tile)
    for step, block in todo:
        start, alphas = time.perf_counter(), {}
        for frame, pha in zip(block, mattes, strict=False):
            alphas[frame] = snap(pha)
            bar.step()
        files = recording.write_alphas(run.name, camera, alphas)
        seconds = time.perf_counter() - start
        block_of = {"run": run.name, "camera": camera, "frames": len(block), "numbers": list(block)}
        block_of |= {"coverage": sum(float(pha.mean()) for pha in alphas.values()) / len(alphas)}
        pace = {"threads": run.threads, **timed(sum(pha.size for pha in alphas.values()), seconds)}
        yield step.keep(cast(BlockRecord, {**block_of, **pace, "files": files}), seconds)


def _doubted(recording: Take, camera: str, share: float) -> None:
    """Say it if the mattes of a camera are all but empty or all but full."""
    if not unusual(share):
        return
    try:
        bgr = Stage.under(recording).plate(camera)
    except NotFound:  # a stage without plates
        bgr = None
    words = coverage_note(share, recording.read(camera, recording.frames[0]), bgr)
    say(f"{recording.name} camera {camera}: {words}")


def _name() -> str:
    """`teacher mattes amber c00-c05, frames 1-2` for the Prefect UI."""
    given = runtime.task_run.parameters
    cameras, frames = given["cameras"], given["frames"]
    span = f"frame {frames[0]}" if len(frames) == 1 else f"frames {frames[0]}-{frames[-1]}"
    return f"{given['run'].role} mattes {given['take']} {cameras[0]}-{cameras[-1]}, {span}"


matte_task = retryable("matte", _name, gpu=True)(matte)
open_run_task = retryable("open run", "open {run.role} run in {take}")(open_run)
