"""Validation: the mattes of several models against one benchmark, in the paper's units (section 5.2)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from capmat_errors import SizeMismatch
from storage.benchmark import Benchmark
from storage.store.root import Root
from storage.takes.take import Take
from tasks.matte.take import MattesRecord
from tasks.runtime.step import StepRecord, retryable, run_once
from tasks.validate.supervise import BenchmarkRecord

Scores = dict[str, float]
MEASURES = ("mse", "sad", "grad", "conn")


class ValidationRecord(StepRecord):
    """Scores against the supervisor's mattes: the mean of each row, and each picture (`camera/frame`) of each row."""

    supervisor: dict[str, Scores]
    per_image: dict[str, dict[str, Scores]]


def score(pred: np.ndarray, true: np.ndarray, where: str) -> Scores:
    """One matte against what is right.

    Args:
        pred: (H, W), 0..1.
        true: (H, W), 0..1.
        where: take, camera and frame, for errors.

    Returns:
        `mse`, `sad` and `grad` as per-pixel means over the whole image (the paper prints them in units of 1e-4, 1e-3
        and 1e-5), and `conn` in thousands of pixels, see `capmat_models.metrics`.

    Raises:
        SizeMismatch: the two differ in size.
    """
    import torch

    from capmat_models.metrics import conn, paper_metrics

    _same_size(pred, true, where)
    one, other = torch.from_numpy(pred)[None, None], torch.from_numpy(true)[None, None]
    found = {**paper_metrics(one, other), "conn": conn(one, other)}
    return {name: float(value) for name, value in found.items()}


def score_runs(
    take: Take,
    runs: Mapping[str, str],
    entries: Sequence[tuple[str, int]],
    reference: Callable[[str, int], np.ndarray],
) -> tuple[dict[str, Scores], dict[str, dict[str, Scores]]]:
    """Score stored mattes against reference mattes over whole images.

    Args:
        take: the recording that the mattes belong to.
        runs: row name (`teacher_base`, ...) -> alpha run.
        entries: (camera, frame) of every benchmark picture.
        reference: gives the reference alpha (H,W) 0..1 of one entry.

    Returns:
        Per row the mean over pictures (each picture weighs the same), and per row the scores of each picture,
        keyed `camera/frame`; see `score`.

    Raises:
        SizeMismatch: a reference is of another size than the take's pictures.
    """
    each: dict[str, dict[str, Scores]] = {row: {} for row in runs}
    for camera, frame in entries:
        true, where = reference(camera, frame), f"take {take.name} camera {camera} frame {frame}"
        for row, run in runs.items():
            each[row][f"{camera}/{frame}"] = score(take.read_alpha(run, camera, frame), true, where)
    return {row: mean_scores(scores) for row, scores in each.items()}, each


def flicker_of(
    take: Take, run: str, entries: Sequence[tuple[str, int]], reference: Callable[[str, int], np.ndarray]
) -> dict[str, float]:
    """Flicker (dtSSD) of stored mattes where a camera has entries at frames that follow each other in the take.

    Args:
        take: the recording.
        run: alpha run.
        entries: (camera, frame) of every picture whose reference is there.
        reference: as in `score_runs`.

    Returns:
        By `camera/frame` of the later frame of each pair, see `capmat_models.metrics.dtssd`; empty where no two
        entries follow each other.
    """
    import torch

    from capmat_models.metrics import dtssd

    def stacked(camera: str, frames: tuple[int, int], read: Callable[[str, int], np.ndarray]) -> Any:
        return torch.from_numpy(np.stack([read(camera, frame) for frame in frames]))[:, None]

    found, there = {}, set(entries)
    for camera in take.cameras:
        for before, after in pairwise(take.frames):
            if (camera, before) in there and (camera, after) in there:
                pred = stacked(camera, (before, after), partial(take.read_alpha, run))
                found[f"{camera}/{after}"] = float(dtssd(pred, stacked(camera, (before, after), reference))[0])
    return found


def mean_scores(each: Mapping[str, Scores]) -> Scores:
    """The mean of every measure over the pictures that have it."""
    names = dict.fromkeys(name for scores in each.values() for name in scores)
    return {name: float(np.mean([s[name] for s in each.values() if name in s])) for name in names}


def validate(
    store: str, benchmark: BenchmarkRecord, runs: Mapping[str, str], mattes: Sequence[MattesRecord]
) -> ValidationRecord:
    """Score runs against the supervisor's mattes of a frozen benchmark.

    Args:
        store: URL of the store.
        benchmark: record of the benchmark.
        runs: row name -> alpha run of the benchmark's take.
        mattes: records of those runs; their digests make the result depend on them.
    """

    def work() -> ValidationRecord:
        root = Root(store)
        frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"])
        take = Take.open(root, benchmark["take"])
        entries = [(camera, frame) for camera, frame in benchmark["entries"]]
        means, each = score_runs(take, runs, entries, partial(frozen.alpha, take.name))
        return {"supervisor": means, "per_image": each}

    inputs = {
        "benchmark": benchmark["digest"],
        "runs": dict(runs),
        "mattes": [record["digest"] for record in mattes],
        "measures": MEASURES,
    }
    return run_once(store, "validate", benchmark["benchmark"], inputs, work)


def _same_size(pred: np.ndarray, true: np.ndarray, where: str) -> None:
    if pred.shape != true.shape:
        raise SizeMismatch(
            f"the matte is {pred.shape[1]}x{pred.shape[0]}, the benchmark {true.shape[1]}x{true.shape[0]}",
            where=where,
            fix="If the take was ingested again at another size, make a benchmark of that.",
        )


validate_task = retryable("validate", "validate on {benchmark[benchmark]}")(validate)
