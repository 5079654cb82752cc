"""The seal of a take or a stage: all of it is there.

The seal lies in two places: as `complete` in what describes the thing (its zarr.json), and in the ledger with a
copy of that description. Without the copy, one damaged file would make all frames below it unreadable.
"""

import json
from typing import Any

from storage.store.ledger import Ledger, fingerprint, is_as_written
from storage.store.root import Root


def set_seal(root: Root, folder: str, complete: bool) -> None:
    """Put the seal on the group at `folder`, or take it off."""
    ledger, file = Ledger(root), f"{folder}/zarr.json"
    ledger.forget(seal_key(folder))
    whole = json.loads(root.read(file))
    whole["attributes"]["complete"] = complete
    data = json.dumps(whole, indent=1).encode()
    root.sweep(file)
    root.write(file, data)
    if complete:
        # As text, because the ledger sorts keys and cameras have an order.
        ledger.record(seal_key(folder), {"files": {file: fingerprint(data)}, "description": data.decode()})


def group_document(attributes: dict[str, Any]) -> bytes:
    """The zarr.json of a group of such attributes."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=1).encode()


def break_seal(root: Root, folder: str) -> None:
    """Take the seal off something whose description may be damaged; it comes back from the ledger's copy.

    Where there is no copy, a damaged description is removed: the next ingest then makes all of it again.
    """
    ledger, file = Ledger(root), f"{folder}/zarr.json"
    whole = sealed_copy(ledger.done(seal_key(folder)), folder) or read_description(root, folder)
    if whole is None:
        root.remove(file)
    else:
        whole["attributes"]["complete"] = False
        root.sweep(file)
        root.write(file, json.dumps(whole, indent=1).encode())
    ledger.forget(seal_key(folder))


def read_description(root: Root, folder: str) -> dict[str, Any] | None:
    """The zarr.json of a take or a stage; None if it is not there or cannot be understood."""
    return _description(root.read(f"{folder}/zarr.json")) if root.exists(f"{folder}/zarr.json") else None


def sealed_copy(entry: dict[str, Any] | None, folder: str) -> dict[str, Any] | None:
    """The description that was sealed, by its entry in the ledger; None if that is damaged itself."""
    text = str((entry or {}).get("description", "")).encode()
    listed = (entry or {}).get("files", {}).get(f"{folder}/zarr.json", [])
    return _description(text) if is_as_written(text, listed) else None


def seal_key(folder: str) -> str:
    """Where the ledger keeps the seal of the group at `folder`."""
    return f"seal/{folder}"


def _description(text: str | bytes) -> dict[str, Any] | None:
    try:
        whole = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(whole, dict) and isinstance(whole.get("attributes"), dict)
    return whole if fits and "complete" in whole["attributes"] else None
