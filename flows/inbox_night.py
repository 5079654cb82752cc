"""A night over an inbox: every take on its own, so that a bad one stops none of the others.

Failures are collected for the morning report. A finished take is remembered by its files, so that a take that lies in
the inbox for weeks costs only a look at its files, also after the student changed.

The night is planned before it starts. When it is too short the teacher leaves frames out, as many as the plan says;
all of the student's work is sent before any of the teacher's.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from prefect.futures import PrefectFuture
from prefect.states import Failed

from capmat_errors import CapmatError, NeedsHuman, SessionError
from flows.ingest import ingest_arrived
from flows.service.events import tell_waiting
from flows.steps import camera_groups, freeze_benchmark, label_run, matte_take, outcome, place_of, versions_of
from tasks.config import Config
from tasks.ingest.arrival import Wanted, finish, unfinished
from tasks.ingest.inbox import Arrived, Delivery, Inbox, Refused, drop, fetch_task, read_inbox_task, trouble
from tasks.ingest.inbox_files import Bucket
from tasks.ingest.session import TakeRecord
from tasks.labels.mine.queue import mine_night_task
from tasks.matte.export import export_task
from tasks.matte.take import MattesRecord
from tasks.models.networks import ROLES, Run, champions_task, register_base_task
from tasks.night.morning import morning_task
from tasks.night.plan import NightPlan, plan_task, until_time
from tasks.night.record import NightRecord
from tasks.report.sheets import show_take_task
from tasks.runtime.form import chosen
from tasks.runtime.progress import say
from tasks.runtime.step import Record
from tasks.show.figures import counted

_TOLD = 5  # refusals in a message; the report has all of them


@dataclass(frozen=True)
class _Night:
    """What all steps share: base models and those that matte, by role, and the record that the steps add to."""

    config: Config
    base: Record
    chosen: Record
    record: NightRecord


@dataclass
class _Job:
    """A take that is being worked on: where it came from, what was started for it, and the mattes that it has.

    `teacher` is every how many frames the teacher sees tonight; 0 for none.
    """

    session: str
    take: TakeRecord
    files: Delivery
    wanted: Wanted
    teacher: int = 0
    started: list[PrefectFuture[MattesRecord]] = field(default_factory=list)
    benchmark: PrefectFuture[Any] | None = None
    exports: list[PrefectFuture[Any]] = field(default_factory=list)
    mined: PrefectFuture[Any] | None = None
    mattes: list[MattesRecord] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        return sorted({matte["run"] for matte in self.mattes})


def night_of_inbox(config: Config, models: str, takes: Sequence[str] = ()) -> dict[str, Any]:
    """Take in and matte what has arrived.

    Args:
        config: the settings; `inbox` is a folder, or s3://bucket/prefix.
        models: see `flows.nightly.nightly`.
        takes: names of those that are worked on; none means all that have arrived.

    Returns:
        `takes`, `models` and `mattes` as `nightly` does, of what was done now, and `night`: the record of the report.

    Raises:
        CapmatError: the inbox, a take or a model is missing, or everything that has arrived was refused.
    """
    started = time.time()
    until = until_time(config.night.until, datetime.now().astimezone(), "night.until")
    inbox = read_inbox_task(config.inbox, config.night.still_minutes)
    if takes:
        inbox = _only(
            inbox, chosen(takes, [name for arrived in inbox.sessions for name in arrived.takes], config.inbox)
        )
    night = _begin(config, models, inbox)
    wanted = _wanted(night, inbox)
    plan, name = plan_task(config, inbox, until)
    say(planned(plan))
    jobs = [job for arrived in inbox.sessions for job in _start(night, arrived, wanted[arrived.file])]
    for job in jobs:
        if every := plan.every * job.wanted["teacher"]:
            job.teacher, frames = every, job.take["frames"][::every]
            job.started += matte_take(config, job.take, "teacher", night.chosen["teacher"], frames)
    jobs = [job for job in jobs if _matted(night, job)]
    for job in jobs:
        _finish(night, job)
    _drop_copies(night, inbox)
    report = _report(night, started, name, bool(jobs))
    return {
        "takes": {job.take["take"]: job.take for job in jobs},
        "models": night.record["models"],
        "mattes": [matte for job in jobs for matte in job.mattes],
        "benchmark": None,
        "night": report,
    }


def _only(inbox: Inbox, takes: Sequence[str]) -> Inbox:
    """An inbox in which only these takes have arrived."""
    kept = [
        replace(arrived, takes={name: files for name, files in arrived.takes.items() if name in takes})
        for arrived in inbox.sessions
    ]
    return replace(inbox, sessions=[arrived for arrived in kept if arrived.takes])


def needs_human(night: NightRecord) -> Any:
    """The state of a run that did what could be done, while something was refused.

    Its type is that of a failure, which the UI shows in red: nobody looks at a night with a green tick. The other
    types that end a run mean that it was killed or cancelled. Events carry the name, so no automation restarts it.
    People are sent its message: what was refused, where, what to do, and where the report lies.
    """
    lines = [f"{len(night['refused'])} could not be done."]
    lines += [f"- {_in_words(item)}" for item in night["refused"][:_TOLD]]
    if (more := len(night["refused"]) - _TOLD) > 0:
        lines.append(f"... and {more} more")
    takes, refused, left = len(night["takes"]), len(night["refused"]), len(night["left"])
    error = NeedsHuman(
        f"{counted(takes, 'take')} done, {refused} refused, {left} left for another night; first "
        f"{night['refused'][0]['where']}: {night['refused'][0]['what']}",
        where=night["inbox"],
        fix=f"See {night['html']}",
    )
    return Failed(name="NeedsHuman", message="\n".join([*lines, f"Report: {night['html']}"]), data=error)


def _in_words(item: Refused) -> str:
    names = " ".join(filter(None, (item["session"], item["take"])))
    return f"{names}: {item['step']}: {item['where']}: {item['what']}. {item['fix']}"


def planned(plan: NightPlan) -> str:
    """The plan in one sentence."""
    if not any(part.pixels for part in plan.parts):
        return "nothing is to be done"
    late = "" if plan.fits else f", after {plan.until:%H:%M}"
    end = "it is not known when it is done" if plan.open else f"done at about {plan.done:%a %H:%M}{late}"
    seen = {0: "; the teacher is left out", 1: ""}.get(plan.every, f"; the teacher sees one frame in {plan.every}")
    return f"planned: {end}{seen}"


def announce(config: Config) -> None:
    """Tell the server about labels that wait, since their own event may have been lost."""
    if url := tell_waiting(config.store):
        say(f"labels wait for a training; {url} was told")


def _begin(config: Config, models: str, inbox: Inbox) -> _Night:
    for item in inbox.left:
        say(f"left for another night: {item['where']}: {item['why']}")
    base = register_base_task(config.store, config.weights, config.architectures)
    chosen = base if models == "base" else champions_task(config.store)
    label_run(place_of("", config.inbox), *versions_of(chosen))
    record = NightRecord(
        inbox=config.inbox,
        store=config.store,
        models={role: chosen[role] for role in ROLES},
        refused=list(inbox.refused),
        left=inbox.left,
        stages=[],
        takes=[],
        kept=[],
    )
    return _Night(config, base, chosen, record)


def _wanted(night: _Night, inbox: Inbox) -> dict[str, dict[str, Wanted]]:
    """What is to be done, by session.toml and take; what lies on S3 is copied here, or refused."""
    wanted: dict[str, dict[str, Wanted]] = {}
    for arrived in inbox.sessions:
        wanted[arrived.file], finished = unfinished(night.config, arrived)
        night.record["kept"] += finished
        for name in list(wanted[arrived.file]):
            if not isinstance(inbox.files, Bucket):
                break
            try:
                fetch_task(inbox.files, arrived, name)
            except CapmatError as error:
                night.record["refused"].append(trouble(arrived.session.name, name, "fetch", error))
                del wanted[arrived.file][name]
    return wanted


def _start(night: _Night, arrived: Arrived, wanted: Mapping[str, Wanted]) -> list[_Job]:
    """Ingest what is new of a session and start the student's mattes."""
    if not wanted:
        return []
    config, session = night.config, arrived.session
    refused, stages = night.record["refused"], night.record["stages"]
    takes = ingest_arrived(config, arrived, list(wanted), refused.append, stages.append)
    jobs = []
    for name, take in takes.items():
        job = _Job(session.name, take, arrived.takes[name], wanted[name])
        if session.benchmark and name == session.benchmark.take:
            job.benchmark = freeze_benchmark(config, night.base, take, arrived.file)
        job.started = matte_take(config, take, "student", night.chosen["student"])
        jobs.append(job)
    return jobs


def _matted(night: _Night, job: _Job) -> bool:
    """Wait for the mattes of a take, then start its exports; whether all mattes were made."""
    config, take = night.config, job.take
    job.mattes = _results(night, job, "matte", job.started)
    _results(night, job, "benchmark", [job.benchmark] if job.benchmark else [])
    if len(job.mattes) < len(job.started):
        return False
    show_take_task(config.store, take["take"], job.runs)
    if config.mine.night_pictures:
        job.mined = mine_night_task.submit(config.store, take["take"], config)
    if config.exports:
        run = Run("student", night.chosen["student"]).name
        job.exports = [
            export_task.submit(config.store, take["take"], run, cameras, config.exports, config.night.formats)
            for cameras in camera_groups(config, take)
        ]
    return True


def _finish(night: _Night, job: _Job) -> None:
    """Wait for the exports of a take, remember that it is finished, and note it for the report."""
    take = job.take
    _results(night, job, "export", job.exports)
    mined, error = outcome(job.mined) if job.mined else (None, None)
    if error:  # the take is complete without it
        say(f"{take['take']}: nothing was mined: {error}")
    finished = not any(item["take"] == take["take"] for item in night.record["refused"])
    if finished:
        finish(night.config.store, take["take"], job.files, job.wanted, job.session)
    night.record["takes"].append(
        {
            "take": take["take"],
            "session": job.session,
            "cameras": len(take["cameras"]),
            "frames": len(take["frames"]),
            "runs": job.runs,
            "teacher": job.teacher,
            "teacher_wanted": job.wanted["teacher"],
            "finished": finished,
            "mined": mined["items"] if mined else 0,
            "exports": night.config.exports if job.exports else "",
            "seconds": round(take["wall_s"] + sum(matte["wall_s"] for matte in job.mattes), 2),
        }
    )


def _results(night: _Night, job: _Job, step: str, futures: list[PrefectFuture[Any]]) -> list[Any]:
    """What some tasks of a take returned; why others failed is noted once, since cameras fail alike."""
    ends = [outcome(future) for future in futures]
    errors = {str(error): error for _, error in ends if error}
    night.record["refused"] += [trouble(job.session, job.take["take"], step, error) for error in errors.values()]
    return [result for result, error in ends if not error]


def _drop_copies(night: _Night, inbox: Inbox) -> None:
    """Remove the copies of what lies on S3, except of takes that are not finished."""
    if isinstance(inbox.files, Bucket):
        done = {take["take"] for take in night.record["takes"] if take["finished"]} | {*night.record["kept"]}
        for arrived in inbox.sessions:
            drop(inbox.files, arrived, arrived.takes.keys() - done)


def _report(night: _Night, started: float, plan: str, done: bool) -> NightRecord:
    """Write the morning report; raises SessionError if everything was refused."""
    config, record = night.config, night.record
    nothing = bool(record["refused"]) and not done and not record["kept"]
    record["state"] = "Failed" if nothing else "NeedsHuman" if record["refused"] else "Completed"
    for item in record["refused"]:
        say(f"refused: {_in_words(item)}", "refused")
    report = morning_task(config.store, record, started, plan)
    say(f"morning report: {report['html']}")
    announce(config)
    if nothing:
        first = record["refused"][0]
        raise SessionError(
            f"nothing could be done, {len(record['refused'])} refused; first {first['where']}: {first['what']}",
            where=config.inbox,
            fix=f"See {report['html']}",
        )
    return report
