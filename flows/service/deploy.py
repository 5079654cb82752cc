"""`capmat deploy`: the deployments of prefect.yaml and the automations, on the server that is running."""

import os
import re
import subprocess
import sys
import time
from datetime import datetime, timedelta
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from capmat_errors import CapmatError, ConfigError
from flows.service import schedules
from flows.service.access import home
from tasks.config import Config

POOL = "capmat"
"""Work pool of the deployments; the worker of `capmat up` takes its runs."""

_OURS = Path(__file__).with_name("prefect.yaml")
_FLOWS = Path(__file__).parents[1]
_API_LIMIT_S = 60
_RUNS_AT_ONCE = 2


def deploy(config: Config, always: bool = True) -> None:
    """Register the deployments of the working folder's prefect.yaml, else those of capmat's own, and the automations.

    Their runs work in the present working folder. This needs Prefect's variables in the environment and a server that
    answers.

    Args:
        config: the settings.
        always: also if nothing changed since the last time.

    Raises:
        CapmatError: Prefect refused it; the log says why.
    """
    from prefect.client.orchestration import get_client

    from flows.service.automations import put_automations

    make_pool()
    of, before = schedules.noted()
    with get_client(sync_client=True) as client:
        existing = schedules.deployments_of(client, POOL)
        if always or of != _fingerprint() or not before.keys() <= {str(d.id) for d in existing}:
            paused = schedules.paused(existing)
            _run_prefect()
            existing = schedules.deployments_of(client, POOL)
            schedules.pause(client, existing, paused)
            file = {d.get("name", ""): bool(d.get("schedules") or d.get("schedule")) for d in _in_file()}
            schedules.note(_fingerprint(), schedules.drop(client, existing, file, before))
        put_automations(client, config.redistill.quiet_s)


def _in_file() -> list[dict[str, Any]]:
    """The deployments of prefect.yaml.

    Raises:
        ConfigError: the file cannot be read, or is not of Prefect's form.
    """
    file, form = deployment_file(), ""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as e:
        form = f" ({' '.join(str(e).split())})"
        content = None
    found = content.get("deployments") or [] if isinstance(content, dict) else None
    if not isinstance(found, list) or not all(isinstance(deployment, dict) for deployment in found):
        fix = "Correct it, then `capmat deploy`."
        raise ConfigError(f"is not a file of deployments{form}", where=str(file), fix=fix)
    return found


def next_night(now: datetime, up: bool) -> str:
    """When `nightly` starts next by the deployments of this folder, in words.

    Args:
        now: with any time zone.
        up: whether a worker is there to start it.
    """
    try:
        nights = [d for d in _in_file() if d.get("name") == "nightly" and not d.get("paused")]
    except ConfigError as error:
        return f"not known: {error}"
    schedules_of = [s for d in nights for s in d.get("schedules") or [d.get("schedule")] if isinstance(s, dict)]
    timed = [s for s in schedules_of if s.get("cron") and s.get("active", True)]
    if not timed:
        return "prefect.yaml has no schedule with a time (cron) that is active for `nightly`"
    when = " and ".join(_next_time(now, str(s["cron"]), str(s.get("timezone") or "UTC")) for s in timed)
    return when if up else f"after `capmat up`, at {when}; no worker runs for this folder"


def _next_time(now: datetime, cron: str, zone: str) -> str:
    """The next time of a daily schedule; of another one what stands in the file."""
    daily = re.fullmatch(r"([0-5]?\d) ([01]?\d|2[0-3]) \* \* \*", cron)
    try:
        there = now.astimezone(ZoneInfo(zone))
    except (KeyError, ValueError, OSError):  # no such zone; Prefect will say so
        daily = None
    if not daily:
        return f"{cron} ({zone})"
    at = there.replace(hour=int(daily[2]), minute=int(daily[1]), second=0, microsecond=0)
    return f"{at if at > there else at + timedelta(days=1):%Y-%m-%d %H:%M} ({zone})"


def _fingerprint() -> str:
    """What the deployments depend on: the file, the folder of their runs, and the flows, which make the forms."""
    flows = b"".join(file.read_bytes() for file in sorted(_FLOWS.glob("*.py")))
    return sha256(deployment_file().read_bytes() + str(Path.cwd()).encode() + flows).hexdigest()


def make_pool() -> None:
    """Make the work pool, or set its limit.

    The pool limits the runs at once, not the worker: a worker with a limit dies when a run restarts whose process it
    still sees end.

    Raises:
        ConfigError: the server in `PREFECT_API_URL` does not answer, or refuses the password.
    """
    from httpx import TransportError
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate, WorkPoolUpdate
    from prefect.exceptions import ObjectAlreadyExists, PrefectHTTPStatusError

    where = os.environ["PREFECT_API_URL"]
    try:
        with get_client(sync_client=True) as client:
            try:
                client.create_work_pool(WorkPoolCreate(name=POOL, type="process", concurrency_limit=_RUNS_AT_ONCE))
            except ObjectAlreadyExists:
                client.update_work_pool(POOL, WorkPoolUpdate(concurrency_limit=_RUNS_AT_ONCE))
    except PrefectHTTPStatusError as e:
        if e.response.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise
        fix = "Set PREFECT_API_AUTH_STRING to the password of that server."
        raise ConfigError("the Prefect server refuses this password", where=where, fix=fix) from e
    except TransportError as e:
        fix = "Start it, or correct PREFECT_API_URL."
        raise ConfigError(f"no Prefect server answers ({e})", where=where, fix=fix) from e


def deployment_file() -> Path:
    """The prefect.yaml in use."""
    own = Path("prefect.yaml")
    return own.resolve() if own.exists() else _OURS


def _run_prefect() -> None:
    log = home() / "deploy.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    words = ["--no-prompt", "deploy", "--all", "--prefect-file", str(deployment_file())]
    with log.open("ab") as out:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "prefect", *words],
            env={**os.environ, "PWD": str(Path.cwd())},  # prefect.yaml uses it
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            check=False,
        )
    if done.returncode:
        raise CapmatError("the deployments were refused", where=str(deployment_file()), fix=f"See {log}")


def wait_for_worker(started: float) -> None:
    """Return when a worker that was alive after `started` (seconds since 1970) takes runs.

    Raises:
        CapmatError: no worker did within a minute.
    """
    from prefect.client.orchestration import get_client

    until = time.monotonic() + _API_LIMIT_S
    with get_client(sync_client=True) as client:
        while time.monotonic() < until:
            workers = client.read_workers_for_work_pool(POOL)
            if any(w.last_heartbeat_time and w.last_heartbeat_time.timestamp() >= started for w in workers):
                return
            time.sleep(0.5)
    raise CapmatError("the worker does not answer", fix=f"See {home() / 'worker.log'}")
