"""How long a network takes for a frame on the machine at hand, in the way in which it mattes a take.

Read after it has warmed up: the first frames allocate, compile, and compute what depends on the plate alone. Reading
and writing frames is not part of it.
"""

import statistics
import time
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.models.infer import at_once, infer_camera
from tasks.models.speed import hardware

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
