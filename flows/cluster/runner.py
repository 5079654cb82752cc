"""Sends tasks to workers: those that run a network to GPU workers, if the cluster has any, the rest to the CPU.

Workers carry a label in Dask's words, a resource `GPU` or `CPU`. A cluster without labels takes every task
anywhere, so the same flow runs on a laptop. Only addresses and small records may travel: the log names what is
larger, because it goes through the scheduler's memory. A worker whose task shows no progress ends itself.
"""

import os
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from cloudpickle import dumps
from distributed import KilledWorker, WorkerPlugin
from prefect import Task, get_client
from prefect.context import FlowRunContext
from prefect.logging import get_logger
from prefect.states import Crashed
from prefect.utilities.engine import collect_task_run_inputs_sync
from prefect_dask.client import PrefectDaskClient
from prefect_dask.task_runners import DaskTaskRunner, PrefectDaskFuture

from capmat_errors import WorkerLost
from flows.cluster.kinds import SHARED, start_cluster, without_haste
from flows.cluster.security import key_of
from flows.cluster.travel import Luggage, pack, run_on_worker, sender, topic
from tasks.config import Cluster
from tasks.runtime import progress
from tasks.runtime.form import asked
from tasks.runtime.listener import outlive
from tasks.runtime.step import wants_gpu

SMALL = 100_000
"""Bytes of arguments or of a result beyond which the log names a task."""


def _settings() -> Cluster:
    """The settings of the flow that runs here."""
    context = FlowRunContext.get()
    return asked(**(context.parameters or {}) if context else {}).cluster


class Watch(WorkerPlugin):
    """Ends a worker whose task hangs.

    Args:
        silence_s: seconds without progress after which a task hangs.
    """

    name = "capmat-watch"

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self._running: set[Any] = set()

    def setup(self, worker: Any) -> None:
        """Let tasks print although whoever started the worker listens no more."""
        outlive()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Watch while a task runs; Dask calls it when one starts or stops."""
        if finish == "executing":
            self._running.add(key)
            progress.watch(self.silence_s)
        elif start == "executing":
            self._running.discard(key)
            if not self._running:
                progress.rest()


class Future(PrefectDaskFuture[Any]):
    """A task on its way. `name` is the task's."""

    name = ""

    def result(self, timeout: float | None = None, raise_on_failure: bool = True) -> Any:
        """Wait for what the task returned.

        Raises:
            WorkerLost: its worker died, and so did those that tried it again.
        """
        try:
            result = super().result(timeout, raise_on_failure)
        except KilledWorker as e:
            lost = WorkerLost(
                "every worker that ran it died, because memory ran out or the task hung",
                where=self.name,
                fix="Raise cluster.memory, or lower cameras_per_task, batch or crop; worker.log says where it hung",
            )
            with get_client(sync_client=True) as client:  # nothing else ends this run
                client.set_task_run_state(self.task_run_id, Crashed(message=str(lost)), force=True)
            raise lost from e
        _weigh(self.name, "its result", result)
        return result


class Runner(DaskTaskRunner):
    """A Dask task runner that knows which workers own a GPU.

    Args:
        address: of a running scheduler. Empty: that of the flow's settings when the first task is sent; without one,
            a cluster of the settings that lives as long as the flow.
        **settings: of DaskTaskRunner.
    """

    def __init__(self, address: str | None = None, **settings: Any) -> None:
        if not address:
            settings["cluster_class"] = settings.get("cluster_class") or _start_cluster
        super().__init__(address=address, **settings)
        self._packed: tuple[Any, Luggage] | None = None

    @property
    def client(self) -> PrefectDaskClient:
        """The connection to the scheduler, made at the first use."""
        if not self._client and not self.address:
            self.address = os.environ.get(SHARED) or _settings().address or None
            if self.address:
                self.cluster_class = None
        new = self._client is None
        if new and self.address:
            self.client_kwargs["security"] = key_of(_settings(), self.address)
        client = super().client
        if new:
            client.register_plugin(Watch(60 * _settings().silent_minutes))
            client.subscribe_topic(topic(), lambda event: progress.hear(event[1]))
        return client

    def __exit__(self, *reason: Any) -> None:
        with without_haste():
            super().__exit__(*reason)

    def submit(  # type: ignore[override]  # one signature for the two overloads
        self,
        task: "Task[Any, Any]",
        parameters: dict[str, Any],
        wait_for: Iterable[Any] | None = None,
        dependencies: dict[str, set[Any]] | None = None,
    ) -> Future:
        """Send a task to a worker with its label; to any worker where no worker has that label."""
        client = self.client
        _weigh(task.name, "its arguments", parameters)
        label = "GPU" if wants_gpu(task) else "CPU"
        inputs = {name: collect_task_run_inputs_sync(value) for name, value in parameters.items()}
        for name, more in (dependencies or {}).items():
            inputs[name] = inputs.get(name, set()) | more
        run = uuid4()
        sent = client.submit(
            run_on_worker,
            self._luggage(),
            task,
            task_run_id=run,
            parameters=self._optimize_futures(parameters),
            wait_for=self._optimize_futures(wait_for) if wait_for else None,
            dependencies=inputs,
            key=f"{task.name}-{run}",
            resources={label: 1} if label in _labels(client) else None,
        )
        sent.task_run_id = run  # where Prefect looks when another task takes this one's result
        future = Future(wrapped_future=sent, task_run_id=run)
        future.name = task.name
        return future

    def _luggage(self) -> Luggage:
        """Packed once for all tasks of a flow."""
        if self._packed is None or self._packed[0] != sender():
            self._packed = sender(), pack()
        return self._packed[1]


def _start_cluster() -> Any:
    return start_cluster(_settings())


def _labels(client: PrefectDaskClient) -> set[str]:
    """Labels of the workers; waits for the first worker, which a queue may hold back for a while."""
    if not (workers := client.scheduler_info(n_workers=-1)["workers"]):
        get_logger("capmat.cluster").warning("waiting for the first worker of %s", client.scheduler_info()["address"])
        client.wait_for_workers(1)
        workers = client.scheduler_info(n_workers=-1)["workers"]
    return {label for worker in workers.values() for label in worker["resources"]}


def _weigh(name: str, what: str, thing: Any) -> None:
    if (size := len(dumps(thing))) > SMALL:
        get_logger("capmat.cluster").warning("%s: %d kB travel as %s; store them instead", name, size // 1000, what)


def default_runner() -> Any:
    """The task runner of every flow. Prefect's type for it allows no runner with futures of its own."""
    return Runner()
