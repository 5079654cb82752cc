"""The Prefect server of this working folder: started when needed, used again when it runs already.

It keeps its database in `.capmat/prefect` and listens on loopback only. Prefect reads its settings at import, so
the environment is set first, and this module must not import Prefect at the top. A server stays as long as a command
uses it, and one that `capmat up` started or took over until `capmat down`.
"""

import fcntl
import json
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from capmat_errors import CapmatError, ConfigError
from flows.service.access import OWN, home, is_ours, link, make_password, password, private_home
from flows.service.history import forgetting
from flows.service.processes import is_our_server, is_server, marked, spawn, stop
from storage.store.json_file import FileDamaged, object_of
from tasks.runtime.settings import load_config

_TELL_S = 20
START_LIMIT_S = 240
"""Longest wait for the server; the first start on a busy machine creates its database."""

_VARIABLES = {
    # a package of the working folder never takes the place of capmat's; see capmat_packages.py
    "PYTHONSAFEPATH": "1",
    "PREFECT_PLUGINS_ENABLED": "1",
    "PREFECT_PLUGINS_ALLOW": "capmat",
    # nothing leaves the machine; see also tasks/__init__.py
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
    "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",
    # what tasks log with Python's logging, also on Dask's workers, which inherit this
    "PREFECT_LOGGING_EXTRA_LOGGERS": "capmat",
    # the terminal shows our own lines; Prefect's go to the run's log in the UI
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "WARNING",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS": "tasks.runtime.console.Console",
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


def environment(port: int) -> dict[str, str]:
    """Variables for the server at `port` and for every process that talks to it."""
    return {
        **_VARIABLES,
        "PREFECT_HOME": str(home()),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_API_AUTH_STRING": password(),
        "PREFECT_SERVER_UI_API_URL": f"http://127.0.0.1:{port}/api",
    }


@contextmanager
def alone() -> Iterator[None]:
    """Let one command at a time start or stop parts of this folder; others wait."""
    with (private_home() / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def listen(port: int | None) -> socket.socket:
    """A socket that listens on loopback, which the server inherits: so nobody else can take its port meanwhile.

    Args:
        port: None takes that of the folder's last server, where runs and bookmarks look for it, or any free one.

    Raises:
        ConfigError: another program has the port.
    """
    for wanted in [port] if port else [_noted().get("port", 4200), 0]:
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", wanted))
            listening.listen(2048)
        except OSError:
            listening.close()
        else:
            return listening
    raise ConfigError(
        "another program has this port", where=f"--port {port}", fix="Choose another, or remove --port."
    )


def _note() -> Path:
    return home() / "server.json"


def _noted() -> dict[str, Any]:
    try:
        note = object_of(_note().read_bytes(), str(_note()), port=int, pid=int | None)
    except (FileNotFoundError, PermissionError, FileDamaged):  # missing, another user's, or its writer was killed
        return {}
    pid = note.get("pid")
    return note if 0 < note["port"] < 2**16 and (pid is None or pid > 0) else {}


def _write_note(port: int, pid: int | None, keep: bool) -> None:
    new = _note().with_suffix(".new")
    new.write_text(json.dumps({"port": port, "pid": pid, "keep": keep}))
    new.replace(_note())


def running_server() -> "Server | None":
    """The server of this folder that runs already, answering or about to; None if no server runs."""
    note = _noted()
    if note.get("pid") and is_our_server(note["pid"]):
        return Server(note["port"], note["pid"])
    return None


def use(server: "Server") -> None:
    """Let this process, and those that it starts, talk to the server."""
    os.environ.update(environment(server.port))
    if "prefect.context" in sys.modules:  # it has read its settings already, perhaps of a killed server
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()
    if "prefect.main" in sys.modules:  # and has set up the terminal, where each refusal would be a traceback
        from prefect.logging.configuration import setup_logging

        logging.getLogger("capmat").handlers.clear()  # it would add its own once more
        setup_logging(incremental=False)


def kept() -> bool:
    """Whether the server stays when the commands that use it end."""
    return bool(_noted().get("keep"))


def keep(server: "Server", yes: bool = True) -> None:
    """Let the server stay when the commands that use it end, or not any more."""
    _write_note(server.port, server.pid, yes)


def start(port: int | None, held: list[socket.socket] | None = None) -> "Server":
    """Start a server; see `prefect_server`. The caller is `alone`.

    Args:
        port: on loopback; None for that of the folder's last server.
        held: keeps the port's socket, for the server that takes this one's place. Until then nobody else can take the
            port and receive the password from those who ask there again.
    """
    stop(p for p in marked() if is_server(p))  # the rest of a killed server holds the database
    secret = make_password()
    listening = held.pop() if held else listen(port)
    port = int(listening.getsockname()[1])
    own = {OWN: secret, "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"http://127.0.0.1:{port},http://localhost:{port}"}
    own |= forgetting(load_config().night.keep_days)
    words = ["flows.service.guard", "server", str(listening.fileno())]
    process = spawn(words, home() / "server.log", environment(port) | own, listening.fileno())
    if held is None:
        listening.close()
    else:
        held.append(listening)
    _write_note(port, process.pid, keep=False)
    return Server(port, process.pid, process)


def stop_unused() -> None:
    """Stop the server unless `capmat up` keeps it or a command uses it. The caller is `alone`."""
    with _users() as users:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        if not kept():
            stop(p for p in marked() if is_server(p))
            if port := _noted().get("port"):
                _write_note(port, None, keep=False)


def _users() -> IO[str]:
    """A file that every command which uses the server locks together with the others; the lock ends with it."""
    return (private_home() / "users.lock").open("w")


class Server:
    """A Prefect server that is running or about to.

    Args:
        port: of its API and UI, on loopback.
        pid: of its process.
        process: the process, if this run started it.
    """

    def __init__(self, port: int, pid: int, process: subprocess.Popen[bytes] | None = None) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.port, self.pid, self._process = port, pid, process

    def wait(self) -> None:
        """Return when the server answers.

        Raises:
            ConfigError: it has another password.
            CapmatError: it ended, or did not answer in time; its log says why.
        """
        until = time.monotonic() + START_LIMIT_S
        while not self.answers():
            if self._ended() or time.monotonic() > until:
                raise CapmatError("the Prefect server did not start", fix=f"See {home() / 'server.log'}")
            time.sleep(0.3)

    def answers(self) -> bool:
        """Whether it answers now.

        Raises:
            ConfigError: it has another password.
        """
        if (ours := is_ours(self.port)) is False:
            raise ConfigError(
                "the Prefect server that runs for this folder does not take this password",
                where=self.address,
                fix=f"Set {OWN} as it was when the server was started, or end the server with `capmat down`.",
            )
        return bool(ours)

    def link(self) -> str:
        """An address of the UI that lets one browser in, once and within an hour."""
        return link(self.port)

    def _ended(self) -> bool:
        if self._process is not None:
            return self._process.poll() is not None
        return not is_our_server(self.pid)


@contextmanager
def prefect_server(port: int | None = None) -> Iterator[Server]:
    """A Prefect server for this working folder, starting up: call its `wait` before the first flow.

    Starting takes a while, which the caller may use. A server that runs already is used too, because two servers must
    not share a database. The server stops with the last command that uses it, unless it is that of `capmat up`.

    Args:
        port: on loopback; None for that of the folder's last server.

    Raises:
        ConfigError: another program has the port, or the folder's server runs at another one.
    """
    try:
        with _users() as users:
            with alone():
                server = running(port) or start(port)
                fcntl.flock(users, fcntl.LOCK_SH)
            use(server)
            try:
                yield server
            finally:
                _tell_the_rest()
    finally:
        with alone():
            stop_unused()


def running(port: int | None) -> "Server | None":
    """`running_server`, which must be at this port if one is given, and take our password.

    Raises:
        ConfigError: it does not.
    """
    server = running_server()
    if server:
        server.answers()
    if server and port not in (None, server.port):
        raise ConfigError(
            f"the server of this folder runs already, at port {server.port}",
            where=f"--port {port}",
            fix="Remove --port, or end that server first: `capmat down`, and Ctrl-C on commands such as `capmat ui`.",
        )
    return server


def _tell_the_rest() -> None:
    """Send the events and log lines that still wait, while the server runs.

    Prefect sends them from its own threads, and at exit tries for a minute to reach a server that has stopped.
    """
    if "prefect.events.worker" in sys.modules:
        from prefect.events.worker import EventsWorker
        from prefect.logging.handlers import APILogWorker

        EventsWorker.drain_all(timeout=_TELL_S)
        APILogWorker.drain_all(timeout=_TELL_S)
