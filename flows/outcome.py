"""What became of a task, as values: one that failed must not end the night of the others."""

from typing import Any

from prefect.futures import PrefectFuture

from capmat_errors import WorkerLost


def outcome(future: PrefectFuture[Any]) -> tuple[Any, BaseException | None]:
    """Wait for a task; its result and None, or None and why it failed.

    A task whose workers died again and again has an error that Prefect has heard of from nobody.
    """
    try:
        said = future.result(raise_on_failure=False)
    except WorkerLost as error:
        return None, error
    return (None, said) if isinstance(said, BaseException) else (said, None)
