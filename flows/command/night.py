"""`capmat plan` and `capmat metrics`: how long the night will take, and how the last one went."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from flows.command.arguments import positive, settings, write_file
from storage.store.root import Root
from tasks.show.figures import amount, counted, duration

if TYPE_CHECKING:
    from tasks.night.parts import Part
    from tasks.night.plan import NightPlan
    from tasks.night.record import Compared

_GOAL = 0.2


def _plan_options(parser: ArgumentParser) -> None:
    parser.add_argument("--until", metavar="HH:MM",
                        help="when the night must be over; the teacher leaves out frames to make it so")  # fmt: skip
    parser.add_argument("--gpus", type=positive, metavar="N", help="workers that matte (default: cluster.workers)")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.add_argument("--check", nargs="?", const="", metavar="DATE",
                        help="compare the last plan, or that of a date, with the work done since")  # fmt: skip


def plan(args: Namespace) -> int:
    """Print the plan of the night and keep it in the store; with --check, compare a plan with its night.

    Returns:
        1 if the night is too short even without the teacher, else 0.
    """
    from tasks.ingest.inbox import read_inbox
    from tasks.night.look_back import check_night, error_of
    from tasks.night.plan import keep_plan, plan_inbox, plan_night, until_time

    config = settings(args)
    root = Root(config.store)
    if args.check is not None:
        name, rows = check_night(root, args.check)
        if args.json:
            parts = [{**row, "error": error_of(row)} for row in rows]
            print(json.dumps({"plan": name, "parts": parts}, indent=2))
        else:
            print("\n".join(_checked(name, rows)))
        return 0
    now = datetime.now().astimezone()
    if args.until is None:
        until = until_time(config.night.until, now, "night.until")
    else:
        until = until_time(args.until, now, "--until")
    if config.inbox:
        night = plan_inbox(config, read_inbox(config.inbox, config.night.still_minutes), now, until, args.gpus)
    else:
        night = plan_night(config, now, until, args.gpus)
    name = keep_plan(root, night)
    if args.json:
        print(json.dumps({**asdict(night), "done": night.done, "fits": night.fits}, indent=2, default=str))
    else:
        print("\n".join([*_lines(night), f"kept as plan {name}; after the night: capmat plan --check"]))
    return int(not night.fits)


def _lines(night: "NightPlan") -> Iterator[str]:
    for item in night.refused:
        yield f"refused: {item['where'] or item['session']}: {item['what']}; {item['fix']}"
    for postponed in night.left:
        yield f"left: {postponed['where']}: {postponed['why']}"
    if night.kept:
        yield f"finished before: {', '.join(night.kept)}"
    for part in night.parts:
        yield f"{part.verb:15}  {_part(part)}"
    if night.every and not any(part.pixels for part in night.parts):
        yield "nothing to do yet" if night.left or night.refused else "all of it is done"
    elif night.open:
        names = " and ".join(part.verb for part in night.open)
        yield f"not known on {night.host}: how long {names} take; the rest takes about {duration(night.seconds)}"
    else:
        slow = sum(part.slowest or 0.0 for part in night.parts)
        fast = sum(part.fastest or 0.0 for part in night.parts)
        yield (
            f"about {duration(night.seconds)} ({duration(fast)} to {duration(slow)}), "
            f"done at {night.done:%a %H:%M} if it starts now"
        )
    stored = sum(part.stored or 0 for part in night.parts)
    free = "" if night.free is None else f", {amount(night.free)} free"
    yield f"{amount(stored)} to come{free}"
    if night.until and not night.fits:
        late = duration((night.done - night.until).total_seconds())
        yield f"TOO SHORT: {late} after {night.until:%H:%M}, even without the teacher"
    elif night.every != 1:
        every = f"sees one frame in {night.every}" if night.every else "is left out"
        yield f"the night is short: the student mattes all takes, the teacher {every} of the chosen ones"


def _part(part: "Part") -> str:
    if part.key == "rest" and part.records:
        span = f"{duration(part.fastest or 0)} to {duration(part.slowest or 0)}"
        return f"about {duration(part.seconds or 0)} ({span}), {part.note}, from {counted(part.records, 'night')}"
    if not part.pixels:
        return part.note or "nothing to do"
    whose = "the stage" if part.verb == "plates" else counted(len(part.takes), "take")
    where = counted(part.workers, "worker") if "mattes" in part.verb else "this machine"
    work = f"{counted(part.frames, 'frame')} of {whose}, {counted(part.tasks, 'piece')} on {where}"
    if part.seconds is None:
        return f"{work}: {part.note}"
    slow, fast = part.slowest, part.fastest
    span = "" if slow == fast else f" ({duration(fast or 0)} to {duration(slow or 0)})"
    source = f"from {part.records} records" if part.records else part.note
    more = f"; {part.note}" if part.records and part.note else ""
    return f"{work}: about {duration(part.seconds)}{span}, {source}{more}"


def _checked(name: str, rows: "list[Compared]") -> Iterator[str]:
    from tasks.night.look_back import error_of

    yield f"plan {name}: forecast and real time of what was done since"
    for row in rows:
        done = "" if row["share"] == 1 else f", {100 * row['share']:.0f} % of it done"
        error = error_of(row)
        if error is None:
            yield f"{row['verb']:15}  no forecast, {row['real']:.1f} s{done}"
            continue
        goal = "within" if abs(error) <= _GOAL else "beyond"
        off = f"{100 * error:+.0f} %, {goal} {100 * _GOAL:.0f} %"
        yield f"{row['verb']:15}  {row['forecast']:.1f} s, {row['real']:.1f} s: {off}{done}"


def _metrics_options(parser: ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, metavar="FILE", help="replace this file, *.prom (default: print)")


def metrics(args: Namespace) -> None:
    """Print figures of the last night for Prometheus, or write them into a file."""
    from tasks.night.gauges import gauges

    text = gauges(settings(args).store)
    if args.out is None:
        print(text, end="")
        return
    write_file(args.out, text.encode())  # at once: a collector that reads half a file reports an error


WORDS = {
    "plan": (_plan_options, plan, """
        capmat plan                 # what nightly would do now, and how long
        capmat plan --until 07:00   # the teacher leaves out frames that do not fit
        capmat plan --check         # after the night: forecast and real time
    """),
    "metrics": (_metrics_options, metrics, """
        capmat metrics                                             # prints them
        capmat metrics --out /var/lib/node_exporter/capmat.prom    # from cron, every few minutes
        capmat metrics --set store=/mnt/show/store                 # of another store
    """),
}  # fmt: skip
