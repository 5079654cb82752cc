"""`capmat demo`, `nightly`, `redistill` and `paper`: flows on a Prefect server and a Dask cluster of their own."""

import os
import time
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from capmat_errors import ConfigError
from flows.command.arguments import PORT, given, no_options, port, settings
from storage.descriptor import read_session
from storage.session.plan import plan_session
from storage.store.root import Root
from tasks.config import Config
from tasks.ingest.inbox_files import open_inbox
from tasks.report.paper.preset import at_preset, check_paper, chosen_parts
from tasks.runtime.progress import say
from tasks.show.figures import counted
from tasks.train.ready import check_labels, check_round


@contextmanager
def running(config: Config, port: int | None = None) -> Iterator[None]:
    """A Prefect server and a Dask cluster for the flows of one command."""
    from flows.service.server import prefect_server

    say("starting the Prefect server and the Dask cluster")
    with prefect_server(port) as server:
        from flows.cluster.kinds import SHARED, shared_cluster

        with shared_cluster(config.cluster) as scheduler:
            os.environ[SHARED] = scheduler
            server.wait()
            say(f"Prefect UI while this runs: {server.link()}")
            yield


def check_before(config: Config) -> None:
    """Refuse a session before anything is started, as far as names and headers of files show it."""
    plan_session(read_session(config.session), decode=False).refuse(say)


def _demo_options(parser: ArgumentParser) -> None:
    parser.add_argument("--port", type=port, help=PORT)


def demo(args: Namespace) -> None:
    """Run the whole chain on the sample session."""
    config = settings(args)
    if not (config.truth and config.scribble_takes and Path(config.session).exists()):
        raise ConfigError(
            "the demo needs the sample session of capmat's clone, and a capmat.toml that names it",
            where=config.session,
            fix="Run `capmat demo` in the folder of the clone.",
        )
    check_round(config)
    start = time.monotonic()
    with running(config, args.port):
        from flows.demo import demo as flow

        record = flow(**given(args))
    from tasks.report.summary import summary_lines

    print("\n".join(["", *summary_lines(record["report"]), ""]))
    print(f"report   {record['html']}")
    print(f"took     {time.monotonic() - start:.0f} s;  `make ui` shows the runs, `make demo` reuses them")


def nightly(args: Namespace) -> None:
    """Ingest and matte the session, or the inbox."""
    config = settings(args)
    if config.inbox:
        open_inbox(config.inbox)
    else:
        check_before(config)
    with running(config):
        from flows.nightly import nightly as flow

        done = flow(**given(args))
    takes = counted(len(done["takes"]), "take")
    print(f"{takes}, {sum(m['frames'] for m in done['mattes'])} mattes in {config.store}")
    if night := done.get("night"):
        print(f"{len(night['left'])} left for another night; report {night['html']}")


def redistill(args: Namespace) -> None:
    """Go from scribbles to promoted models."""
    config = settings(args)
    check_round(config)
    check_before(config)
    check_labels(config)
    with running(config):
        from flows.redistill import redistill as flow

        done = flow(**given(args))
    for role, verdict in done["gate"].items():
        print(f"{role}: {verdict['decision']}: {'; '.join(verdict['reasons'])}")


def _paper_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--only",
        default="",
        metavar="PARTS",
        help="some of table1,table2,table3,fig5,fig6,fig8,plates (default: all)",
    )
    parser.add_argument("--preset", choices=("small", "full"), default="small",
                        help="small: the present settings (default); full: the paper's, for a GPU")  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="also copy the report there")


def paper(args: Namespace) -> None:
    """Run the paper on the session, print its tables, and copy the report where --out says."""
    config = settings(args)
    check_paper(at_preset(config, args.preset), chosen_parts(args.only))
    with running(config):
        from flows.paper import paper as flow

        done = flow(args.only, args.preset, **given(args))
    from tasks.report.paper.page import sentence
    from tasks.report.paper.text import markdown

    print(f"\n{markdown(done['report'])}\n\n{sentence(done['report'])}")
    print(f"report   {done['html']}")
    if args.out:
        store, out = Root(config.store), Root(args.out).checked()
        for key in done["files"]:
            out.write(key.rpartition("/")[2], store.read(key))
        print(f"copied   {args.out}")


WORDS = {
    "demo": (_demo_options, demo, """
        capmat demo                                # in the folder of the clone; about 8 minutes on two cores
        capmat demo --port 4300                    # if another program has port 4200
        capmat demo --set teacher.iterations=50    # shorter, with worse models
    """),
    "nightly": (no_options, nightly, """
        capmat nightly                             # the session of capmat.toml
        capmat nightly --set inbox=/mnt/inbox      # every session folder that has arrived there
        capmat nightly --set night.until=07:00     # the teacher leaves out frames that do not fit
    """),
    "redistill": (no_options, redistill, """
        capmat redistill                           # with the newest labels
        capmat redistill --set gate.margin=0.9     # promote only what is clearly better
        capmat redistill --set seed=1              # train once more, with other random numbers
    """),
    "paper": (_paper_options, paper, """
        capmat paper                               # everything, at the settings of capmat.toml
        capmat paper --only table2,fig6            # some of it
        capmat paper --preset full --out report    # at the paper's sizes, on a GPU; with a copy of the report
    """),
}  # fmt: skip
