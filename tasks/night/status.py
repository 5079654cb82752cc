"""The store at a glance: `capmat status`. One record of plain data, from which the screen and its JSON come.

It reads names, small JSON files and the ledger, never a picture. It needs no server and imports neither Prefect nor
torch, so that it answers at once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from capmat_errors import CapmatError, NotFound
from storage.descriptor import read_session
from storage.labels.label_set import LABELS, Key, LabelSet, list_label_sets
from storage.labels.queue import read_queue
from storage.labels.rounds import waiting_labels
from storage.registry import Registry
from storage.session.cost import free_bytes
from storage.store.json_file import FileDamaged, object_of
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from storage.upkeep.files import matte_entries
from tasks.config import Config
from tasks.night.record import Attention, NightRecord, nights
from tasks.show.figures import counted

ROLES = ("student", "teacher")
_WORST = ("", "green", "yellow", "red")


@dataclass(frozen=True)
class Mattes:
    """The mattes of one run of a take."""

    run: str
    role: str  # student or teacher; "" for a model that was matted by name
    done: int  # pictures of all cameras
    in_use: bool  # whether the model in use made them


@dataclass(frozen=True)
class Exported:
    """The last export of a take."""

    cameras: int
    run: str
    out: str
    when: str  # ISO time


@dataclass(frozen=True)
class TakeStatus:
    """What is done of a take. One that is not ingested has no cameras and frames yet."""

    name: str
    stage: str
    ingested: bool
    cameras: int = 0
    frames: int = 0  # of one camera
    light: str = ""  # of its stage check: green, yellow, red; "" if it was not checked
    check: str = ""  # where the page of that check lies
    runs: tuple[Mattes, ...] = ()
    exported: Exported | None = None
    boxes: int = 0  # proposed for scribbles, on frames without labels
    labels: int = 0  # frames in the newest label set

    def mattes(self, role: str) -> Mattes | None:
        """The run of a role that counts: that of the model in use, else the one that has most."""
        own = [run for run in self.runs if run.role == role]
        return max(own, key=lambda run: (run.in_use, run.done), default=None)


@dataclass(frozen=True)
class ModelStatus:
    """A model in use."""

    role: str
    name: str
    version: str
    since: str  # ISO time
    score: str  # what the gate or a person said of it, in words


@dataclass(frozen=True)
class NightStatus:
    """The last night."""

    ended: str  # ISO time
    state: str
    takes: int
    refused: int
    report: str


@dataclass(frozen=True)
class Status:
    """The store at a glance."""

    store: str
    free: int | None  # bytes left on its disk; None on S3
    stages: dict[str, str]  # the worst stage check of the takes by stage; "" if none was checked
    takes: list[TakeStatus]
    models: list[ModelStatus]
    last_night: NightStatus | None
    next_night: str
    waits: list[Attention]  # for a human


def read_status(config: Config, next_night: str, only: str = "") -> Status:
    """Look at a store.

    Args:
        config: the settings; the takes of its session are listed before they are ingested.
        next_night: when the next night starts, in words.
        only: a take; "" for all.

    Raises:
        NotFound: the take is not in the store; the message lists those that are.
        StoreError: the store cannot be read.
    """
    root = Root(config.store)
    models = list(_models(Registry(root)))
    labelled = _labelled(root)
    damaged: list[str] = []
    checks = _checks(root, damaged)
    names = [only] if only else list_takes(root, sealed=False)
    takes = [_take(root, name, models, labelled, checks) for name in names]
    expected = [] if only else _expected(config)
    takes += [TakeStatus(name, stage, ingested=False) for name, stage in expected if name not in names]
    last = next(nights(root, damaged), None)
    return Status(
        store=config.store,
        free=free_bytes(root),
        stages={stage: _worst(take.light for take in takes if take.stage == stage)
                for stage in sorted({take.stage for take in takes})},
        takes=takes,
        models=models,
        last_night=_night(last) if last else None,
        next_night=next_night,
        waits=[*_of_night(last), *_of_damage(damaged), *_of_takes(takes), *labels_wait(root)],
    )  # fmt: skip


def labels_wait(root: Root) -> list[Attention]:
    """The newest label set, if no round of training has used it."""
    if not (version := waiting_labels(root)):
        return []
    what = f"The label set {version} waits to be trained on ({counted(len(LabelSet.open(root, LABELS)), 'frame')})."
    return [{"what": what, "fix": "Train new models with it.", "light": "yellow", "command": "capmat redistill"}]


def boxes_wait(boxes: Mapping[str, int]) -> list[Attention]:
    """Boxes that wait for scribbles, by take."""
    if not (waiting := {take: count for take, count in boxes.items() if count}):
        return []
    each = ", ".join(f"{take} {count}" for take, count in waiting.items())
    total = sum(waiting.values())
    what = f"{total} {'box waits' if total == 1 else 'boxes wait'} for scribbles ({each})."
    fix = "Paint the first few of each take; the list starts with the most useful one."
    return [{"what": what, "fix": fix, "light": "yellow", "command": "capmat scribble"}]


def _take(
    root: Root, name: str, models: list[ModelStatus], labelled: Mapping[str, set[Key]], checks: Mapping[Any, Any]
) -> TakeStatus:
    take = Take.open(root, name, sealed=False)
    runs: dict[str, set[tuple[str, int]]] = {}
    for entry in matte_entries(Ledger(root), name).values():
        if entry:
            numbers = entry.get("numbers", ())  # entries of early versions have none
            runs.setdefault(entry["run"], set()).update((entry["camera"], number) for number in numbers)
    current = {f"{model.role}-{model.name}-{model.version}" for model in models}
    roles = {run: role if (role := run.partition("-")[0]) in ROLES else "" for run in runs}
    frames = labelled.get(name, set())
    light, page = checks.get((take.stage, name), ("", ""))
    return TakeStatus(
        name,
        take.stage,
        ingested=take.complete,
        cameras=len(take.cameras),
        frames=len(take.frames),
        light=light,
        check=page,
        runs=tuple(Mattes(run, roles[run], len(done), run in current) for run, done in sorted(runs.items())),
        exported=_exported(Ledger(root), name),
        boxes=_boxes(root, name, frames) if take.complete else 0,
        labels=len(frames),
    )


def _boxes(root: Root, take: str, labelled: set[Key]) -> int:
    try:
        queue = read_queue(root, take)
    except NotFound:
        return 0
    return sum((take, item.camera, item.frame) not in labelled for item in queue.items)


def _exported(ledger: Ledger, take: str) -> Exported | None:
    entries = [entry for entry in ledger.entries(f"export/{take}/").values() if entry]
    if not entries:
        return None
    last = max(entries, key=lambda entry: str(entry["when"]))
    same = [entry for entry in entries if (entry["run"], entry["out"]) == (last["run"], last["out"])]
    return Exported(len(same), last["run"], last["out"], last["when"])


def _expected(config: Config) -> list[tuple[str, str]]:
    """Name and stage of each take of the settings' session; none if it cannot be read, which nightly reports."""
    with suppress(CapmatError):
        session = read_session(config.session)
        return [(name, session.stage) for name in session.takes]
    return []


def _labelled(root: Root) -> dict[str, set[Key]]:
    """The frames of the newest label set, by take."""
    takes: dict[str, set[Key]] = {}
    if list_label_sets(root).get(LABELS):
        for key in LabelSet.open(root, LABELS).keys:
            takes.setdefault(key[0], set()).add(key)
    return takes


def _checks(root: Root, damaged: list[str]) -> dict[tuple[str, str], tuple[str, str]]:
    """The light of the stage check and where its page lies, by stage and take; `damaged` as in `nights`."""
    names = [name for name in root.names("reports") if name.startswith("stage-") and name.endswith(".json")]
    checks = {}
    for file, data in root.read_all([f"reports/{name}" for name in names]).items():
        try:
            report = object_of(data, root.at(file), stage=str, take=str, light=str)
        except FileDamaged as error:
            damaged.append(error.where)
        else:
            page = root.at(f"{file.removesuffix('.json')}.html")
            checks[report["stage"], report["take"]] = (report["light"], page)
    return checks


def _of_damage(files: list[str]) -> list[Attention]:
    fix = "Restore it from a copy, or remove it."
    return [
        {"what": f"The report {file} is damaged and left out here.", "fix": fix, "light": "yellow"} for file in files
    ]


def _worst(lights: Iterable[str]) -> str:
    return max(lights, key=_WORST.index, default="")


def _models(registry: Registry) -> Iterable[ModelStatus]:
    for role in (*ROLES, "supervisor"):
        for newest in registry.history(role)[-1:]:
            said = "; ".join(newest["record"].get("reasons", [])[:1])
            yield ModelStatus(role, newest["name"], newest["version"], newest["time"], said)


def _night(night: NightRecord) -> NightStatus:
    report = night.get("html", "")
    return NightStatus(night["ended"], night.get("state", ""), len(night["takes"]), len(night["refused"]), report)


def _of_night(night: NightRecord | None) -> list[Attention]:
    """What the last night could not do."""
    items: list[Attention] = []
    for item in night["refused"] if night else ():
        names = " ".join(filter(None, (item["session"], item["take"])))
        where = f"{item['where']}: " if item["where"] not in ("", names) else ""
        what = f"{names}: {item['step']}: {where}{item['what']}."
        items.append({"what": what, "fix": item["fix"], "light": "red", "command": "capmat nightly"})
    return items


def _of_takes(takes: list[TakeStatus]) -> list[Attention]:
    items: list[Attention] = []
    if new := [take.name for take in takes if not take.ingested]:
        what = f"{counted(len(new), 'take')} not ingested: {', '.join(new)}."
        items.append({"what": what, "fix": "Bring the session in.", "light": "yellow", "command": "capmat ingest"})
    for light, count in Counter(take.light for take in takes).items():
        if light in ("red", "yellow"):
            names = ", ".join(take.name for take in takes if take.light == light)
            what = f"The stage check is {light} for {counted(count, 'take')}: {names}."
            page = next(take.check for take in takes if take.light == light)
            fix = f"See {page}."
            items.append({"what": what, "fix": fix, "light": "red" if light == "red" else "yellow"})
    return [*items, *boxes_wait({take.name: take.boxes for take in takes})]
