"""Killed runs: they start again by themselves, a few times, and leave no process behind.

What notices depends on what died. The worker sees the process of its run end, an automation hears that a run
crashed or fell silent, `capmat up` finds runs that no process works on. Each schedules the run once more, and the
ledger decides what is left to do. Prefect counts the starts; after the last one the run stays `Crashed`, for a
human to look at.
"""

import os
import sys
import time
from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psutil

from flows.service.access import home
from flows.service.processes import flow_run, kill, marked
from tasks.runtime.listener import outlive

STARTS = 4
"""Most starts of one run."""

AGAIN = "AwaitingRetry"
"""Prefect's name of the state of a run that will be started again."""

REASON = "The run was killed. It starts again and does what is missing."
PASSING = [
    "Flow run encountered an exception: ConnectError*",
    "Flow run encountered an exception: PrefectHTTPStatusError: Client error '404*",
    "Flow run encountered an exception: RuntimeError: Nanny failed to start*",
    "Flow run encountered an exception: CommClosedError*",
]
"""How a run fails that could not reach the server, whose tasks a killed server had not stored yet, or whose cluster
was killed while it started (the last two). All pass."""

BY_SIGNAL = ["Process exited with status code: -*", "Flow run infrastructure exited with non-zero status code -*"]
"""How the worker describes a killed process; one that cannot import its flow ends with a positive code."""

_LATE_S = 3
"""States of tasks reach the database up to this much later."""


def begin(_flow: Any, run: Any, state: Any) -> None:
    """Hook of a flow that starts: ends the processes and tasks that an earlier start of the same run left."""
    from prefect.client.orchestration import get_client

    outlive()
    if os.environ.get("PREFECT__FLOW_RUN_ID") == str(run.id):
        _write_to_the_log()
    if run.run_count > 1:
        own = {child.pid for child in psutil.Process().children(recursive=True)}
        kill(p for p in marked() if flow_run(p) == str(run.id) and p.pid not in own)
        with get_client(sync_client=True) as client:
            end_tasks(client, run.id, state.timestamp)


def _write_to_the_log() -> None:
    """Print into the worker's log itself, because the pipe to the worker breaks when the worker is killed."""
    with (home() / "worker.log").open("ab") as log:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)


def end(_flow: Any, run: Any, state: Any) -> None:
    """Hook of a flow that failed or was cancelled: ends its tasks that still run."""
    from prefect.client.orchestration import get_client

    time.sleep(_LATE_S)
    with get_client(sync_client=True) as client:
        end_tasks(client, run.id, state.timestamp)


HOOKS: dict[str, Any] = {"on_running": [begin], "on_failure": [end], "on_cancellation": [end]}
"""Hooks of every deployed flow. A crash has none: the worker would run it, and then report the crash once more when
the run has started again."""


def end_tasks(client: Any, run: Any, until: datetime) -> None:
    """Mark the unfinished tasks of a flow run that ended as crashed; no process works on them.

    Args:
        client: Prefect's synchronous client.
        run: id of the flow run.
        until: when it ended; younger tasks belong to its next start.
    """
    from prefect.client.schemas.filters import FlowRunFilter, TaskRunFilter
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    still = [StateType.PENDING, StateType.RUNNING, StateType.SCHEDULED, StateType.CANCELLING]
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter.model_validate({"id": {"any_": [run]}}),
        task_run_filter=TaskRunFilter.model_validate({"state": {"type": {"any_": still}}}),
    )
    for task in tasks:
        if task.state.timestamp <= until:
            client.set_task_run_state(task.id, Crashed(message="The run of its flow ended."), force=True)


def open_runs(client: Any, pool: str, *more: str) -> list[Any]:
    """The runs of a work pool that a process should work on, as the server knows them.

    Args:
        client: Prefect's synchronous client.
        pool: its name. Runs of commands have no pool; their terminal tells how they end.
        *more: further names of states.
    """
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter

    names = [
        "Pending",
        "Submitting",
        "InfrastructurePending",
        "Running",
        "Retrying",
        "Rerunning",
        "Cancelling",
        *more,
    ]
    return list(
        client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": {"name": {"any_": names}}}),
            work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [pool]}}),
        )
    )


def worth_restarting(run: Any) -> bool:
    """Whether a run crashed after it had begun or by a kill, or failed for what passes; others would end so again."""
    known = PASSING if run.state.is_failed() else BY_SIGNAL
    begun = run.state.is_crashed() and run.run_count > 0
    return begun or (run.state.message or "").startswith(tuple(start.rstrip("*") for start in known))


def mend(client: Any, runs: Iterable[Any]) -> None:
    """Restart runs whose process is gone, unless they were cancelled or started too often.

    Args:
        client: Prefect's synchronous client.
        runs: as `open_runs` gives them.
    """
    from prefect.states import Cancelled, Crashed, Scheduled

    for run in runs:
        if run.state.is_cancelling():
            state: Any = Cancelled(message="Its process is gone.")
        elif run.run_count < STARTS:
            state = Scheduled(name=AGAIN, message=REASON)
        elif run.state.is_final():
            continue
        else:
            state = Crashed(message=f"The run was killed {STARTS} times. See worker.log, then start it again.")
        end_tasks(client, run.id, datetime.now().astimezone())
        client.set_flow_run_state(run.id, state)
