"""Who listens to a command, and who asks it to end.

Work outlives its listener: after `capmat nightly | head`, a hangup or a full disk under the log, words are lost and
the night goes on. Whoever asks for the end gets it as with Ctrl-C, so that nothing of the command is left running.
"""

import errno
import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_LEFT = (errno.EPIPE, errno.EIO)  # the reader of a pipe ended; the terminal is gone


class Ended(KeyboardInterrupt):
    """Ctrl-C, SIGTERM or SIGHUP; `signal` is its number, as in Prefect's TerminationSignal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.signal = number


class _Stream(io.FileIO):
    """Standard output or error whose words are lost, instead of an error, when nothing takes them."""

    lost: OSError | None = None

    def write(self, words: Any, /) -> int:
        try:
            return super().write(words)
        except OSError as error:
            self.lost = error
            return len(words)


def outlive() -> None:
    """Let this process go on when nobody takes what it prints. A second call changes nothing."""
    # a closed stream must not leave its number to a file of the work
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        continue
    os.close(number)
    for name, number in (("stdout", 1), ("stderr", 2)):
        old = getattr(sys, name)
        if old is not getattr(sys, f"__{name}__"):  # ours already, or a test that listens itself
            continue
        if old:
            with suppress(OSError):
                old.flush()
        raw = _Stream(number if old else os.open(os.devnull, os.O_WRONLY), "w", closefd=False)
        encoding = old.encoding if old else "utf-8"
        words = io.TextIOWrapper(io.BufferedWriter(raw), encoding, "backslashreplace", line_buffering=True)
        setattr(sys, name, words)


def lost() -> str:
    """Why output that somebody waits for was lost; empty if it was not, or if the reader left."""
    sys.stdout.flush()
    error = getattr(getattr(getattr(sys.stdout, "buffer", None), "raw", None), "lost", None)
    return str(error.strerror) if error and error.errno not in _LEFT else ""


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and those that were handled when it was raised."""
    while error:
        yield error
        error = error.__context__


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `Ended` at Ctrl-C, SIGTERM or SIGHUP. More of them change nothing while the first one cleans up.

    Python drops what is raised in a method `__del__` or a callback of a weak reference. The signal then comes again.
    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored.
    """
    show, trace = sys.unraisablehook, sys.gettrace()

    def send_again(number: int, frame: FrameType | None) -> None:
        """Send the signal before the next step of the frame or of one that called it: how `pdb.set_trace` stops."""

        def step(*_: object) -> None:
            sys.settrace(None)
            signal.raise_signal(number)

        while frame:
            frame.f_trace, frame.f_trace_opcodes = step, True
            frame = frame.f_back
        sys.settrace(lambda *_: None)

    def dropped(lost: "sys.UnraisableHookArgs") -> None:
        handled = list(_chain(sys.exc_info()[1]))
        asked = [e for e in _chain(lost.exc_value) if hasattr(e, "signal") and not isinstance(e, Exception)]
        ended = [e for e in asked if e not in handled]
        if ended:
            send_again(ended[0].signal, sys._getframe(1))
        if lost.exc_value not in ended:
            show(lost)

    def end(number: int, frame: FrameType | None) -> None:
        if any(isinstance(error, Ended) for error in _chain(sys.exc_info()[1])):
            return
        while frame and frame.f_code not in (dropped.__code__, end.__code__):
            frame = frame.f_back
        if frame:
            if frame.f_code is dropped.__code__:  # what is raised now would be dropped as well
                send_again(number, frame.f_back)
            return  # else another signal is being answered, and the first one counts
        for other in numbers:  # of which Prefect takes one while a flow runs, and would disturb the cleaning up
            if signal.getsignal(other) is not end:
                signal.signal(other, end)
        raise Ended(number)

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = [(number, signal.signal(number, end)) for number in numbers]
    sys.unraisablehook = dropped
    try:
        yield
    finally:
        sys.unraisablehook = show
        sys.settrace(trace)
        for number, handler in before:
            signal.signal(number, handler)
