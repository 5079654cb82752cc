"""Long work says how far it is, and a process whose work falls silent ends itself.

What is said are events: small dicts that print as JSON, and travel from a Dask worker to the command that waits.
`tasks/runtime/display.py` shows them; where nobody does, they are plain lines. A line every few seconds goes to the
log and the progress bar of the Prefect run as well, so a loop may call as often as it likes.
"""

import contextvars
import faulthandler
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from threading import Lock
from typing import Any, Literal, NotRequired, TypedDict

# Prefect takes from loggers called "capmat..." what their level lets through; the default is warnings alone.
logging.getLogger("capmat").setLevel(logging.INFO)

EVERY_S = 5.0
"""Seconds between two lines of one piece of work."""
_SOON_S = 0.5
"""Seconds between two events of one piece of work."""
_WINDOW = 60
"""Events over which the rate is measured."""

_ERRORS = 2  # file descriptor of stderr; it stays open when sys.stderr was replaced or closed
_silence_s: float | None = None
_NUMBERS = count()


class Event(TypedDict):
    """One thing that is said.

    Attributes:
        event: `note`, a sentence; `refused`, something that cannot be done; or `progress` of a piece of `work`.
        text: in words, on one line.
        work: what is done, in words: `fine-tune teacher`, `ingest amber`.
        part: of that work, which counts by itself: `camera C01`.
        done: units that are finished.
        total: of them; 0 where nobody knows how many there are.
        unit: what is counted, in the plural.
        note: what the work is at, or how it goes.
        rate: units in a second, once it is known.
        left_s: seconds to the end, once they are known.
        ended: the work, or the part, goes on no more.
        line: it is time for a line of text about it.
        key: tells works of the same name apart; task, work and part, with a slash between them.
    """

    event: Literal["note", "refused", "progress"]
    text: NotRequired[str]
    work: NotRequired[str]
    part: NotRequired[str]
    done: NotRequired[int]
    total: NotRequired[int]
    unit: NotRequired[str]
    note: NotRequired[str]
    rate: NotRequired[float]
    left_s: NotRequired[float]
    ended: NotRequired[bool]
    line: NotRequired[bool]
    key: NotRequired[str]


def line_of(event: Event) -> str:
    """An event as text: `ingest amber  12/24 frames, 8.1/s, 2 s left  camera C01`."""
    if event["event"] != "progress":
        return event["text"]
    count = f"{event['done']}/{event['total']} {event['unit']}".rstrip() if event["total"] else ""
    pace = f", {event['rate']:.3g}/s" if "rate" in event else ""
    left = f", {_span(event['left_s'])} left" if event.get("left_s") else ""
    return "  ".join(filter(None, (event["work"], f"{count}{pace}{left}", event["note"])))


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, more = divmod(minutes, 60)
    return f"{hours} h {more:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def write_line(event: Event) -> None:
    """Print what is due as a line; nobody else shows it."""
    if event["event"] != "progress" or event["line"]:
        sys.stdout.write(f"{time.strftime('%H:%M:%S')}  {line_of(event)}\n")
        sys.stdout.flush()


_hear: Callable[[Event], None] = write_line


def hand_to(hear: Callable[[Event], None]) -> Callable[[Event], None]:
    """Let `hear` have all events of this process from now on; returns who had them."""
    global _hear  # noqa: PLW0603  # a process has one terminal, or none
    before, _hear = _hear, hear
    return before


def hear(event: Event) -> None:
    """Hand an event on to whoever shows it."""
    _hear(event)


def say(text: str, event: Literal["note", "refused"] = "note") -> None:
    """Say one sentence to the person at the terminal, and into the log of the run."""
    _hear({"event": event, "text": text})
    _log(text)


class Progress:
    """Counts one piece of work up to its end.

    Args:
        what: the work in words: `fine-tune teacher`.
        total: number of units (frames, iterations) until it is done.
        unit: what is counted, in the plural.
    """

    def __init__(self, what: str, total: int, unit: str = "") -> None:
        self.what, self.total, self.unit, self.done = what, max(total, 1), unit, 0
        self._whole: Progress | None = None
        self._name, self._key = "", f"{task_key()}/{next(_NUMBERS)}"
        now = time.monotonic()
        self._next, self._soon = now + EVERY_S, now
        self._seen: deque[tuple[float, int]] = deque(maxlen=_WINDOW)
        self._bar: Any = None
        self._lock, self._context = Lock(), contextvars.copy_context()

    def part(self, name: str, total: int) -> "Progress":
        """A part that counts by itself, and in the whole: one camera of several."""
        part = Progress(self.what, total, self.unit)
        part._whole, part._name, part._key, part._next = self, name, f"{self._key}/{name}", float("inf")
        return part

    def skip(self, count: int) -> None:
        """Leave out units that were finished before."""
        self.total = max(self.total - count, 1)

    def step(self, note: str = "") -> None:
        """Note that one more unit is finished; from any thread."""
        with self._lock:
            self._reach(self.done + 1, note)
        if self._whole:
            self._whole.step(self._name)

    def __call__(self, done: int, note: str = "") -> None:
        """Note that `done` units are finished; says so every half second at most, and at the end."""
        with self._lock:
            self._reach(done, note)

    def _reach(self, done: int, note: str) -> None:
        alive()
        self.done, now, ended = done, time.monotonic(), done >= self.total
        if now < self._soon and not ended:
            return
        self._soon = now + _SOON_S
        self._seen.append((now, done))
        line = now >= self._next or (ended and not self._whole)
        event: Event = {"event": "progress", "work": self.what, "done": done, "total": self.total, "unit": self.unit,
                        "note": note, "ended": ended, "line": line, "key": self._key}  # fmt: skip
        if self._name:
            event["part"] = self._name
        (before, had), *_ = self._seen
        if now - before > _SOON_S and done > had:
            event["rate"] = round((done - had) / (now - before), 3)
            event["left_s"] = round((self.total - done) / event["rate"], 1)
        _hear(event)
        if line:
            self._next = now + EVERY_S
            self._context.run(self._report, line_of(event), 100.0 * done / self.total)

    def _report(self, text: str, percent: float) -> None:
        """Into log and progress bar of the Prefect run."""
        _log(text)
        if not _run()[1]:
            return
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        if self._bar is None:
            self._bar = create_progress_artifact(percent, description=self.what)
        else:
            update_progress_artifact(self._bar, percent)


def _run() -> tuple[Any, Any]:
    """The flow and the task that run here, in Prefect's words; where nothing loaded Prefect, none does."""
    if "prefect.context" not in sys.modules:
        return None, None
    from prefect.context import FlowRunContext, TaskRunContext

    return FlowRunContext.get(), TaskRunContext.get()


def task_key() -> str:
    """What the keys of all works of the running task begin with."""
    task = _run()[1]
    return str(task.task_run.id) if task else str(os.getpid())


def _log(text: str) -> None:
    if any(_run()):
        from prefect.logging import get_run_logger

        get_run_logger().info(text)


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
