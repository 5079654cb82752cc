"""Was the forecast right? The plan of a night beside what its records say.

Plans are kept in the store, `plans/<date>.json`, one per forecast; a plan that nothing was done after is passed over.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from capmat_errors import NotFound
from storage.ledger import Ledger
from storage.root import Root
from tasks.night_plan import NightPlan
from tasks.rates import Entry, is_timed, run_key, span


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


def keep_plan(root: Root, night: NightPlan) -> str:
    """Keep a plan in the store; the name it has there."""
    name = f"{night.made:%Y-%m-%d-%H%M%S}"
    said = {**asdict(night), "made": night.made.isoformat(), "until": night.until and night.until.isoformat()}
    root.write(f"plans/{name}.json", json.dumps(said, indent=1).encode())
    return name


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
        if rows := _compared(root, json.loads(root.read(f"plans/{found}.json"))):
            return found, rows
    raise NotFound(
        "there is no plan after which anything was done" if there else "there is no such plan",
        where=root.at(f"plans/{name}"),
        fix="Make one with `capmat plan` before the night; check it after.",
    )


def _compared(root: Root, plan: dict[str, Any]) -> list[Checked]:
    made = datetime.fromisoformat(plan["made"]).timestamp()
    ledger, rows = Ledger(root), []
    for part in plan["parts"]:
        # A record that was at work when the plan was made is not one of those that were planned.
        real = [e for e in _records(ledger, part) if is_timed(e) and e["ended"] - e["seconds"] >= made]
        if real and part["pixels"]:
            share = min(1.0, sum(e["pixels"] for e in real) / part["pixels"])
            forecast = None if part["seconds"] is None else share * part["seconds"]
            rows.append(Checked(part["verb"], share, forecast, span(real)))
    return rows


def _records(ledger: Ledger, part: dict[str, Any]) -> list[Entry]:
    verb, _, run = part["key"].partition(" ")
    found: list[Entry] = []
    for take in part["takes"]:
        start = f"matte/{take}-" if run else f"{verb}/{take}/"
        entries = [e for e in ledger.entries(start).values() if e]
        # Another take's name may begin like this one's; the key of its records then does as well.
        found += [e for e in entries if not run or run_key(e["run"]) == run]
    return found
