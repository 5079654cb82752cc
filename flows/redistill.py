"""When people have scribbled: a better teacher, a better student, and the gate (paper section 4).

Imports the overlays of the inbox, fine-tunes the teacher on base data and scribbles, lets it label the new
takes, distils the student from those labels, scores all four models on the benchmark and moves the pointers of
the models that passed the gate.
"""

from typing import Any

from prefect import flow

from flows.cluster import default_runner
from flows.ingest import ingest_session
from flows.matte_take import matte_take
from tasks.config import Config, load_config
from tasks.distill import distill_task
from tasks.finetune import finetune_task
from tasks.look import show_take_task
from tasks.models import register_base_task, run_name
from tasks.promote import incumbents_task, promote_task
from tasks.scribble import import_scribbles_task
from tasks.supervise import make_benchmark_task
from tasks.validate import validate_task


@flow(name="redistill", flow_run_name="redistill", task_runner=default_runner())
def redistill(config: Config | None = None) -> dict[str, Any]:
    """Go from painted overlays to promoted models.

    Args:
        config: the settings; `scribbles` is the inbox, `pseudo_takes` are labelled by the refined teacher.

    Returns:
        Records of every step: `labels`, `teacher`, `student`, `validation`, `gate`, and the `runs` by row.
    """
    config = config or load_config()
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    labels = import_scribbles_task(config.store, config.scribbles)
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
        runs |= {f"{role}_{row}": run_name(role, model, config.tile(role)) for row, model in rows.items()}
    validation = validate_task(config.store, benchmark, runs, mattes)
    gate = {
        role: promote_task(config.store, role, to_beat[role], challenger, validation, config.gate)
        for role, challenger in challengers.items()
    }
    show_take_task(config.store, bench["take"], list(runs.values()))
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
