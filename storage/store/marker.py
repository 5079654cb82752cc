"""The file that names a store, so that a folder whose disk is not mounted is never taken for an empty store.

Stores of early versions have no such file. They are known by what they hold, and get one with their next ingest.
"""

import json
import uuid
from datetime import UTC, datetime
from pathlib import Path

from capmat_errors import NotFound, StoreError
from storage.store.errors import store_errors
from storage.store.root import Root

MARKER = "capmat-store.json"
_EARLY = (
    *("ledger", "takes", "stages", "models", "labels", "promotions", "benchmarks", "drafts"),
    *("reports", "plans", "trainings", "checkpoints", "configs", "paper"),
)


def is_store(root: Root) -> bool:
    """Whether a store lies here."""
    return root.exists(MARKER) or any(root.names(folder) for folder in _EARLY)


def begin_store(root: Root) -> None:
    """Name the store, unless it has its name."""
    if not root.exists(MARKER):
        content = {"store": uuid.uuid4().hex, "begun": datetime.now(UTC).isoformat(timespec="seconds")}
        root.create(MARKER, json.dumps(content, indent=1).encode())


def check_store(root: Root) -> None:
    """Return if a store lies here.

    Raises:
        NotFound: none does.
    """
    if not is_store(root):
        fix = "Mount its disk or correct `store`. `capmat ingest` begins a new store."
        raise NotFound("no store is here", where=root.url, fix=fix)


def check_place(root: Root) -> None:
    """Return if a store lies here, or may begin here unasked: below the working folder, in a folder yet to be made.

    Raises:
        StoreError: it may not; the disk may not be mounted, or the place cannot be read.
    """
    with store_errors(root.url):
        fresh = not root.remote and Path.cwd() in Path(root.url).parents and not Path(root.url).exists()
    if not fresh and not is_store(root):
        fix = "Mount its disk or correct `store`. To begin a new store here, say `capmat --new-store` once."
        raise StoreError("no store is here", where=root.url, fix=fix)
