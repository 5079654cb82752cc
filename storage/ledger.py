"""What is finished: one small file per finished piece of work, written after its results are on the disk.

Zarr cannot tell a black frame from one that was never computed, so nothing is ever taken as done because
pixels seem to be there. A piece that was interrupted has no entry, and is done again.
"""

import json
from typing import Any

from storage.root import Root


class Ledger:
    """The ledger of a store.

    Args:
        root: the store.
    """

    def __init__(self, root: Root) -> None:
        self.root = root

    def done(self, key: str) -> dict[str, Any] | None:
        """What was recorded under `key`, or None if that work is not finished."""
        file = _file(key)
        if not self.root.exists(file):
            return None
        entry: dict[str, Any] = json.loads(self.root.read(file))
        return entry

    def record(self, key: str, entry: dict[str, Any]) -> None:
        """Say that the work `key` is finished. Call it last.

        Args:
            key: such as "ingest/walk/c03".
            entry: what identifies inputs and settings, so that a change can be seen; plain json.
        """
        self.root.write(_file(key), json.dumps(entry, indent=1, sort_keys=True).encode())

    def forget(self, key: str) -> None:
        """Take an entry back, before its results are replaced."""
        self.root.remove(_file(key))


def _file(key: str) -> str:
    return f"ledger/{key}.json"
