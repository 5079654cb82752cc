"""How long will the night be? What is still to do, at the rates that this machine was measured to have.

Nothing is assumed about speed: a verb that no record speaks of stays open and is named. When the night is too short,
the student keeps its place, since it is what the next day works with, and the teacher leaves frames out.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from heapq import heapify, heapreplace
from os import sched_getaffinity
from socket import gethostname

from storage.ledger import Ledger
from storage.plan_cost import Cost, blocks_left, expected_cost
from storage.registry import Registry
from storage.root import Root
from storage.session import SessionPlan, TakePlan, plan_session, read_session
from storage.take import BLOCK
from tasks.config import Config
from tasks.matte import block_steps
from tasks.models import Ref, run_name
from tasks.rates import Rate, read_rates, run_key
from tasks.session import take_record
from tasks.step import Step


@dataclass(frozen=True)
class Part:
    """One verb of the night.

    Attributes:
        verb: plates, ingest, student mattes, teacher mattes.
        key: of its rate; the verb and the run without the version of its model.
        takes: that have something to do.
        frames: pictures to do, of all cameras.
        pixels: of them.
        tasks: pieces that workers take from each other.
        workers: at work on them; 1 where the rate is the whole machine's.
        seconds: until all are done; None if no rate is known.
        fastest: the same, at the rate that a tenth of the records exceed.
        slowest: the same, at the rate that a tenth of them do not reach.
        stored: bytes that the results will take; None if not known.
        records: that the rate was measured on; 0 if sampled frames were timed instead.
        note: what a reader must know, or "".
    """

    verb: str
    key: str
    takes: tuple[str, ...] = ()
    frames: int = 0
    pixels: int = 0
    tasks: int = 0
    workers: int = 1
    seconds: float | None = 0.0
    fastest: float | None = 0.0
    slowest: float | None = 0.0
    stored: int | None = 0
    records: int = 0
    note: str = ""


@dataclass(frozen=True)
class NightPlan:
    """The night that is to come.

    Attributes:
        made: when the plan was made, with its time zone.
        until: when it should be done; None if nobody said.
        host: whose rates these are.
        parts: in the order of the night.
        every: the teacher sees every n-th frame of the chosen takes; 0 if it does not run.
        free: bytes free on the store's disk; None on S3.
    """

    made: datetime
    until: datetime | None
    host: str
    parts: tuple[Part, ...]
    every: int
    free: int | None

    @property
    def open(self) -> list[Part]:
        """Parts whose rate nobody knows."""
        return [part for part in self.parts if part.seconds is None]

    @property
    def seconds(self) -> float:
        """Of all parts whose rate is known."""
        return sum(part.seconds or 0.0 for part in self.parts)

    @property
    def done(self) -> datetime:
        """When those are done, if they start now."""
        return self.made + timedelta(seconds=self.seconds)

    @property
    def fits(self) -> bool:
        """Whether that is early enough."""
        return self.until is None or self.done <= self.until


def plan_night(config: Config, now: datetime, until: datetime | None = None, workers: int | None = None) -> NightPlan:
    """Forecast what `nightly` would do now.

    Args:
        config: the settings.
        now: with its time zone.
        until: when it has to be done. The teacher then sees as many frames as fit.
        workers: that matte; None for those of the configuration.

    Raises:
        CapmatError: the session cannot be used; nightly would refuse it as well.
    """
    root, host = Root(config.store), None if config.cluster.address else gethostname()
    plan = plan_session(read_session(config.session))
    if plan.problems:
        raise plan.problems[0]
    cost = expected_cost(plan, root)
    rates = read_rates(root, list(plan.takes), plan.session.stage, host=host)
    night = _Night(config, plan, root, rates, workers or config.cluster.workers)
    fixed = (*_ingest_parts(plan, cost, root, rates), night.mattes("student", plan.takes.values()))
    section = plan.session.benchmark
    chosen = [take for name, take in plan.takes.items() if name in {*config.scribble_takes, section and section.take}]
    left = None if until is None else (until - now).total_seconds() - sum(part.seconds or 0.0 for part in fixed)
    every, teacher = thinned(
        lambda n: night.mattes("teacher", chosen, n), left, max((len(take.frames) for take in chosen), default=0)
    )
    where = gethostname() if host else config.cluster.address
    return NightPlan(now, until, where, (*fixed, teacher), every, cost.free)


def thinned(part: Callable[[int], Part], left: float | None, most: int) -> tuple[int, Part]:
    """The smallest n for which every n-th frame fits into the time that is left: (n, the part).

    Args:
        part: with every n-th frame.
        left: seconds; None for as many as needed.
        most: the largest n that leaves a frame.

    Returns:
        n is 0, and the part empty, if not even one frame fits.
    """
    every = whole = part(1)
    if left is None or every.seconds is None or every.seconds <= left:
        return 1, whole
    # What every n-th frame takes is not less than the n-th part of the whole.
    for n in range(max(2, int(every.seconds / left)), most + 1) if left > 0 else ():
        every = part(n)
        if every.seconds is not None and every.seconds <= left:
            return n, every
    return 0, Part(whole.verb, whole.key, note="left out: the night is too short")


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of some independent tasks ends, the longest begun first.

    Args:
        seconds: of every task.
        workers: that take the next one when they are free.
    """
    free = [0.0] * workers
    heapify(free)
    for length in sorted(seconds, reverse=True):
        heapreplace(free, free[0] + length)
    return max(free)


@dataclass(frozen=True)
class _Night:
    """What forecasting mattes needs to know."""

    config: Config
    plan: SessionPlan
    root: Root
    rates: dict[str, Rate]
    workers: int
    known: dict[str, tuple[set[str], str]] = field(default_factory=dict)

    def mattes(self, role: str, takes: Iterable[TakePlan], every: int = 1) -> Part:
        """The mattes of a role that the ledger does not have."""
        model, run = self._model(role)
        verb, rate = f"matte {run_key(run)}", self.rates.get(f"matte {run_key(run)}")
        tasks: list[int] = []
        frames, named = 0, []
        for take in takes:
            missing = self._missing(take, role, model, run, every)
            sizes = {camera: take.rows[camera].width * take.rows[camera].height for camera in missing}
            if self.plan.session.colour.cfa:
                sizes = {camera: size // 4 for camera, size in sizes.items()}  # pictures have half the sensor's sides
            group = self.config.cameras_per_task
            cameras = list(missing)
            groups = (cameras[i : i + group] for i in range(0, len(cameras), group))
            tasks += filter(None, (sum(sizes[camera] * missing[camera] for camera in some) for some in groups))
            frames += sum(missing.values())
            named += [take.name] if any(missing.values()) else []
        part = Part(f"{role} mattes", verb, tuple(named), frames, sum(tasks), len(tasks), self.workers)
        return _timed(part, tasks, rate)

    def _model(self, role: str) -> tuple[Ref | None, str]:
        """The model in use and the name of its run; before the first night, only what it will be called."""
        found, tile = Registry(self.root).champion(role), self.config.tile(role)
        if found is None:
            return None, run_name(role, Ref(name=self.config.architectures[role], version="v0001"), tile)
        model = Ref(name=found[0], version=found[1])
        return model, run_name(role, model, tile)

    def _missing(self, take: TakePlan, role: str, model: Ref | None, run: str, every: int) -> dict[str, int]:
        """How many mattes each camera lacks, by the records that nightly itself will look for."""
        wanted = set(take.frames[::every])
        blocks = [take.frames[i : i + BLOCK] for i in range(0, len(take.frames), BLOCK)]
        blocks = [chosen for block in blocks if (chosen := tuple(f for f in block if f in wanted))]
        if take.name not in self.known:
            listed = self.root.sizes(f"ledger/matte/{take.name}-")
            keys = {key.removeprefix("ledger/").removesuffix(".json") for key in listed}
            self.known[take.name] = keys, self._ingested(take)
        done, record = self.known[take.name]
        missing = {}
        for camera in take.recordings:
            steps: Sequence[Step] = []
            # Making a step costs a millisecond; takes that nobody matted have none to look for.
            if model and record and any(f"-{camera}-{run}/" in key for key in done):
                tile = self.config.tile(role)
                steps = block_steps(self.config.store, take.name, camera, run, blocks, model, record, tile)
            there = sum(len(block) for step, block in zip(steps, blocks, strict=False) if step.key in done)
            missing[camera] = len(wanted) - there
        return missing

    def _ingested(self, take: TakePlan) -> str:
        """The digest that the take's mattes depend on; "" if it is not ingested as it is now."""
        plan, store = self.plan, self.config.store
        plates = {camera: recording.manifest() for camera, recording in plan.plates.items()}
        first = Step(store, "plates", plan.session.stage, {"manifests": plates}).record()
        if first is None:
            return ""
        files = {camera: recording.manifest() for camera, recording in take.recordings.items()}
        found = Step(store, "take", take.name, {"manifests": files, "plates": first["digest"]}).record()
        return str(take_record(store, take.name)["digest"]) if found else ""


def _ingest_parts(plan: SessionPlan, cost: Cost, root: Root, rates: dict[str, Rate]) -> tuple[Part, Part]:
    """Plates and takes that the store does not have; where nothing was ever ingested, as sampled frames say."""
    stage, ledger, cores = plan.session.stage, Ledger(root), len(sched_getaffinity(0))
    left = {id: r for id, r in plan.plates.items() if ledger.done(f"plates/{stage}/{id}") is None}
    sampled = 2 * plan.plate_seconds * len(left) / len(plan.plates) if plan.plates else 0.0
    frames = [(len(recording), plan.cameras[id].width * plan.cameras[id].height) for id, recording in left.items()]
    plates = Part("plates", "plates", (stage,) if left else (), sum(n for n, _ in frames),
                  sum(n * size for n, size in frames), len(left))  # fmt: skip
    plates = replace(_timed(plates, [plates.pixels], rates.get("plates"), sampled), stored=cost.plates)

    count, pixels, takes = 0, 0, []
    for take in plan.takes.values() if cost.left else ():
        if todo := blocks_left(root, take):
            rows = take.rows.values()
            # Blocks are of one length, but for the last of a take.
            share = todo / (len(rows) * -(-len(take.frames) // BLOCK))
            count += round(share * sum(row.count for row in rows))
            pixels += round(share * sum(row.count * row.width * row.height for row in rows))
            takes.append(take.name)
    ingest = Part("ingest", "ingest", tuple(takes), count, pixels, cost.left)
    ingest = _timed(ingest, [pixels], rates.get("ingest"), (cost.seconds - sampled) / cores)
    return plates, replace(ingest, stored=cost.stored)


def _timed(part: Part, tasks: Sequence[int], rate: Rate | None, sampled: float | None = None) -> Part:
    """The part with its times; `sampled` are seconds that stand in for a rate that nobody knows."""
    if not part.pixels:
        return part
    if rate is None:
        note = "not known yet: run one take" if sampled is None else "sampled frames, timed just now"
        return replace(part, seconds=sampled, fastest=sampled, slowest=sampled, stored=None, note=note)
    once = makespan(tasks, part.workers) / 1e6
    return replace(
        part,
        seconds=once / rate.mean,
        fastest=once / rate.fast,
        slowest=once / rate.slow,
        stored=round(rate.density * part.pixels),
        records=rate.records,
        note=rate.note,
    )
