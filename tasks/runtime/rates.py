"""How fast this machine was, from the records of its work.

Ingest and plates share cores and disk, whatever the number of threads. Their rate is the machine's: pixels over the
time in which any of them was at work. A worker that mattes has a core or a GPU of its own, so its rate is that of one
worker and grows with their number.
"""

import re
import socket
import statistics
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

from storage.store.ledger import Ledger
from storage.store.root import Root

Entry = Mapping[str, Any]
_ENOUGH = 400  # records of a verb
_OTHERS = 20  # other takes or stages that are searched for them
_GROUPS = 10  # parts of a machine's records, for the spread of its rate
_SPREAD = 10  # percentile of the slow records; the fast ones are as far from the other end


@dataclass(frozen=True)
class Rate:
    """A measured rate.

    Attributes:
        mean: megapixels per second, all records together.
        slow: a tenth of the records were slower than this.
        fast: a tenth were faster.
        density: bytes that a pixel of the result takes in the store.
        records: their number.
        note: what a reader must know about the rate, or "".
    """

    mean: float
    slow: float
    fast: float
    density: float
    records: int
    note: str = ""


class Timed(TypedDict):
    """What a record says for later forecasts.

    Attributes:
        host: the machine that did it.
        pixels: of all frames of the piece of work.
        seconds: that it took. (The `wall_s` of a step is rounded for people.)
        ended: when it was done, in seconds since 1970.
    """

    host: str
    pixels: int
    seconds: float
    ended: float


def timed(pixels: int, seconds: float) -> Timed:
    """The time of a piece of work that has just ended."""
    ended = round(time.time(), 3)
    return Timed(host=socket.gethostname(), pixels=int(pixels), seconds=round(seconds, 4), ended=ended)


def is_timed(entry: Entry | None) -> bool:
    """Whether an entry says how long its work took; those of earlier versions do not."""
    return bool(entry) and "ended" in (entry or {})


def span(entries: Iterable[Entry]) -> float:
    """Seconds in which any of them was at work. Overlaps count once, pauses do not count."""
    total, end = 0.0, float("-inf")
    for start, stop in sorted((e["ended"] - e["seconds"], e["ended"]) for e in entries):
        total += max(0.0, stop - max(start, end))
        end = max(end, stop)
    return total


def run_key(run: str) -> str:
    """The name of a run without the version of its model, which does not change the speed."""
    return re.sub(r"-v\d{4,}(?=-tiles\d+$|$)", "", run)


def read_rates(
    root: Root, takes: Sequence[str], stages: Sequence[str], threads: int = 1, host: str | None = None
) -> dict[str, Rate]:
    """The rates in the store's records, by verb: `plates`, `ingest`, `matte <run without version>`.

    Args:
        root: the store.
        takes: searched first; then the last of the others, by name, until the records suffice. The newest of them
            count, since a machine changes.
        stages: whose plates are searched first; then others.
        threads: torch threads of the workers to come. Without records of so many, rates per thread are used.
        host: only records of this machine; None for all machines.
    """
    ledger = Ledger(root)
    plates: list[Entry] = []
    for stage in (*stages, *_others(root, "stages", stages)):
        if len(plates) < _ENOUGH:
            plates += _on_host(ledger.entries(f"plates/{stage}/"), host)
    ingested: list[Entry] = []
    matted: list[Entry] = []
    for take in (*takes, *_others(root, "takes", takes)):
        if len(ingested) < _ENOUGH:
            ingested += _on_host(ledger.entries(f"ingest/{take}/"), host)
        if len(matted) < _ENOUGH:
            matted += _on_host(ledger.entries(f"matte/{take}-"), host)
    rates = {"plates": _machine(_newest(plates)), "ingest": _machine(_newest(ingested))}
    by_run: dict[str, list[Entry]] = {}
    for entry in matted:
        by_run.setdefault(f"matte {run_key(entry['run'])}", []).append(entry)
    rates |= {key: _worker(_newest(entries), threads) for key, entries in by_run.items()}
    return {key: rate for key, rate in rates.items() if rate}


def _on_host(entries: Mapping[str, dict[str, Any] | None], host: str | None) -> list[Entry]:
    return [e for e in entries.values() if e and is_timed(e) and host in (None, e["host"]) and e["seconds"] > 0]


def _others(root: Root, folder: str, but: Sequence[str]) -> list[str]:
    names = [name.removesuffix(".zarr") for name in root.names(folder)]
    return [name for name in reversed(names) if name not in but][:_OTHERS]


def _newest(entries: Sequence[Entry]) -> list[Entry]:
    """The last ones, as many as suffice, in the order in which they ended."""
    return sorted(entries, key=lambda e: float(e["ended"]))[-_ENOUGH:]


def _machine(entries: Sequence[Entry]) -> Rate | None:
    if not entries:
        return None
    size = -(-len(entries) // _GROUPS)
    groups = [entries[i : i + size] for i in range(0, len(entries), size)]
    return _rate(entries, _pixels(entries) / span(entries), [_pixels(group) / span(group) for group in groups])


def _worker(entries: Sequence[Entry], threads: int) -> Rate | None:
    alike = [e for e in entries if e["threads"] == threads]
    note = "" if alike else f"from runs with other numbers of threads, as {threads} of them"
    chosen = alike or entries
    share = [1.0 if alike else threads / e["threads"] for e in chosen]
    each = [s * e["pixels"] / e["seconds"] for s, e in zip(share, chosen, strict=True)]
    worked = sum(e["seconds"] / s for s, e in zip(share, chosen, strict=True))
    return _rate(chosen, _pixels(chosen) / worked, each, note)


def _rate(entries: Sequence[Entry], mean: float, each: Sequence[float], note: str = "") -> Rate:
    cuts = statistics.quantiles(each, n=100, method="inclusive") if len(each) > 1 else [mean] * 99
    density = sum(listed[0] for e in entries for listed in e["files"].values()) / _pixels(entries)
    # Few records may all lie on one side of their weighted mean.
    slow, fast = min(mean, cuts[_SPREAD - 1]), max(mean, cuts[-_SPREAD])
    return Rate(mean / 1e6, slow / 1e6, fast / 1e6, density, len(entries), note)


def _pixels(entries: Iterable[Entry]) -> int:
    return sum(int(e["pixels"]) for e in entries)
