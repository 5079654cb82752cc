"""What the flows of one command need while it runs: a Prefect server and a Dask cluster of its own."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.config import Config


@contextmanager
def running(config: Config, port: int = 4200) -> Iterator[str]:
    """A Prefect server and a Dask cluster for the flows of one command; yields the UI's address."""
    from flows.service.server import prefect_server

    print("starting the Prefect server and the Dask cluster", flush=True)
    with prefect_server(port) as server:
        from flows.cluster.shared import shared_cluster

        with shared_cluster(config.cluster) as scheduler:
            os.environ["CAPMAT_CLUSTER__ADDRESS"] = scheduler
            server.wait()
            print(f"Prefect UI while this runs: {server.address}", flush=True)
            yield server.address
