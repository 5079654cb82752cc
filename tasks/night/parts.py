"""The parts of a night: the work of each, and how long it takes at measured rates."""

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
    """One verb of the night."""

    verb: str  # plates, ingest, student mattes, teacher mattes, all else
    key: str  # of its rate: the verb and the run without the version of its model
    takes: tuple[str, ...] = ()  # that need work
    frames: int = 0  # pictures to do, of all cameras
    pixels: int = 0  # of those pictures
    tasks: int = 0  # pieces that workers share
    workers: int = 1  # 1 where the rate is that of the whole machine
    seconds: float | None = 0.0  # until all are done; None if no rate is known
    fastest: float | None = 0.0  # the same at the rate that a tenth of the records exceed
    slowest: float | None = 0.0  # the same at the rate that a tenth of the records do not reach
    stored: int | None = 0  # bytes of the results; None if not known
    records: int = 0  # that gave the rate; 0 if sampled frames were timed instead
    note: str = ""  # for the reader


@dataclass(frozen=True)
class Wish:
    """A session of which some takes need work."""

    plan: SessionPlan  # of those takes
    teacher: dict[str, int]  # by take, the teacher sees every n-th frame; 0 for none


def makespan(seconds: Iterable[float], workers: int) -> float:
    """When the last of independent tasks of so many seconds ends; a free worker takes the longest one left."""
    free = [0.0] * workers
    heapify(free)
    for length in sorted(seconds, reverse=True):
        heapreplace(free, free[0] + length)
    return max(free)


@dataclass(frozen=True)
class Mattes:
    """Forecasts mattes."""

    config: Config
    root: Root
    rates: dict[str, Rate]  # that are known
    workers: int  # that matte
    wishes: Sequence[Wish]
    # of every take, the keys of its mattes in the ledger and the digest of its ingest
    known: dict[str, tuple[set[str], str]] = field(default_factory=dict)

    def part(self, role: str, every: int = 1) -> Part:
        """The mattes of a role that the ledger does not have; of the teacher's, every n-th."""
        run = self._run(role)
        verb = f"matte {run_key(run.name)}"
        tasks: list[int] = []
        frames, named, group = 0, [], self.config.cameras_per_task
        for wish in self.wishes:
            for take in wish.plan.takes.values():
                step = 1 if role == "student" else every * wish.teacher.get(take.name, 0)
                if not step:
                    continue
                missing = self._missing(wish.plan, take, run, step)
                sizes = {camera: take.rows[camera].width * take.rows[camera].height for camera in missing}
                if wish.plan.session.colour.cfa:  # pictures have half the sensor's sides
                    sizes = {camera: size // 4 for camera, size in sizes.items()}
                cameras = list(missing)
                groups = (cameras[i : i + group] for i in range(0, len(cameras), group))
                tasks += filter(None, (sum(sizes[camera] * missing[camera] for camera in some) for some in groups))
                frames += sum(missing.values())
                named += [take.name] if any(missing.values()) else []
        part = Part(f"{role} mattes", verb, tuple(named), frames, sum(tasks), len(tasks), self.workers)
        return _timed(part, tasks, self.rates.get(verb))

    def _run(self, role: str) -> Run:
        """The run of the model in use; before the first night, of the base model that will be registered."""
        name, version = Registry(self.root).champion(role) or (self.config.architectures[role], "v0001")
        return Run(role, Ref(name=name, version=version), self.config.tile(role))

    def _missing(self, plan: SessionPlan, take: TakePlan, run: Run, every: int) -> dict[str, int]:
        """How many mattes each camera lacks, by the records that nightly will look for."""
        wanted = set(take.frames[::every])
        blocks = [chosen for block in take.blocks if (chosen := tuple(f for f in block if f in wanted))]
        if take.name not in self.known:
            listed = self.root.sizes(f"ledger/matte/{take.name}-")
            keys = {key.removeprefix("ledger/").removesuffix(".json") for key in listed}
            self.known[take.name] = keys, self._ingested(plan, take)
        done, ingested = self.known[take.name]
        missing = {}
        for camera in take.recordings:
            steps: Sequence[Step[BlockRecord]] = []
            # a step costs a millisecond, and a camera without mattes has none to look for
            if ingested and any(f"-{camera}-{run.name}/" in key for key in done):
                steps = block_steps(self.config.store, take.name, camera, run, blocks, ingested)
            stored = sum(len(block) for step, block in zip(steps, blocks, strict=False) if step.key in done)
            missing[camera] = len(wanted) - stored
        return missing

    def _ingested(self, plan: SessionPlan, take: TakePlan) -> str:
        """The digest that the take's mattes depend on; "" if the store does not have its present files."""
        store = self.config.store
        plates = {camera: recording.manifest() for camera, recording in plan.plates.items()}
        stage = Step[PlatesRecord](store, "plates", plan.session.stage, {"manifests": plates}).record()
        if stage is None:
            return ""
        files = {camera: recording.manifest() for camera, recording in take.recordings.items()}
        inputs = {"manifests": files, "plates": stage["digest"]}
        ingested = Step[TakeRecord](store, "take", take.name, inputs).record()
        return take_record(store, take.name)["digest"] if ingested else ""


def ingest_parts(wishes: Sequence[Wish], root: Root, rates: dict[str, Rate]) -> tuple[Part, Part, int | None]:
    """The plates and takes that the store does not have, and the bytes free there.

    Before the first ingest, sampled frames give the rate.
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
                # all blocks but the last are of one length
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
    # without sampled frames, the bytes by pixel of earlier takes
    return plates, replace(ingest, stored=stored or ingest.stored), free_bytes(root)


def _timed(part: Part, tasks: Sequence[int], rate: Rate | None, sampled: float | None = None) -> Part:
    """The part with its times; without a rate they are `sampled` seconds."""
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
