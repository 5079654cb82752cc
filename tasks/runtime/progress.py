"""Long work says how far it is, and a process whose work falls silent ends itself.

A line goes to the terminal, and the same to the log and the progress bar of the Prefect run. Lines are rationed, so
a loop may call as often as it likes. Outside a flow only the terminal gets them.
"""

import faulthandler
import logging
import sys
import time
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.context import FlowRunContext, TaskRunContext
from prefect.logging import get_run_logger

# Prefect takes from loggers called "capmat..." what their level lets through; the default is warnings alone.
logging.getLogger("capmat").setLevel(logging.INFO)

EVERY_S = 5.0
"""Seconds between two lines of one piece of work."""

_ERRORS = 2  # file descriptor of stderr; it stays open when sys.stderr was replaced or closed
_silence_s: float | None = None


def say(text: str) -> None:
    """Write one line for the person at the terminal, and into the log of the run."""
    sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
    sys.stdout.flush()
    if TaskRunContext.get() or FlowRunContext.get():
        get_run_logger().info(text)


class Progress:
    """Counts one piece of work up to its end.

    Args:
        what: the work in words: `fine-tune teacher`.
        total: number of units (frames, iterations) until it is done.
    """

    def __init__(self, what: str, total: int) -> None:
        self.what, self.total = what, max(total, 1)
        self._next = time.monotonic() + EVERY_S
        self._bar: UUID | None = None

    def __call__(self, done: int, note: str = "") -> None:
        """Note that `done` units are finished; writes a line every few seconds at most, and at the end."""
        alive()
        now = time.monotonic()
        if now < self._next and done < self.total:
            return
        self._next = now + EVERY_S
        say(f"{self.what}  {done}/{self.total}  {note}".rstrip())
        if TaskRunContext.get() is None:
            return
        percent = 100.0 * done / self.total
        if self._bar is None:
            self._bar = cast(UUID, create_progress_artifact(percent, description=self.what))
        else:
            update_progress_artifact(self._bar, percent)


def watch(silence_s: float) -> None:
    """End this process when `alive` is not called for so many seconds."""
    global _silence_s  # noqa: PLW0603  # a process has one such alarm
    _silence_s = silence_s
    alive()


def alive() -> None:
    """Say that the work goes on. Costs next to nothing; does nothing in a process that is not watched."""
    if _silence_s is not None:
        faulthandler.dump_traceback_later(_silence_s, exit=True, file=_ERRORS)


def allow(seconds: float) -> None:
    """Let the next call of `alive` be later by so many seconds, for work that has a limit of its own."""
    if _silence_s is not None:
        faulthandler.dump_traceback_later(seconds + _silence_s, exit=True, file=_ERRORS)


def rest() -> None:
    """End the watch: the process waits for work, which may take any time."""
    global _silence_s  # noqa: PLW0603
    _silence_s = None
    faulthandler.cancel_dump_traceback_later()
