"""The time of a night beside plates, ingest and mattes: starting workers, checks, exports, pictures for the report.

No step records it. It is the time without recorded work: before the first record (the start, whatever the night's
size) and after it (which grows with the size). The forecast is the median of the last few nights.
"""

import socket
from statistics import median

from storage.store.root import Root
from tasks.night.parts import Part
from tasks.night.record import NightRecord, last_nights
from tasks.runtime.rates import Entry, span


def measured_rest(entries: list[Entry], began: float, ended: float) -> tuple[float, float]:
    """Seconds before the first record, and seconds after that without recorded work.

    Args:
        entries: records of the night, at least one.
        began: when the night's plan was made, in seconds since 1970.
        ended: when the night ended, likewise.
    """
    first = min(entry["ended"] - entry["seconds"] for entry in entries)
    start = max(0.0, first - began)
    return start, max(0.0, ended - began - start - span(entries))


def rest_part(root: Root, pictures: int) -> Part:
    """The rest of a night over so many pictures, from the last nights of this machine."""
    nights = [night["forecast"] for night in last_nights(root) if _measured(night)]
    if not pictures:
        return Part("all else", "rest")
    if not nights:
        note = "starting, checks and exports: not known before the first night"
        return Part("all else", "rest", frames=pictures, note=note)
    each = [night["start"] + pictures * night["rest"] / night["pictures"] for night in nights]
    middle = median(night["start"] for night in nights) + pictures * median(n["rest"] / n["pictures"] for n in nights)
    return Part("all else", "rest", frames=pictures, seconds=middle, fastest=min(middle, *each),
                slowest=max(middle, *each), records=len(nights), note="starting, checks, exports")  # fmt: skip


def _measured(night: NightRecord) -> bool:
    """Whether a night of this machine measured its rest."""
    forecast = night.get("forecast", {})  # earlier versions and empty nights have none
    return bool(forecast.get("pictures")) and forecast["host"] == socket.gethostname()
