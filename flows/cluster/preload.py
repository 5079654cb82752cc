"""What Dask runs first in every worker: it leaves Ctrl-C to the command, which ends its cluster in order.

At a terminal the key reaches all processes at once.
"""

import signal
import threading
from typing import Any


def dask_setup(_worker: Any) -> None:
    """Ignore SIGINT, unless the worker lives in the process of a command."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)
