"""The Prefect server of this working folder: started when needed, found again when it is already there.

It keeps its database in `.capmat/prefect` and listens on loopback only. The environment is set before Prefect
is imported, because Prefect reads its settings at import; so this module must not import Prefect at the top.
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

from capmat_errors import CapmatError

_TELL_S = 20
START_LIMIT_S = 240
"""Longest wait for the server; the first start on a busy machine creates its database."""

_QUIET = {
    # nothing leaves the machine
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    # the newer UI asks a foreign host for its feature switches
    "PREFECT_SERVER_UI_V2_ENABLED": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # the terminal shows our own lines; Prefect's go to the run's log in the UI
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    # SQLite keeps up only when task states are written in batches
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_READ_BATCH_SIZE": "100",
    "PREFECT_SERVER_SERVICES_TRIGGERS_READ_BATCH_SIZE": "100",
}


def home() -> Path:
    """Folder of Prefect's database and logs: `.capmat/prefect` below the working folder."""
    return Path(".capmat/prefect").resolve()


def _environment(port: int) -> dict[str, str]:
    return {
        **_QUIET,
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
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _start(port: int) -> subprocess.Popen[bytes]:
    home().mkdir(parents=True, exist_ok=True)
    with (home() / "server.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, **_environment(port)},
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches the flow first, which then stops the server in order
        )


class Server:
    """A Prefect server that is running or about to.

    Args:
        port: of its API and UI, on loopback.
        pid: of the server process, which leads its own process group.
        process: the process, if this run started it.
    """

    def __init__(self, port: int, pid: int, process: subprocess.Popen[bytes] | None) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self._port, self._pid, self._process = port, pid, process

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            CapmatError: it ended, or did not answer in time; its log says why.
        """
        until = time.monotonic() + START_LIMIT_S
        while not _healthy(self._port):
            ended = self._process is not None and self._process.poll() is not None
            if ended or time.monotonic() > until:
                raise CapmatError("the Prefect server did not start", fix=f"See {home() / 'server.log'}")
            time.sleep(0.3)

    def stop(self) -> None:
        """End the server and its children, politely first."""
        try:
            os.killpg(self._pid, signal.SIGTERM)
            if self._process is not None:
                self._process.wait(timeout=20)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            os.killpg(self._pid, signal.SIGKILL)


@contextmanager
def prefect_server(port: int = 4200) -> Iterator[Server]:
    """A Prefect server for this working folder, starting up: call its `wait` before the first flow.

    Starting takes a while, which the caller may use. A server that an earlier, killed run left behind is taken
    over instead of starting a second one on the same database. The server stops at the end in either case.

    Args:
        port: wanted port on loopback; another free one is taken if it is in use.
    """
    note = home() / "server.json"
    left = json.loads(note.read_text()) if note.exists() else {}
    if left and _healthy(left["port"]):
        port, server = left["port"], Server(left["port"], left["pid"], None)
    else:
        port = _free_port(port)
        process = _start(port)
        server = Server(port, process.pid, process)
        note.write_text(json.dumps({"port": port, "pid": process.pid}))
    os.environ.update(_environment(port))
    try:
        yield server
    finally:
        _tell_the_rest()
        server.stop()
        note.unlink(missing_ok=True)


def _tell_the_rest() -> None:
    """Send the events and log lines that still wait, while there is a server to take them.

    Prefect sends them from threads of its own and, at the exit of the process, would try for a minute to reach a
    server that is gone.
    """
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        EventsWorker.drain_all(timeout=_TELL_S)
        APILogWorker.drain_all(timeout=_TELL_S)
