"""A claim: one ingest at a time works on a take or on the plates of a stage, one writer on a camera's mattes.

Everybody writes a file of its own first, and then looks for those of others. Two that start at the same moment see
each other, step back, and try again after a random pause. This needs nothing of the storage but listing. The claim of
a killed process does not count.
"""

import random
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

from capmat_errors import StoreError
from storage.store.root import Root
from storage.store.writers import is_gone, mark

_TRIES = 4


@contextmanager
def claim(root: Root, folder: str, doing: str = "ingesting", patience: float = 0.0) -> Iterator[None]:
    """Keep others from what lies at `folder` while the block runs; what lies below it has claims of its own.

    Args:
        root: the store.
        folder: such as "takes/walk.zarr".
        doing: what others are doing there, for the message.
        patience: seconds to wait for others; without it, a few tries.

    Raises:
        StoreError: another process is still at work there; the message names it.
    """
    own, end = f"claims/{folder}/{mark()}.{uuid.uuid4().hex}", time.monotonic() + patience
    try:
        for tries in count(1):
            root.write(own, b"")
            others = _others(root, f"claims/{folder}", own)
            if not others:
                break
            root.remove(own)
            if tries >= _TRIES and time.monotonic() >= end:
                process, start, machine = others[0].rpartition("/")[2].partition(".")[0].split("_")
                since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(int(start)))
                raise StoreError(
                    f"process {process} on {machine}, started {since}, is {doing} it",
                    where=root.at(folder),
                    fix=f"Wait until it is done. If that machine is gone, delete {root.at(others[0])}.",
                )
            time.sleep(random.uniform(0.02, 0.3))
        yield
    finally:
        root.remove(own)


def _others(root: Root, claims: str, own: str) -> list[str]:
    """Other claims of processes at work; removes the claims and half-written claims of processes that have ended."""
    out = []
    for key in root.list(claims):
        folder, _, name = key.rpartition("/")
        name = name.lstrip(".")
        if key == own or folder != claims or name.count("_") < 2:
            continue
        if is_gone(name.partition(".")[0]):
            root.remove(key)
        elif not name.endswith(".partial"):
            out.append(key)
    return out
