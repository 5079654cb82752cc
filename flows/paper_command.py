"""`capmat paper`: the paper's tables and figures on this machine, and what holds of what it says."""

from argparse import Namespace
from pathlib import Path

from storage.store.root import Root
from tasks.config import Config
from tasks.report.paper.preset import at_preset, check_paper, chosen_parts


def paper(config: Config, args: Namespace) -> None:
    """Run the flow on this folder's server, print its tables, and copy the report where --out says."""
    from flows.command.runs import running

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
