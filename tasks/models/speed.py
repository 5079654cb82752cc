"""Timing candidates against each other, and the table of it.

They take turns, round after round, so that a machine that does other things slows all of them alike; the
median is reported, and the ratio to the first row.
"""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.infer import at_once, infer_camera


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: the candidate.
        batch: frames in one call.
        dtype: of its arithmetic.
        seconds: per frame, median of the rounds.
        spread: fastest and slowest round, seconds per frame.
        ratio: how many times as fast as the first row.
        note: what else was seen: difference to the first row's alpha, memory.
    """

    what: str
    batch: int
    dtype: str
    seconds: float
    spread: tuple[float, float]
    ratio: float
    note: str


@dataclass(frozen=True)
class Candidate:
    """Something to time: `run` processes `batch` frames and returns when they are done."""

    what: str
    batch: int
    dtype: str
    run: Callable[[], Any]
    note: str = ""


def race(candidates: Sequence[Candidate], rounds: int) -> list[Row]:
    """Time candidates in turns; the first call of each, which allocates and compiles, does not count."""
    for candidate in candidates:
        candidate.run()
    seconds: list[list[float]] = [[] for _ in candidates]
    for _ in range(rounds):
        for candidate, seen in zip(candidates, seconds, strict=True):
            start = time.perf_counter()
            candidate.run()
            seen.append((time.perf_counter() - start) / candidate.batch)
    first = statistics.median(seconds[0])
    return [
        Row(c.what, c.batch, c.dtype, statistics.median(s), (min(s), max(s)), first / statistics.median(s), c.note)
        for c, s in zip(candidates, seconds, strict=True)
    ]


def table(rows: Sequence[Row], size: tuple[int, int], device: str, threads: int) -> list[str]:
    """The rows as Markdown, with everything a figure needs to mean something."""
    lines = [
        f"{size[1]}x{size[0]}, {hardware(device)}, {threads} threads",
        "",
        "| what | batch | dtype | s/frame (fastest - slowest) | frames/s | x the first row | |",
        "|---|---|---|---|---|---|---|",
    ]
    return lines + [
        f"| {r.what} | {r.batch} | {r.dtype} | {r.seconds:.4f} ({r.spread[0]:.4f} - {r.spread[1]:.4f}) "
        f"| {1 / r.seconds:.2f} | {r.ratio:.2f} | {r.note} |"
        for r in rows
    ]


def hardware(device: str) -> str:
    """What the figures were measured on."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores seen)" if names else platform.machine()


RUNS = 5


def latency(
    network: Any,
    src: NDArray[np.float32],
    bgr: NDArray[np.float32] | None,
    *,
    tile: int = 0,
    runs: int = RUNS,
) -> dict[str, Any]:
    """Time a network on one picture, over and over.

    Args:
        network: any network of `load_network` that needs no trimap.
        src: (3, H, W) float32, 0..1.
        bgr: the plate, where the network takes one.
        tile: see `tasks.models.infer.infer`.
        runs: how often, after one run that does not count; on a GPU a run of the student is several frames.

    Returns:
        `ms` per frame, the median of the runs, `fastest` and `slowest` of them, and what it was measured on:
        `device`, `hardware`, torch `threads`, `size` [H, W], `together` (frames in one run).
    """
    import torch

    together = at_once(network)
    frames = (src for _ in range(together * (runs + 1)))
    stamps = [
        time.perf_counter()
        for number, _ in enumerate(infer_camera(network, frames, bgr, tile=tile), 1)
        if number % together == 0
    ]
    took = [1000 * (after - before) / together for before, after in pairwise(stamps)]
    return {
        "ms": round(statistics.median(took), 3),
        "fastest": round(min(took), 3),
        "slowest": round(max(took), 3),
        "device": device_of(network),
        "hardware": hardware(device_of(network)),
        "threads": torch.get_num_threads(),
        "size": list(src.shape[1:]),
        "together": together,
    }


def device_of(network: Any) -> str:
    """Where a network is, `cpu` or `cuda`; one without parameters of its own runs on the CPU."""
    return next((str(p.device.type) for p in network.parameters()), "cpu")
