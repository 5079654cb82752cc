"""How long a network takes for a picture, and on what it was measured."""

import platform
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.infer import at_once, infer_camera

RUNS = 5


def latency(
    network: Any,
    src: NDArray[np.float32],
    bgr: NDArray[np.float32] | None,
    *,
    tile: int = 0,
    runs: int = RUNS,
) -> dict[str, Any]:
    """Time a network on one picture, several times.

    Args:
        network: any network of `load_network` that needs no trimap.
        src: (3, H, W) float32, 0..1.
        bgr: the plate, where the network takes one.
        tile: see `tasks.models.infer.infer`.
        runs: their number, after one that does not count. On a GPU, the student takes several frames in one run.

    Returns:
        `ms` per frame, the median of the runs, `fastest` and `slowest` of them, and what it was measured on:
        `device`, `hardware`, torch `threads`, `size` [H, W], `together` (frames in one run).
    """
    import torch

    together = 1 if tile else at_once(network)
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
    """The device of a network, `cpu` or `cuda`; an exported one without parameters runs on the CPU."""
    return next((str(p.device.type) for p in network.parameters()), "cpu")


def hardware(device: str) -> str:
    """The name of the GPU, or of the CPU with its cores."""
    import torch

    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} ({len(names)} cores seen)" if names else platform.machine()
