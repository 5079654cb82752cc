"""When people have scribbled: a better teacher, a better student, and the gate (paper section 4).

Imports the overlays of the inbox, fine-tunes the teacher on base data and scribbles, lets it label the new
takes, distils the student from those labels, scores all four models on the benchmark and moves the pointers of
the models that passed the gate. A run that a trigger started ends at once when the newest labels were used already:
triggers are hints, and several may mean the same labels.
"""

from typing import Any, cast

from prefect import flow
from prefect.states import Completed

from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import matte_take, rename_run
from tasks.config import Config
from tasks.labels.in_use import mark_used_task, newest_labels_task, waiting
from tasks.models.networks import Ref, Run, register_base_task
from tasks.report.sheets import show_take_task, show_validation_task
from tasks.runtime.progress import say
from tasks.runtime.settings import load_config
from tasks.runtime.step import Record
from tasks.train.student import distill_task
from tasks.train.teacher import finetune_task
from tasks.validate.measure import HullScore, frame_time_task, hull_score_task
from tasks.validate.promote import alike, incumbents_task, promote_task
from tasks.validate.score import validate_task
from tasks.validate.supervise import BenchmarkRecord, make_benchmark_task

NOTHING_NEW = "NothingNew"
"""Name of the state in which a triggered run ends that had nothing to do."""


@flow(name="redistill", flow_run_name="redistill", task_runner=default_runner(), **HOOKS)
def redistill(config: Config | None = None, only_new: bool = False) -> dict[str, Any]:
    """Go from painted overlays to promoted models.

    Args:
        config: the settings; `scribbles` is the inbox, `pseudo_takes` are labelled by the refined teacher.
        only_new: end at once, in the state `NothingNew`, when a finished round has used the newest labels.

    Returns:
        Records of every step: `labels`, `teacher`, `student`, `validation`, `gate`, and the `runs` by row. With
        `only_new` None, when there was nothing new.
    """
    config = config or load_config()
    if only_new and not waiting(config.store, config.scribbles):
        state: Any = Completed(name=NOTHING_NEW, message="The newest labels were used already, or there are none.")
        return cast("dict[str, Any]", state)  # which Prefect takes for what it says
    return _round(config)


def _round(config: Config) -> dict[str, Any]:
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    labels = newest_labels_task(config.store, config.scribbles, config.validation_takes)
    rename_run(f"redistill {labels['labels']}")
    threads = config.cluster.train_threads
    bench = takes[plan["benchmark"]]
    benchmark = make_benchmark_task.submit(
        config.store, config.session, base["supervisor"], bench["digest"], config.supervisor.steps, config.seed
    ).result()
    teacher = finetune_task.submit(
        config.store, base["teacher"], labels, config.base_data, config.teacher, config.seed, threads, benchmark
    ).result()

    pseudo = [f for t in config.pseudo_takes for f in matte_take(config, takes[t], "teacher", teacher["model"])]
    refined = matte_take(config, bench, "teacher", teacher["model"])
    student = distill_task.submit(
        config.store,
        base["student"],
        [future.result() for future in pseudo],
        config.base_data,
        config.student,
        config.seed,
        threads,
        benchmark,
    ).result()
    refined += matte_take(config, bench, "student", student["model"])

    challengers = {"teacher": teacher["model"], "student": student["model"]}
    to_beat = incumbents_task(config.store, base, challengers)
    runs: dict[str, str] = {}
    mattes = [f.result() for f in refined]
    for role, challenger in challengers.items():
        rows = {"base": base[role]}
        if to_beat[role] not in (base[role], challenger):
            rows["champion"] = to_beat[role]
        for model in rows.values():
            mattes += [f.result() for f in matte_take(config, bench, role, model)]
        rows["refined"] = challenger
        runs |= {f"{role}_{row}": Run(role, model, config.tile(role)).name for row, model in rows.items()}
    validation = validate_task(config.store, benchmark, runs, mattes)
    show_validation_task(config.store, benchmark, validation, runs)
    gate = {
        role: promote_task(
            config.store,
            role,
            to_beat[role],
            challenger,
            validation,
            config.gate,
            _times(config, benchmark, role, to_beat[role], challenger),
            _fit(config, benchmark, role, to_beat[role], challenger),
        )
        for role, challenger in challengers.items()
    }
    for role, verdict in gate.items():
        say(f"{role}: {verdict['decision']}: {'; '.join(verdict['reasons'])}")
    show_take_task(config.store, bench["take"], list(runs.values()))
    mark_used_task(config.store, labels, {role: verdict["decision"] for role, verdict in gate.items()})
    return {
        "takes": takes,
        "labels": labels,
        "teacher": teacher,
        "student": student,
        "benchmark": benchmark,
        "validation": validation,
        "gate": gate,
        "runs": runs,
        "mattes": mattes,
    }


def _times(
    config: Config, benchmark: BenchmarkRecord, role: str, champion: Ref, challenger: Ref
) -> dict[str, Record] | None:
    """How long a frame takes with both models of a role; None where they are the same network with other weights."""
    if alike(config.store, champion, challenger):
        return None
    bench, tile = (benchmark["benchmark"], benchmark["version"]), config.tile(role)
    pair = {"champion": champion, "challenger": challenger}
    return {who: frame_time_task(config.store, bench, Run(role, model, tile)) for who, model in pair.items()}


def _fit(
    config: Config, benchmark: BenchmarkRecord, role: str, champion: Ref, challenger: Ref
) -> dict[str, HullScore]:
    """How well the mattes of all cameras fit together, of both models of a role."""
    frames = {benchmark["take"]: sorted({frame for _, frame in benchmark["entries"]})}
    futures = {
        who: hull_score_task.submit(
            config.store, frames, Run(role, model, config.tile(role)).name, config.reconstruction
        )
        for who, model in {"champion": champion, "challenger": challenger}.items()
    }
    return {who: future.result() for who, future in futures.items()}
