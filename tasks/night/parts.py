"""What a night has to do, part by part, and how long each takes at measured rates."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from heapq import heapify, heapreplace
from os import sched_getaffinity

from storage.registry import Registry
from storage.session.cost import blocks_left, expected_cost, free_bytes
from storage.session.plan import SessionPlan, TakePlan
from storage.store.ledger import Ledger
from storage.store.root import Root
from tasks.config import Config
from tasks.ingest.session import PlatesRecord, TakeRecord, take_record
from tasks.matte.take import BlockRecord, block_steps
from tasks.models.networks import Ref, Run
from tasks.runtime.rates import Rate, run_key
from tasks.runtime.step import Step


@dataclass(frozen=True)
class Part:
    """One verb of the night.

    Attributes:
        verb: plates, ingest, student mattes, teacher mattes, all else.
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
class Wish:
    """A session of which some takes are to be done.

    Attributes:
        plan: what was found of those takes.
        teacher: by take, the teacher sees every so many of its frames; 0 for none.
    """

    plan: SessionPlan
    teacher: dict[str, int]


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
class Mattes:
    """Forecasts mattes.

    Attributes:
        config: the settings.
        root: the store.
        rates: that are known.
        workers: that matte.
        wishes: what is to be matted.
        known: of every take, the keys of its mattes in the ledger and the digest of its ingest.
    """

    config: Config
    root: Root
    rates: dict[str, Rate]
    workers: int
    wishes: Sequence[Wish]
    known: dict[str, tuple[set[str], str]] = field(default_factory=dict)

    def part(self, role: str, every: int = 1) -> Part:
        """The mattes of a role that the ledger does not have; of the teacher's, every n-th."""
        model, run = self._model(role)
        verb, rate = f"matte {run_key(run)}", self.rates.get(f"matte {run_key(run)}")
        tasks: list[int] = []
        frames, named, group = 0, [], self.config.cameras_per_task
        for wish in self.wishes:
            for take in wish.plan.takes.values():
                step = 1 if role == "student" else every * wish.teacher.get(take.name, 0)
                if not step:
                    continue
                missing = self._missing(wish.plan, take, role, model, run, step)
                sizes = {camera: take.rows[camera].width * take.rows[camera].height for camera in missing}
                if wish.plan.session.colour.cfa:  # pictures have half the sensor's sides
                    sizes = {camera: size // 4 for camera, size in sizes.items()}
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
            return None, Run(role, Ref(name=self.config.architectures[role], version="v0001"), tile).name
        model = Ref(name=found[0], version=found[1])
        return model, Run(role, model, tile).name

    def _missing(
        self, plan: SessionPlan, take: TakePlan, role: str, model: Ref | None, run: str, every: int
    ) -> dict[str, int]:
        """How many mattes each camera lacks, by the records that nightly itself will look for."""
        wanted = set(take.frames[::every])
        blocks = [chosen for block in take.blocks if (chosen := tuple(f for f in block if f in wanted))]
        if take.name not in self.known:
            listed = self.root.sizes(f"ledger/matte/{take.name}-")
            keys = {key.removeprefix("ledger/").removesuffix(".json") for key in listed}
            self.known[take.name] = keys, self._ingested(plan, take)
        done, record = self.known[take.name]
        missing = {}
        for camera in take.recordings:
            steps: Sequence[Step[BlockRecord]] = []
            # Making a step costs a millisecond; takes that nobody matted have none to look for.
            if model and record and any(f"-{camera}-{run}/" in key for key in done):
                tile = self.config.tile(role)
                steps = block_steps(self.config.store, take.name, camera, Run(role, model, tile), blocks, record)
            there = sum(len(block) for step, block in zip(steps, blocks, strict=False) if step.key in done)
            missing[camera] = len(wanted) - there
        return missing

    def _ingested(self, plan: SessionPlan, take: TakePlan) -> str:
        """The digest that the take's mattes depend on; "" if it is not ingested as it is now."""
        store = self.config.store
        plates = {camera: recording.manifest() for camera, recording in plan.plates.items()}
        first = Step[PlatesRecord](store, "plates", plan.session.stage, {"manifests": plates}).record()
        if first is None:
            return ""
        files = {camera: recording.manifest() for camera, recording in take.recordings.items()}
        found = Step[TakeRecord](store, "take", take.name, {"manifests": files, "plates": first["digest"]}).record()
        return take_record(store, take.name)["digest"] if found else ""


def ingest_parts(wishes: Sequence[Wish], root: Root, rates: dict[str, Rate]) -> tuple[Part, Part, int | None]:
    """Plates and takes that the store does not have, and the bytes free there.

    Where nothing was ever ingested, sampled frames say how long it takes.
    """
    ledger, cores = Ledger(root), len(sched_getaffinity(0))
    plates, ingest = Part("plates", "plates"), Part("ingest", "ingest")
    stages = set[str]()
    sampled = plate_seconds = 0.0
    stored = 0
    for plan in (wish.plan for wish in wishes):
        cost, stage = expected_cost(plan, root), plan.session.stage
        left = {id: r for id, r in plan.plates.items() if ledger.done(f"plates/{stage}/{id}") is None}
        decoding = 2 * plan.plate_seconds * len(left) / len(plan.plates) if plan.plates else 0.0
        if left and stage not in stages:  # sessions may share a stage, whose plates are made once
            sizes = [(len(recording.frames), plan.cameras[id].width * plan.cameras[id].height)
                     for id, recording in left.items()]  # fmt: skip
            plates = replace(
                plates,
                takes=(*plates.takes, stage),
                frames=plates.frames + sum(n for n, _ in sizes),
                pixels=plates.pixels + sum(n * size for n, size in sizes),
                tasks=plates.tasks + len(left),
                stored=(plates.stored or 0) + cost.plates,
            )
            plate_seconds += decoding
        stages.add(stage)
        sampled, stored = sampled + (cost.seconds - decoding) / cores, stored + cost.stored
        for take in plan.takes.values() if cost.left else ():
            if todo := blocks_left(root, take):
                rows = take.rows.values()
                # Blocks are of one length, but for the last of a take.
                share = todo / (len(rows) * len(take.blocks))
                ingest = replace(
                    ingest,
                    takes=(*ingest.takes, take.name),
                    frames=ingest.frames + round(share * sum(row.count for row in rows)),
                    pixels=ingest.pixels + round(share * sum(row.count * row.width * row.height for row in rows)),
                )
        ingest = replace(ingest, tasks=ingest.tasks + cost.left)
    room = plates.stored
    plates = replace(_timed(plates, [plates.pixels], rates.get("plates"), plate_seconds), stored=room)
    ingest = _timed(ingest, [ingest.pixels], rates.get("ingest"), sampled)
    # Without pictures to look at, what earlier takes occupy by pixel.
    return plates, replace(ingest, stored=stored or ingest.stored), free_bytes(root)


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
