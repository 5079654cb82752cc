"""What runs are called in the UI: by what they work on, so that a list of nights can be read.

Prefect asks for the name before the flow begins. Settings that cannot be read are no matter of a name: the flow
itself is about to say what is wrong with them.
"""

import time
from pathlib import Path

from prefect import runtime
from prefect.client.orchestration import get_client

from capmat_errors import CapmatError
from tasks.config import Config, load_config


def night_name() -> str:
    """`nightly 2026-11-23 stage-inbox`; without an inbox the session's folder."""
    config = _config()
    place = config.inbox.rstrip("/").rpartition("/")[2] or _session(config) if config else ""
    return " ".join(filter(None, (runtime.flow_run.flow_name, time.strftime("%Y-%m-%d"), place)))


def session_name() -> str:
    """`ingest day1`: the flow and the session's folder."""
    config = _config()
    return " ".join(filter(None, (runtime.flow_run.flow_name, _session(config) if config else "")))


def rename_run(name: str) -> None:
    """Give the present flow run a name that was not known when it began."""
    with get_client(sync_client=True) as client:
        client.set_flow_run_name(runtime.flow_run.id, name)


def _config() -> Config | None:
    try:
        return runtime.flow_run.parameters.get("config") or load_config()
    except CapmatError:
        return None


def _session(config: Config) -> str:
    return Path(config.session).resolve().parent.name
