"""The record of a night, `reports/night-<date>-<time>.json`: the flow fills it, the morning report completes it.

Reading the records costs no Prefect, so that `capmat status` answers at once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Literal, NotRequired, TypedDict, cast

from storage.store.json_file import FileDamaged, read_object
from storage.store.root import Root

if TYPE_CHECKING:
    from tasks.ingest.inbox import Refused
    from tasks.ingest.inbox_files import Postponed
    from tasks.models.networks import Ref
    from tasks.runtime.step import Record

_NIGHTS = 5
_NEEDED = {
    "ended": str,
    "state": str,
    "seconds": int | float,
    "takes": list,
    "refused": list,
    "left": list,
    "kept": list,
}
"""What the record of every version has."""

Light = Literal["red", "yellow"]
LIGHTS: tuple[Light, ...] = ("red", "yellow")
"""Of what waits for a human. Red: something is not done, or will be wrong."""


class Attention(TypedDict):
    """What waits for a human; records of earlier versions have `what` and `fix` alone."""

    what: str
    fix: str
    light: NotRequired[Light]
    command: NotRequired[str]  # to type next
    link: NotRequired[str]  # a page in the folder of the reports


class NightTake(TypedDict, total=False):
    """A take of the night."""

    take: str
    session: str
    cameras: int  # how many
    frames: int  # how many, of one camera
    runs: list[str]  # its mattes
    teacher: int  # it saw every n-th frame; 0 for none
    teacher_wanted: int  # the same, by the settings
    finished: bool  # whether all was done that is wanted
    mined: int  # boxes that wait for scribbles
    seconds: float  # of work, all tasks together
    bytes: int  # in the store, with all mattes
    exports: str  # where its mattes were exported to; "" for none


class Compared(TypedDict):
    """One verb, forecast and real."""

    verb: str  # as in the plan
    share: float  # of the planned pixels, done since, 0..1
    forecast: float | None  # seconds for that share; None if no rate was known
    real: float  # seconds in which any of its records was at work


class Forecast(TypedDict, total=False):
    """A plan and the night that followed it; empty if nothing was recorded since."""

    plan: str  # its name
    host: str  # the machine that looks back
    until: str | None  # when all should be done, as ISO time
    every: int  # the teacher was planned to see every n-th frame
    late: float  # seconds by which the night is too short even without teacher
    parts: list[Compared]
    whole: Compared  # all parts; its forecast is None where that of one part is
    start: float  # seconds before the first record, see `tasks.night.rest`
    rest: float  # seconds after it without any recorded work
    pictures: int  # that the student matted


class NightRecord(TypedDict, total=False):
    """A night; records of earlier versions lack some keys."""

    inbox: str  # "" for a night of the session of the settings
    session: str  # that one's session.toml; "" with an inbox
    store: str
    models: dict[str, Ref]  # that matted, by role
    state: str  # Completed, NeedsHuman or Failed
    refused: list[Refused]
    left: list[Postponed]
    stages: list[Record]  # of `tasks.stage.check.stage_check`, for the takes that came in
    takes: list[NightTake]  # done this night
    kept: list[str]  # takes that an earlier night had finished
    night: str  # when it began, in local time
    ended: str  # ISO time
    attention: list[Attention]
    forecast: Forecast
    seconds: float  # wall time
    free: int | None  # bytes left on the store's disk; None on S3
    html: str  # where the page lies
    json: str  # where this record lies


def nights(root: Root, damaged: list[str]) -> Iterator[NightRecord]:
    """The records of all morning reports, the newest first, read one by one, since a year has hundreds.

    Args:
        root: the store.
        damaged: gets the address of each record that is damaged, which is left out.
    """
    names = (name for name in root.names("reports") if name.startswith("night-") and name.endswith(".json"))
    for name in sorted(names, reverse=True):
        try:
            record = cast(NightRecord, read_object(root, f"reports/{name}", **_NEEDED))
        except FileDamaged:
            damaged.append(root.at(f"reports/{name}"))
            continue
        record["json"] = root.at(f"reports/{name}")  # both were written before they had a place
        record["html"] = f"{record['json'].removesuffix('.json')}.html"
        yield record


def last_nights(root: Root) -> list[NightRecord]:
    """The records of the last few morning reports, the newest first, without damaged ones."""
    return list(islice(nights(root, []), _NIGHTS))
