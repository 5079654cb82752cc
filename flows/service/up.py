"""`capmat up` and `capmat down`: server, worker, deployments and automations of this working folder.

`up` may be repeated at any time: it starts what is missing and does not touch what runs. `down` ends everything, also
what a killed part left behind.
"""

import os
import signal
import socket
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn

import psutil

from capmat_errors import CapmatError
from flows.service import server as servers
from flows.service.access import home, is_ours
from flows.service.deploy import POOL, deploy, make_pool, wait_for_worker
from flows.service.events import tell_waiting
from flows.service.history import long_logs, shorten
from flows.service.notifications import notify
from flows.service.processes import environment_of, flow_run, is_server, is_worker, kill, marked, spawn, stop
from flows.service.restarts import AGAIN, STARTS, end_tasks, mend, open_runs, worth_restarting
from flows.service.schedules import only_the_newest
from tasks.config import Config
from tasks.runtime.listener import Ended

_LOOK_S = 5
_SILENT_S = 90  # three signs of life of a worker
_ENDED = ("Crashed", "Failed")  # an event may be lost, and with it the restart by an automation
_ENDED_WITHIN = timedelta(days=1)
_CANCEL_WITHIN = timedelta(seconds=45)  # a worker gives the process 30
_PATIENCE_S = 30  # for one answer; Prefect waits for six, a minute each


def up(config: Config, port: int | None, held: list[socket.socket] | None = None) -> str:
    """Start what is missing; returns when everything answers.

    Args:
        config: the settings; flows read capmat.toml of the working folder themselves.
        port: of the server on loopback; None for that of the folder's last server.
        held: see `flows.service.server.start`.

    Returns:
        Address of the UI that lets one browser in.

    Raises:
        ConfigError: see `flows.service.server.prefect_server`.
        CapmatError: the server, the worker or the deployments did not come up; where to read why.
    """
    from prefect.client.orchestration import get_client

    with servers.alone():
        server = servers.running(port)
        new = server is None
        server = server or servers.start(port, held)
        servers.keep(server)
        servers.use(server)
        server.wait()
        with nullcontext() if held is None else _impatient():
            make_pool()
            with get_client(sync_client=True) as client:
                only_the_newest(client, POOL)
            if not _worker_works():
                started = time.time()
                _mend(marked())
                _start_worker()
                deploy(config, always=False)
                wait_for_worker(started)
            else:
                deploy(config, always=False)
            if new:
                tell_waiting(config.store)
            notify(config)  # always, because a block may be new
        return server.link()


def _impatient() -> AbstractContextManager[Any]:
    """Give up soon on a server that does not answer: the held port of a killed one takes every question."""
    from prefect.settings import PREFECT_API_REQUEST_TIMEOUT, PREFECT_CLIENT_MAX_RETRIES, temporary_settings

    return temporary_settings({PREFECT_API_REQUEST_TIMEOUT: _PATIENCE_S, PREFECT_CLIENT_MAX_RETRIES: 1})


def _worker_works() -> bool:
    """Whether a worker shows signs of life to this server. One that does not is stopped.

    So are a worker and runs that talk to another server, or have another password: their server came back elsewhere.
    """
    wanted = {name: os.environ[name] for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING")}
    ours = [(p, environment_of(p)) for p in marked() if not is_server(p)]
    stop(p for p, env in ours if any((env.get(name) or value) != value for name, value in wanted.items()))
    workers = [p for p in marked() if is_worker(p)]
    if not workers:
        return False
    try:
        wait_for_worker(time.time() - _SILENT_S)
    except CapmatError:
        stop(workers)
        return False
    given = environment_of(workers[0])
    other = {n for n in {*given, *os.environ} if n.startswith("CAPMAT_") and given.get(n) != os.environ.get(n)}
    if other:
        names = ", ".join(sorted(other))
        sys.stderr.write(f"capmat: {names}: runs keep what `up` had at first; `capmat down` and `up` change it\n")
    return True


def _start_worker() -> None:
    words = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", "capmat"]
    worker = spawn(words, home() / "worker.log", {})
    (home() / "worker.pid").write_text(str(worker.pid))  # for people; `down` does not need it


def _mend(running: list[psutil.Process]) -> None:
    """Restart runs without a process. Only while no worker runs, since a worker may be about to start them."""
    from prefect.client.orchestration import get_client

    alive = {flow_run(p) for p in running}
    with get_client(sync_client=True) as client:
        mend(client, [run for run in open_runs(client, POOL, *_ENDED) if str(run.id) not in alive and _fresh(run)])


def _fresh(run: Any) -> bool:
    """Whether a run is open, or ended today in a way that may not repeat.

    That may have gone unnoticed, if the server died as well.
    """
    return not run.state.is_final() or (worth_restarting(run) and _age(run) < _ENDED_WITHIN)


def _age(run: Any) -> timedelta:
    return datetime.now(UTC) - run.state.timestamp


def _look_after(lost: set[str]) -> set[str]:
    """Look after the processes of a killed worker as a worker does after its own.

    Args:
        lost: ids of the runs without a process at the last look. Those that still lack one start again.

    Returns:
        The ids of further runs without a process.
    """
    from prefect.client.orchestration import get_client

    with get_client(sync_client=True) as client:
        opened = [run for run in open_runs(client, POOL, *_ENDED) if not run.state.is_pending() and _fresh(run)]
        runs = {str(run.id): run for run in opened if run.run_count < STARTS or not run.state.is_final()}
        running = [p for p in marked() if flow_run(p)]
        stuck = {name for name, run in runs.items() if run.state.is_cancelling() and _age(run) > _CANCEL_WITHIN}
        kill(p for p in running if flow_run(p) in stuck)
        missing = set(runs) - {flow_run(p) for p in running}
        mend(client, [runs[run] for run in missing & lost])
    return missing - lost


def down() -> int:
    """Stop the worker, the flow runs it started and the server. The runs are cancelled and do not start again.

    Returns:
        Number of processes that were stopped; 0 if nothing ran.
    """
    with servers.alone():
        server = servers.running_server()
        if server and (why := _cancel(server)):
            sys.stderr.write(f"capmat: {server.address}: runs may stay open in its database, because {why}\n")
        return _stop()


def _cancel(server: servers.Server) -> str:
    """Cancel the runs that are open; why that was not possible, or "". The processes end in any case."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.exceptions import PrefectException
    from prefect.states import Cancelled

    if not (ours := is_ours(server.port)):
        return "it does not answer" if ours is None else "it does not take this password"
    servers.use(server)
    try:
        with get_client(sync_client=True) as client:
            for run in open_runs(client, POOL, AGAIN):
                client.set_flow_run_state(run.id, Cancelled(message="Cancelled by `capmat down`."))
                end_tasks(client, run.id, datetime.now(UTC))
    except (HTTPError, PrefectException) as error:
        return f"it does not answer as expected ({error})"
    return ""


def _stop() -> int:
    """The server stops only if no other command uses it; else the last of those will stop it."""
    before = marked()
    stop(p for p in before if not is_server(p))
    if server := servers.running_server():
        servers.keep(server, yes=False)
    servers.stop_unused()
    (home() / "worker.pid").unlink(missing_ok=True)
    return len(set(before) - set(marked()))


def stay(config: Config, port: int | None) -> NoReturn:
    """`up`, and keep everything running until interrupted or asked to end (SIGTERM); then stop it.

    The next `up` continues the runs that were stopped.
    """
    held: list[socket.socket] = []
    try:
        try:
            _keep_up(config, port, held)
        finally:
            with servers.alone():
                _stop()
    except Ended as ended:
        if ended.signal != signal.SIGTERM:
            raise
        sys.exit(0)


def _keep_up(config: Config, port: int | None, held: list[socket.socket]) -> NoReturn:
    from httpx import HTTPError
    from prefect.exceptions import PrefectException

    link, lost = "", set[str]()
    while True:
        try:
            if not link:
                link = up(config, port, held)
                print(f"Prefect UI: {link}   (Ctrl-C ends it)", flush=True)
            elif servers.running_server() is None or not any(is_worker(p) for p in marked()):
                print("a part ended; restarting it", flush=True)
                up(config, port, held)
            with _impatient():
                lost = _look_after(lost)
            for log in long_logs():
                shorten(log)
        except (CapmatError, HTTPError, PrefectException) as error:  # killed again meanwhile, or overloaded
            if isinstance(error, CapmatError) and not link:
                raise
            print(f"{str(error) or type(error).__name__}; trying again", flush=True)
        time.sleep(_LOOK_S)
