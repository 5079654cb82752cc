"""How long will the night be? The work that is left, at the measured rates of this machine.

No speed is assumed: a verb without a record stays open and is named. When the night is too short, the student mattes
all frames, since the next day needs them, and the teacher leaves frames out.
"""

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from socket import gethostname

from capmat_errors import CapmatError, ConfigError
from storage.descriptor import Session, read_session
from storage.session.plan import plan_session
from storage.store.root import Root
from tasks.config import Config
from tasks.ingest.arrival import unfinished
from tasks.ingest.inbox import Inbox, Refused, to_fetch, trouble
from tasks.ingest.inbox_files import Bucket, Postponed
from tasks.night.parts import Mattes, Part, Wish, ingest_parts
from tasks.night.record import last_nights
from tasks.night.rest import rest_part
from tasks.runtime.rates import Rate, read_rates
from tasks.runtime.step import retryable
from tasks.show.figures import amount


@dataclass(frozen=True)
class NightPlan:
    """The night to come."""

    made: datetime  # when the plan was made, with a time zone
    until: datetime | None  # when the night should end; None for any time
    host: str  # whose rates these are
    parts: tuple[Part, ...]  # in the order of the night
    every: int  # the teacher sees every n-th of its frames; 0 if it does not run
    free: int | None  # bytes free on the store's disk; None on S3
    kept: tuple[str, ...] = ()  # takes of the inbox that are finished
    left: tuple[Postponed, ...] = ()  # what must wait in the inbox
    refused: tuple[Refused, ...] = ()  # takes and sessions of the inbox that cannot be used

    @property
    def open(self) -> list[Part]:
        """Parts without a known rate."""
        return [part for part in self.parts if part.seconds is None]

    @property
    def seconds(self) -> float:
        """The seconds of all parts with a known rate."""
        return sum(part.seconds or 0.0 for part in self.parts)

    @property
    def done(self) -> datetime:
        """When those are done if they start now."""
        return (self.made.astimezone(UTC) + timedelta(seconds=self.seconds)).astimezone()

    @property
    def fits(self) -> bool:
        """Whether that is early enough."""
        return self.until is None or self.done <= self.until


def until_time(text: str, now: datetime, where: str) -> datetime | None:
    """The next time that the clock of this machine shows `text`; None for an empty one.

    The clock follows the daylight saving of its time zone. A time that it leaves out comes an hour later.

    Args:
        text: hours and minutes, "07:00".
        now: with any time zone.
        where: the option or setting, for the message.

    Raises:
        ConfigError: the text is not a time.
    """
    if not text:
        return None
    time = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", text)
    if not time:
        raise ConfigError(f"expected a time, got {text!r}", where=where, fix="Give hours and minutes, such as 07:00.")
    # `timestamp` of a time without a zone uses the offset of that very night, and with `fold` finds both in autumn
    wall = now.astimezone().replace(hour=int(time[1]), minute=int(time[2]), second=0, microsecond=0, tzinfo=None)
    shown = ((wall + timedelta(days=day)).replace(fold=fold).timestamp() for day in (0, 1) for fold in (0, 1))
    return datetime.fromtimestamp(next(then for then in shown if then > now.timestamp()), UTC).astimezone()


def plan_night(config: Config, now: datetime, until: datetime | None = None, workers: int | None = None) -> NightPlan:
    """Forecast what `nightly` would do now with the one session of the settings.

    Args:
        config: the settings.
        now: with a time zone.
        until: when the night has to end; the teacher then sees as many frames as fit.
        workers: that matte; None for those of the settings.

    Raises:
        CapmatError: the session cannot be used; nightly would refuse it as well.
    """
    plan = plan_session(read_session(config.session))
    if plan.problems:
        raise plan.problems[0]
    section = plan.session.benchmark
    chosen = {*config.scribble_takes, section and section.take}
    wish = Wish(plan, {name: int(name in chosen) for name in plan.takes})
    return _planned(config, [wish], now, until, workers, rest=False)


def plan_inbox(
    config: Config, inbox: Inbox, now: datetime, until: datetime | None = None, workers: int | None = None
) -> NightPlan:
    """Forecast what `nightly` would do now with an inbox. Arguments as those of `plan_night`.

    The forecast leaves out a take that cannot be used, which is among `refused`, and one that is not copied from S3
    yet, whose pictures are not known; it is among `left`.

    Raises:
        CapmatError: the store cannot be used.
    """
    root, kept, refused = Root(config.store), list[str](), list(inbox.refused)
    todo, left = [], list(inbox.left)
    for arrived in inbox.sessions:
        how, finished = unfinished(config, arrived)
        kept += finished
        for name in list(how):
            if isinstance(inbox.files, Bucket) and (need := to_fetch(inbox.files, arrived, name)):
                why = f"lies on S3 ({amount(need)} to copy); its time is known after the copy"
                left.append({"where": f"{arrived.session.name}, take {name}", "why": why})
                del how[name]
        if how:
            todo.append((arrived.session, {name: wanted["teacher"] for name, wanted in how.items()}))
    # pictures are decoded only if no earlier take tells their cost
    decode = "ingest" not in _rates(config, root, [session for session, _ in todo])
    wishes = [wish for session, teacher in todo for wish in _sound(session, teacher, decode, refused)]
    plan = _planned(config, wishes, now, until, workers, rest=True)
    return replace(plan, kept=tuple(kept), left=tuple(left), refused=tuple(refused))


def _sound(session: Session, teacher: dict[str, int], decode: bool, refused: list[Refused]) -> Iterator[Wish]:
    """The usable takes of a session, in one wish if all are usable; the others are noted in `refused`."""
    section = session.benchmark if session.benchmark and session.benchmark.take in teacher else None
    takes = {name: session.takes[name] for name in teacher}
    try:
        plan = plan_session(session.model_copy(update={"takes": takes, "benchmark": section}), decode=decode)
        if plan.problems:
            raise plan.problems[0]
        yield Wish(plan, teacher)
    except (CapmatError, OSError) as error:
        if len(teacher) == 1:
            refused.append(trouble(session.name, next(iter(teacher)), "plan", error))
            return
        for name, every in teacher.items():
            yield from _sound(session, {name: every}, decode, refused)


def _rates(config: Config, root: Root, sessions: Sequence[Session]) -> dict[str, Rate]:
    takes = [name for session in sessions for name in session.takes]
    stages = [session.stage for session in sessions]
    host = None if config.cluster.address else gethostname()
    newest = [take["take"] for night in last_nights(root) for take in night["takes"]]
    return read_rates(root, list(dict.fromkeys([*takes, *newest])), stages, host=host)


def keep_plan(root: Root, night: NightPlan) -> str:
    """Store a plan; returns its name."""
    name = f"{night.made:%Y-%m-%d-%H%M%S}"
    plan = {**asdict(night), "made": night.made.isoformat(), "until": night.until and night.until.isoformat()}
    root.write(f"plans/{name}.json", json.dumps(plan, indent=1, default=str).encode())
    return name


def _planned(
    config: Config,
    wishes: Sequence[Wish],
    now: datetime,
    until: datetime | None,
    workers: int | None,
    *,
    rest: bool,
) -> NightPlan:
    root = Root(config.store)
    rates = _rates(config, root, [wish.plan.session for wish in wishes])
    plates, ingest, free = ingest_parts(wishes, root, rates)
    mattes = Mattes(config, root, rates, workers or config.cluster.workers, wishes)
    student = mattes.part("student")
    # nights over an inbox measure the rest in their report; a night of one session has no report
    others = (rest_part(root, student.frames),) if rest else ()
    spent = sum(part.seconds or 0.0 for part in (plates, ingest, student, *others))
    left = None if until is None else (until - now).total_seconds() - spent
    seen = [
        len(take.frames[::step])
        for wish in wishes
        for name, take in wish.plan.takes.items()
        if (step := wish.teacher[name])
    ]
    every, teacher = thinned(lambda n: mattes.part("teacher", n), left, max(seen, default=0))
    where = config.cluster.address or gethostname()
    return NightPlan(now, until, where, (plates, ingest, student, teacher, *others), every, free)


def thinned(part: Callable[[int], Part], left: float | None, most: int) -> tuple[int, Part]:
    """The smallest n for which every n-th frame fits into the time that is left, and that part.

    Args:
        part: the part with every n-th frame.
        left: seconds; None for as many as needed.
        most: the largest n that leaves a frame.

    Returns:
        (0, an empty part) if not even one frame fits.
    """
    every = whole = part(1)
    if left is None or every.seconds is None or every.seconds <= max(left, 0):
        return 1, whole
    # every n-th frame takes at least the n-th part of the whole time
    for n in range(max(2, int(every.seconds / left)), most + 1) if left > 0 else ():
        every = part(n)
        if every.seconds is not None and every.seconds <= left:
            return n, every
    return 0, Part(whole.verb, whole.key, note="left out: the night is too short")


def _plan(config: Config, inbox: Inbox, until: datetime | None) -> tuple[NightPlan, str]:
    """`plan_inbox`, stored; also its name."""
    plan = plan_inbox(config, inbox, datetime.now().astimezone(), until)
    return plan, keep_plan(Root(config.store), plan)


plan_task = retryable("plan", "plan the night")(_plan)
