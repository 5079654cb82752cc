"""Was the forecast right? The plan of a night beside its records.

The store keeps every plan, `plans/<date>.json`. A plan without records after it is skipped.
"""

from datetime import datetime
from socket import gethostname
from typing import Any

from capmat_errors import NotFound
from storage.store.json_file import FileDamaged, read_object
from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.night.record import Compared, Forecast
from tasks.night.rest import measured_rest
from tasks.runtime.rates import Entry, is_timed, run_key, span


def error_of(row: Compared) -> float | None:
    """The error of a forecast as a share of the real time; below 0 the forecast was too short."""
    return None if row["forecast"] is None else row["forecast"] / row["real"] - 1


def check_night(root: Root, name: str = "") -> tuple[str, list[Compared]]:
    """Compare a plan with the records that were made after it.

    Args:
        root: the store.
        name: of the plan, or its beginning (a date); "" for the last one with records after it.

    Returns:
        The plan's name, and a row for every verb that has records.

    Raises:
        NotFound: the store has no such plan, or no record after it.
        FileDamaged: the plan is damaged.
    """
    plans = [file.removesuffix(".json") for file in root.names("plans") if file.startswith(name)]
    for newest in reversed(plans):
        plan = _plan(root, newest)
        if rows := _compared(plan, _since(root, plan)):
            return newest, rows
    raise NotFound(
        "nothing was done after any of these plans" if plans else "the store has no such plan",
        where=root.at(f"plans/{name}"),
        fix="Make one with `capmat plan` before the night; check it after.",
    )


def look_back(root: Root, name: str, ended: float) -> Forecast:
    """A plan and the night that followed it, for the morning.

    Args:
        root: the store.
        name: of the plan.
        ended: when all was done, in seconds since 1970.
    """
    plan = _plan(root, name)
    made, done = datetime.fromisoformat(plan["made"]).timestamp(), _since(root, plan)
    entries = [entry for part in done.values() for entry in part]
    if not entries:
        return {}
    start, rest = measured_rest(entries, made, ended)
    rows = _compared(plan, done)
    share = {row["verb"]: row["share"] for row in rows}.get("student mattes", 1.0)
    (other,) = [part for part in plan["parts"] if part["key"] == "rest"] or [{}]
    if other:
        known = other["records"] > 0
        seconds = other["seconds"] if known else None
        rows.append({"verb": other["verb"], "share": 1.0, "forecast": seconds, "real": start + rest})
    forecasts = [row["forecast"] for row in rows]
    smallest = min([1.0, *(row["share"] for row in rows)])
    whole = None if None in forecasts else sum(seconds or 0.0 for seconds in forecasts)
    return {
        "plan": name,
        "host": gethostname(),
        "until": plan["until"],
        "every": plan["every"],
        "late": _late(plan),
        "parts": rows,
        "whole": {"verb": "all", "share": smallest, "forecast": whole, "real": ended - made},
        "start": round(start, 2),
        "rest": round(rest, 2),
        "pictures": round(share * other.get("frames", 0)),
    }


def _plan(root: Root, name: str) -> dict[str, Any]:
    """A plan that was kept."""
    try:
        return read_object(root, f"plans/{name}.json", made=str, parts=list)
    except FileDamaged as error:
        fix = "Remove it. `capmat plan --check DATE` looks at an earlier one."
        raise FileDamaged("this plan is damaged", where=error.where, fix=fix) from error


def _late(plan: dict[str, Any]) -> float:
    if not plan["until"]:
        return 0.0
    until, made = datetime.fromisoformat(plan["until"]), datetime.fromisoformat(plan["made"])
    room = (until - made).total_seconds()
    return max(0.0, sum(part["seconds"] or 0.0 for part in plan["parts"]) - room)


def _since(root: Root, plan: dict[str, Any]) -> dict[str, list[Entry]]:
    """The records that were made after a plan, by the verb of its parts."""
    made, ledger = datetime.fromisoformat(plan["made"]).timestamp(), Ledger(root)
    # work that had begun when the plan was made was not planned
    return {
        part["verb"]: [e for e in _records(ledger, part) if is_timed(e) and e["ended"] - e["seconds"] >= made]
        for part in plan["parts"]
    }


def _compared(plan: dict[str, Any], done: dict[str, list[Entry]]) -> list[Compared]:
    rows = []
    for part in plan["parts"]:
        real = done[part["verb"]]
        if real and part["pixels"]:
            share = min(1.0, sum(e["pixels"] for e in real) / part["pixels"])
            forecast = None if part["seconds"] is None else share * part["seconds"]
            rows.append(Compared(verb=part["verb"], share=share, forecast=forecast, real=span(real)))
    return rows


def _records(ledger: Ledger, part: dict[str, Any]) -> list[Entry]:
    verb, _, run = part["key"].partition(" ")
    records: list[Entry] = []
    for take in part["takes"] if verb != "rest" else ():
        start = f"matte/{take}-" if run else f"{verb}/{take}/"
        # the key also fits a take whose name continues this one
        records += [e for e in ledger.entries(start).values() if e and (not run or run_key(e["run"]) == run)]
    return records
