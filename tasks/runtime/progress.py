"""Long work says where it is: a line in the terminal, the same in the Prefect run's log and progress bar.

Lines are rationed, so a loop may call as often as it likes. Outside a flow the terminal alone hears it.
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

_ERRORS = 2  # the number of stderr, which is there whatever became of its object
_silence_s: float | None = None


def watch(silence_s: float) -> None:
    """End this process when `alive` is not called for so many seconds."""
    global _silence_s  # noqa: PLW0603  # as there is one such alarm in a process
    _silence_s = silence_s
    alive()


def alive() -> None:
    """Work goes on. Costs nothing worth mentioning; does nothing where nobody watches."""
    if _silence_s is not None:
        faulthandler.dump_traceback_later(_silence_s, exit=True, file=_ERRORS)


def allow(seconds: float) -> None:
    """What follows takes up to so long without a sign, and somebody else ends it then."""
    if _silence_s is not None:
        faulthandler.dump_traceback_later(seconds + _silence_s, exit=True, file=_ERRORS)


def rest() -> None:
    """Nothing is being worked on, which may take as long as it likes."""
    global _silence_s  # noqa: PLW0603
    _silence_s = None
    faulthandler.cancel_dump_traceback_later()


# Prefect hands on what loggers called "capmat..." let through; without this, warnings alone.
logging.getLogger("capmat").setLevel(logging.INFO)

EVERY_S = 5.0
"""Seconds between two lines of one piece of work."""


def say(text: str) -> None:
    """One line for the person at the terminal, and for the log of the run."""
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
        """Note that `done` units are behind us; speaks at most every few seconds and at the end."""
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
