"""The plan of an ingest, as a table for people and as JSON for programs."""

from collections.abc import Iterator
from dataclasses import asdict
from itertools import groupby
from typing import Any

from storage.session.cameras import CameraRow
from storage.session.cost import Cost
from storage.session.plan import SessionPlan
from storage.takes.schema import BLOCK
from tasks.show.figures import amount, counted, duration

_HEAD = ("take", "cameras", "frames", "count", "missing", "size", "type", "source", "plate", "fits", "raw", "stored")


def table(plan: SessionPlan) -> Iterator[str]:
    """One line per take and run of similar cameras; measured columns are then sums and ranges.

    Column "plate" is the number of frames of the empty stage. Column "fits" is how far they differ from the take's
    background, in thousandths of full scale, or the camera whose plate they resemble.
    """
    lines: list[tuple[str, ...]] = [_HEAD]
    for take in plan.takes.values():
        items = list(take.rows.items())
        lines += [_cells(take.name, list(run)) for _, run in groupby(items, key=lambda item: _alike(item[1]))]
        if left_out := plan.session.takes[take.name].without:
            lines.append((take.name, ", ".join(left_out), "left out", *[""] * (len(_HEAD) - 3)))
    yield from _columns(lines)


def clocks(plan: SessionPlan) -> Iterator[str]:
    """One line per take and run of cameras whose clocks are alike; nothing if no camera has a clock.

    Column "jitter" is the longest distance of a frame from where it was due.
    """
    lines: list[tuple[str, ...]] = [("take", "cameras", "clock", "rate", "starts at", "missing", "jitter")]
    for take in plan.takes.values():
        timed = [(id, row) for id, row in take.rows.items() if row.clock]
        for _, run in groupby(timed, key=lambda item: (item[1].clock, item[1].rate, item[1].start, item[1].dropped)):
            rows = dict(run)
            row, jitter = next(iter(rows.values())), max(row.jitter for row in rows.values())
            rate = f"{row.rate:.6g}" if row.rate else "?"
            lines.append(
                (
                    take.name,
                    _names([*rows]),
                    row.clock,
                    rate,
                    row.start,
                    row.dropped or "-",
                    f"{1000 * jitter:.1f} ms",
                )
            )
    yield from _columns(lines) if len(lines) > 1 else ()


def _columns(lines: list[tuple[str, ...]]) -> Iterator[str]:
    wide = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        yield "  ".join(f"{cell:{width}}" for cell, width in zip(line, wide, strict=True)).rstrip()


def _names(cameras: list[str]) -> str:
    return ", ".join(cameras) if len(cameras) < 3 else f"{cameras[0]}..{cameras[-1]} ({len(cameras)})"


def summary(plan: SessionPlan, cost: Cost) -> list[str]:
    """The totals; the first line is enough before an ingest."""
    cameras = {id for take in plan.takes.values() for id in take.rows}
    counts = (counted(len(plan.takes), "take"), counted(len(cameras), "camera"), counted(cost.frames, "frame"))
    return [
        f"session {plan.session.name}: {', '.join(counts)}, {amount(cost.raw)} raw; {_to_come(cost)}",
        f"{cost.left} of {cost.blocks} blocks of {BLOCK} frames remain to be stored",
    ]


def _to_come(cost: Cost) -> str:
    if not cost.left and not cost.plates:
        return "all of it is in the store"
    plates = f", and plates of at most {amount(cost.plates)}" if cost.plates else ""
    free = "" if cost.free is None else f" ({amount(cost.free)} free)"
    time = f"about {duration(cost.seconds)} on one core (measured on {counted(cost.measured, 'frame')})"
    return f"about {amount(cost.stored)} to store{plates}{free}, {time}"


def as_dict(plan: SessionPlan, cost: Cost, notes: list[str]) -> dict[str, Any]:
    """The whole plan, ready for JSON."""
    takes = {
        name: {
            "without": list(plan.session.takes[name].without),
            "cameras": {id: asdict(row) for id, row in take.rows.items()},
        }
        for name, take in plan.takes.items()
    }
    problems = [
        {"kind": type(problem).__name__, "what": problem.what, "where": problem.where, "fix": problem.fix}
        for problem in plan.problems
    ]
    return {
        "session": plan.session.name,
        "notes": [*notes, *plan.notes],
        "takes": takes,
        "total": asdict(cost),
        "problems": problems,
    }


def _alike(row: CameraRow) -> tuple[Any, ...]:
    shape = (row.width, row.height, row.dtype, row.source)
    return (row.first, row.last, row.count, row.gaps, *shape, row.plate, row.owner)


def _cells(take: str, run: list[tuple[str, CameraRow]]) -> tuple[str, ...]:
    names, rows = [name for name, _ in run], [row for _, row in run]
    row = rows[0]
    fits = sorted(round(1000 * r.distance) for r in rows if r.distance is not None)
    apart = f"{fits[0]}..{fits[-1]}" if fits and fits[0] != fits[-1] else "".join(map(str, fits[:1]))
    return (
        take,
        _names(names),
        f"{row.first}..{row.last}" if row.count else "none",
        str(row.count),
        row.gaps or "-",
        f"{row.width}x{row.height}" if row.width else "?",
        row.dtype or "?",
        row.source,
        str(row.plate) if row.plate else "none",
        f"looks like {row.owner}" if row.owner else apart or "-",
        amount(sum(r.raw for r in rows)),
        amount(sum(r.encoded * r.count for r in rows)),
    )
