"""On every worker: tasks that hang are noticed, see `tasks.runtime.progress`."""

from typing import Any

from distributed import WorkerPlugin

from tasks.runtime import progress as hang


class Watch(WorkerPlugin):
    """Watches while a task runs.

    Args:
        silence_s: seconds without a sign of progress.
    """

    name = "capmat-watch"

    def __init__(self, silence_s: float) -> None:
        self.silence_s = silence_s
        self._running: set[Any] = set()

    def transition(self, key: Any, start: str, finish: str, **_: Any) -> None:
        """Dask calls it when a task starts or stops running."""
        if finish == "executing":
            self._running.add(key)
            hang.watch(self.silence_s)
        elif start == "executing":
            self._running.discard(key)
            if not self._running:
                hang.rest()
