"""A claim: one ingest at a time works on a take or on the plates of a stage.

Everybody who wants to writes a file of its own first, and then looks who else did. Of two at the same moment both
see each other, step back, and try again after a moment of chance; nothing depends on which storage this is. What a
killed process left does not count.
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
    """Keep others from what lies at `folder` while the block runs.

    Args:
        root: the store.
        folder: such as "takes/walk.zarr".

    Raises:
        StoreError: another process is at work there; the message says which.
    """
    place = f"claims/{folder}"
    mine = f"{place}/{mark()}.{uuid.uuid4().hex}"
    for left in reversed(range(_TRIES)):
        root.write(mine, b"")
        others = _others(root, place, mine)
        if not others:
            break
        root.remove(mine)
        if not left:
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
        root.remove(mine)


def _others(root: Root, place: str, mine: str) -> list[str]:
    """Claims of those who are at work; the others' are taken away, with what they had half written."""
    out = []
    for key in root.list(place):
        name = key.rpartition("/")[2].lstrip(".")
        if key == mine or name.count("_") < 2:
            continue
        if is_gone(name.partition(".")[0]):
            root.remove(key)
        elif not name.endswith(".partial"):
            out.append(key)
    return out
