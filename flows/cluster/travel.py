"""What travels with a task to its worker, and how it runs there: Prefect's engine, in the context of its flow.

For each task Prefect writes out all of its settings, checks them again and connects to the server. Here the settings
are pickled once they are checked. A worker enters them and connects once, so that only the engine runs per task.
"""

import contextvars
import threading
from collections.abc import Callable
from functools import partial
from typing import Any
from zlib import compress, decompress

from cloudpickle import dumps, loads
from distributed import get_worker
from prefect import Task
from prefect.context import (
    FlowRunContext,
    SettingsContext,
    SyncClientContext,
    TagsContext,
    TaskRunContext,
    serialize_context,
)
from prefect.task_engine import run_task_sync

from tasks.runtime.progress import Event, hand_to, hear

Luggage = tuple[bytes, bytes, str]
"""Settings, and the context of one flow run, both pickled and compressed; and the topic of its events."""

_thread = threading.local()  # of a worker: the settings that this thread has entered, and where


def pack() -> Luggage:
    """The luggage of every task that is sent now, under the present tags."""
    context = {**serialize_context(), "settings_context": {}}
    settings = SettingsContext.get()
    if settings is None:  # Prefect has them from its import on
        raise TypeError("Prefect has no settings")
    # a copy, which was not entered yet
    return compress(dumps(settings.model_copy())), compress(dumps(context)), topic()


def topic() -> str:
    """What Dask calls the events of the tasks of this flow run."""
    flow = FlowRunContext.get()
    return f"capmat-{flow and flow.flow_run and flow.flow_run.id}"


def sender() -> tuple[Any, ...]:
    """What the luggage depends on: flow and task run, tags and settings."""
    flow, task, tags = FlowRunContext.get(), TaskRunContext.get(), TagsContext.get()
    runs = flow and flow.flow_run and flow.flow_run.id, task and task.task_run.id
    return *runs, frozenset(tags.current_tags if tags else ()), SettingsContext.get()


def run_on_worker(luggage: Luggage, task: "Task[Any, Any]", **details: Any) -> Any:
    """Run a task on this worker.

    Args:
        luggage: from `pack`.
        task: the task.
        **details: for Prefect's engine: task_run_id, parameters, wait_for, dependencies.

    Returns:
        The task run's final state.
    """
    settings, context, events = luggage
    hand_to(partial(get_worker().log_event, events))  # to the command or the run that waits, which shows them
    row: Event = {"event": "progress", "work": task.name, "key": str(details["task_run_id"]), "line": False,
                  "done": 0, "total": 0, "unit": "", "note": ""}  # fmt: skip
    hear({**row, "ended": False})
    try:
        return _entered(settings)(
            run_task_sync, task, **details, context=loads(decompress(context)), return_type="state"
        )
    finally:
        hear({**row, "ended": True})


def _entered(settings: bytes) -> Callable[..., Any]:
    """Calls a function with those settings, and with a connection to their server that this thread keeps."""
    if getattr(_thread, "settings", None) != settings:
        context = contextvars.copy_context()
        context.run(loads(decompress(settings)).__enter__)
        context.run(lambda: SyncClientContext().__enter__())
        _thread.settings, _thread.run = settings, context.run
    run: Callable[..., Any] = _thread.run
    return run
