"""What several flows share: starting the mattes of a take, freezing the benchmark, waiting for a task, naming a run.

Runs are named in the UI by what they work on, so that a list of nights can be read, and have the models as tags.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.futures import PrefectFuture

from capmat_errors import CapmatError, WorkerLost
from tasks.config import Config
from tasks.geometry.reconstruct import reconstruct_task
from tasks.ingest.session import TakeRecord
from tasks.matte.provenance import keep_config
from tasks.matte.take import MattesRecord, matte_task, open_run_task
from tasks.models.networks import Ref, Run, base_model
from tasks.runtime.form import asked
from tasks.runtime.step import Record
from tasks.validate.doubt import Doubts, second_opinion_task
from tasks.validate.supervise import BenchmarkRecord, make_benchmark_task


def matte_take(
    config: Config, take: TakeRecord, role: str, model: Ref, frames: Sequence[int] = ()
) -> list[PrefectFuture[MattesRecord]]:
    """Start the inference tasks of a take, some cameras each; `frames` chooses some of its frames."""
    run = Run(role, model, config.tile(role), config=keep_config(config))
    open_run_task(config.store, take["take"], run)
    frames = list(frames) or take["frames"]
    return [
        matte_task.submit(config.store, take["take"], cameras, frames, run, take["digest"])
        for cameras in camera_groups(config, take)
    ]


def camera_groups(config: Config, take: TakeRecord) -> list[list[str]]:
    """The cameras of a take, in groups of one task each."""
    cameras, size = take["cameras"], config.cameras_per_task
    return [cameras[i : i + size] for i in range(0, len(cameras), size)]


def freeze_benchmark(
    config: Config, base: Record, take: TakeRecord, session: str = ""
) -> PrefectFuture[BenchmarkRecord]:
    """Start the task that freezes the benchmark of a session, by default that of the settings.

    Args:
        config: the settings.
        base: record of the base models; its supervisor makes the mattes.
        take: the take of the benchmark.
        session: session.toml of another session.
    """
    return make_benchmark_task.submit(
        config.store,
        session or config.session,
        base["supervisor"],
        take["digest"],
        config.supervisor.steps,
        config.seed,
    )


def ask_second(config: Config, benchmark: tuple[str, str]) -> PrefectFuture[Doubts]:
    """Start the task that asks another supervisor about a benchmark, by name and version.

    It is the second one of the settings, or another one where that made the benchmark itself.
    """
    names = dict.fromkeys((config.supervisor.second, config.supervisor.model, "closed_form"))
    models = [base_model(config.store, config.weights, name) for name in names]
    return second_opinion_task.submit(
        config.store, benchmark, models, config.supervisor.steps, config.seed, config.supervisor.doubt
    )


def start_fields(config: Config, take: TakeRecord, runs: Mapping[str, str]) -> dict[str, PrefectFuture[Record]]:
    """Start reconstructing the first frame of a take from each of some alpha runs."""
    frame = take["frames"][0]
    return {
        name: reconstruct_task.submit(config.store, take, frame, run, config.reconstruction, config.seed)
        for name, run in runs.items()
    }


def outcome(future: PrefectFuture[Any]) -> tuple[Any, BaseException | None]:
    """Wait for a task; its result and None, or None and why it failed.

    Prefect raises the error of a task whose workers died again and again, instead of returning it.
    """
    try:
        result = future.result(raise_on_failure=False)
    except WorkerLost as error:
        return None, error
    return (None, result) if isinstance(result, BaseException) else (result, None)


def run_name() -> str:
    """`nightly 2026-11-23 day1 amber`: the flow, the day of a night, inbox or session, and what was asked for."""
    given, flow = runtime.flow_run.parameters, str(runtime.flow_run.flow_name)
    try:
        settings = asked(**given)
        place = "" if given.get("benchmarks") else place_of(settings.session, settings.inbox * (flow == "nightly"))
    except CapmatError:  # the flow itself says what is wrong with its settings
        place = ""
    lists = [given.get(key) for key in ("takes", "models", "benchmarks")]
    named = [name for names in lists if names and not isinstance(names, str) for name in names]
    day = time.strftime("%Y-%m-%d") if flow == "nightly" else ""
    return " ".join(filter(None, (flow, day, place, *named, given.get("only"))))


def place_of(session: str, inbox: str = "") -> str:
    """What a run works on, in a word: the name of the inbox, else of the session's folder."""
    return inbox.rstrip("/").rpartition("/")[2] or Path(session).resolve().parent.name


def label_run(*tags: str, name: str | None = None) -> None:
    """Give the present flow run tags that people search for, and a name that was not known when it began.

    Args:
        *tags: such as models and takes. The name of the flow is always one, also for runs of commands.
        name: of the run; None keeps it.
    """
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(runtime.flow_run.id))
        client.update_flow_run(run.id, name=name, tags={*run.tags, str(runtime.flow_run.flow_name), *tags})


def versions_of(models: Mapping[str, Ref]) -> list[str]:
    """`student@v0002`: the models of some roles, as commands name them."""
    return [f"{role}@{models[role]['version']}" for role in ("teacher", "student")]
