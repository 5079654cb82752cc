"""When people have scribbled: a better teacher, a better student, and the gate (paper section 4).

Imports the overlays of the inbox, fine-tunes the teacher on base data and scribbles, lets it label the new
takes, distils the student from those labels, scores all four models on the benchmark and moves the pointers of
the models that passed the gate. A run that a trigger started ends at once if the newest labels were used already:
triggers are hints, and several may mean the same labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from prefect import flow
from prefect.states import Completed

from flows.cluster.runner import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import ask_second, freeze_benchmark, label_run, matte_take, place_of, versions_of
from tasks.config import Config
from tasks.ingest.session import TakeRecord
from tasks.labels.in_use import LabelsRecord, mark_used_task, newest_labels_task, waiting
from tasks.matte.take import MattesRecord
from tasks.models.networks import Ref, Run, register_base_task
from tasks.report.sheets import show_take_task, show_validation_task
from tasks.runtime.form import asked
from tasks.runtime.progress import say
from tasks.runtime.step import Record
from tasks.train.ready import check_round
from tasks.train.student import distill_task
from tasks.train.teacher import finetune_task
from tasks.validate.doubt import Doubts
from tasks.validate.measure import HullScore, frame_time_task, hull_score_task
from tasks.validate.promote import VerdictRecord, alike, incumbents_task, promote_task, show_verdicts_task
from tasks.validate.score import ValidationRecord, validate_task
from tasks.validate.supervise import BenchmarkRecord

NOTHING_NEW = "NothingNew"
"""Name of the state in which a triggered run ends that had nothing to do."""


@dataclass(frozen=True)
class _Round:
    """What all steps of a round work with; `take` is that of the benchmark."""

    config: Config
    takes: dict[str, TakeRecord]
    base: Record
    labels: LabelsRecord
    benchmark: BenchmarkRecord
    take: TakeRecord
    doubts: Callable[[], Doubts]  # waits for the second opinion


@flow(name="redistill", flow_run_name="redistill", task_runner=default_runner(), **HOOKS)
def redistill(only_new: bool = False, overrides: Sequence[str] = (), config: str = "") -> dict[str, Any]:
    """Go from painted overlays to promoted models.

    Args:
        only_new: End at once, in the state `NothingNew`, when a finished round has used the newest labels.
        overrides: Other settings for this round, each as `KEY=VALUE`, such as `teacher.iterations=500`.
        config: File with the settings. Empty: `capmat.toml` of the folder of `capmat up`.

    Returns:
        Records of every step: `labels`, `teacher`, `student`, `validation`, `gate`, and the `runs` by row. With
        `only_new` None, when there was nothing new.

    Raises:
        ConfigError: see `check_round`.
    """
    settings = asked(config, overrides)
    if only_new and not waiting(settings.store, settings.scribbles):
        state: Any = Completed(name=NOTHING_NEW, message="The newest labels were used already, or none exist.")
        return cast("dict[str, Any]", state)  # Prefect takes a state for how the run ends
    return _round(check_round(settings))


def _round(config: Config) -> dict[str, Any]:
    """Train, judge and promote with checked settings."""
    begun = _begin(config)
    teacher, student, mattes = _train(begun)
    challengers: dict[str, Ref] = {"teacher": teacher["model"], "student": student["model"]}
    to_beat = incumbents_task(config.store, begun.base, challengers)
    runs = _matte_rivals(begun, challengers, to_beat, mattes)
    validation = validate_task(config.store, begun.benchmark, runs, mattes)
    show_validation_task(config.store, begun.benchmark, validation, runs)
    gate = {role: _judge(begun, role, to_beat[role], challengers[role], validation) for role in challengers}
    for role, verdict in gate.items():
        say(f"{role}: {verdict['decision']}: {'; '.join(verdict['reasons'])}")
    show_take_task(config.store, begun.take["take"], list(runs.values()))
    decisions = {role: verdict["decision"] for role, verdict in gate.items()}
    show_verdicts_task(config.store, list(gate.values()))
    label_run(*(f"{made} {gate[made.partition('@')[0]]['decision'].lower()}" for made in versions_of(challengers)))
    mark_used_task(config.store, begun.labels, decisions, config.pseudo_takes)
    return {
        "takes": begun.takes,
        "labels": begun.labels,
        "teacher": teacher,
        "student": student,
        "benchmark": begun.benchmark,
        "validation": validation,
        "gate": gate,
        "runs": runs,
        "mattes": mattes,
    }


def _begin(config: Config) -> _Round:
    """Bring session, base models, labels and benchmark into the store, and name the run by its labels."""
    plan, takes = ingest_session(config)
    base = register_base_task(config.store, config.weights, config.architectures)
    labels = newest_labels_task(config.store, config.scribbles, config.validation_takes)
    label_run(
        labels["labels"], place_of(config.session), name=f"redistill {place_of(config.session)} {labels['labels']}"
    )
    take = takes[plan["benchmark"]]
    benchmark = freeze_benchmark(config, base, take).result()
    doubts: Callable[[], Doubts] = dict
    if config.supervisor.second:
        doubts = ask_second(config, (benchmark["benchmark"], benchmark["version"])).result
    return _Round(config, takes, base, labels, benchmark, take, doubts)


def _train(begun: _Round) -> tuple[Record, Record, list[MattesRecord]]:
    """Fine-tune the teacher, let it label, distil the student; both records, and their mattes of the benchmark."""
    config = begun.config
    teacher = finetune_task.submit(config, begun.base["teacher"], begun.labels, begun.benchmark).result()
    pseudo = [
        f for take in config.pseudo_takes for f in matte_take(config, begun.takes[take], "teacher", teacher["model"])
    ]
    refined = matte_take(config, begun.take, "teacher", teacher["model"])
    labelled = [future.result() for future in pseudo]
    student = distill_task.submit(config, begun.base["student"], labelled, begun.benchmark).result()
    refined += matte_take(config, begun.take, "student", student["model"])
    return teacher, student, [future.result() for future in refined]


def _matte_rivals(
    begun: _Round, challengers: Mapping[str, Ref], to_beat: Mapping[str, Ref], mattes: list[MattesRecord]
) -> dict[str, str]:
    """Matte the benchmark with the models that the challengers are compared with; adds to `mattes`.

    Returns:
        Row (`teacher_base`, `teacher_champion` if it differs, `teacher_refined`, ...) -> alpha run.
    """
    config = begun.config
    runs: dict[str, str] = {}
    for role, challenger in challengers.items():
        rows = {"base": begun.base[role]}
        if to_beat[role] not in (begun.base[role], challenger):
            rows["champion"] = to_beat[role]
        for model in rows.values():
            mattes += [future.result() for future in matte_take(config, begun.take, role, model)]
        rows["refined"] = challenger
        runs |= {f"{role}_{row}": Run(role, model, config.tile(role)).name for row, model in rows.items()}
    return runs


def _judge(begun: _Round, role: str, champion: Ref, challenger: Ref, validation: ValidationRecord) -> VerdictRecord:
    """Ask the gate about one role: quality, time of a frame, and how well the cameras' mattes fit together."""
    config, benchmark = begun.config, begun.benchmark
    pair, tile = {"champion": champion, "challenger": challenger}, config.tile(role)
    latency = None
    if not alike(config.store, champion, challenger):
        bench = (benchmark["benchmark"], benchmark["version"])
        latency = {name: frame_time_task(config.store, bench, Run(role, model, tile)) for name, model in pair.items()}
    frames = {benchmark["take"]: sorted({frame for _, frame in benchmark["entries"]})}
    hulls = {
        name: hull_score_task.submit(config.store, frames, Run(role, model, tile).name, config.reconstruction)
        for name, model in pair.items()
    }
    hull: dict[str, HullScore] = {name: future.result() for name, future in hulls.items()}
    return promote_task(
        config.store, role, champion, challenger, validation, config.gate, latency, hull, list(begun.doubts())
    )
