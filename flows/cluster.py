"""Where tasks run: a Dask cluster on this machine, or a scheduler that is already there.

Workers are processes with one Dask thread each: a training step sets its own number of torch threads, and an
inference task keeps one core busy. The address of a running cluster travels in `CAPMAT_CLUSTER__ADDRESS`, so
that the flows of one run share it; without it every flow starts its own.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from prefect_dask.task_runners import DaskTaskRunner

from tasks.config import Cluster, load_config

_DASK = {
    # a worker that comes back late must not be dropped for good, or the next task waits for ever
    "distributed.deploy.lost-worker-timeout": "600s",
    "distributed.scheduler.allowed-failures": 2,
    # a task that holds the interpreter (loading torch) is no reason for a warning
    "distributed.admin.tick.limit": "60s",
}


def local_cluster(config: Cluster) -> Any:
    """Worker processes on this machine, on loopback only, one Dask thread each."""
    # each worker owns one core; set before numpy and torch load in the worker
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    import dask
    from distributed import LocalCluster

    dask.config.set(_DASK)
    return LocalCluster(
        n_workers=config.workers,
        threads_per_worker=1,
        memory_limit=config.memory,
        host="127.0.0.1",
        dashboard_address=None,
        silence_logs=40,
    )


@contextmanager
def shared_cluster(config: Cluster) -> Iterator[str]:
    """One cluster for all flows started inside; yields the address of its scheduler."""
    if config.address:
        yield config.address
        return
    with local_cluster(config) as cluster:
        yield cluster.scheduler_address


def configured_cluster() -> Any:
    """The cluster that `capmat.toml` and the environment ask for; called when a deployed flow starts."""
    return local_cluster(load_config().cluster)


def runner(address: str) -> Any:
    """Sends tasks to the scheduler at `address`; without one, to a cluster that lives as long as the flow."""
    return DaskTaskRunner(address=address) if address else DaskTaskRunner(cluster_class=configured_cluster)


def default_runner() -> Any:
    """The task runner that a flow has when nobody gives it another."""
    return runner(os.environ.get("CAPMAT_CLUSTER__ADDRESS", ""))
