"""The paper, run again on one session: its tables and figures, and whether what it says holds here.

Every training, every matte and every score is a task of its own with a record in the ledger: a run that was killed
goes on where it was, a second one makes the report again and nothing else. What the parts share is done once, and
with the demo's store nothing that the demo did. Nothing is promoted.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from prefect import flow

from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import matte_take, session_name
from tasks.config import Config
from tasks.geometry.reconstruct import judge_task, reconstruct_task
from tasks.ingest.session import TakeRecord
from tasks.labels.in_use import LabelsRecord, has_labels, newest_labels_task
from tasks.models.networks import Ref, Run, register_base_task
from tasks.report.paper.preset import NEEDS_TEACHER, PresetName, at_preset, check_labels, check_paper, chosen_parts
from tasks.report.paper.tables import imported_task
from tasks.report.paper.write import paper_report_task
from tasks.runtime.progress import say
from tasks.runtime.settings import load_config
from tasks.runtime.step import Record
from tasks.sim.hand import annotate_task
from tasks.train.no_teacher import scribble_student_task
from tasks.train.short import train_short_task
from tasks.train.student import distill_task
from tasks.train.teacher import finetune_task
from tasks.validate.conditions import ConditionRecord, align_task, score_task
from tasks.validate.supervise import BenchmarkRecord, make_benchmark_task

WITHOUT_TEACHER: tuple[Literal["scribbles_only"], Literal["frozen_refiner"]] = ("scribbles_only", "frozen_refiner")
Done = dict[str, Record]


@flow(name="paper", flow_run_name=session_name, task_runner=default_runner(), **HOOKS)
def paper(config: Config | None = None, only: str = "", preset: PresetName = "small") -> Record:
    """Run parts of the paper and say which of its statements hold.

    Args:
        config: the settings; the session must have a `[benchmark]`.
        only: parts with commas between them, such as `table2,fig6`; all when empty.
        preset: `small` runs the settings as they are, `full` those of the paper (for a GPU).

    Returns:
        Record with the `report` (see `tasks.report.paper.write`) and the places of `html`, `json` and `pictures`.

    Raises:
        ConfigError: an unknown part, or settings under which the figures would mean something else.
    """
    parts = chosen_parts(only)
    config = at_preset(config or load_config(), preset)
    bench = check_paper(config, parts)
    _, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    benchmark = make_benchmark_task.submit(
        config.store, config.session, base["supervisor"], takes[bench]["digest"], config.supervisor.steps, config.seed
    ).result()

    done: Done = {}
    begun = _short_teachers(config, parts)
    if set(parts) & {*NEEDS_TEACHER, "fig6"}:
        labels = _labels(config, takes, base, bench)
        if set(parts) & NEEDS_TEACHER:
            refined = done["refined"] = _finetune(config, base, labels, benchmark).result()
            begun |= _students(config, parts, takes, base, labels, benchmark, refined)
        for share in config.paper.shares if "fig6" in parts else ():
            changes = {"scribble_share": share, "iterations": config.paper.share_iterations}
            begun[f"share {share:g}"] = _finetune(config, base, labels, benchmark, **changes)
    done |= {name: future.result() for name, future in begun.items()}
    scores = _scores(config, parts, base, benchmark, done)
    fields = _fields(config, takes[bench], base, benchmark, done) if "fig8" in parts else None
    return paper_report_task(config, preset, parts, benchmark, done, scores, fields)


def _short_teachers(config: Config, parts: Sequence[str]) -> dict[str, Any]:
    """Teachers from nothing: `plain` as always, `no_plate`, `no_noise`; futures."""
    wanted = {"plain": (config.teacher.noise, True)} if {"table1", "fig5"} & set(parts) else {}
    wanted |= {"no_plate": (config.teacher.noise, False)} if "table1" in parts else {}
    wanted |= {"no_noise": (0.0, True)} if "fig5" in parts else {}
    return {
        name: train_short_task.submit(
            config.store,
            config.teacher.model,
            config.base_data,
            config.paper.base_iterations,
            noise,
            plate,
            config.seed,
            config.cluster.train_threads,
        )
        for name, (noise, plate) in wanted.items()
    }


def _labels(config: Config, takes: Mapping[str, TakeRecord], base: Record, benchmark: str) -> LabelsRecord:
    """The newest labels; of a rendered session that has none, those of the demo's simulated annotator."""
    inbox = config.scribbles
    if config.truth and config.scribble_takes and not has_labels(config.store):
        inbox = f"{config.scribbles.rstrip('/')}-simulated"
        say("nobody has scribbled here: a simulated person does, where the base teacher failed")
        mattes = [f for t in config.scribble_takes for f in matte_take(config, takes[t], "teacher", base["teacher"])]
        for future in mattes:
            future.result()
        run = Run("teacher", base["teacher"], config.tile("teacher")).name
        for take in config.scribble_takes:
            annotate_task(config.store, inbox, config.truth, take, run, config.seed)
    labels = newest_labels_task(config.store, inbox)
    check_labels(config.store, labels["labels"], benchmark)
    return labels


def _finetune(config: Config, base: Record, labels: LabelsRecord, benchmark: BenchmarkRecord, **changes: Any) -> Any:
    """The refined teacher, with some of its settings changed; a future."""
    return finetune_task.submit(
        config.store,
        base["teacher"],
        labels,
        config.base_data,
        config.teacher.model_copy(update=changes),
        config.seed,
        config.cluster.train_threads,
        benchmark,
    )


def _students(
    config: Config,
    parts: Sequence[str],
    takes: Mapping[str, TakeRecord],
    base: Record,
    labels: LabelsRecord,
    benchmark: BenchmarkRecord,
    refined: Record,
) -> dict[str, Any]:
    """Students: `distilled 0`, and for Table 2 more seeds and those without a teacher; futures."""
    seeds = range(config.seed, config.seed + (config.paper.seeds if "table2" in parts else 1))
    threads = config.cluster.train_threads
    pseudo = [f for t in config.pseudo_takes for f in matte_take(config, takes[t], "teacher", refined["model"])]
    futures: dict[str, Any] = {}
    for number, seed in enumerate(seeds):
        futures[f"distilled {number}"] = distill_task.submit(
            config.store,
            base["student"],
            [f.result() for f in pseudo],
            config.base_data,
            config.student,
            seed,
            threads,
            benchmark,
        )
        for strategy in WITHOUT_TEACHER if "table2" in parts else ():
            futures[f"{strategy} {number}"] = scribble_student_task.submit(
                config.store,
                strategy,
                base["student"],
                labels,
                config.base_data,
                config.student,
                config.teacher,
                seed,
                threads,
                benchmark,
            )
    return futures


def _scores(config: Config, parts: Sequence[str], base: Record, benchmark: BenchmarkRecord, done: Done) -> Done:
    """Score everything on the benchmark; what Fig. 5 is judged on has `@` and the noise in its name."""
    futures: dict[str, Any] = {}

    def ask(name: str, model: Ref, **how: Any) -> None:
        futures[name] = score_task.submit(config.store, benchmark, model, config.truth, seed=config.seed, **how)

    whole: dict[str, Any] = {"tile": config.tile("teacher")}
    if {"table1", "fig6"} & set(parts):
        ask("teacher base", base["teacher"], **whole)
    if {"table1", "table2", "table3"} & set(parts):
        ask("student base", base["student"])
    for name, record in done.items():
        student = name.startswith(("distilled", *WITHOUT_TEACHER))
        if name not in ("plain", "no_noise") or "table1" in parts:
            ask(name, record["model"], plate=name != "no_plate", **({} if student else whole))
    noisy = config.paper.noise if "fig5" in parts else ()
    for level in noisy:
        ask(f"plain @{level:g}", done["plain"]["model"], noise=level, **whole)
        ask(f"no_noise @{level:g}", done["no_noise"]["model"], noise=level, **whole)
    if "table1" in parts:
        for outside, model in imported_task(config.store, list(base.values())).items():
            ask(outside, model)
    scored: dict[str, ConditionRecord] = {name: future.result() for name, future in futures.items()}
    scores: Done = dict(scored)
    if "table3" in parts:
        for who in ("student base", "distilled 0"):
            scores[f"{who} to teacher"] = align_task(config.store, benchmark, scored["refined"], scored[who])
    return scores


def _fields(config: Config, take: Record, base: Record, benchmark: BenchmarkRecord, done: Done) -> Record:
    """One frame as a radiance field, from mattes of the base student and of the distilled one."""
    models = {"base": base["student"], "refined": done["distilled 0"]["model"]}
    mattes = [future for model in models.values() for future in matte_take(config, take, "student", model)]
    for future in mattes:
        future.result()
    frame = take["frames"][0]
    fields = {
        name: reconstruct_task.submit(
            config.store, take, frame, Run("student", model).name, config.reconstruction, config.seed
        )
        for name, model in models.items()
    }
    found = {name: future.result() for name, future in fields.items()}
    return judge_task(config.store, take["take"], frame, found, benchmark)
