"""The first step of every flow: the session checked, its plates and takes in the store.

Before a take comes in, the stage check looks at a few of its frames; whether that warns or refuses is `stage.drift`.
"""

from collections.abc import Callable, Sequence
from typing import Any

from prefect import flow
from prefect.futures import PrefectFuture

from capmat_errors import CapmatError, PlateMismatch
from flows.cluster.runner import default_runner
from flows.service.restarts import HOOKS
from flows.steps import outcome, run_name
from storage.store.marker import check_place
from storage.store.root import Root
from tasks.config import Config
from tasks.ingest.arrival import check_names
from tasks.ingest.inbox import Arrived, Refused, trouble
from tasks.ingest.session import SessionRecord, TakeRecord, check_task, ingest_task, plates_task
from tasks.runtime.form import asked, chosen
from tasks.runtime.step import Record
from tasks.stage.check import stage_check_task
from tasks.stage.mend import mend_task


def ingest_session(
    config: Config, *, look: Callable[[Record], None] | None = None, takes: Sequence[str] = ()
) -> tuple[SessionRecord, dict[str, TakeRecord]]:
    """Check a session and ingest what the store does not have yet.

    Args:
        config: the settings.
        look: told what the stage check before each take found; None checks no stage.
        takes: some of the session's takes; none means all.

    Returns:
        What the check found (`takes`, `benchmark`), and the ingest records by take.
    """
    check_place(Root(config.store))
    plan = check_task(config.session)
    names = chosen(takes, plan["takes"], config.session)
    plates = plates_task(config.store, config.session)
    if look:
        looks = [stage_check_task.submit(config, config.session, name, plates["digest"]) for name in names]
        for future in looks:
            look(future.result())
    futures = {name: ingest_task.submit(config.store, config.session, name, plates["digest"]) for name in names}
    fitted = [mend_task.submit(config, future.result()) for future in futures.values()]
    return plan, {name: future.result() for name, future in zip(futures, fitted, strict=True)}


def ingest_arrived(
    config: Config,
    arrived: Arrived,
    names: Sequence[str],
    refuse: Callable[[Refused], None],
    tell: Callable[[Record], None],
) -> dict[str, TakeRecord]:
    """Ingest some takes of a session, each on its own; every step looks at its files before it writes.

    Args:
        config: the settings.
        arrived: the session.
        names: which of its takes.
        refuse: told what cannot be done.
        tell: told what the stage check of each take found.

    Returns:
        The ingest records of the takes that are in the store.
    """
    store, session = config.store, arrived.session
    looks, faults, records = {}, {}, {}
    futures: dict[str, PrefectFuture[TakeRecord]] = {}
    try:
        check_names(store, session)
    except CapmatError as error:
        refuse(trouble(session.name, "", "plates", error))
        return {}
    plates, failed = outcome(plates_task.submit(store, arrived.file))
    if failed:
        refuse(trouble(session.name, "", "plates", failed))
        return {}
    for name in names:
        try:
            check_names(store, session, name)
        except CapmatError as error:
            refuse(trouble(session.name, name, "ingest", error))
        else:
            looks[name] = stage_check_task.submit(config, arrived.file, name, plates["digest"])
    for name, look in looks.items():
        looked, failed = outcome(look)
        if isinstance(failed, PlateMismatch):
            refuse(trouble(session.name, name, "stage check", failed))
            continue
        if failed:
            faults[name] = trouble(session.name, name, "stage check", failed)
        else:
            tell(looked)
        futures[name] = ingest_task.submit(store, arrived.file, name, plates["digest"])
    fitted: dict[str, PrefectFuture[TakeRecord]] = {}
    for name, future in futures.items():
        record, failed = outcome(future)
        if failed:
            refuse(trouble(session.name, name, "ingest", failed))
        else:
            fitted[name] = mend_task.submit(config, record)
    for name, future in fitted.items():
        record, failed = outcome(future)
        if failed:
            refuse(trouble(session.name, name, "ingest", failed))
            continue
        records[name] = record
        if name in faults:  # what keeps a take from being ingested is told as that
            refuse(faults[name])
    return records


@flow(name="ingest", flow_run_name=run_name, task_runner=default_runner(), **HOOKS)
def ingest(
    session: str = "", takes: Sequence[str] = (), overrides: Sequence[str] = (), config: str = ""
) -> dict[str, Any]:
    """Check a session and bring into the store what is not there yet.

    Args:
        session: The `session.toml` of a recorded day. Empty: `session` of the settings.
        takes: Names of some of its takes. Empty: all.
        overrides: Other settings for this run, each as `KEY=VALUE`, such as `stage.drift=block`.
        config: File with the settings. Empty: `capmat.toml` of the folder of `capmat up`.

    Returns:
        The ingest records by take.
    """
    found: list[Record] = []
    return ingest_session(asked(config, overrides, session=session), look=found.append, takes=takes)[1]
