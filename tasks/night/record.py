"""The record of a night, `reports/night-<date>-<time>.json`: the flow fills it, the morning report completes it."""

from typing import TypedDict

from tasks.ingest.inbox import Refused
from tasks.ingest.inbox_files import Postponed
from tasks.models.networks import Ref
from tasks.runtime.step import Record


class Attention(TypedDict):
    """Something that nobody asked for but somebody should know."""

    what: str
    fix: str


class NightTake(TypedDict, total=False):
    """A take of the night.

    Attributes:
        take: its name.
        session: of which it is.
        cameras: how many.
        frames: how many, of one camera.
        runs: its mattes.
        teacher: it saw every so many frames; 0 for none.
        teacher_wanted: the same as the settings ask for.
        finished: whether all was done that was asked for.
        mined: boxes that wait for scribbles.
        seconds: of work, all tasks together.
        bytes: in the store, with all mattes.
    """

    take: str
    session: str
    cameras: int
    frames: int
    runs: list[str]
    teacher: int
    teacher_wanted: int
    finished: bool
    mined: int
    seconds: float
    bytes: int


class Compared(TypedDict):
    """A verb, forecast and real, see `tasks.night.look_back.Checked`."""

    verb: str
    share: float
    forecast: float | None
    real: float


class Forecast(TypedDict, total=False):
    """A plan and the night that followed it; empty if nothing was recorded since.

    Attributes:
        plan: its name.
        host: the machine that looks back.
        until: when all was to be done, as ISO time; None if nobody said.
        every: the teacher was planned to see every so many frames.
        late: seconds by which the night is too short without teacher.
        parts: by verb.
        whole: all verbs; its forecast is None where that of a part is.
        start: seconds before the first record, see `tasks.night.rest`.
        rest: seconds after it in which no recorded piece was at work.
        pictures: that were matted by the student.
    """

    plan: str
    host: str
    until: str | None
    every: int
    late: float
    parts: list[Compared]
    whole: Compared
    start: float
    rest: float
    pictures: int


class NightRecord(TypedDict, total=False):
    """A night; records of earlier versions lack some keys.

    Attributes:
        inbox: where the sessions came from.
        store: URL of the store.
        models: that matted, by role.
        state: Completed, NeedsHuman or Failed.
        refused: what could not be done.
        left: what was still being copied.
        stages: records of `tasks.stage.check.stage_check` of the takes that came in.
        takes: done this night.
        kept: names of takes that an earlier night had finished.
        night: when it began, in local time.
        ended: when it ended, as ISO time.
        attention: what somebody should know.
        forecast: the plan looked back at.
        seconds: wall time.
        free: bytes left on the store's disk; None on S3.
        html: where the page lies.
        json: where the record lies.
    """

    inbox: str
    store: str
    models: dict[str, Ref]
    state: str
    refused: list[Refused]
    left: list[Postponed]
    stages: list[Record]
    takes: list[NightTake]
    kept: list[str]
    night: str
    ended: str
    attention: list[Attention]
    forecast: Forecast
    seconds: float
    free: int | None
    html: str
    json: str
