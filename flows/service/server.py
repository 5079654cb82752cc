"""The Prefect server of this working folder: started when needed, used again when it runs already.

It keeps its database in `.capmat/prefect` and listens on loopback only. Prefect reads its settings at import, so
the environment is set first, and this module must not import Prefect at the top. A server that `capmat up` started
or took over stays when the command that uses it ends.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from capmat_errors import CapmatError
from flows.service.processes import is_our_server, spawn

_TELL_S = 20
START_LIMIT_S = 240
"""Longest wait for the server; the first start on a busy machine creates its database."""

_VARIABLES = {
    # a package of the working folder never takes the place of capmat's; see capmat_packages.py
    "PYTHONSAFEPATH": "1",
    "PREFECT_PLUGINS_ENABLED": "1",
    "PREFECT_PLUGINS_ALLOW": "capmat",
    # nothing leaves the machine
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # the newer UI asks a foreign host for its feature switches
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # what tasks log with Python's logging, also on Dask's workers, which inherit this
    "PREFECT_LOGGING_EXTRA_LOGGERS": "capmat",
    # the terminal shows our own lines; Prefect's go to the run's log in the UI
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    # SQLite keeps up only when task states are written in batches
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
    # the holder of the one place of a deployment is remembered, or a killed server blocks the place for ever
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # seconds between the signs of life of a flow run; see flows/service/automations.py
    "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "60",
}


def home() -> Path:
    """Folder of Prefect's database and logs: `.capmat/prefect` below the working folder."""
    return Path(".capmat/prefect").resolve()


def environment(port: int) -> dict[str, str]:
    """Variables for the server at `port` and for every process that talks to it."""
    # one password for both sides; Prefect has a variable for each
    password = os.environ.get("PREFECT_SERVER_API_AUTH_STRING")
    return {
        **({"PREFECT_API_AUTH_STRING": password} if password else {}),
        **_VARIABLES,
        "PREFECT_HOME": str(home()),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
    }


def _healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _free_port(wanted: int) -> int:
    with socket.socket() as probe:
        # as the server does: closing connections do not block a port
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _note() -> Path:
    return home() / "server.json"


def _noted() -> dict[str, Any]:
    try:
        return dict(json.loads(_note().read_text()))
    except (FileNotFoundError, ValueError):  # missing, or its writer was killed
        return {}


def _write_note(server: "Server", keep: bool) -> None:
    new = _note().with_suffix(".new")
    new.write_text(json.dumps({"port": server.port, "pid": server.pid, "keep": keep}))
    new.replace(_note())


def running_server() -> "Server | None":
    """The server of this folder that runs already, answering or about to; None if no server runs."""
    note = _noted()
    if note and is_our_server(note["pid"]):
        return Server(note["port"], note["pid"], None)
    return None


def use(server: "Server") -> None:
    """Let this process, and those that it starts, talk to the server."""
    os.environ.update(environment(server.port))
    if "prefect.context" in sys.modules:  # it has read its settings already, perhaps of a killed server
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def answers(server: "Server") -> bool:
    """Whether it answers now."""
    return _healthy(server.port)


def kept() -> bool:
    """Whether the server stays when the command that uses it ends."""
    return bool(_noted().get("keep"))


def keep(server: "Server") -> None:
    """Let the server stay when the command that uses it ends."""
    _write_note(server, keep=True)


def forget() -> None:
    """Remove the note about a server that was stopped."""
    _note().unlink(missing_ok=True)


def start(port: int) -> "Server":
    """Start a server; see `prefect_server`. It takes the port of a killed one, where runs look for it."""
    port = _free_port(_noted().get("port", port))
    words = ["prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    process = spawn(words, home() / "server.log", environment(port))
    server = Server(port, process.pid, process)
    _write_note(server, keep=False)
    return server


class Server:
    """A Prefect server that is running or about to.

    Args:
        port: of its API and UI, on loopback.
        pid: of the server process, which leads its own process group.
        process: the process, if this run started it.
    """

    def __init__(self, port: int, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.port, self.pid, self._process = port, pid, process

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            CapmatError: it ended, or did not answer in time; its log says why.
        """
        until = time.monotonic() + START_LIMIT_S
        while not _healthy(self.port):
            if self._ended() or time.monotonic() > until:
                raise CapmatError("the Prefect server did not start", fix=f"See {home() / 'server.log'}")
            time.sleep(0.3)

    def _ended(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return not is_our_server(self.pid)

    def stop(self) -> None:
        """End the server and its children, politely first."""
        try:
            os.killpg(self.pid, signal.SIGTERM)
            if self._process is not None:
                self._process.wait(timeout=20)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            os.killpg(self.pid, signal.SIGKILL)


@contextmanager
def prefect_server(port: int = 4200) -> Iterator[Server]:
    """A Prefect server for this working folder, starting up: call its `wait` before the first flow.

    Starting takes a while, which the caller may use. A server that an earlier, killed run left is taken over, because
    two servers must not share a database. The server stops at the end, unless it is that of `capmat up`.

    Args:
        port: wanted port on loopback; another free one is taken if it is in use.
    """
    server = running_server() or start(port)
    use(server)
    try:
        yield server
    finally:
        _tell_the_rest()
        if not kept():
            server.stop()
            forget()


def _tell_the_rest() -> None:
    """Send the events and log lines that still wait, while the server runs.

    Prefect sends them from its own threads, and at exit tries for a minute to reach a server that has stopped.
    """
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        EventsWorker.drain_all(timeout=_TELL_S)
        APILogWorker.drain_all(timeout=_TELL_S)
