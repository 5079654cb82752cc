"""Every night: the day's takes in, mattes out.

Checks the session, ingests plates and takes, mattes every frame with the student in use and the chosen takes
with the teacher in use, and freezes the benchmark when the session brings trimaps. With an inbox it does so with
every session that has arrived there, each take on its own. It ends with a report for the morning.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, cast

from prefect import flow

from flows.cluster.runner import default_runner
from flows.inbox_night import needs_human, night_of_inbox
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import freeze_benchmark, label_run, matte_take, place_of, run_name, versions_of
from storage.store.marker import check_place
from storage.store.root import Root
from tasks.config import Config
from tasks.models.networks import ROLES, champions_task, register_base_task
from tasks.night.morning import morning_task
from tasks.night.plan import plan_night, until_time
from tasks.night.record import NightRecord
from tasks.report.sheets import show_take_task
from tasks.runtime.form import asked
from tasks.runtime.progress import say
from tasks.runtime.step import Record


@flow(name="nightly", flow_run_name=run_name, task_runner=default_runner(), **HOOKS)
def nightly(
    session: str = "",
    inbox: str = "",
    takes: Sequence[str] = (),
    until: str = "",
    models: Literal["champion", "base"] = "champion",
    overrides: Sequence[str] = (),
    config: str = "",
) -> dict[str, Any]:
    """Bring sessions into the store and matte them.

    Args:
        session: The `session.toml` of one recorded day, instead of an inbox. Empty: as the settings say.
        inbox: Folder or `s3://bucket/prefix` with the sessions of this night. Empty: as the settings say.
        takes: Names of some takes. Empty: all that have arrived.
        until: When the night should be over, as `07:00`. Empty: `night.until` of the settings.
        models: `champion` mattes with the models in use, `base` with the base weights.
        overrides: Other settings for this night, each as `KEY=VALUE`, such as `night.teacher_every=10`.
        config: File with the settings. Empty: `capmat.toml` of the folder of `capmat up`.

    Returns:
        Records: `takes` by name, `models` by role, `mattes`, `benchmark` if the session has one, and `night`: the
        record of the morning report.

    Raises:
        NeedsHuman: of an inbox, something was refused; the flow run ends in the state of that name.
        CapmatError: the session is faulty; of an inbox, nothing at all could be done.
    """
    settings = asked(config, overrides, session=session, inbox=inbox, until=until)
    check_place(Root(settings.store))
    if settings.inbox:
        done = night_of_inbox(settings, models, takes)
        # Prefect takes a state for how the run ends, and gives its data to the caller.
        return done if done["night"]["state"] == "Completed" else cast("dict[str, Any]", needs_human(done["night"]))
    return _night_of_session(settings, models, takes)


def _night_of_session(config: Config, models: str, names: Sequence[str]) -> dict[str, Any]:
    """Take in and matte some takes of the session, or all; arguments and result as in `nightly`."""
    began, stages = time.time(), list[Record]()
    # before the ingest: it may last longer than the night, and `until` is then that of the next day
    until = until_time(config.night.until, datetime.now().astimezone(), "night.until")
    plan, takes = ingest_session(config, look=stages.append, takes=names)
    base = register_base_task(config.store, config.weights, config.architectures)
    chosen = base if models == "base" else champions_task(config.store)
    label_run(place_of(config.session), *versions_of(chosen), *takes)
    every = teacher_every(config, until)
    taught = {name for name in takes if name in config.scribble_takes or name == plan["benchmark"]}

    measured = takes.get(plan["benchmark"])
    benchmark = freeze_benchmark(config, base, measured) if measured else None
    started = [future for take in takes.values() for future in matte_take(config, take, "student", chosen["student"])]
    for name, take in takes.items():
        if every and name in taught:
            started += matte_take(config, take, "teacher", chosen["teacher"], take["frames"][::every])
    mattes = [future.result() for future in started]
    frozen = benchmark.result() if benchmark else None
    record = NightRecord(
        inbox="",
        session=config.session,
        store=config.store,
        models={role: chosen[role] for role in ROLES},
        state="Completed",
        refused=[],
        left=[],
        stages=stages,
        takes=[],
        kept=[],
    )
    for name, take in takes.items():
        own = [matte for matte in mattes if matte["take"] == name]
        runs = sorted({matte["run"] for matte in own})
        show_take_task(config.store, name, runs)
        record["takes"].append(
            {
                "take": name,
                "session": stages[0]["session"],
                "cameras": len(take["cameras"]),
                "frames": len(take["frames"]),
                "runs": runs,
                "teacher": every if name in taught else 0,
                "teacher_wanted": int(name in taught),
                "finished": True,
                "seconds": round(take["wall_s"] + sum(matte["wall_s"] for matte in own), 2),
            }
        )
    return {
        "takes": takes,
        "models": {role: base[role] for role in ROLES},
        "mattes": mattes,
        "benchmark": frozen,
        "night": morning_task(config.store, record, began),
    }


def teacher_every(config: Config, until: datetime | None) -> int:
    """The teacher sees every n-th frame, so that the night ends in time; 0 if it sees none."""
    if not until:
        return 1
    every = plan_night(config, datetime.now().astimezone(), until).every
    say({0: "the night is too short for the teacher", 1: "the night is long enough for all"}.get(
        every, f"the night is short: the teacher sees one frame in {every}"))  # fmt: skip
    return every
