"""Mattes as files, as a task; `storage.export.mattes` skips the files that are up to date."""

from collections.abc import Sequence

from prefect import runtime

from storage.export.mattes import export_mattes
from storage.store.root import Root
from storage.takes.take import Take
from tasks.runtime.step import retryable


def export(store: str, take: str, run: str, cameras: Sequence[str], out: str, formats: Sequence[str]) -> int:
    """Write a run's mattes of some cameras; returns how many files were not up to date.

    Args:
        store: URL of the store.
        take: name of the take.
        run: whose mattes.
        cameras: which cameras.
        out: folder or s3:// prefix.
        formats: see `storage.export.mattes`.

    Raises:
        CapmatError: what `export_mattes` raises.
    """
    return len(export_mattes(Take.open(Root(store), take), run, Root(out), formats, cameras=cameras).written)


def _name() -> str:
    given = runtime.task_run.parameters
    return f"export {given['take']} {given['cameras'][0]}-{given['cameras'][-1]}"


export_task = retryable("export", _name)(export)
