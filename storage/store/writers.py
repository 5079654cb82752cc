"""Who is writing: a mark that tells a writer at work from one that was killed.

A mark is part of the name of what a killed writer leaves behind: its claims, and its half-written files. Containers
share a host's name and number their processes anew, and clocks are set. So a mark names the boot, the namespace of
process numbers, and the tick at which the process started.
"""

import os
import re
import socket
from functools import cache
from pathlib import Path

_MARK = re.compile(r"(\d+)_(\d+)_([A-Za-z0-9-]+)_([0-9a-f]+-\d+)")
_EARLY_MARK = re.compile(r"(\d+)_(\d+)_([A-Za-z0-9-]+)")  # number, second of the start, machine
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")


def mark() -> str:
    """This process, as a part of a name: its number, the tick of its start, the machine, boot and namespace."""
    return _mark(os.getpid())


def machine_of(text: str) -> tuple[str, str]:
    """Number and machine of the process of a mark, for people."""
    process, _, machine = text.split("_")[:3]
    return process, machine


def renews(text: str) -> bool:
    """Whether the writer of a mark renews its claims; early versions of capmat did not."""
    return bool(_MARK.fullmatch(text))


def is_gone(text: str) -> bool:
    """Whether the process of a mark has ended.

    False for a process of another machine or container, which cannot be asked. True for any other text: the first
    versions of capmat made no marks.
    """
    if match := _MARK.fullmatch(text):
        process, ticks, _, where = match.groups()
        return where == _where() and not _is_running(int(process), ticks)
    if match := _EARLY_MARK.fullmatch(text):
        process, second, machine = match.groups()
        return machine == _machine() and _is_gone_since(int(process), int(second))
    return True


def _is_gone_since(process: int, second: int) -> bool:
    import psutil

    try:
        running = psutil.Process(process)
        # the system's idea of when it booted moves by a second at most
        return running.status() == psutil.STATUS_ZOMBIE or abs(running.create_time() - second) > 2
    except psutil.NoSuchProcess:
        return True


@cache
def _mark(process: int) -> str:
    return f"{process}_{_state(process)[1]}_{_machine()}_{_where()}"


def _is_running(process: int, ticks: str) -> bool:
    try:
        state, start = _state(process)
    except OSError:  # it has ended, or /proc hides the processes of other users
        return _exists(process)
    return state not in "ZX" and start == ticks


def _state(process: int) -> tuple[str, str]:
    """Letter of its state, and ticks from the boot to its start; see proc(5)."""
    # the name of the program, in brackets, may hold anything
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return fields[0], fields[19]


def _exists(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _machine() -> str:
    return _NOT_IN_NAMES.sub("-", socket.gethostname()) or "-"


@cache
def _where() -> str:
    """This boot of this machine, and the namespace in which its processes have their numbers."""
    boot, numbers = Path("/proc/sys/kernel/random/boot_id").read_text(), Path("/proc/self/ns/pid").stat().st_ino
    return f"{boot.replace('-', '')[:12]}-{numbers}"
