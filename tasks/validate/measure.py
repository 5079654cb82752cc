"""One model on any number of benchmarks: the mattes that are missing, every measure of every picture, and the time.

Only the frames of the benchmarks are matted; mattes of a night are used as they are. Scores against the supervisor's
mattes and scores against known mattes are two columns that nothing mixes.
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
from tasks.models.latency import device_of, hardware, latency
from tasks.models.networks import Ref, Run, card_of, inputs_of, load_network
from tasks.runtime.step import Record, StepRecord, retryable, run_once
from tasks.validate.score import MEASURES, Scores, flicker_of, score_runs

Bench = tuple[str, str]
"""Name and version of a benchmark."""
COLUMNS: tuple[Literal["supervisor", "truth"], ...] = ("supervisor", "truth")


class HullScore(TypedDict, total=False):
    """How much of the silhouettes contradicts those of the other cameras; `absent` alone, if it says why not."""

    score: float  # 0..1, the mean over takes, each with the weight of its frames; lower is better
    worst: str  # take and camera
    absent: str


class ScoresRecord(StepRecord):
    """A model on one benchmark: scores of each picture by `take/camera/frame`."""

    supervisor: dict[str, Scores]  # with `flicker` where the frame before is in the benchmark too
    truth: dict[str, Scores]  # the same against known mattes; empty where nothing is known
    latency: NotRequired[Record]  # see `tasks.models.latency.latency`
    hull: NotRequired[HullScore]  # where it was asked for


class MeasureRecord(TypedDict):
    """A model on benchmarks, which are named `name@version`."""

    model: Ref
    role: str
    run: str  # name of its mattes
    benchmarks: dict[str, ScoresRecord]
    digest: list[str]


def measure(store: str, benchmarks: Sequence[Bench], run: Run, hull: Reconstruction | None = None) -> MeasureRecord:
    """Measure a model.

    Args:
        store: URL of the store.
        benchmarks: which ones.
        run: who mattes.
        hull: the subject's box, to compare the mattes of all cameras on the benchmark's frames, for which all cameras
            are matted there; None to leave that out.

    Raises:
        ConfigError: the network needs a trimap, which takes do not have.
        SizeMismatch: a take is of another size than the benchmark that was made of it.
        NotFound: a benchmark or one of its takes is not there.
    """
    root, scores = Root(store), dict[str, ScoresRecord]()
    opened = [Benchmark.open(root, *bench) for bench in benchmarks]
    for frozen in opened:
        for take in frozen.takes:
            _check_sizes(Take.open(root, take), frozen)
    for frozen in opened:
        record = scores[f"{frozen.name}@{frozen.version}"] = _measured(store, frozen, run)
        record["latency"] = frame_time(store, (frozen.name, frozen.version), run)
        if hull:
            record["hull"] = _hull(store, frozen, run, hull)
    return {
        "model": run.model,
        "role": run.role,
        "run": run.name,
        "benchmarks": scores,
        "digest": [record["digest"] for record in scores.values()],
    }


def check_measurable(store: str, model: Ref) -> None:
    """Refuse a model that wants a trimap of every frame, without loading it.

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


def matte_entries(store: str, take: str, entries: Iterable[tuple[str, int]], run: Run) -> list[str]:
    """Matte the (camera, frame) that have no matte yet; returns the digests of the records of all of them.

    A recurrent network sees its cameras from the first frame on.
    """
    recording, ingested = Take.open(Root(store), take), take_record(store, take)["digest"]
    network = load_network(store, run.model, run.threads)
    check_take(run.model["name"], network.inputs, take)
    open_run(store, take, run)
    wanted: dict[str, set[int]] = {}
    for camera, frame in entries:
        wanted.setdefault(camera, set()).add(frame)
    digests = []
    cameras_by_frames: dict[tuple[int, ...], list[str]] = {}
    for camera, frames in sorted(wanted.items()):
        steps = block_steps(store, take, camera, run, recording.blocks, ingested)
        for step, block in zip(steps, recording.blocks, strict=True):
            if frames & set(block) and (done := step.record()):
                digests.append(done["digest"])
                frames = frames - set(block)
        if frames:
            last = max(frames)
            missing = [f for f in recording.frames if (f <= last if network.recurrent else f in frames)]
            cameras_by_frames.setdefault(tuple(missing), []).append(camera)
    for numbers, cameras in cameras_by_frames.items():
        digests += matte(store, take, cameras, numbers, run, ingested)["digest"]
    return digests


def _measured(store: str, frozen: Benchmark, run: Run) -> ScoresRecord:
    mattes = {take: matte_entries(store, take, _of(frozen.keys, take), run) for take in frozen.takes}

    def work() -> ScoresRecord:
        scores: ScoresRecord = {"supervisor": {}, "truth": {}}
        for name in frozen.takes:
            take = Take.open(frozen.root, name)
            for column, keys, read in (
                (scores["supervisor"], frozen.keys, frozen.alpha),
                (scores["truth"], frozen.known, frozen.truth),
            ):
                entries, reference = _of(keys, name), partial(read, name)
                _, each = score_runs(take, {run.name: run.name}, entries, reference)
                flicker = flicker_of(take, run.name, entries, reference)
                for picture, values in each[run.name].items():
                    more = {"flicker": flicker[picture]} if picture in flicker else {}
                    column[f"{name}/{picture}"] = {**values, **more}
        return scores

    inputs = {
        "benchmark": [frozen.name, frozen.version],
        "model": run.model,
        "run": run.name,
        "mattes": mattes,
        "measures": [*MEASURES, "flicker"],
    }
    return run_once(store, "measure", f"{frozen.name} {frozen.version} {run.name}", inputs, work)


def hull_score(store: str, frames: Mapping[str, Sequence[int]], run: str, settings: Reconstruction) -> HullScore:
    """How much of the silhouettes contradicts those of the other cameras; see `tasks.geometry.hull_check`.

    Args:
        store: URL of the store.
        frames: which, by take.
        run: name of the mattes.
        settings: the subject's box.
    """
    scores, worst = [], ("", -1.0)
    for take, numbers in frames.items():
        try:
            done = hull_check(store, take, run, settings, numbers)
        except (NotFound, MatteError, CalibrationError) as error:
            return {"absent": f"take {take}: {error.what}"}
        scores += [done["hull_score"]] * len(numbers)
        worst = max(worst, (f"{take} {done['worst']}", done["cameras"][done["worst"]]), key=lambda one: one[1])
    return {"score": float(np.mean(scores)), "worst": worst[0]}


def _hull(store: str, frozen: Benchmark, run: Run, settings: Reconstruction) -> HullScore:
    frames = {take: sorted({frame for _, frame in _of(frozen.keys, take)}) for take in frozen.takes}
    for take, numbers in frames.items():
        cameras = Take.open(frozen.root, take).cameras
        matte_entries(store, take, [(camera, frame) for camera in cameras for frame in numbers], run)
    return hull_score(store, frames, run.name, settings)


def frame_time(store: str, benchmark: Bench, run: Run) -> Record:
    """How long a model takes for a benchmark's first picture; measured once on each kind of machine.

    Returns:
        Record, see `tasks.models.latency.latency`.
    """
    frozen = Benchmark.open(Root(store), *benchmark)
    name, camera, frame = frozen.keys[0]
    take, network = Take.open(frozen.root, name), load_network(store, run.model, run.threads)

    def work() -> dict[str, Any]:
        bgr = Stage.under(take).plate(camera) if "bgr" in network.inputs else None
        return latency(network, take.read(camera, frame), bgr, tile=run.tile)

    view = take.cameras[camera]
    inputs = {
        "model": run.model,
        "size": [view.height, view.width],
        "tile": run.tile,
        "threads": run.threads,
        "on": hardware(device_of(network)),
    }
    return run_once(store, "latency", f"{run.model['name']} {run.model['version']}", inputs, work)


def _of(keys: Iterable[tuple[str, str, int]], take: str) -> list[tuple[str, int]]:
    return [(camera, frame) for of, camera, frame in keys if of == take]


def _check_sizes(take: Take, frozen: Benchmark) -> None:
    """Refuse, before anything is matted, a take that was ingested again at another size."""
    for camera, frame in _of(frozen.keys, take.name):
        view, size = take.cameras.get(camera), frozen.trimap(take.name, camera, frame).shape
        if view is None or frame not in take.frames or (view.height, view.width) != size:
            now = f"{view.width}x{view.height}" if view and frame in take.frames else "not there"
            raise SizeMismatch(
                f"the frame is {now}, in the benchmark {size[1]}x{size[0]}",
                where=f"{frozen.name} {frozen.version}, take {take.name} camera {camera} frame {frame}",
                fix="The take was ingested again since: make a benchmark of what it is now.",
            )


hull_score_task = retryable("hull score", "hull score of {run}", gpu=True)(hull_score)
frame_time_task = retryable("time of a frame", "time a frame of {run.model[name]}@{run.model[version]}", gpu=True)(
    frame_time
)
measure_task = retryable("measure", "measure {run.model[name]}@{run.model[version]}", gpu=True)(measure)
