"""A night over an inbox: every take on its own, so that a bad one stops none of the others.

What fails is collected and told in the morning. What was finished is remembered by the files it was made of, so
a take that lies in the inbox for weeks costs a look at its files and nothing else, also after the student changed.

The night is planned before it starts. When it is too short the teacher leaves frames out, as many as the plan says;
all of the student's work is sent before any of the teacher's.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from prefect.futures import PrefectFuture
from prefect.states import Completed

from capmat_errors import CapmatError, SessionError
from flows.ingest import ingest_arrived
from flows.service.events import tell_waiting
from flows.steps import matte_take, outcome
from tasks.config import Config
from tasks.ingest.arrival import Wanted, finish, unfinished
from tasks.ingest.inbox import Arrived, Inbox, drop, fetch_task, read_inbox_task, trouble
from tasks.ingest.inbox_files import Bucket
from tasks.ingest.session import TakeRecord
from tasks.labels.mine.queue import mine_night_task
from tasks.matte.export import export_task
from tasks.matte.take import MattesRecord
from tasks.models.networks import Ref, Run, champions_task, register_base_task
from tasks.night.morning import morning_task
from tasks.night.plan import NightPlan, plan_task, until_time
from tasks.night.record import NightRecord
from tasks.report.sheets import show_take_task
from tasks.runtime.progress import say
from tasks.runtime.step import Record
from tasks.validate.supervise import make_benchmark_task

_TOLD = 5  # refusals in a message; the report has all of them


@dataclass
class _Job:
    """A take that is being worked on: where it came from, and what was started for it.

    `teacher` is every how many frames the teacher sees tonight; 0 for none.
    """

    session: str
    record: TakeRecord
    files: str
    how: Wanted
    teacher: int
    mattes: list[PrefectFuture[Any]] = field(default_factory=list)
    benchmark: PrefectFuture[Any] | None = None
    exports: list[PrefectFuture[Any]] = field(default_factory=list)
    mined: PrefectFuture[Any] | None = None
    done: list[MattesRecord] = field(default_factory=list)

    @property
    def runs(self) -> list[str]:
        return sorted({matte["run"] for matte in self.done})


def night_of_inbox(config: Config, models: str) -> dict[str, Any]:
    """Take in and matte what has arrived.

    Args:
        config: the settings; `inbox` is a folder, or s3://bucket/prefix.
        models: see `flows.nightly.nightly`.

    Returns:
        `takes`, `models` and `mattes` as `nightly` does, of what was done now, and `night`: the record of the report.

    Raises:
        CapmatError: there is no inbox, or no model, or all that has arrived was refused.
    """
    started = time.time()
    begun = datetime.now().astimezone()
    until = until_time(config.night.until, begun, "night.until")
    inbox = read_inbox_task(config.inbox, config.night.still_minutes)
    for place in inbox.left:
        say(f"left for another night: {place['where']}: {place['why']}")
    base = register_base_task(config.store, config.weights, config.architectures)
    chosen = base if models == "base" else champions_task(config.store)
    night: NightRecord = {
        "inbox": config.inbox,
        "store": config.store,
        "models": {role: chosen[role] for role in ("teacher", "student", "supervisor")},
        "refused": list(inbox.refused),
        "left": inbox.left,
        "stages": [],
        "takes": [],
        "kept": [],
    }
    wanted = _wanted(config, inbox, night)
    plan, name = plan_task(config, inbox, until)
    say(planned(plan))
    jobs: list[_Job] = []
    for arrived in inbox.sessions:
        if how := wanted[arrived.file]:
            jobs += _start(config, arrived, how, base, chosen, night)
    for job in jobs:
        if every := plan.every * job.how["teacher"]:
            job.teacher = every
            job.mattes += matte_take(config, job.record, "teacher", chosen["teacher"], job.record["frames"][::every])
    jobs = [job for job in jobs if _matted(config, job, chosen["student"], night)]
    for job in jobs:
        _finish(config, job, night)
    if isinstance(inbox.files, Bucket):
        done = {take["take"] for take in night["takes"] if take["finished"]} | {*night["kept"]}
        for arrived in inbox.sessions:
            drop(inbox.files, arrived, arrived.takes.keys() - done)

    nothing = night["refused"] and not jobs and not night["kept"]
    night["state"] = "Failed" if nothing else "NeedsHuman" if night["refused"] else "Completed"
    report = morning_task(config.store, night, started, name)
    say(f"morning report: {report['html']}")
    announce(config)
    if nothing:
        raise SessionError(
            f"nothing could be done, {len(night['refused'])} refused; first {night['refused'][0]['where']}: "
            f"{night['refused'][0]['what']}",
            where=config.inbox,
            fix=f"See {report['html']}",
        )
    return {
        "takes": {job.record["take"]: job.record for job in jobs},
        "models": night["models"],
        "mattes": [matte for job in jobs for matte in job.done],
        "benchmark": None,
        "night": report,
    }


def needs_human(done: dict[str, Any]) -> Any:
    """The state of a run that did what could be done; `done` is what it returns.

    Its message is what people are sent: what was refused, where, what to do, and where the report lies.
    """
    night = done["night"]
    lines = [f"{len(night['refused'])} could not be done."]
    for item in night["refused"][:_TOLD]:
        place = " ".join(filter(None, (item["session"], item["take"])))
        lines.append(f"- {place}: {item['step']}: {item['where']}: {item['what']}. {item['fix']}")
    if (more := len(night["refused"]) - _TOLD) > 0:
        lines.append(f"... and {more} more")
    return Completed(name="NeedsHuman", message="\n".join([*lines, f"Report: {night['html']}"]), data=done)


def _wanted(config: Config, inbox: Inbox, night: NightRecord) -> dict[str, dict[str, Wanted]]:
    """What is to be done, by session.toml and take; what lies on S3 is copied here, or refused."""
    wanted: dict[str, dict[str, Wanted]] = {}
    for arrived in inbox.sessions:
        todo, finished = unfinished(config, arrived)
        night["kept"] += finished
        for name in list(todo):
            if not isinstance(inbox.files, Bucket):
                break
            try:
                fetch_task(inbox.files, arrived, name)
            except CapmatError as error:
                night["refused"].append(trouble(arrived.session.name, name, "fetch", error))
                del todo[name]
        wanted[arrived.file] = todo
    return wanted


def planned(plan: NightPlan) -> str:
    """The plan in one sentence."""
    if not any(part.pixels for part in plan.parts):
        return "nothing is to be done"
    late = "" if plan.fits else f", after {plan.until:%H:%M}"
    end = "not known when it is done" if plan.open else f"done at about {plan.done:%a %H:%M}{late}"
    seen = {0: "; the teacher is left out", 1: ""}.get(plan.every, f"; the teacher sees one frame in {plan.every}")
    return f"planned: {end}{seen}"


def announce(config: Config) -> None:
    """Tell the server about labels that wait: their own event may have been lost."""
    if url := tell_waiting(config.store):
        say(f"there are labels that wait; {url} was told")


def _start(
    config: Config,
    arrived: Arrived,
    how: Mapping[str, Wanted],
    base: Record,
    chosen: Record,
    night: NightRecord,
) -> list[_Job]:
    """Ingest what is new of a session and start the student's mattes."""
    session = arrived.session
    trimaps = session.benchmark.take if session.benchmark else ""
    takes = ingest_arrived(config, arrived, list(how), night["refused"].append, night["stages"].append)
    jobs = []
    for name, take in takes.items():
        job = _Job(session.name, take, arrived.takes[name], how[name], teacher=0)
        if name == trimaps:
            job.benchmark = make_benchmark_task.submit(
                config.store, arrived.file, base["supervisor"], take["digest"], config.supervisor.steps, config.seed
            )
        job.mattes = matte_take(config, take, "student", chosen["student"])
        jobs.append(job)
    return jobs


def _matted(config: Config, job: _Job, student: Ref, night: NightRecord) -> bool:
    """Wait for the mattes of a take, then start its exports; whether all mattes are there."""
    take = job.record
    job.done = _results(job, "matte", job.mattes, night)
    frozen = [job.benchmark] if job.benchmark else []
    _results(job, "benchmark", frozen, night)
    if len(job.done) < len(job.mattes):
        return False
    show_take_task(config.store, take["take"], job.runs)
    if config.mine.night_pictures:
        job.mined = mine_night_task.submit(config.store, take["take"], config)
    if config.exports:
        run, size = Run("student", student).name, config.cameras_per_task
        job.exports = [
            export_task.submit(
                config.store, take["take"], run, take["cameras"][i : i + size], config.exports, config.night.formats
            )
            for i in range(0, len(take["cameras"]), size)
        ]
    return True


def _finish(config: Config, job: _Job, night: NightRecord) -> None:
    """Wait for the exports of a take, remember that it is finished, and tell the morning."""
    take = job.record
    _results(job, "export", job.exports, night)
    mined, error = outcome(job.mined) if job.mined else (None, None)
    if error:  # nothing is missing without it, so the take is finished all the same
        say(f"{take['take']}: nothing was mined: {error}")
    finished = not any(item["take"] == take["take"] for item in night["refused"])
    if finished:
        finish(config.store, take["take"], job.files, job.how, job.session)
    night["takes"].append(
        {
            "take": take["take"],
            "session": job.session,
            "cameras": len(take["cameras"]),
            "frames": len(take["frames"]),
            "runs": job.runs,
            "teacher": job.teacher,
            "teacher_wanted": job.how["teacher"],
            "finished": finished,
            "mined": mined["items"] if mined else 0,
            "seconds": round(take["wall_s"] + sum(matte["wall_s"] for matte in job.done), 2),
        }
    )


def _results(job: _Job, step: str, futures: list[PrefectFuture[Any]], night: NightRecord) -> list[Any]:
    """What some tasks of a take returned; why the others failed is noted once, since cameras fail alike."""
    ends = [outcome(future) for future in futures]
    errors = {str(error): error for _, error in ends if error}
    night["refused"] += [trouble(job.session, job.record["take"], step, error) for error in errors.values()]
    return [result for result, error in ends if not error]
