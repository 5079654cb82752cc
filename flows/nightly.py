"""Every night: the day's takes in, mattes out.

Checks the session, ingests plates and takes, mattes every frame with the student in use and the chosen takes
with the teacher in use, and freezes the benchmark when the session brings trimaps.
"""

from collections.abc import Sequence
from typing import Any, Literal

from prefect import flow

from flows.cluster import default_runner
from flows.ingest import ingest_session
from tasks.config import Config, load_config
from tasks.look import show_take_task
from tasks.matte import matte_task, open_run_task
from tasks.models import Ref, champions_task, register_base_task
from tasks.step import Record
from tasks.supervise import make_benchmark_task


def matte_take(config: Config, take: Record, role: str, model: Ref, frames: Sequence[int] = ()) -> list[Any]:
    """Start the inference tasks of one take, some cameras each; returns their futures."""
    tile = config.tile(role)
    open_run_task(config.store, take["take"], role, model, tile)
    cameras, size = take["cameras"], config.cameras_per_task
    return [
        matte_task.submit(
            config.store,
            take["take"],
            cameras[i : i + size],
            list(frames) or take["frames"],
            role,
            model,
            take["digest"],
            tile=tile,
        )
        for i in range(0, len(cameras), size)
    ]


@flow(name="nightly", flow_run_name="nightly", task_runner=default_runner())
def nightly(config: Config | None = None, models: Literal["champion", "base"] = "champion") -> dict[str, Any]:
    """Bring a session into the store and matte it.

    Args:
        config: the settings; None reads capmat.toml.
        models: `champion` mattes with the models in use, `base` with the base weights.

    Returns:
        Records: `takes` by name, `models` by role, `mattes`, and `benchmark` when there is one.
    """
    config = config or load_config()
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    chosen = base if models == "base" else champions_task(config.store)

    benchmark = None
    if plan["benchmark"]:
        benchmark = make_benchmark_task.submit(
            config.store,
            config.session,
            base["supervisor"],
            takes[plan["benchmark"]]["digest"],
            config.supervisor.steps,
            config.seed,
        )
    futures = []
    for name, take in takes.items():
        futures += matte_take(config, take, "student", chosen["student"])
        if name in config.scribble_takes or name == plan["benchmark"]:
            futures += matte_take(config, take, "teacher", chosen["teacher"])
    mattes = [future.result() for future in futures]
    for name in takes:
        runs = sorted({m["run"] for m in mattes if m["take"] == name})
        show_take_task(config.store, name, runs)
    return {
        "takes": takes,
        "models": {role: base[role] for role in ("teacher", "student", "supervisor")},
        "mattes": mattes,
        "benchmark": benchmark.result() if benchmark else None,
    }
