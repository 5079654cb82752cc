"""The paper, run again on one session: its tables and figures, and whether what it says holds here.

Every training, matte and score is a task of its own with a record in the ledger. A killed run therefore continues
where it was, and a second run only writes the report again. Work that parts share, or that the demo did in the same
store, is done once. Nothing is promoted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from prefect import flow
from prefect.futures import PrefectFuture

from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import freeze_benchmark, matte_take, run_name, start_fields
from tasks.config import Config
from tasks.geometry.reconstruct import judge_task
from tasks.ingest.session import TakeRecord
from tasks.labels.in_use import LabelsRecord, has_labels, newest_labels_task
from tasks.matte.take import MattesRecord
from tasks.models.networks import Ref, Run, register_base_task
from tasks.report.paper.preset import NEEDS_TEACHER, PresetName, at_preset, check_labels, check_paper, chosen_parts
from tasks.report.paper.tables import PLATES, imported_task
from tasks.report.paper.write import paper_report_task
from tasks.runtime.form import asked
from tasks.runtime.progress import say
from tasks.runtime.step import Record
from tasks.sim.hand import annotate_task
from tasks.train.no_teacher import scribble_student_task
from tasks.train.short import train_short_task
from tasks.train.student import distill_task
from tasks.train.teacher import finetune_task
from tasks.validate.conditions import ConditionRecord, align_task, score_task
from tasks.validate.supervise import BenchmarkRecord

WITHOUT_TEACHER: tuple[Literal["scribbles_only"], Literal["frozen_refiner"]] = ("scribbles_only", "frozen_refiner")
Done = dict[str, Record]
Futures = dict[str, PrefectFuture[Any]]


@dataclass(frozen=True)
class _Paper:
    """What all parts work with; `parts` are those that run."""

    config: Config
    parts: frozenset[str]
    takes: dict[str, TakeRecord]
    base: Record
    benchmark: BenchmarkRecord


@flow(name="paper", flow_run_name=run_name, task_runner=default_runner(), **HOOKS)
def paper(
    only: str = "", preset: PresetName = "small", session: str = "", overrides: Sequence[str] = (), config: str = ""
) -> Record:
    """Run parts of the paper and say which of its statements hold.

    Args:
        only: Parts with commas between them, such as `table2,fig6`. Empty: all.
        preset: `small` runs the settings as they are, `full` those of the paper (for a GPU).
        session: The `session.toml` of a recorded day with a `[benchmark]`. Empty: `session` of the settings.
        overrides: Other settings for this run, each as `KEY=VALUE`, such as `paper.seeds=3`.
        config: File with the settings. Empty: `capmat.toml` of the folder of `capmat up`.

    Returns:
        Record with the `report` (see `tasks.report.paper.write`) and the keys of `html`, `json` and `pictures`.

    Raises:
        ConfigError: an unknown part, or settings under which the figures would mean something else.
    """
    parts = chosen_parts(only)
    settings = at_preset(asked(config, overrides, session=session), preset)
    take = check_paper(settings, parts)
    _, takes = ingest_session(settings)
    base = register_base_task(settings.store, settings.weights, settings.architectures)
    benchmark = freeze_benchmark(settings, base, takes[take]).result()
    work = _Paper(settings, frozenset(parts), takes, base, benchmark)
    done = _trained(work)
    scores = _scores(work, done)
    fields = _fields(work, done) if "fig8" in parts else None
    return paper_report_task(settings, preset, parts, benchmark, done, scores, fields)


def _trained(work: _Paper) -> Done:
    """Every training that the parts need, as many at once as possible."""
    done: Done = {}
    begun = _short_teachers(work)
    if work.parts & {*NEEDS_TEACHER, "fig6", "plates"}:
        labels = _labels(work)
        if work.parts & NEEDS_TEACHER:
            done["refined"] = _finetune(work, labels).result()
            begun |= _students(work, labels, done["refined"]["model"])
        begun |= _mixes(work, labels)
    return done | {name: future.result() for name, future in begun.items()}


def _mixes(work: _Paper, labels: LabelsRecord) -> Futures:
    """Teachers by the share of scribbled crops (Fig. 6), and of plates; the same mix is trained once."""
    paper, usual = work.config.paper, work.config.teacher.plate_share
    wanted = {f"share {share:g}": (usual, share) for share in paper.shares if "fig6" in work.parts}
    wanted |= {f"plates {plates:g} {share:g}": (plates, share) for plates, share in PLATES if "plates" in work.parts}
    begun = {
        mix: _finetune(work, labels, plate_share=mix[0], scribble_share=mix[1], iterations=paper.share_iterations)
        for mix in dict.fromkeys(wanted.values())
    }
    return {name: begun[mix] for name, mix in wanted.items()}


def _short_teachers(work: _Paper) -> Futures:
    """Teachers from nothing: `plain` as always, `no_plate`, `no_noise`."""
    config = work.config
    wanted = {"plain": (config.teacher.noise, True)} if {"table1", "fig5"} & work.parts else {}
    wanted |= {"no_plate": (config.teacher.noise, False)} if "table1" in work.parts else {}
    wanted |= {"no_noise": (0.0, True)} if "fig5" in work.parts else {}
    return {name: train_short_task.submit(config, noise, plate) for name, (noise, plate) in wanted.items()}


def _labels(work: _Paper) -> LabelsRecord:
    """The newest labels; of a rendered session that has none, those of the demo's simulated annotator."""
    config, base = work.config, work.base
    inbox = config.scribbles
    if config.truth and config.scribble_takes and not has_labels(config.store):
        inbox = f"{config.scribbles.rstrip('/')}-simulated"
        say("the store has no labels: a simulated person scribbles where the base teacher failed")
        _matte(work, [work.takes[name] for name in config.scribble_takes], "teacher", base["teacher"])
        run = Run("teacher", base["teacher"], config.tile("teacher")).name
        for take in config.scribble_takes:
            annotate_task(config.store, inbox, config.truth, take, run, config.seed)
    labels = newest_labels_task(config.store, inbox)
    check_labels(config.store, labels["labels"], work.benchmark["take"])
    return labels


def _matte(work: _Paper, takes: Iterable[TakeRecord], role: str, *models: Ref) -> list[MattesRecord]:
    """Matte takes with some models, side by side."""
    futures = [f for model in models for take in takes for f in matte_take(work.config, take, role, model)]
    return [future.result() for future in futures]


def _finetune(work: _Paper, labels: LabelsRecord, **changes: Any) -> PrefectFuture[Any]:
    """Start the fine-tuning of the teacher, with some of its settings changed."""
    teacher = work.config.teacher.model_copy(update=changes)
    config = work.config.model_copy(update={"teacher": teacher})
    return finetune_task.submit(config, work.base["teacher"], labels, work.benchmark)


def _students(work: _Paper, labels: LabelsRecord, teacher: Ref) -> Futures:
    """Students: `distilled 0`, and for Table 2 more seeds and those without a teacher."""
    config, base = work.config, work.base["student"]
    seeds = range(config.seed, config.seed + (config.paper.seeds if "table2" in work.parts else 1))
    pseudo = _matte(work, [work.takes[name] for name in config.pseudo_takes], "teacher", teacher)
    futures: Futures = {}
    for number, seed in enumerate(seeds):
        seeded = config.model_copy(update={"seed": seed})
        futures[f"distilled {number}"] = distill_task.submit(seeded, base, pseudo, work.benchmark)
        for strategy in WITHOUT_TEACHER if "table2" in work.parts else ():
            futures[f"{strategy} {number}"] = scribble_student_task.submit(
                seeded, strategy, base, labels, work.benchmark
            )
    return futures


def _scores(work: _Paper, done: Done) -> Done:
    """Score everything on the benchmark; a name with `@` and the noise is what Fig. 5 is judged on."""
    config, base, parts = work.config, work.base, work.parts
    futures: Futures = {}

    def score(name: str, model: Ref, **how: Any) -> None:
        futures[name] = score_task.submit(config.store, work.benchmark, model, config.truth, seed=config.seed, **how)

    whole: dict[str, Any] = {"tile": config.tile("teacher")}
    if {"table1", "fig6"} & parts:
        score("teacher base", base["teacher"], **whole)
    if {"table1", "table2", "table3"} & parts:
        score("student base", base["student"])
    for name, record in done.items():
        student = name.startswith(("distilled", *WITHOUT_TEACHER))
        if name not in ("plain", "no_noise") or "table1" in parts:
            score(name, record["model"], plate=name != "no_plate", **({} if student else whole))
    for level in config.paper.noise if "fig5" in parts else ():
        score(f"plain @{level:g}", done["plain"]["model"], noise=level, **whole)
        score(f"no_noise @{level:g}", done["no_noise"]["model"], noise=level, **whole)
    if "table1" in parts:
        for imported, model in imported_task(config.store, list(base.values())).items():
            score(imported, model)
    scored: dict[str, ConditionRecord] = {name: future.result() for name, future in futures.items()}
    scores: Done = dict(scored)
    if "table3" in parts:
        for student_row in ("student base", "distilled 0"):
            aligned = align_task(config.store, work.benchmark, scored["refined"], scored[student_row])
            scores[f"{student_row} to teacher"] = aligned
    return scores


def _fields(work: _Paper, done: Done) -> Record:
    """One frame as a radiance field, from mattes of the base student and of the distilled one."""
    config, take = work.config, work.takes[work.benchmark["take"]]
    models: dict[str, Ref] = {"base": work.base["student"], "refined": done["distilled 0"]["model"]}
    _matte(work, [take], "student", *models.values())
    started = start_fields(config, take, {name: Run("student", model).name for name, model in models.items()})
    fields = {name: future.result() for name, future in started.items()}
    return judge_task(config.store, take["take"], take["frames"][0], fields, work.benchmark)
