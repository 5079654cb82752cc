"""The first step of every flow: the session checked as a whole, its plates and takes in the store."""

from typing import Any

from tasks.config import Config
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
