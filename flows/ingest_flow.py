"""Ingest alone, as a flow: for those who want the day's takes in the store before the night."""

from typing import Any

from prefect import flow

from flows.cluster.shared import default_runner
from flows.ingest import ingest_session
from flows.service.restarts import HOOKS
from flows.steps import session_name
from tasks.config import Config, load_config


@flow(name="ingest", flow_run_name=session_name, task_runner=default_runner(), **HOOKS)
def ingest(config: Config | None = None) -> dict[str, Any]:
    """Check the session and bring into the store what is not there yet.

    Args:
        config: the settings; None reads capmat.toml.

    Returns:
        The ingest records by take.
    """
    return ingest_session(config or load_config(), look=True)[1]
