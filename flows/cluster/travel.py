"""What travels with a task to its worker, and how it runs there: Prefect's engine, in the context of its flow.

Prefect would write out all of its settings for each task, and check them again and open a connection to the server
at the start of each. Here the settings are pickled as they were checked, and a worker enters them, and connects,
once; what remains for each task is the engine itself.
"""

import contextvars
import threading
from collections.abc import Callable
from typing import Any
from zlib import compress, decompress

from cloudpickle import dumps, loads
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

Luggage = tuple[bytes, bytes]
"""Settings, and the context of one flow run; both pickled and compressed."""

_here = threading.local()  # of a worker's thread: the settings that it has entered, and where


def pack() -> Luggage:
    """The luggage of every task that is sent from here, under these tags."""
    context = {**serialize_context(), "settings_context": {}}
    settings = SettingsContext.get()
    if settings is None:  # Prefect has them from its import on
        raise TypeError("Prefect has no settings")
    return compress(dumps(settings.model_copy())), compress(dumps(context))  # a copy was not entered anywhere yet


def sender() -> tuple[Any, ...]:
    """Who sends: as long as this stays the same, so does the luggage."""
    flow, task, tags = FlowRunContext.get(), TaskRunContext.get(), TagsContext.get()
    runs = flow and flow.flow_run and flow.flow_run.id, task and task.task_run.id
    return *runs, frozenset(tags.current_tags if tags else ()), SettingsContext.get()


def run_there(luggage: Luggage, task: "Task[Any, Any]", **given: Any) -> Any:
    """Run a task on this worker.

    Args:
        luggage: from `pack`.
        task: the task.
        **given: for Prefect's engine: task_run_id, parameters, wait_for, dependencies.

    Returns:
        The task run's final state.
    """
    settings, context = luggage
    return _room(settings)(run_task_sync, task, **given, context=loads(decompress(context)), return_type="state")


def _room(settings: bytes) -> Callable[..., Any]:
    """Where this thread calls functions with those settings, and a connection to their server."""
    if getattr(_here, "settings", None) != settings:
        room = contextvars.copy_context()
        room.run(loads(decompress(settings)).__enter__)
        room.run(lambda: SyncClientContext().__enter__())  # kept until other settings come
        _here.settings, _here.run = settings, room.run
    found: Callable[..., Any] = _here.run
    return found
