"""Commands in processes that are used again, with a limit of time: what hangs or dies costs one of them."""

import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.project import ROOT


@dataclass(frozen=True)
class Answer:
    """What a command said.

    Attributes:
        code: exit code; None if it hung or its process died.
        said: what it printed.
        refusal: what it wrote to the error stream.
        fault: a traceback, "hangs", or how the process died; "" if there is nothing of the kind.
        seconds: how long it took.
    """

    code: int | None
    said: str = ""
    refusal: str = ""
    fault: str = ""
    seconds: float = 0.0


class Children:
    """Runs commands in a child process per thread.

    Args:
        limit: seconds that a command may take.
    """

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._here = threading.local()
        self._all: list[subprocess.Popen[str]] = []

    def run(self, folder: Path, words: list[str]) -> Answer:
        """Run one command in `folder`."""
        child = getattr(self._here, "child", None) or self._start()
        try:
            child.stdin.write(json.dumps([str(folder), words]) + "\n")
            child.stdin.flush()
        except BrokenPipeError:
            pass
        # The first answer includes the loading of libraries.
        limit = self.limit + (60 if self._here.fresh else 0)
        self._here.fresh = False
        if not select.select([child.stdout], [], [], limit)[0]:
            self._end(child)
            return Answer(None, fault="hangs")
        line = child.stdout.readline()
        if not line:
            self._end(child)
            return Answer(None, fault=f"the process died: {child.returncode}")
        told = json.loads(line)
        return Answer(told["code"], told["out"], told["err"], told["trace"], told["seconds"])

    def map(self, work: Callable[[str], None], names: Iterable[str], threads: int = 2) -> None:
        """Do `work`, which calls `run`, for every name, in several threads."""
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, names))

    def close(self) -> None:
        """End all children."""
        for child in self._all:
            self._end(child)

    def _start(self) -> "subprocess.Popen[str]":
        child = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.child"],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        self._here.child, self._here.fresh = child, True
        self._all.append(child)
        return child

    def _end(self, child: "subprocess.Popen[str]") -> None:
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe:
                pipe.close()
        if getattr(self._here, "child", None) is child:
            self._here.child = None
