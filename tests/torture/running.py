"""A site of `capmat up --foreground` on which the chain runs while parts of it are killed.

Whoever starts the site again after everything was killed stands for systemd; whoever starts a run again that was
killed too often stands for a human, and is counted.
"""

import hashlib
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.error
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

from flows.service.processes import environment_of, is_server
from flows.service.restarts import STARTS
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.take import Take
from tasks.sim.hand import annotate_take
from tests.flows.conftest import tiny_settings
from tests.flows.site import PASSWORD, QUIET_S, Site, eventually
from tests.project import ROOT

PARTS = ("Dask worker", "Prefect worker", "flow run", "server", "everything")
OPEN = ("PENDING", "RUNNING", "CANCELLING")
_ENDS_RUN = ("flow run", "everything")
_LIMIT_S = 1500.0
# the store's own name, and what tells of a night by its time: a killed night is another night
_NOT_RESULTS = ("ledger/", "claims/", "plans/", "capmat-store.json", "reports/night-")
_TIME = re.compile(rb'"(added|time|created)": *"[^"]*"')
_ONCE = ("plates", "ingest", "matte", "finetune", "distill")
Processes = dict[str, list[psutil.Process]]


class Night(Site):
    """A site with the tiny session, every model of which passes the gate.

    Args:
        path: the working folder.
        samples: the rendered session.
        port: wanted for the server.
        dice: decides who is killed and when.
        kills: how many kills.
    """

    def __init__(self, path: Path, samples: Path, port: int, dice: random.Random, kills: int) -> None:
        settings = (setting.split("=", 1) for setting in [*tiny_settings(samples), f"redistill.quiet_s={QUIET_S}"])
        super().__init__(path, {f"CAPMAT_{key.upper().replace('.', '__')}": value for key, value in settings})
        self.port, self.dice, self.left, self.count = port, dice, kills, Counter[str]()
        self.guard: subprocess.Popen[bytes] | None = None
        self._ended = Counter[str]()  # kills that ended a run, by run
        self._seen: dict[Path, float] = {}  # entries of the ledger and when they were written
        self.samples = samples
        path.mkdir(parents=True, exist_ok=True)

    @property
    def store(self) -> Path:
        return self.path / ".capmat/store"

    def live(self) -> None:
        """Start the site, or start it again."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        password = {"PREFECT_SERVER_API_AUTH_STRING": PASSWORD}
        with (self.path / "guard.log").open("ab") as log:
            self.guard = subprocess.Popen(
                [sys.executable, "-m", "flows.command.main", "up", "--foreground", "--port", str(self.port)],
                cwd=self.path,
                env=env | self.env | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | password,
                stdout=log,
                stderr=log,
            )

    def end(self) -> None:
        """Stop the site as systemd does."""
        assert self.guard is not None
        self.guard.terminate()
        self.guard.wait(120)

    def whole_chain(self) -> None:
        """The chain from the start of the site to its end; nothing may be left open, damaged or running."""
        self.live()
        try:
            self.chain()
            while self.left:
                self.through("nightly")
            eventually(lambda: self.quietly(self.unfinished) == [], 240)
            assert "DAMAGED" not in self.capmat("verify", "--deep")
        finally:
            self.end()
        assert not self.processes()
        assert not [p for p in psutil.process_iter() if place(p) == str(self.path)]

    def unfinished(self) -> list[str]:
        """Runs of flows and tasks that are said to be worked on."""
        still = {"state": {"type": {"any_": list(OPEN)}}}
        flows = self.ask("/flow_runs/filter", {"flow_runs": still})
        tasks = self.ask("/task_runs/filter", {"task_runs": still})
        return [f"{run['name']} {run['state_name']}" for run in [*flows, *tasks]]

    def chain(self) -> None:
        """A night, strokes, a training that starts by itself, and a night with the promoted models."""
        self.through("nightly")
        store, take = str(self.store), "amber"
        (run,) = (name for name in Take.open(Root(store), take).alpha_runs() if name.startswith("teacher"))
        annotate_take(store, str(self.path / ".capmat/scribbles"), str(self.samples / "truth"), take, run, 0)
        self.capmat("scribbles", "import", str(self.path / ".capmat/scribbles"))
        self.through("redistill", started=False)
        self.through("nightly")

    def through(self, deployment: str, started: bool = True) -> None:
        """Wait until a run of it has ended well, killing meanwhile."""
        before = {run["id"] for run in self.quietly(lambda: self.runs(deployment))} if started else set()
        if started:
            self.quietly(lambda: self.begin(deployment))
        until = time.monotonic() + _LIMIT_S
        while True:
            assert time.monotonic() < until, f"{deployment} never ended: {self.log()}"
            time.sleep(self.dice.uniform(1, 8))
            self.look()
            if self.guard is None or self.guard.poll() is not None:
                self.count["site started again"] += 1
                self.live()
            runs = [run for run in self.asked(deployment) if run["id"] not in before]
            if any(run["state_type"] == "COMPLETED" and run["state_name"] != "NothingNew" for run in runs):
                return
            if runs and all(run["state_type"] in ("FAILED", "CRASHED", "CANCELLED") for run in runs):
                time.sleep(20)  # the automations have the first word
                runs = [run for run in self.asked(deployment) if run["id"] not in before]
                if runs and all(run["state_type"] in ("FAILED", "CRASHED", "CANCELLED") for run in runs):
                    print([(r["state_name"], r["run_count"], r["state"]["message"]) for r in runs], flush=True)
                    self.count["started by a human"] += 1
                    self.quietly(lambda: self.begin(deployment))
            elif self.left:
                self.strike(runs)

    def asked(self, deployment: str) -> list[dict[str, Any]]:
        """The runs that were ever due, or none while nobody answers."""
        try:
            return [run for run in self.runs(deployment) if not run["auto_scheduled"]]
        except (urllib.error.URLError, OSError, ValueError, AssertionError):
            return []

    def quietly(self, what: Callable[[], Any]) -> Any:
        """Ask until somebody answers."""
        until = time.monotonic() + 300
        while True:
            try:
                return what()
            except (urllib.error.URLError, OSError, ValueError, AssertionError):
                assert time.monotonic() < until, self.log()
                time.sleep(1)

    def strike(self, runs: list[dict[str, Any]]) -> None:
        """Kill one part, or all, if it is there."""
        parts = self.parts()
        (run, *_) = [*(r["id"] for r in runs if r["state_type"] in OPEN), ""]
        there = [part for part in PARTS[:4] if parts[part]]
        if parts["flow run"]:
            there.append("everything")
        if not run or self._ended[run] >= STARTS - 1:
            there = [part for part in there if part not in (*_ENDS_RUN, "server")]
        if not there or not (parts["flow run"] or self.dice.random() < 0.03):
            return
        # chance alone spares a part in some runs
        part = self.dice.choice([part for part in there if not self.count[f"killed {part}"]] or there)
        if part == "everything":
            assert self.guard is not None
            self.guard.kill()
            self.guard.wait()
        for process in self.dice.sample(parts[part], 1) if part == "Dask worker" else parts[part]:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        self.count["kills"] += 1
        self.count[f"killed {part}"] += 1
        self.left -= 1
        if part in (*_ENDS_RUN, "server"):
            self._ended[run] += 1
        sys.stderr.write(f"{time.strftime('%H:%M:%S')} killed {part}\n")

    def parts(self) -> Processes:
        """The processes of the site by what they are."""
        found: Processes = {part: [] for part in PARTS}
        for pid, words in self.processes().items():
            process = psutil.Process(pid) if psutil.pid_exists(pid) else None
            if process is None:
                continue
            found["everything"].append(process)
            in_run = "PREFECT__FLOW_RUN_ID" in environment_of(process)
            if in_run and any("multiprocessing" in word for word in words):
                if not any("resource_tracker" in word for word in words):
                    found["Dask worker"].append(process)
            elif in_run:
                found["flow run"].append(process)
            elif is_server(process):
                found["server"].append(process)
            elif "worker" in words:
                found["Prefect worker"].append(process)
        return found

    def look(self) -> None:
        """Note what the ledger holds; what it held before must not have been written again."""
        for file in (self.store / "ledger").glob("*/**/*.json"):
            try:
                written = file.stat().st_mtime
            except FileNotFoundError:
                continue
            # a camera whose writer died before its first frame gets its headers again; that is no step
            if file.name != "layout.json" and file.relative_to(self.store / "ledger").parts[0] in _ONCE:
                assert self._seen.setdefault(file, written) == written, f"{file} was done twice"
        self.count["looks"] += 1

    def log(self) -> str:
        return (self.path / "guard.log").read_text()[-2000:]

    def results(self) -> dict[str, str]:
        """Checksums of everything in the store that is a result, by key."""
        files = (file for file in sorted(self.store.rglob("*")) if file.is_file())
        named = {str(file.relative_to(self.store)): file for file in files}
        return {
            key: hashlib.sha256(_TIME.sub(b"", file.read_bytes()) if is_card(key) else file.read_bytes()).hexdigest()
            for key, file in named.items()
            if not key.startswith(_NOT_RESULTS)
        }

    def entries(self) -> set[str]:
        """What is finished."""
        return set(Ledger(Root(str(self.store))).entries(""))


def is_card(key: str) -> bool:
    """Whether it is an entry of the registry, which says when it was made."""
    return key.startswith(("models/", "promotions/", "scribbles/")) and key.endswith(".json")


def place(process: psutil.Process) -> str:
    """The folder in which a process works; empty for one that is gone or somebody else's."""
    try:
        return process.cwd()
    except psutil.Error:
        return ""
