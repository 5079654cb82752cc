"""One model on any number of benchmarks: the mattes that are missing, every measure of every picture, and the time.

Only the frames of the benchmarks are matted, and those that a night has matted already are taken as they are. What
the supervisor made and what is known to be true are measured against apart.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NotRequired, TypedDict

import numpy as np

from capmat_errors import CalibrationError, ConfigError, MatteError, NotFound, SizeMismatch
from storage.benchmark import Benchmark
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.config import Reconstruction
from tasks.geometry.hull_check import hull_check
from tasks.ingest.session import take_record
from tasks.matte.take import block_steps, matte, open_run
from tasks.models.infer import check_take
from tasks.models.networks import Ref, Run, card_of, inputs_of, load_network
from tasks.models.speed import device_of, hardware, latency
from tasks.runtime.step import Record, StepRecord, retryable, run_once
from tasks.validate.score import MEASURES, Scores, flicker_of, score_runs

Bench = tuple[str, str]
"""Name and version of a benchmark."""
COLUMNS: tuple[Literal["supervisor", "truth"], ...] = ("supervisor", "truth")


class HullScore(TypedDict, total=False):
    """How much of the silhouettes does not fit those of the other cameras.

    Attributes:
        score: 0..1, the mean over takes, each with the weight of its frames; lower is better.
        worst: take and camera.
        absent: why there is no score; then it is alone.
    """

    score: float
    worst: str
    absent: str


class ScoresRecord(StepRecord):
    """A model on one benchmark: scores of each picture by `take/camera/frame`.

    Attributes:
        supervisor: against the supervisor's mattes; `flicker` where the frame before is in the benchmark too.
        truth: against known mattes; empty where nothing is known.
        latency: see `tasks.models.speed.latency`.
        hull: where it was asked for.
    """

    supervisor: dict[str, Scores]
    truth: dict[str, Scores]
    latency: NotRequired[Record]
    hull: NotRequired[HullScore]


class MeasureRecord(TypedDict):
    """A model on benchmarks, which are named `name@version`; `run` is the name of its mattes."""

    model: Ref
    role: str
    run: str
    benchmarks: dict[str, ScoresRecord]
    digest: list[str]


def measure(
    store: str,
    benchmarks: Sequence[Bench],
    role: str,
    model: Ref,
    tile: int = 0,
    threads: int = 1,
    config: str = "",
    hull: Reconstruction | None = None,
) -> MeasureRecord:
    """Measure a model.

    Args:
        store: URL of the store.
        benchmarks: which ones.
        role: `teacher`, `student`, or the model's own name; part of the name of its runs.
        model: which one.
        tile: side of the tiles, see `tasks.matte.take.matte`.
        threads: torch threads, for the mattes and for the time.
        config: digest of the settings, for the mattes to name.
        hull: the subject's box, to see whether the mattes of all cameras fit together on the benchmark's frames, for
            which all cameras are matted there; None to leave that out.

    Raises:
        ConfigError: the network needs a trimap, which takes do not have.
        SizeMismatch: a take is of another size than the benchmark that was made of it.
        NotFound: a benchmark or one of its takes is not there.
    """
    root, found = Root(store), dict[str, ScoresRecord]()
    opened = [Benchmark.open(root, *bench) for bench in benchmarks]
    for frozen in opened:
        for take in frozen.takes:
            _check_sizes(Take.open(root, take), frozen)
    for frozen in opened:
        found[f"{frozen.name}@{frozen.version}"] = _measured(store, frozen, role, model, tile, threads, config)
        if hull:
            found[f"{frozen.name}@{frozen.version}"]["hull"] = _hull(
                store, frozen, role, model, tile, threads, config, hull
            )
    return {
        "model": model,
        "role": role,
        "run": Run(role, model, tile).name,
        "benchmarks": found,
        "digest": [record["digest"] for record in found.values()],
    }


def check_measurable(store: str, model: Ref) -> None:
    """Refuse, without loading it, a model that wants a trimap of every frame.

    Raises:
        ConfigError: it does.
    """
    if "trimap" in inputs_of(card_of(store, model)):
        name = f"{model['name']}@{model['version']}"
        raise ConfigError(
            f"{name} works from trimaps, which makes it a supervisor: it cannot be measured against one",
            where="capmat validate",
            fix="Name models that take the picture, with or without plate.",
        )


def matte_entries(
    store: str,
    take: str,
    entries: Iterable[tuple[str, int]],
    role: str,
    model: Ref,
    tile: int,
    threads: int,
    config: str = "",
) -> list[str]:
    """Matte some frames of some cameras, unless they are; digests of the records of all of them.

    A network with a memory sees its cameras from the first frame on.
    """
    root = Root(store)
    recording, record = Take.open(root, take), take_record(store, take)
    network = load_network(store, model, threads)
    check_take(model["name"], network.inputs, take)
    run = open_run(store, take, role, model, tile, config)
    wanted: dict[str, set[int]] = {}
    for camera, frame in entries:
        wanted.setdefault(camera, set()).add(frame)
    digests = []
    groups: dict[tuple[int, ...], list[str]] = {}
    for camera, frames in sorted(wanted.items()):
        steps = block_steps(store, take, camera, run, recording.blocks, model, record["digest"], tile)
        for step, block in zip(steps, recording.blocks, strict=True):
            if frames & set(block) and (done := step.record()):
                digests.append(done["digest"])
                frames = frames - set(block)
        if frames:
            last = max(frames)
            left = [f for f in recording.frames if (f <= last if network.recurrent else f in frames)]
            groups.setdefault(tuple(left), []).append(camera)
    for left_frames, cameras in groups.items():
        made = matte(store, take, cameras, left_frames, role, model, record["digest"], threads, tile)
        digests += made["digest"]
    return digests


def _measured(
    store: str, frozen: Benchmark, role: str, model: Ref, tile: int, threads: int, config: str
) -> ScoresRecord:
    run = Run(role, model, tile).name
    mattes = {
        take: matte_entries(store, take, _of(frozen.keys, take), role, model, tile, threads, config)
        for take in frozen.takes
    }

    def work() -> ScoresRecord:
        scores: ScoresRecord = {"supervisor": {}, "truth": {}}
        for name in frozen.takes:
            take = Take.open(frozen.root, name)
            for column, keys, read in (
                (scores["supervisor"], frozen.keys, frozen.alpha),
                (scores["truth"], frozen.known, frozen.truth),
            ):
                entries, reference = _of(keys, name), partial(read, name)
                _, each = score_runs(take, {run: run}, entries, reference)
                flicker = flicker_of(take, run, entries, reference)
                for picture, values in each[run].items():
                    more = {"flicker": flicker[picture]} if picture in flicker else {}
                    column[f"{name}/{picture}"] = {**values, **more}
        return scores

    inputs = {
        "benchmark": [frozen.name, frozen.version],
        "model": model,
        "run": run,
        "mattes": mattes,
        "measures": [*MEASURES, "flicker"],
    }
    done = run_once(store, "measure", f"{frozen.name} {frozen.version} {run}", inputs, work)
    done["latency"] = frame_time(store, (frozen.name, frozen.version), model, tile, threads)
    return done


def hull_score(store: str, frames: Mapping[str, Sequence[int]], run: str, settings: Reconstruction) -> HullScore:
    """How much of the silhouettes does not fit those of the other cameras; see `tasks.geometry.hull_check`.

    Args:
        store: URL of the store.
        frames: which, by take.
        run: whose mattes.
        settings: the subject's box.
    """
    scores, worst = [], ("", -1.0)
    for take, numbers in frames.items():
        try:
            done = hull_check(store, take, run, settings, numbers)
        except (NotFound, MatteError, CalibrationError) as error:
            return {"absent": f"take {take}: {error.what}"}
        scores += [done["hull_score"]] * len(numbers)
        here = done["cameras"][done["worst"]]
        worst = max(worst, (f"{take} {done['worst']}", here), key=lambda one: one[1])
    return {"score": float(np.mean(scores)), "worst": worst[0]}


def frames_of(frozen: Benchmark) -> dict[str, list[int]]:
    """The frames of a benchmark, whatever their cameras, by take."""
    return {take: sorted({frame for _, frame in _of(frozen.keys, take)}) for take in frozen.takes}


def _hull(
    store: str,
    frozen: Benchmark,
    role: str,
    model: Ref,
    tile: int,
    threads: int,
    config: str,
    settings: Reconstruction,
) -> HullScore:
    frames = frames_of(frozen)
    for take, numbers in frames.items():
        cameras = Take.open(frozen.root, take).cameras
        everywhere = [(camera, frame) for camera in cameras for frame in numbers]
        matte_entries(store, take, everywhere, role, model, tile, threads, config)
    return hull_score(store, frames, Run(role, model, tile).name, settings)


def frame_time(store: str, benchmark: Bench, model: Ref, tile: int = 0, threads: int = 1) -> Record:
    """How long a model takes for a benchmark's first picture; measured once on each kind of machine.

    Returns:
        Record, see `tasks.models.speed.latency`.
    """
    frozen = Benchmark.open(Root(store), *benchmark)
    name, camera, frame = frozen.keys[0]
    take, network = Take.open(frozen.root, name), load_network(store, model, threads)

    def work() -> dict[str, Any]:
        bgr = Stage.open(frozen.root, take.stage).plate(camera) if "bgr" in network.inputs else None
        return latency(network, take.read(camera, frame), bgr, tile=tile)

    view = take.cameras[camera]
    inputs = {"size": [view.height, view.width], "tile": tile, "threads": threads, "on": hardware(device_of(network))}
    return run_once(store, "latency", f"{model['name']} {model['version']}", {"model": model, **inputs}, work)


def _of(keys: Iterable[tuple[str, str, int]], take: str) -> list[tuple[str, int]]:
    return [(camera, frame) for of, camera, frame in keys if of == take]


def _check_sizes(take: Take, frozen: Benchmark) -> None:
    """Before anything is matted: a take that was ingested again at another size has no place for the benchmark's."""
    for camera, frame in _of(frozen.keys, take.name):
        view, size = take.cameras.get(camera), frozen.trimap(take.name, camera, frame).shape
        if view is None or frame not in take.frames or (view.height, view.width) != size:
            there = f"{view.width}x{view.height}" if view and frame in take.frames else "not there"
            raise SizeMismatch(
                f"the frame is {there}, in the benchmark {size[1]}x{size[0]}",
                where=f"{frozen.name} {frozen.version}, take {take.name} camera {camera} frame {frame}",
                fix="The take was ingested again since: make a benchmark of what it is now.",
            )


def _name() -> str:
    from prefect import runtime

    given = runtime.task_run.parameters
    return f"measure {given['model']['name']}@{given['model']['version']}"


hull_score_task = retryable("hull score", "hull score of {run}", gpu=True)(hull_score)
frame_time_task = retryable("time of a frame", "time a frame of {model[name]}@{model[version]}", gpu=True)(frame_time)
measure_task = retryable("measure", _name, gpu=True)(measure)
