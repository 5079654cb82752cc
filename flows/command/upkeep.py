"""`capmat verify` and `capmat gc`: is the store intact, and what may be removed from it?"""

import json
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from flows.command.arguments import positive, settings
from storage.store.root import Root
from storage.upkeep.findings import Findings, forget_damage
from storage.upkeep.verify import verify as examine
from storage.upkeep.waste import Waste, find_waste, remove_waste
from tasks.show.figures import amount, counted


def _verify_options(parser: ArgumentParser) -> None:
    parser.add_argument("take", nargs="?", help="default: all takes")
    parser.add_argument("--deep", action="store_true", help="read every byte (default: presence and size only)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--forget", action="store_true",
                        help="remove damaged work from the ledger, so that ingest and matte do it again")  # fmt: skip


def verify(args: Namespace) -> int:
    """Print one line per finding and a summary; with --forget, let the commands that mend do the work again.

    Returns:
        1 if something is damaged, else 0.
    """
    root = Root(settings(args).store)
    takes = [args.take] if args.take else None
    findings = examine(root, takes, args.deep, None if args.json or not args.deep else _FilesRead())
    if args.json:
        totals = {"takes": findings.takes, "files": findings.files, "bytes": findings.bytes, "deep": findings.deep}
        print(json.dumps({**totals, "findings": [asdict(finding) for finding in findings.found]}, indent=2))
    else:
        for finding in findings.found:
            print(f"{'DAMAGED' if finding.damage else 'note':7}  {finding}")
        print(_summary(findings))
    if args.forget and findings.damaged:
        forget_damage(root, findings.found)
        if not args.json:
            commands = sorted({finding.again for finding in findings.damaged if finding.again})
            print("\n  ".join(["removed from the ledger; these commands do the work again:", *commands]))
    return int(bool(findings.damaged))


def _summary(findings: Findings) -> str:
    takes = counted(len(findings.takes), "take")
    state = f"{count} damaged" if (count := len(findings.damaged)) else "all intact"
    depth = "every byte read" if findings.deep else "presence and size; --deep reads every byte"
    return f"{takes}, {findings.files} files, {amount(findings.bytes)}, {state} ({depth})"


class _FilesRead:
    """Progress of a deep check, one bar for each take and stage."""

    def __call__(self, done: int, total: int) -> None:
        from tasks.runtime.progress import Progress

        if done == 1:
            self._bar = Progress("verify", total)
        self._bar(done, "files read")


def _gc_options(parser: ArgumentParser) -> None:
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--dry-run", action="store_true", help="remove nothing (the default)")
    how.add_argument("--yes", action="store_true", help="remove what is listed")
    parser.add_argument("--keep-runs", type=positive, default=2, metavar="N",
                        help="keep the mattes of the N newest versions of each model (default: 2)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the list as JSON")


def gc(args: Namespace) -> None:
    """Print what may be removed, and bytes by kind; remove it with --yes."""
    from flows.service.history import long_logs, shorten

    config = settings(args)
    root, logs = Root(config.store), long_logs()
    waste = find_waste(root, args.keep_runs, config.night.keep_days)
    if args.yes:
        remove_waste(root, waste)
        for log in logs:
            shorten(log)
    waste += [Waste("logs", f"{log}: all but its end", size) for log, size in logs.items()]
    if args.json:
        print(json.dumps({"removed": args.yes, "found": [asdict(one) for one in waste]}, indent=2))
        return
    for one in waste:
        print(f"{one.kind:18}  {amount(one.bytes):>9}  {one.what}")
    for kind in dict.fromkeys(one.kind for one in waste):
        sizes = [one.bytes for one in waste if one.kind == kind]
        print(f"{kind}: {len(sizes)}, {amount(sum(sizes))}")
    total = amount(sum(one.bytes for one in waste))
    if not waste:
        print("nothing may be removed")
    else:
        print(f"removed {total}" if args.yes else f"{total} may be removed; --yes removes it")


WORDS = {"verify": (_verify_options, verify), "gc": (_gc_options, gc)}
