"""What runs are called in the UI: by what they work on, so that a list of nights can be read.

Prefect asks for the name before the flow begins. Settings that cannot be read are no matter of a name: the flow
itself is about to say what is wrong with them.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from prefect import runtime
from prefect.client.orchestration import get_client
from prefect.futures import PrefectFuture

from capmat_errors import CapmatError, WorkerLost
from tasks.config import Config
from tasks.matte.provenance import keep_config
from tasks.matte.take import matte_task, open_run_task
from tasks.models.networks import Ref, Run
from tasks.runtime.settings import load_config
from tasks.runtime.step import Record


def night_name() -> str:
    """`nightly 2026-11-23 stage-inbox`; without an inbox the session's folder."""
    config = _config()
    place = config.inbox.rstrip("/").rpartition("/")[2] or _session(config) if config else ""
    return " ".join(filter(None, (runtime.flow_run.flow_name, time.strftime("%Y-%m-%d"), place)))


def session_name() -> str:
    """`ingest day1`: the flow and the session's folder."""
    config = _config()
    return " ".join(filter(None, (runtime.flow_run.flow_name, _session(config) if config else "")))


def rename_run(name: str) -> None:
    """Give the present flow run a name that was not known when it began."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(runtime.flow_run.id, name)


def _config() -> Config | None:
    try:
        return runtime.flow_run.parameters.get("config") or load_config()
    except CapmatError:
        return None


def _session(config: Config) -> str:
    return Path(config.session).resolve().parent.name


def matte_take(config: Config, take: Record, role: str, model: Ref, frames: Sequence[int] = ()) -> list[Any]:
    """Start the inference tasks of one take, some cameras each; returns their futures."""
    run = Run(role, model, config.tile(role), config=keep_config(config))
    open_run_task(config.store, take["take"], run)
    cameras, size = take["cameras"], config.cameras_per_task
    return [
        matte_task.submit(
            config.store,
            take["take"],
            cameras[i : i + size],
            list(frames) or take["frames"],
            run,
            take["digest"],
        )
        for i in range(0, len(cameras), size)
    ]


def outcome(future: PrefectFuture[Any]) -> tuple[Any, BaseException | None]:
    """Wait for a task; its result and None, or None and why it failed.

    A task whose workers died again and again has an error that Prefect has heard of from nobody.
    """
    try:
        said = future.result(raise_on_failure=False)
    except WorkerLost as error:
        return None, error
    return (None, said) if isinstance(said, BaseException) else (said, None)
