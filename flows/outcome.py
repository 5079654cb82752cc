"""What became of a task, as values: one that failed must not end the night of the others."""

from typing import Any

from distributed.scheduler import KilledWorker
from prefect.futures import PrefectFuture


def outcome(future: PrefectFuture[Any]) -> tuple[Any, BaseException | None]:
    """Wait for a task; its result and None, or None and why it failed.

    Dask gives a task up whose workers were killed again and again, before Prefect has heard of an end of it.
    """
    try:
        said = future.result(raise_on_failure=False)
    except KilledWorker as error:
        return None, error
    return (None, said) if isinstance(said, BaseException) else (said, None)
