"""A claim: one ingest at a time works on a take or on the plates of a stage.

Every ingest writes a file of its own first, and then looks for those of others. Two that start at the same moment see
each other, step back, and try again after a random pause. This needs nothing of the storage but listing. The claim of
a killed process does not count.
"""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from capmat_errors import StoreError
from storage.store.root import Root
from storage.store.writers import is_gone, mark

_TRIES = 4


@contextmanager
def claim(root: Root, folder: str) -> Iterator[None]:
    """Keep other ingests from what lies at `folder` while the block runs.

    Args:
        root: the store.
        folder: such as "takes/walk.zarr".

    Raises:
        StoreError: another process is at work there; the message names it.
    """
    own = f"claims/{folder}/{mark()}.{uuid.uuid4().hex}"
    for tries_left in reversed(range(_TRIES)):
        root.write(own, b"")
        others = _others(root, f"claims/{folder}", own)
        if not others:
            break
        root.remove(own)
        if not tries_left:
            process, start, machine = others[0].rpartition("/")[2].partition(".")[0].split("_")
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(start)))
            raise StoreError(
                f"process {process} on {machine}, started {since}, is ingesting it",
                where=root.at(folder),
                fix=f"Wait until it is done. If that machine is gone, delete {root.at(others[0])}.",
            )
        time.sleep(random.uniform(0.02, 0.3))
    try:
        yield
    finally:
        root.remove(own)


def _others(root: Root, claims: str, own: str) -> list[str]:
    """Claims of other processes at work; removes the claims and half-written claims of processes that have ended."""
    out = []
    for key in root.list(claims):
        name = key.rpartition("/")[2].lstrip(".")
        if key == own or name.count("_") < 2:
            continue
        if is_gone(name.partition(".")[0]):
            root.remove(key)
        elif not name.endswith(".partial"):
            out.append(key)
    return out
