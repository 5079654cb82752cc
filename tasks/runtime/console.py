"""What Prefect writes to the terminal: its warnings and faults, but no traceback of a refusal.

The command ends with one line about that. The log of the run has all of it.
"""

import logging

from prefect.logging.handlers import PrefectConsoleHandler

from capmat_errors import CapmatError


class Console(PrefectConsoleHandler):
    """Prefect's handler; `PREFECT_LOGGING_HANDLERS_CONSOLE_CLASS` names it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record, unless it tells of one of our errors or of Ctrl-C."""
        error = record.exc_info[1] if record.exc_info else None
        message = record.getMessage()
        if isinstance(error, CapmatError) or _refuses(message) or "aborted by an interrupt signal" in message:
            return
        super().emit(record)


def _refuses(message: str) -> bool:
    """Whether it says in which state a task or a flow ended that refused something."""
    kinds, names = [CapmatError], set()
    while kinds:
        kind = kinds.pop()
        names.add(kind.__name__)
        kinds += kind.__subclasses__()
    return "exception" in message and any(f"{name}:" in message or f"{name}(" in message for name in names)
