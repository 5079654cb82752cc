"""Gauges of the last night for Prometheus, in the text format that node_exporter's textfile collector reads.

They come from the store alone: the newest record of a night, the label sets, and the plan that was made before it.
They need no server, so they work when everything else is down.
"""

from collections.abc import Iterator, Sized
from datetime import datetime
from itertools import chain

from capmat_errors import NotFound
from storage.session.cost import free_bytes
from storage.store.json_file import FileDamaged
from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.labels.in_use import waiting
from tasks.night.look_back import check_night
from tasks.night.record import NightRecord, nights

_STATES = ("Completed", "NeedsHuman", "Failed")
Family = tuple[str, str, list[tuple[str, float]]]
"""Name, help, and by labels (`{state="Failed"}`, or nothing) the values."""


def gauges(store: str) -> str:
    """The gauges of a store as text, one per line; unknown ones are absent."""
    root = Root(store)
    lines: list[str] = []
    for name, what, samples in _families(root, store):
        lines += [f"# HELP capmat_{name} {what}", f"# TYPE capmat_{name} gauge"]
        lines += [f"capmat_{name}{labels} {value:.12g}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _families(root: Root, store: str) -> Iterator[Family]:
    damaged: list[str] = []
    records = nights(root, damaged)
    if newest := next(records, None):
        if not damaged:  # else the figures would be those of an earlier night
            yield from _of_night(newest)
        good = next((night for night in chain([newest], records) if night["state"] == "Completed"), None)
        if good:
            what = "When the last night without a refusal ended, in seconds since 1970."
            yield "good_night_end_timestamp_seconds", what, [("", _end(good))]
    if (free := free_bytes(root)) is not None:
        yield "store_free_bytes", "Bytes left on the disk of the store.", [("", free)]
    yield "labels_waiting", "1 while there are label sets that no finished training has used.", [("", waiting(store))]
    if (error := _forecast_error(root)) is not None:
        yield "forecast_error_ratio", "Forecast over real time of the last planned night, minus 1.", [("", error)]
    gates = Ledger(root).entries("promote/").values()
    promoted = sum(entry is not None and entry["decision"] == "PROMOTE" for entry in gates)
    yield "promotions", "Models that the gate has put in use so far.", [("", promoted)]


def _of_night(night: NightRecord) -> Iterator[Family]:
    frames = sum(take["cameras"] * take["frames"] for take in night["takes"])
    yield "night_end_timestamp_seconds", "When the last night ended, in seconds since 1970.", [("", _end(night))]
    yield "night_duration_seconds", "Wall time of the last night.", [("", night["seconds"])]
    yield (
        "night_state",
        "1 for the state in which the last night ended.",
        [(f'{{state="{state}"}}', night["state"] == state) for state in _STATES],
    )
    lists: dict[str, Sized] = {"done": night["takes"]}
    lists |= {"refused": night["refused"], "left": night["left"], "kept": night["kept"]}
    yield (
        "night_takes",
        "Takes of the last night: done, refused, left for another night, finished before.",
        [(f'{{result="{name}"}}', len(items)) for name, items in lists.items()],
    )
    yield "night_frames", "Frames of all cameras that the last night matted.", [("", frames)]
    if frames and night["seconds"]:
        yield "night_frames_per_second", "The same per second of wall time.", [("", frames / night["seconds"])]


def _end(night: NightRecord) -> float:
    return datetime.fromisoformat(night["ended"]).timestamp()


def _forecast_error(root: Root) -> float | None:
    try:
        _, rows = check_night(root)
    except (NotFound, FileDamaged):
        return None
    known = [(row["forecast"], row["real"]) for row in rows if row["forecast"] is not None]
    real = sum(seconds for _, seconds in known)
    return sum(seconds for seconds, _ in known) / real - 1 if real else None
