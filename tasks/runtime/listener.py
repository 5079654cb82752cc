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
    """Ctrl-C, SIGTERM or SIGHUP; `number` is the signal's."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


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


@contextmanager
def ended_by_signals() -> Iterator[None]:
    """Raise `Ended` at Ctrl-C, SIGTERM or SIGHUP. More of them change nothing while the first one cleans up.

    A signal that is ignored, as SIGHUP is under `nohup`, stays ignored.
    """

    def end(number: int, _frame: FrameType | None) -> None:
        handled = sys.exc_info()[1]
        while handled and not isinstance(handled, Ended):
            handled = handled.__context__
        if not handled:  # nor was an earlier one lost, as it is in a method `__del__`
            raise Ended(number)

    numbers = [n for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
    before = [(number, signal.signal(number, end)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
