"""`capmat verify`: is everything that was ingested and matted still in the store, and unchanged?"""

import json
from argparse import Namespace
from dataclasses import asdict

from flows.command.ingest_plan import amount
from storage.store.root import Root
from storage.upkeep.findings import Findings, forget_damage
from storage.upkeep.verify import verify as look
from storage.upkeep.waste import KINDS, find_waste, remove_waste
from tasks.config import Config


def verify(config: Config, args: Namespace) -> int:
    """Print one line per finding and a summary; with --forget, make room for the commands that mend.

    Returns:
        1 if something is damaged, else 0.
    """
    root = Root(config.store)
    takes = [args.take] if args.take else None
    findings = look(root, takes, args.deep, None if args.json or not args.deep else _Read())
    if args.json:
        said = {"takes": findings.takes, "files": findings.files, "bytes": findings.bytes, "deep": findings.deep}
        print(json.dumps({**said, "findings": [asdict(finding) for finding in findings.found]}, indent=2))
    else:
        for finding in findings.found:
            print(f"{'DAMAGED' if finding.damage else 'note':7}  {finding}")
        print(_summary(findings))
    if args.forget and findings.damaged:
        forget_damage(root, findings.found)
        if not args.json:
            commands = sorted({finding.again for finding in findings.damaged if finding.again})
            print(
                "\n".join(
                    ["taken back from the ledger; these commands make it again:", *(f"  {c}" for c in commands)]
                )
            )
    return int(bool(findings.damaged))


def _summary(findings: Findings) -> str:
    size = findings.bytes / 1e9
    amount = f"{size:.1f} GB" if size >= 1 else f"{1000 * size:.1f} MB"
    several = "take" if len(findings.takes) == 1 else "takes"
    state = f"{count} damaged" if (count := len(findings.damaged)) else "all well"
    depth = "every byte read" if findings.deep else "presence and size; --deep reads every byte"
    return f"{len(findings.takes)} {several}, {findings.files} files, {amount}, {state} ({depth})"


class _Read:
    """Progress of a deep look, a bar for each take and stage."""

    def __call__(self, done: int, total: int) -> None:
        from tasks.runtime.progress import Progress

        if done == 1:
            self._bar = Progress("verify", total)
        self._bar(done, "files read")


def gc(config: Config, args: Namespace) -> None:
    """Print what may go and bytes by kind; remove it with --yes."""
    root = Root(config.store)
    waste = find_waste(root, args.keep_runs)
    if args.yes:
        remove_waste(root, waste)
    if args.json:
        found = [asdict(one) for one in waste]
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
