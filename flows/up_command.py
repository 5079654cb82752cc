"""`capmat up` and `capmat down`: what one machine needs to work by itself, for this working folder.

A server, a worker, the deployments and the automations. `up` may be repeated at any time: it starts what is
missing and leaves alone what runs. `down` ends all of it, also what a killed part left behind.
"""

import fcntl
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import NoReturn

from flows import server as servers
from flows.deploy_command import POOL, deploy, deployment_file, make_pool, wait_for_worker
from flows.notifications import notify
from flows.processes import flow_run, is_server, is_worker, marked, spawn, stop
from flows.server import home
from tasks.config import Config

_LOOK_S = 5
_RUNS_AT_ONCE = 2


def up(config: Config, port: int) -> str:
    """Start what is missing; returns when everything answers.

    Args:
        config: the settings; flows read capmat.toml of the working folder themselves.
        port: wanted port of the server on loopback, if it has to be started.

    Returns:
        Address of the UI.

    Raises:
        CapmatError: the server, the worker or the deployments did not come up; where to read why.
    """
    with _alone():
        there = marked()
        server = servers.found()
        new = server is None
        if server is None:
            stop(p for p in there if is_server(p))  # part of one that was killed; it holds the database
            server = servers.start(port)
        servers.keep(server)
        os.environ.update(servers.environment(server.port))
        server.wait()
        make_pool()
        if not any(is_worker(p) for p in there):
            bury({flow_run(p) for p in there})
            _start_worker(new or not _deployed(config), config)
        elif new or not _deployed(config):
            _deploy(config)
        if new:
            _remind(config)
        notify(config)  # always: a block may have been made since
        return server.address


def _start_worker(deploy_too: bool, config: Config) -> None:
    started = time.time()
    words = ["prefect", "worker", "start", "--pool", POOL, "--type", "process", "--name", "capmat"]
    worker = spawn([*words, "--limit", str(_RUNS_AT_ONCE)], home() / "worker.log", {})
    (home() / "worker.pid").write_text(str(worker.pid))  # for people; `down` looks for itself
    if deploy_too:
        _deploy(config)
    wait_for_worker(started)


def _deploy(config: Config) -> None:
    deploy(config)
    (home() / "deployed").write_text(_said(config))


def _deployed(config: Config) -> bool:
    mark = home() / "deployed"
    return mark.exists() and mark.read_text() == _said(config)


def _said(config: Config) -> str:
    """What the deployments depend on."""
    return sha256(deployment_file().read_bytes() + str(config.redistill.quiet_s).encode()).hexdigest()


def _remind(config: Config) -> None:
    """Tell the new server about labels that wait: their event went to one that is gone, or to nobody."""
    from flows.label_event import tell_labels
    from tasks.scribble import waiting

    if waiting(config.store):
        tell_labels("waiting")


def bury(alive: set[str]) -> None:
    """Let runs whose process is gone end as crashed, so that nothing waits for them.

    Only while no worker runs: then nobody is about to start one. Runs of commands, which have no work pool, are left.

    Args:
        alive: ids of the runs that a process works on.
    """
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter
    from prefect.client.schemas.objects import StateType
    from prefect.states import Cancelled, Crashed

    open_states = [StateType.PENDING, StateType.RUNNING, StateType.CANCELLING]
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter.model_validate({"state": {"type": {"any_": open_states}}}),
            work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [POOL]}}),
        )
        for run in runs:
            if str(run.id) not in alive:
                ended = Cancelled if run.state and run.state.is_cancelling() else Crashed
                client.set_flow_run_state(run.id, ended(message="Its process is gone."))


def down() -> int:
    """Stop the worker, the flow runs it started and the server.

    Returns:
        Number of processes that were stopped; 0 if nothing ran.
    """
    with _alone():
        server = servers.found()
        borrowed = server is not None and not servers.kept()  # that of a command, which will stop it
        there = [p for p in marked() if not (borrowed and is_server(p))]
        stop(p for p in there if not is_server(p))
        if server is not None and servers.answers(server):
            os.environ.update(servers.environment(server.port))
            bury(set())
        if not borrowed:
            stop(marked())
            servers.forget()
        (home() / "worker.pid").unlink(missing_ok=True)
        return len(there)


def stay(config: Config, port: int) -> NoReturn:
    """`up`, and keep everything running until interrupted or asked to end (SIGTERM); then stop it."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        print(f"Prefect UI: {up(config, port)}   (Ctrl-C ends it)", flush=True)
        while True:
            time.sleep(_LOOK_S)
            if servers.found() is None or not any(is_worker(p) for p in marked()):
                print("something ended; starting it again", flush=True)
                up(config, port)
    finally:
        down()


@contextmanager
def _alone() -> Iterator[None]:
    """One `up` or `down` at a time in this folder; another one waits."""
    home().mkdir(parents=True, exist_ok=True)
    with Path(home(), "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
