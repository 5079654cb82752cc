"""Validation: the mattes of several models against one benchmark, in the paper's units (section 5.2)."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from storage.benchmark import Benchmark
from storage.root import Root
from storage.take import Take
from tasks.step import Record, retryable, run_once

Scores = dict[str, float]


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
        keyed `camera/frame`. `mse`, `sad` and `grad` are per-pixel means; the paper prints them in units of
        1e-4, 1e-3 and 1e-5.
    """
    import torch

    from capmat_models.metrics import paper_metrics

    each: dict[str, dict[str, Scores]] = {row: {} for row in runs}
    for camera, frame in entries:
        true = torch.from_numpy(reference(camera, frame))[None, None]
        for row, run in runs.items():
            pred = torch.from_numpy(take.read_alpha(run, camera, frame))[None, None]
            scores = paper_metrics(pred, true)
            each[row][f"{camera}/{frame}"] = {name: float(value) for name, value in scores.items()}
    means = {
        row: {name: float(np.mean([s[name] for s in scores.values()])) for name in ("mse", "sad", "grad")}
        for row, scores in each.items()
    }
    return means, each


def validate(store: str, benchmark: Record, runs: Mapping[str, str], mattes: Sequence[Record]) -> Record:
    """Score runs against the supervisor's mattes of a frozen benchmark.

    Args:
        store: URL of the store.
        benchmark: record of the benchmark.
        runs: row name -> alpha run of the benchmark's take.
        mattes: records of those runs; their digests make the result depend on them.

    Returns:
        Record with `supervisor` (means per row) and `per_image`.
    """

    def work() -> dict[str, Any]:
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
    }
    return run_once(store, "validate", benchmark["benchmark"], inputs, work)


validate_task = retryable("validate", "validate on {benchmark[benchmark]}")(validate)
