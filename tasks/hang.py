"""The end of a task that hangs: a decoder that waits for ever, a network share that does not answer.

A thread cannot be interrupted while it is inside such a call, and neither can its process when the call holds the
interpreter. So the process ends itself, by a thread of C that needs no interpreter, after writing to the log where
it hung. For a cluster that is a worker that died: another one tries the task again, and after the third time the
task has failed.
"""

import faulthandler

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
