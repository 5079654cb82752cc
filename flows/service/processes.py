"""Which processes belong to the server and the worker of a working folder, also after parts of them were killed.

Process ids in a file go stale: the process may be gone, another process may have its id, its children may live. So
we mark the environment of what we start with the folder. Children inherit the mark, and the system finds all that
carry it.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

MARK = "UP_BY_CAPMAT"
"""Name of the variable; its value is the working folder. Not `CAPMAT_...`, which would be a setting."""

_POLITE_S = 25


def spawn(words: list[str], log: Path, environment: Mapping[str, str], *inherited: int) -> subprocess.Popen[bytes]:
    """Start `python -P -m WORDS` for the working folder, marked, in a session of its own, writing to `log`.

    Args:
        words: a module and its arguments.
        log: file that its output is added to.
        environment: variables beside those of this process.
        *inherited: file descriptors that it takes over.
    """
    with log.open("ab") as out:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", *words],
            env={**os.environ, **environment, MARK: str(Path.cwd())},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,  # Ctrl-C and the end of the terminal do not reach it
            pass_fds=inherited,
        )


def marked() -> list[psutil.Process]:
    """The processes of this working folder, without this one and those that started it."""
    own = {process.pid for process in psutil.Process().parents()} | {os.getpid()}
    return [p for p in psutil.process_iter() if p.pid not in own and environment_of(p).get(MARK) == str(Path.cwd())]


def environment_of(process: psutil.Process) -> dict[str, str]:
    """Variables that a process was started with; empty if it is gone, a zombie or another user's."""
    try:
        return dict(process.environ())
    except psutil.Error:
        return {}


def is_our_server(pid: int) -> bool:
    """Whether `pid` is, still, a server of this working folder."""
    try:
        process = psutil.Process(pid)
    except psutil.Error:
        return False
    return environment_of(process).get(MARK) == str(Path.cwd()) and is_server(process)


def is_worker(process: psutil.Process) -> bool:
    """Whether it is the Prefect worker itself, which starts flow runs."""
    return {"prefect", "worker"} <= set(_words(process))


def is_server(process: psutil.Process) -> bool:
    """Whether it is the Prefect server; `prefect server` is that of an older version of capmat."""
    words = set(_words(process))
    return "server" in words and not words.isdisjoint({"flows.service.guard", "prefect"})


def flow_run(process: psutil.Process) -> str:
    """Id of the flow run that a process works on; empty if none."""
    return environment_of(process).get("PREFECT__FLOW_RUN_ID", "")


def stop(processes: Iterable[psutil.Process]) -> None:
    """Ask processes to end, and kill those that are still alive after a while."""
    processes = list(processes)
    _signal(processes, signal.SIGTERM)
    _, left = psutil.wait_procs(processes, timeout=_POLITE_S)
    _signal(left, signal.SIGKILL)
    psutil.wait_procs(left, timeout=_POLITE_S)


def kill(processes: Iterable[psutil.Process]) -> None:
    """End processes at once."""
    processes = list(processes)
    _signal(processes, signal.SIGKILL)
    psutil.wait_procs(processes, timeout=_POLITE_S)


def _signal(processes: Iterable[psutil.Process], number: int) -> None:
    for process in processes:
        try:
            process.send_signal(number)  # psutil checks that no other process has the id now
        except psutil.NoSuchProcess:
            continue


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []
