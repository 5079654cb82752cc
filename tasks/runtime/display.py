"""How a command shows what it does: plain lines, bars at a terminal, nothing, or one JSON object a line.

All that a command prints goes through here as well, so that it stands above the bars, and in JSON as `line`. Programs
find the kinds of events, and their fields, in docs/events.md.
"""

import json
import os
import sys
import threading
import time
from collections import Counter
from typing import Any, TextIO

from capmat_errors import CapmatError, plain
from tasks.runtime.progress import Event, hand_to, line_of

_SHOWN_S = 1.0  # a command that is done by then shows no bars
SILENT_S = 5.0
"""Seconds without a word after which a command says that it still runs."""
_LONGEST_S = 60.0


class Lines:
    """Plain lines: for logs, pipes, and terminals that cannot move the cursor. Stands for standard output.

    Args:
        command: the word that runs.
        stream: standard output.
        quiet: show only what the command itself prints.
        silent: do not say that the command still runs, because it only waits, or nobody wants to know.
    """

    def __init__(self, command: str, stream: TextIO, *, quiet: bool = False, silent: bool = False) -> None:
        self.command, self.stream, self.quiet, self.silent = command, stream, quiet, silent
        self.counts: Counter[str] = Counter()
        self.begun = time.monotonic()
        self._done: dict[str, int] = {}
        self._said = self.begun
        self._over = threading.Event()
        self._lock = threading.RLock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __enter__(self) -> "Lines":
        self._before = hand_to(self.hear)
        if not self.silent:
            threading.Thread(target=self._break_silence, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        hand_to(self._before)

    def write(self, text: str) -> int:
        """Write what the command prints; no name of a file or camera steers the terminal."""
        self._said = time.monotonic()
        return self.stream.write(plain(text))

    def hear(self, event: Event) -> None:
        """Show one event, and count what was done; from any thread."""
        with self._lock:
            if event["event"] == "progress" and "part" not in event:
                self.counts[event["unit"] or "steps"] += event["done"] - self._done.get(event["key"], 0)
                self._done[event["key"]] = event["done"]
            if not self.quiet:
                self.show(event)

    def show(self, event: Event) -> None:
        """Show one event."""
        if event["event"] != "progress" or event["line"]:
            self.line(line_of(event))

    def line(self, text: str) -> None:
        """Write a line with the time of day."""
        self.write(f"{time.strftime('%H:%M:%S')}  {text}\n")
        self.stream.flush()

    def refused(self, error: CapmatError) -> None:
        """Say why the command ends."""
        who = "" if str(error).startswith("capmat ") else "capmat: "
        sys.stderr.write(f"{who}{error}\n")

    def done(self, code: int) -> None:
        """The command has ended with this exit code."""

    def _break_silence(self) -> None:
        """On standard error, because what a command prints may be for a program."""
        wait = SILENT_S
        while not self._over.wait(1):
            now = time.monotonic()
            if now - self._said >= wait:
                sys.stderr.write(f"{time.strftime('%H:%M:%S')}  {self.command}: {now - self.begun:.0f} s so far\n")
                self._said, wait = now, min(2 * wait, _LONGEST_S)


class Bars(Lines):
    """Bars that move: one for each piece of work and each of its parts. They are gone when the command ends."""

    def __enter__(self) -> "Bars":
        self._bars: Any = None
        self._rows: dict[str, Any] = {}
        self._rest = ""
        self._before = hand_to(self.hear)
        self._later = threading.Timer(_SHOWN_S, self._begin)
        self._later.daemon = True
        if not self.silent:
            self._later.start()
        return self

    def __exit__(self, *ended: object) -> None:
        self._later.cancel()
        with self._lock:
            if self._rest:
                self.write("\n")
            if self._bars:
                self._bars.stop()
            super().__exit__(*ended)

    def _begin(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

        class Bar(BarColumn):
            """None where nobody knows how much there is to do."""

            def render(self, task: Any) -> Any:
                return super().render(task) if task.total else ""

        class Together(Progress):
            """The bars of one task stand together."""

            def get_renderables(self) -> Any:
                yield self.make_tasks_table(sorted(self.tasks, key=lambda task: str(task.fields["key"])))

        with self._lock:
            if self._over.is_set():
                return
            columns = (
                SpinnerColumn(),
                TextColumn("{task.description}", markup=False),
                Bar(24),
                TextColumn("{task.fields[count]}", markup=False),
                TimeElapsedColumn(),
                TextColumn("{task.fields[more]}", markup=False, style="dim"),
            )
            console = Console(file=self.stream, highlight=False, markup=False, emoji=False)
            self._bars = Together(
                *columns, console=console, transient=True, refresh_per_second=4, redirect_stdout=False,
                redirect_stderr=sys.stderr.isatty(),
            )  # fmt: skip
            self._bars.start()
            self._whole = self._bars.add_task(f"capmat {self.command}", total=None, count="", more="", key="")

    def write(self, text: str) -> int:
        """Write above the bars, line by line."""
        with self._lock:
            if not self._bars or self._over.is_set():
                return super().write(text)
            *lines, self._rest = (self._rest + plain(text)).split("\n")
            for line in lines:
                self._bars.console.print(line, soft_wrap=True)
        return len(text)

    def show(self, event: Event) -> None:
        """Move the bar of the event, or write its sentence above the bars."""
        if event["event"] != "progress" or (event["ended"] and event["line"] and event["total"]):
            self.line(line_of(event))
        if event["event"] == "progress" and self._bars:
            self._move(event)

    def _move(self, event: Event) -> None:
        key = event["key"]
        task = key.partition("/")[0]  # shown where none of its bars is
        if event["ended"]:
            for old in [old for old in self._rows if f"{old}/".startswith(f"{key}/")]:
                self._bars.remove_task(self._rows.pop(old))
            if task in self._rows and not any(other.startswith(f"{task}/") for other in self._rows):
                self._bars.update(self._rows[task], visible=True)
            return
        name = plain(f"  {event['part']}" if "part" in event else event["work"])
        if key not in self._rows:
            self._rows[key] = self._bars.add_task(name, total=None, count="", more="", key=key)
            if task != key and task in self._rows:
                self._bars.update(self._rows[task], visible=False)
        pace = [f"{event['rate']:.3g}/s"] if "rate" in event else []
        left = [f"{time.strftime('%H:%M:%S', time.gmtime(event['left_s']))} left"] if "left_s" in event else []
        self._bars.update(
            self._rows[key],
            description=name,
            completed=event["done"],
            total=event["total"] or None,
            count=f"{event['done']}/{event['total']} {event['unit']}".rstrip() if event["total"] else "",
            more="  ".join([*pace, *left, plain(event["note"])]),
        )


class Json(Lines):
    """One JSON object a line on standard output, for programs, and nothing else there."""

    def __enter__(self) -> "Json":
        self._rest = ""
        self._before = hand_to(self.hear)
        self._tell("start", command=self.command)
        return self

    def write(self, text: str) -> int:
        """Tell what the command prints, line by line."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._tell("line", text=line)
        return len(text)

    def show(self, event: Event) -> None:
        """Tell the event."""
        self._tell(**{name: value for name, value in event.items() if name not in ("line", "key")})

    def refused(self, error: CapmatError) -> None:
        """Tell why the command ends."""
        kind = type(error).__name__
        self._tell("refused", error=kind, what=error.what, where=error.where, fix=error.fix, text=str(error))

    def done(self, code: int) -> None:
        """Tell how the command ended, and what it did."""
        if self._rest:
            self.write("\n")
        seconds = round(time.monotonic() - self.begun, 2)
        self._tell("done", command=self.command, exit=code, seconds=seconds, counts=dict(+self.counts))

    def _tell(self, event: Any, **fields: Any) -> None:
        told = {"event": event, "time": round(time.time(), 3), **fields}
        self.stream.write(json.dumps(told) + "\n")
        self.stream.flush()


def chosen_display(command: str, *, quiet: bool, events: bool, silent: bool) -> Lines:
    """How this command shows what it does.

    Args:
        command: the word that runs.
        quiet: `--quiet`.
        events: `--json-events`.
        silent: do not say that the command still runs.
    """
    kind = Json if events else Bars if sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb" else Lines
    return (Lines if quiet and not events else kind)(command, sys.stdout, quiet=quiet, silent=silent)
