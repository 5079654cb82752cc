"""The tasks and flows of `benchmarks.orchestration`: in a module of their own, so that workers import them."""

import hashlib
import os
import statistics
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
from prefect import Task, flow
from prefect.context import FlowRunContext

from tasks.matte.take import block_steps
from tasks.models.infer import infer_camera
from tasks.models.networks import Ref, Run
from tasks.runtime.step import Record, retryable

RUN = Run("student", Ref(name="bgmv2_mobilenetv2", version="v0001"))
_DATA = bytes(2**20)


def burn(megabytes: int) -> int:
    """Keep one core busy: the same work at every call."""
    for _ in range(megabytes):
        hashlib.sha256(_DATA).digest()
    return os.getpid()


def unit(store: str, take: str, camera: str, block: Sequence[int]) -> Record:
    """One block of frames as `tasks.matte.take` does it, without the matting: look for its record, write it."""
    (step,) = block_steps(store, take, camera, RUN, [block], "none")
    return step.record() or step.keep(
        {"run": RUN.name, "camera": camera, "frames": len(block), "numbers": block}, 0.0
    )


def student(frames: int, height: int, width: int) -> float:
    """Matte frames with the student on its rig, one torch thread; seconds."""
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    pictures = rng.random((2, 3, height, width), np.float32)
    start = time.perf_counter()
    for _ in infer_camera(_network(), (pictures[i % 2] for i in range(frames)), pictures[0]):
        pass
    return time.perf_counter() - start


@cache
def _network() -> Any:
    from capmat_models.networks.factory import create_model

    return create_model("bgmv2_mobilenetv2").eval()


burn_task = retryable("burn", "burn {megabytes} MB")(burn)
unit_task = retryable("unit", "{take} {camera}")(unit)
student_task = retryable("student", gpu=True)(student)


def _cpu() -> float:
    used = os.times()
    return used.user + used.system


def send(task: "Task[Any, Any]", calls: Sequence[Sequence[Any]], window: int, runner: Any) -> dict[str, Any]:
    """Send a task for every call as one flow, at most `window` on their way at once.

    Returns:
        `wall`: seconds from the first to the last; `client` and `workers`: their processor seconds.
    """

    # Without parameters: the server takes 512 kB of them for a flow.
    @flow(name="orchestration", task_runner=runner)
    def work() -> dict[str, Any]:
        client = FlowRunContext.get().task_runner.client
        before, own, start = client.run(_cpu), time.process_time(), time.perf_counter()
        waiting: deque[Any] = deque()
        for call in calls:
            if len(waiting) == window:
                waiting.popleft().result()
            waiting.append(task.submit(*call))
        for future in waiting:
            future.result()
        wall, own = time.perf_counter() - start, time.process_time() - own
        after = client.run(_cpu)
        return {"wall": wall, "client": own, "workers": sum(after[w] - before[w] for w in before)}

    return work()


def calibrate(seconds: float) -> int:
    """Megabytes that `burn` takes so long for here."""
    took = statistics.median(seconds_of(lambda: burn(200)) for _ in range(3))
    return max(1, round(200 * seconds / took))


def seconds_of(work: Callable[[], object]) -> float:
    """How long it takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
