"""A deployment that takes its time, so that there is something to kill and to cancel."""

import os
import time
from pathlib import Path

from prefect import flow

from flows.cluster.runner import default_runner
from flows.service.restarts import HOOKS
from tasks.runtime.step import retryable

NAME = "dawdle"
DEPLOYMENT = f"""
  - name: {NAME}
    entrypoint: tests.flows.cluster.dawdling.dawdle
    concurrency_limit: *one
    work_pool: *pool
"""


def wait() -> None:
    """Tell which process works, and wait for the file `go`."""
    Path(f"working-{os.getpid()}").touch()
    while not Path("go").exists():
        time.sleep(0.1)


wait_task = retryable("wait")(wait)


@flow(name=NAME, task_runner=default_runner(), **HOOKS)
def dawdle() -> None:
    """Wait on a worker of the cluster."""
    wait_task.submit().result()
