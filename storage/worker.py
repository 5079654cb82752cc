"""A process that works for another one ends with it, also when that one was killed and could say nothing."""

import os
import threading
from multiprocessing import parent_process


def end_with_parent() -> None:
    """Call it once in a worker process. Without it, workers of a killed process wait for work for ever."""
    threading.Thread(target=_wait, daemon=True).start()


def _wait() -> None:
    if (parent := parent_process()) is not None:
        parent.join()
        os._exit(1)
