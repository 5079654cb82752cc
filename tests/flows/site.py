"""A working folder as `capmat up` serves it: the command line, the API, and the processes that belong to it."""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import psutil

from flows.service.access import OWN
from flows.service.processes import MARK, flow_run
from tests.project import ROOT

PASSWORD = "night:w@tch/ #%41+=$'&"
QUIET_S = 10
_BUSY_TRIES = 20
_ENDS = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


class Site:
    """A working folder with `capmat` and a password.

    Args:
        path: the folder.
        env: variables on top of the machine's own, for everything that is started here.
        password: the operator's own; empty for that which capmat makes.
    """

    def __init__(self, path: Path, env: Mapping[str, str] | None = None, password: str = PASSWORD) -> None:
        self.path, self.env = path, dict(env or {})
        if password:
            self.env.setdefault(OWN, password)
        self.env.setdefault("CAPMAT_REDISTILL__QUIET_S", str(QUIET_S))
        self.said: list[str] = []

    def python(self, *words: str) -> subprocess.Popen[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | self.env
        return subprocess.Popen(
            [sys.executable, "-P", *words],
            cwd=self.path,
            env=env | {"PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def start(self, *words: str) -> subprocess.Popen[str]:
        return self.python("-m", "flows.command.main", *words)

    def capmat(self, *words: str) -> str:
        process = self.start(*words)
        out, _ = process.communicate(timeout=900)
        assert process.returncode == 0, out[-3000:]
        self.said.append(out)
        return out

    @property
    def api(self) -> str:
        note = json.loads((self.path / ".capmat/prefect/server.json").read_text())
        return f"http://127.0.0.1:{note['port']}/api"

    @property
    def password(self) -> str:
        return self.env.get(OWN) or (self.path / ".capmat/prefect/password").read_text()

    def change(self, path: str, body: Any) -> None:
        """What the UI's switches do."""
        self.ask(path, body, method="PATCH")

    def ask(self, path: str, body: Any = None, password: str | None = None, method: str | None = None) -> Any:
        password = self.password if password is None else password
        headers = {"Content-Type": "application/json"}
        if password:
            headers["Authorization"] = f"Basic {base64.b64encode(password.encode()).decode()}"
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        for _ in range(_BUSY_TRIES):
            try:
                with urllib.request.urlopen(request, timeout=20) as answer:
                    return json.loads(answer.read() or "null")
            except urllib.error.HTTPError as error:  # a busy database; Prefect's clients try again too
                if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
            time.sleep(1)
        raise AssertionError(f"{path}: busy for {_BUSY_TRIES} s")

    def runs(self, deployment: str) -> list[dict[str, Any]]:
        return self.ask("/flow_runs/filter", {"deployments": {"name": {"any_": [deployment]}}})

    def begin(self, deployment: str) -> str:
        """Start a run of a deployment; its id."""
        (found,) = self.ask("/deployments/filter", {"deployments": {"name": {"any_": [deployment]}}})
        return str(self.ask(f"/deployments/{found['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})["id"])

    def ended(self, run: str) -> dict[str, Any] | None:
        """A run that has ended; None as long as it has not."""
        found: dict[str, Any] = self.ask(f"/flow_runs/{run}")
        return found if found["state_type"] in _ENDS else None

    def of_run(self, run: str) -> list[psutil.Process]:
        """The processes that work on a flow run."""
        return [p for p in psutil.process_iter() if flow_run(p) == run]

    def processes(self) -> dict[int, list[str]]:
        found = {}
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == str(self.path):
                    found[process.pid] = process.cmdline()
            except psutil.Error:
                continue
        return found

    def listening(self) -> set[tuple[int, str]]:
        """Who waits for connections, and at which address of this machine."""
        found = set()
        for pid in self.processes():
            try:
                ports = psutil.Process(pid).net_connections("inet")
            except psutil.Error:
                continue
            found |= {(pid, port.laddr.ip) for port in ports if port.status == psutil.CONN_LISTEN}
        return found

    def pid(self, word: str) -> int:
        return next(pid for pid, words in self.processes().items() if word in words)

    def kill(self) -> None:
        """End everything at once, the hard way."""
        while found := self.processes():
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            time.sleep(0.1)


def eventually(what: Callable[[], Any], limit_s: float = 60) -> Any:
    until = time.monotonic() + limit_s
    while not (found := what()):
        assert time.monotonic() < until, "it never happened"
        time.sleep(0.5)
    return found


def free_port() -> int:
    """A port of loopback that nobody has at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
