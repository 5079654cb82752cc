"""`capmat gc`: what in the store may go, how much it is, and away with it."""

import json
from argparse import Namespace
from dataclasses import asdict

from flows.command.ingest_plan import amount
from storage.store.root import Root
from storage.upkeep.waste import KINDS, find_waste, remove_waste
from tasks.config import Config


def gc(config: Config, args: Namespace) -> None:
    """Print what may go and bytes by kind; remove it with --yes."""
    root = Root(config.store)
    waste = find_waste(root, args.keep_runs, args.cache)
    if args.yes:
        remove_waste(root, waste)
    if args.json:
        found = [{**asdict(one), "file": str(one.file) if one.file else None} for one in waste]
        print(json.dumps({"removed": args.yes, "found": found}, indent=2))
        return
    for one in waste:
        print(f"{one.kind:18}  {amount(one.bytes):>9}  {one.what}")
    for kind in KINDS:
        if sizes := [one.bytes for one in waste if one.kind == kind]:
            print(f"{kind}: {len(sizes)}, {amount(sum(sizes))}")
    total = amount(sum(one.bytes for one in waste))
    if not waste:
        print("nothing may go")
    else:
        print(f"removed {total}" if args.yes else f"{total} may go; nothing was removed (--yes removes it)")
