"""`capmat status`, `verify` and `gc`: what the store holds, whether it is intact, and what may be removed."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING

from flows.command.arguments import add_take, positive, settings
from storage.store.root import Root
from storage.upkeep.findings import Findings, forget_damage
from storage.upkeep.verify import verify as examine
from storage.upkeep.waste import Waste, find_waste, remove_waste
from tasks.show.figures import amount, counted

if TYPE_CHECKING:
    from tasks.night.status import Mattes, Status, TakeStatus


def _status_options(parser: ArgumentParser) -> None:
    add_take(parser, "list the runs of one take (default: all takes, one line each)", nargs="?")
    parser.add_argument("--json", action="store_true", help="print the same as JSON")


def status(args: Namespace) -> None:
    """Print what the store holds, which models are in use, and what waits for a human."""
    from flows.service.deploy import next_night
    from flows.service.processes import is_worker, marked
    from tasks.night.status import read_status

    up = any(is_worker(process) for process in marked())
    record = read_status(settings(args), next_night(datetime.now().astimezone(), up), args.take or "")
    print(json.dumps(asdict(record), indent=2) if args.json else "\n".join(_status_lines(record, args.take)))


def _status_lines(record: "Status", only: str | None) -> Iterator[str]:
    free = "on S3" if record.free is None else f"{amount(record.free)} free"
    yield f"store      {record.store}, {free}"
    yield "stages     " + (
        ", ".join(f"{stage}{_check(light)}" for stage, light in record.stages.items()) or "none yet"
    )
    yield ""
    heads = ("take", "stage", "ingested", "student", "teacher", "exported", "boxes", "labels")
    rows = [heads, *map(_take_cells, record.takes)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    yield from lines if record.takes else ["no take yet; `capmat ingest` brings a session in"]
    if only:
        yield from (f"  {run.run:40} {run.done} pictures" for take in record.takes for run in take.runs)
    yield ""
    for model in record.models:
        since, score = _local(model.since), model.score or "no score"
        yield f"{model.role:10} {model.name}@{model.version}, since {since}: {score}"
    yield from [] if record.models else ["no model is in use yet; `capmat nightly` registers the base weights"]
    night = record.last_night
    done = (
        night
        and f"{_local(night.ended)}, {night.state}: {counted(night.takes, 'take')} done, {night.refused} refused"
    )
    yield f"last night {done or 'none yet'}" + (f"; {night.report}" if night and night.report else "")
    yield f"next night {record.next_night}"
    yield ""
    yield f"waits for a human: {len(record.waits) or 'nothing'}"
    for item in record.waits:
        command = f" `{item['command']}`" if item.get("command") else ""
        yield f"{item.get('light', '').upper():7} {item['what']} {item['fix']}{command}"


def _take_cells(take: "TakeStatus") -> tuple[str, ...]:
    if not take.cameras:
        return (take.name, take.stage, "no", *["-"] * 5)
    size = f"{take.cameras} x {take.frames}" + ("" if take.ingested else ", not complete")
    mattes = [_matted(take, take.mattes(role)) for role in ("student", "teacher")]
    exported = take.exported
    out = f"{exported.cameras}/{take.cameras} {_local(exported.when)}" if exported else "-"
    return (
        take.name,
        take.stage + _check(take.light),
        size,
        *mattes,
        out,
        str(take.boxes or "-"),
        str(take.labels or "-"),
    )


def _matted(take: "TakeStatus", mattes: "Mattes | None") -> str:
    """`24/24`, and the version if it is not that of the model in use."""
    if mattes is None:
        return "-"
    return f"{mattes.done}/{take.cameras * take.frames}" + (
        "" if mattes.in_use else f" ({mattes.run.rpartition('-')[2]})"
    )


def _check(light: str) -> str:
    return f" ({light})" if light else ""


def _local(when: str) -> str:
    """An ISO time by the clock of this machine, to the minute."""
    return f"{datetime.fromisoformat(when).astimezone():%Y-%m-%d %H:%M}"


def _verify_options(parser: ArgumentParser) -> None:
    add_take(parser, "default: all takes", nargs="?")
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
            self._bar = Progress("verify", total, "files")
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
    from flows.service.history import long_logs, pack, shorten, unused_room
    from flows.service.server import running_server

    config = settings(args)
    root, logs = Root(config.store), long_logs()
    rooms = {} if running_server() else unused_room()
    waste = find_waste(root, args.keep_runs, config.night.keep_days)
    if args.yes:
        remove_waste(root, waste)
        for log in logs:
            shorten(log)
        for database in rooms:
            pack(database)
    waste += [Waste("runs", f"{file}: room of forgotten runs", size) for file, size in rooms.items()]
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


WORDS = {
    "status": (_status_options, status, """
        capmat status                    # takes, models in use, nights and what waits for a human
        capmat status cedar              # and the runs of one take
        capmat status --json             # for programs
    """),
    "verify": (_verify_options, verify, """
        capmat verify                    # every take, its mattes and its plates: presence and size
        capmat verify cedar --deep       # one take, every byte
        capmat verify --deep --forget    # takes damaged pieces back, so that they can be made again
    """),
    "gc": (_gc_options, gc, """
        capmat gc                        # lists what may be removed; removes nothing
        capmat gc --yes                  # removes it
        capmat gc --keep-runs 4          # the mattes of the four newest versions of each model stay
    """),
}  # fmt: skip
