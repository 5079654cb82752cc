"""The first step of every flow: the session checked, its plates and takes in the store."""

from collections.abc import Callable, Sequence
from typing import Any

from capmat_errors import CapmatError
from flows.outcome import outcome
from tasks.arrival import check_names
from tasks.config import Config
from tasks.inbox import Arrived, trouble
from tasks.session import check_task, ingest_task, plates_task
from tasks.step import Record


def ingest_session(config: Config) -> tuple[dict[str, Any], dict[str, Record]]:
    """Check a session and ingest what the store does not have yet.

    Args:
        config: the settings.

    Returns:
        What the check found (`takes`, `benchmark`), and the ingest records by take.
    """
    plan = check_task(config.session)
    plates = plates_task(config.store, config.session)
    futures = {
        name: ingest_task.submit(config.store, config.session, name, plates["digest"]) for name in plan["takes"]
    }
    return plan, {name: future.result() for name, future in futures.items()}


def ingest_arrived(
    store: str, arrived: Arrived, names: Sequence[str], refuse: Callable[[Record], None]
) -> dict[str, Record]:
    """Ingest some takes of a session, each on its own; every step looks at its files before it writes.

    Args:
        store: URL of the store.
        arrived: the session.
        names: which of its takes.
        refuse: told what cannot be done.

    Returns:
        The ingest records of the takes that are in the store.
    """
    session, futures, records = arrived.session, {}, {}
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
            futures[name] = ingest_task.submit(store, arrived.file, name, plates["digest"])
    for name, future in futures.items():
        record, failed = outcome(future)
        if failed:
            refuse(trouble(session.name, name, "ingest", failed))
        else:
            records[name] = record
    return records
