"""Where tasks run: a Dask cluster of any kind, the same flows on all of them.

The address of a running cluster travels in `CAPMAT_CLUSTER__ADDRESS`, so that the flows of one run share it;
without it every flow starts the cluster that the settings ask for. Which worker a task goes to is decided by
`cluster_runner.py`, how each kind is started by `cluster_kinds.py`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from capmat_errors import ConfigError
from flows.cluster.kinds import answers, start_cluster
from flows.cluster.runner import Runner
from tasks.config import Cluster


@contextmanager
def shared_cluster(config: Cluster) -> Iterator[str]:
    """One cluster for all flows started inside; yields the address of its scheduler.

    Raises:
        ConfigError: a package of this kind is not installed, nobody answers at the address, no GPU is there.
    """
    if config.address:
        if not answers(config.address):
            raise ConfigError(
                "no Dask scheduler answers",
                where=f"cluster.address = {config.address}",
                fix="Start one with `dask scheduler`, or leave the address away",
            )
        yield config.address
        return
    with start_cluster(config) as cluster:
        yield cluster.scheduler_address


def default_runner() -> Any:
    """The task runner that a flow has when nobody gives it another."""
    return Runner()
