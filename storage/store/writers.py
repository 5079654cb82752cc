"""Who is writing: a mark that tells a writer at work from one that was killed.

A mark is part of the name of what a killed writer leaves behind: its claims, and its half-written files.
"""

import os
import re
import socket
from functools import cache

_MARK = re.compile(r"(\d+)_(\d+)_([A-Za-z0-9-]+)")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9-]")


def mark() -> str:
    """This process on this machine, as a part of a name: its number, the time of its start, the machine."""
    return _mark(os.getpid())


def is_gone(text: str) -> bool:
    """Whether the process of a mark has ended.

    False for a process of another machine, which cannot be asked. True for any other text: early versions of capmat
    made no marks.
    """
    import psutil

    if not (match := _MARK.fullmatch(text)):
        return True
    process, start, machine = match.groups()
    if machine != _machine():
        return False
    try:
        running = psutil.Process(int(process))
        # Numbers of processes are used again; the system's idea of when it booted moves by a second at most.
        return running.status() == psutil.STATUS_ZOMBIE or abs(running.create_time() - int(start)) > 2
    except psutil.NoSuchProcess:
        return True


@cache
def _mark(process: int) -> str:
    import psutil

    return f"{process}_{psutil.Process(process).create_time():.0f}_{_machine()}"


def _machine() -> str:
    return _NOT_IN_NAMES.sub("-", socket.gethostname()) or "-"
