"""Scores of mattes against reference mattes, in the paper's units (section 5.2)."""

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
Reference = Callable[[str, int], np.ndarray]
"""Gives the reference alpha (H, W), 0..1, of a camera and a frame."""
MEASURES = ("mse", "sad", "grad", "conn")


class ValidationRecord(StepRecord):
    """Scores against the supervisor's mattes."""

    supervisor: dict[str, Scores]  # by row, the mean over pictures
    per_image: dict[str, dict[str, Scores]]  # by row and `camera/frame`


def paper_scores(pred: np.ndarray, true: np.ndarray, where: str) -> Scores:
    """The paper's three measures of one matte.

    Args:
        pred: (H, W), 0..1.
        true: (H, W), 0..1.
        where: take, camera and frame, for errors.

    Returns:
        `mse`, `sad` and `grad` as per-pixel means over the whole image. The paper prints them in units of 1e-4, 1e-3
        and 1e-5.

    Raises:
        SizeMismatch: the two differ in size.
    """
    import torch

    from capmat_models.metrics import paper_metrics

    if pred.shape != true.shape:
        raise SizeMismatch(
            f"the matte is {pred.shape[1]}x{pred.shape[0]}, the benchmark {true.shape[1]}x{true.shape[0]}",
            where=where,
            fix="If the take was ingested again at another size, make a benchmark of that.",
        )
    scores = paper_metrics(torch.from_numpy(pred), torch.from_numpy(true))
    return {name: float(value) for name, value in scores.items()}


def score(pred: np.ndarray, true: np.ndarray, where: str) -> Scores:
    """As `paper_scores`, with `conn` in thousands of pixels, see `capmat_models.metrics`."""
    import torch

    from capmat_models.metrics import conn

    return {**paper_scores(pred, true, where), "conn": float(conn(torch.from_numpy(pred), torch.from_numpy(true)))}


def score_runs(
    take: Take, runs: Mapping[str, str], entries: Sequence[tuple[str, int]], reference: Reference
) -> tuple[dict[str, Scores], dict[str, dict[str, Scores]]]:
    """Score stored mattes against reference mattes over whole images.

    Args:
        take: the recording that the mattes belong to.
        runs: row name (`teacher_base`, ...) -> alpha run.
        entries: (camera, frame) of every benchmark picture.
        reference: of the take.

    Returns:
        Per row the mean over pictures, which all weigh the same; per row the scores of each picture, by
        `camera/frame`.

    Raises:
        SizeMismatch: a reference is of another size than the take's pictures.
    """
    each: dict[str, dict[str, Scores]] = {row: {} for row in runs}
    for camera, frame in entries:
        true, where = reference(camera, frame), f"take {take.name} camera {camera} frame {frame}"
        for row, run in runs.items():
            each[row][f"{camera}/{frame}"] = score(take.read_alpha(run, camera, frame), true, where)
    return {row: mean_scores(scores) for row, scores in each.items()}, each


def flicker_of(take: Take, run: str, entries: Sequence[tuple[str, int]], reference: Reference) -> dict[str, float]:
    """Flicker (dtSSD) of stored mattes where a camera has entries at frames that follow each other in the take.

    Args:
        take: the recording.
        run: alpha run.
        entries: (camera, frame) of every picture that has a reference.
        reference: of the take.

    Returns:
        By `camera/frame` of the later frame of each pair, see `capmat_models.metrics.dtssd`; empty where no two
        entries follow each other.
    """
    import torch

    from capmat_models.metrics import dtssd

    def stacked(camera: str, frames: tuple[int, int], read: Reference) -> Any:
        return torch.from_numpy(np.stack([read(camera, frame) for frame in frames]))[:, None]

    flicker, listed = {}, set(entries)
    for camera in take.cameras:
        for before, after in pairwise(take.frames):
            if (camera, before) in listed and (camera, after) in listed:
                pred = stacked(camera, (before, after), partial(take.read_alpha, run))
                flicker[f"{camera}/{after}"] = float(dtssd(pred, stacked(camera, (before, after), reference))[0])
    return flicker


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


validate_task = retryable("validate", "validate on {benchmark[benchmark]}")(validate)
