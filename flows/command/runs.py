"""What the flows of one command need while it runs: a Prefect server and a Dask cluster of its own."""

import os
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.store.root import Root
from tasks.config import Config
from tasks.report.paper.preset import at_preset, check_paper, chosen_parts


@contextmanager
def running(config: Config, port: int = 4200) -> Iterator[str]:
    """A Prefect server and a Dask cluster for the flows of one command; yields the UI's address."""
    from flows.service.server import prefect_server

    print("starting the Prefect server and the Dask cluster", flush=True)
    with prefect_server(port) as server:
        from flows.cluster.kinds import shared_cluster

        with shared_cluster(config.cluster) as scheduler:
            os.environ["CAPMAT_CLUSTER__ADDRESS"] = scheduler
            server.wait()
            print(f"Prefect UI while this runs: {server.address}", flush=True)
            yield server.address


def paper(config: Config, args: Namespace) -> None:
    """Run the flow on this folder's server, print its tables, and copy the report where --out says."""
    check_paper(at_preset(config, args.preset), chosen_parts(args.only))
    with running(config):
        from flows.paper import paper as flow

        done = flow(config, args.only, args.preset)
    from tasks.report.paper.page import sentence
    from tasks.report.paper.text import markdown

    print(f"\n{markdown(done['report'])}\n\n{sentence(done['report'])}")
    print(f"report   {done['html']}")
    if args.out:
        store, out = Root(config.store), Root(Path(args.out)).checked()
        for key in done["files"]:
            out.write(key.rpartition("/")[2], store.read(key))
        print(f"copied   {args.out}")
