"""Was the forecast right? The plan of a night beside what its records say.

Plans are kept in the store, `plans/<date>.json`, one per forecast; a plan that nothing was done after is passed over.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from socket import gethostname
from typing import Any

from capmat_errors import NotFound
from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.night.record import Compared, Forecast
from tasks.night.rest import measured_rest
from tasks.runtime.rates import Entry, is_timed, run_key, span


@dataclass(frozen=True)
class Checked:
    """One verb, forecast and real.

    Attributes:
        verb: as in the plan.
        share: of the planned pixels that were done since, 0..1.
        forecast: seconds for that share; None if no rate was known.
        real: seconds in which any of its records was at work.
    """

    verb: str
    share: float
    forecast: float | None
    real: float

    @property
    def error(self) -> float | None:
        """How far the forecast was off, as a share of the real time; below 0 it was too short."""
        return None if self.forecast is None else self.forecast / self.real - 1

    def to_json(self) -> Compared:
        """For the record of the night."""
        return Compared(verb=self.verb, share=self.share, forecast=self.forecast, real=self.real)


def check_night(root: Root, name: str = "") -> tuple[str, list[Checked]]:
    """Compare a plan with the records that were made after it.

    Args:
        root: the store.
        name: of the plan, or its beginning (a date); "" for the last one after which something was done.

    Returns:
        The plan's name, and a row for every verb that has records.

    Raises:
        NotFound: there is no such plan, or nothing was done since.
    """
    there = [file.removesuffix(".json") for file in root.names("plans") if file.startswith(name)]
    for found in reversed(there):
        plan = json.loads(root.read(f"plans/{found}.json"))
        if rows := _compared(plan, _since(root, plan)):
            return found, rows
    raise NotFound(
        "there is no plan after which anything was done" if there else "there is no such plan",
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
    plan = json.loads(root.read(f"plans/{name}.json"))
    made, done = datetime.fromisoformat(plan["made"]).timestamp(), _since(root, plan)
    entries = [entry for part in done.values() for entry in part]
    if not entries:
        return {}
    start, rest = measured_rest(entries, made, ended)
    rows = _compared(plan, done)
    share = {row.verb: row.share for row in rows}.get("student mattes", 1.0)
    (other,) = [part for part in plan["parts"] if part["key"] == "rest"] or [{}]
    if other:
        known = other["records"] > 0
        rows.append(Checked(other["verb"], 1.0, other["seconds"] if known else None, start + rest))
    said = [row.forecast for row in rows]
    whole = None if None in said else sum(seconds or 0.0 for seconds in said)
    return {
        "plan": name,
        "host": gethostname(),
        "until": plan["until"],
        "every": plan["every"],
        "late": _late(plan),
        "parts": [row.to_json() for row in rows],
        "whole": Checked("all", min([1.0, *(row.share for row in rows)]), whole, ended - made).to_json(),
        "start": round(start, 2),
        "rest": round(rest, 2),
        "pictures": round(share * other.get("frames", 0)),
    }


def _late(plan: dict[str, Any]) -> float:
    if not plan["until"]:
        return 0.0
    until, made = datetime.fromisoformat(plan["until"]), datetime.fromisoformat(plan["made"])
    room = (until - made).total_seconds()
    return max(0.0, sum(part["seconds"] or 0.0 for part in plan["parts"]) - room)


def _since(root: Root, plan: dict[str, Any]) -> dict[str, list[Entry]]:
    """The records that were made after a plan, by the verb of its parts."""
    made, ledger = datetime.fromisoformat(plan["made"]).timestamp(), Ledger(root)
    # A record that was at work when the plan was made is not one of those that were planned.
    return {
        part["verb"]: [e for e in _records(ledger, part) if is_timed(e) and e["ended"] - e["seconds"] >= made]
        for part in plan["parts"]
    }


def _compared(plan: dict[str, Any], done: dict[str, list[Entry]]) -> list[Checked]:
    rows = []
    for part in plan["parts"]:
        real = done[part["verb"]]
        if real and part["pixels"]:
            share = min(1.0, sum(e["pixels"] for e in real) / part["pixels"])
            forecast = None if part["seconds"] is None else share * part["seconds"]
            rows.append(Checked(part["verb"], share, forecast, span(real)))
    return rows


def _records(ledger: Ledger, part: dict[str, Any]) -> list[Entry]:
    verb, _, run = part["key"].partition(" ")
    found: list[Entry] = []
    if verb == "rest":
        return found
    for take in part["takes"]:
        start = f"matte/{take}-" if run else f"{verb}/{take}/"
        entries = [e for e in ledger.entries(start).values() if e]
        # Another take's name may begin like this one's; the key of its records then does as well.
        found += [e for e in entries if not run or run_key(e["run"]) == run]
    return found
