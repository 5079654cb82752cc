"""One command of Nerfstudio as a program: its log, its progress, and how it ends."""

import fcntl
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from capmat_errors import StoreError, TrainingError
from tasks.geometry.nerfstudio.offline import STARTER
from tasks.runtime.progress import allow

# nerfacc 0.5.2 names a function object that CUDA 13 removed
CUB = """#if defined(__CUDACC_VER_MAJOR__) && __CUDACC_VER_MAJOR__ >= 13
#include <cuda/std/functional>
namespace cub { using Equality = ::cuda::std::equal_to<>; }
#endif
"""
STEP = re.compile(r"^(\d+) \(\d+\.\d+%\)", re.MULTILINE)
FULL = "No space left on device"
PASSING = re.compile(r"out of memory|CUDA error|CUDNN_STATUS|NCCL", re.IGNORECASE)
WAIT_S = 30.0  # the program of a killed run ends long before that

Heard = Callable[[int, str], None]
"""Told how many iterations are done, and the rate in words."""

_KEPT_BACK = re.compile(
    "^(PYTHON|PREFECT_|CAPMAT_|DASK_|AWS_|AZURE_|GOOGLE_)|SECRET|PASSWORD|TOKEN|CREDENTIAL|_KEY$|AUTH_SOCK|_PROXY$",
    re.IGNORECASE,
)


class Interrupted(TrainingError):
    """The program was ended from outside or by an error of the GPU, and may succeed when it is started again."""


def inherited() -> dict[str, str]:
    """The variables of this process for programs of others: without what is for our Python, and without secrets."""
    return {name: value for name, value in os.environ.items() if not _KEPT_BACK.search(name)}


@contextmanager
def alone(lock: Path, patience: float | None = WAIT_S) -> Iterator[int]:
    """Hold a lock; the system releases the lock of a killed process.

    Args:
        lock: a file for it.
        patience: seconds to wait for others; None waits without a limit.

    Yields:
        The file descriptor for `call`. The program holds it too, so no second one starts while it lives.

    Raises:
        TrainingError: another run holds the lock.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        end = time.monotonic() + patience if patience is not None else math.inf
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise TrainingError(
                        "another run is at work here", where=str(lock.parent), fix="Wait until it ends, or end it."
                    ) from error
                time.sleep(0.2)
        yield file.fileno()


def call(
    command: Sequence[str], log: Path, timeout: float, *, held: int | None = None, heard: Heard | None = None
) -> None:
    """Run a command and append its output to `log`; if it takes too long, it and its children are killed.

    It runs in a session of its own, so that Ctrl-C reaches capmat alone, and ends with the calling thread.

    Args:
        command: what to run.
        log: file for its output; `cub_compat.h` is written beside it.
        timeout: seconds.
        held: from `alone`.
        heard: called with the progress, about every second.

    Raises:
        Interrupted: it was killed, or the GPU reported an error.
        StoreError: the disk is full.
        TrainingError: it failed for another reason, or took too long.
    """
    allow(timeout)
    header = log.with_name("cub_compat.h")
    header.write_text(CUB)
    environment = {
        **inherited(),
        # nerfacc is compiled with the ninja of its environment
        "PATH": os.pathsep.join([str(Path(command[0]).parent), os.environ.get("PATH", os.defpath)]),
        "NVCC_APPEND_FLAGS": f"-include {header}",
        "PYTHONUNBUFFERED": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",  # modules of the working folder must not hide those of the environment
        STARTER: str(os.getpid()),
    }
    with log.open("ab") as out:
        out.write(f"$ {' '.join(command)}\n".encode())
        out.flush()
        begin = out.tell()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=log.parent,
            start_new_session=True,
            pass_fds=() if held is None else (held,),
        )
        try:
            code = _wait(process, log, begin, timeout, heard)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if code != 0:
        raise _failure(code, log, begin)


def _wait(process: subprocess.Popen[bytes], log: Path, begin: int, timeout: float, heard: Heard | None) -> int:
    listener = _Listener(log, begin, heard) if heard else None
    end = time.monotonic() + timeout
    while True:
        try:
            code = process.wait(min(1.0, max(end - time.monotonic(), 0)))
        except subprocess.TimeoutExpired as error:
            if time.monotonic() >= end:
                raise TrainingError(
                    f"Nerfstudio did not finish in {timeout:.0f} s",
                    where=str(log),
                    fix="The log says where it stopped. Start it again: it goes on from its newest checkpoint.",
                ) from error
            code = None
        if listener:
            listener()
        if code is not None:
            return code


class _Listener:
    """Reads the new lines of the log, and passes the newest step on."""

    def __init__(self, log: Path, begin: int, heard: Heard) -> None:
        self._log, self._at, self._heard = log, begin, heard
        self._first: tuple[int, float] | None = None

    def __call__(self) -> None:
        with self._log.open("rb") as file:
            file.seek(self._at)
            new = file.read()
        new = new[: new.rfind(b"\n") + 1]  # whole lines
        self._at += len(new)
        if not (steps := STEP.findall(new.decode(errors="replace"))):
            return
        step, now = int(steps[-1]), time.monotonic()
        if self._first is None:
            self._first = (step, now)
        rate = (step - self._first[0]) / max(now - self._first[1], 1e-9)
        self._heard(step + 1, f"{rate:.3g} iterations/s" if rate > 0 else "")


def _failure(code: int, log: Path, begin: int) -> TrainingError | StoreError:
    with log.open("rb") as file:
        file.seek(begin)
        output = file.read().decode(errors="replace")
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "no output")
    if FULL in output:
        return StoreError("the disk is full", where=str(log.parent), fix="Free some space and run it again.")
    if code < 0:
        return Interrupted(
            f"Nerfstudio was killed ({signal.Signals(-code).name})", where=str(log), fix="Start it again: it goes on."
        )
    what = f"Nerfstudio ended with code {code}: {last[:200]}"
    if PASSING.search(output[-4000:]):
        return Interrupted(what, where=str(log), fix="Check what else uses the GPU, then start it again: it goes on.")
    return TrainingError(what, where=str(log), fix="Read the log.")
