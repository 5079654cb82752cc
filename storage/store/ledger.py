"""What is finished: one small file per finished piece of work, written after its results are on the disk.

Zarr cannot tell a black frame from one that was never computed, so pixels alone never prove that work is done. An
interrupted piece has no entry, and is done again. The seal of a take or a stage is an entry with a copy of its
description.
"""

import json
import zlib
from collections.abc import Iterable, Iterator
from typing import Any

from capmat_errors import NotFound
from storage.store.root import Root

_CHECK = "crc32"
Files = dict[str, list[int]]
"""What lies in the store: [bytes, crc32] by key."""


def stored(root: Root, *keys: str) -> Files:
    """Size and checksum of files, from the bytes that lie in the store.

    Raises:
        NotFound: a file does not exist.
        StoreError: the store cannot be read.
    """
    return {key: fingerprint(root.read(key)) for key in keys}


def fingerprint(data: bytes) -> list[int]:
    """[bytes, crc32].

    It is crc32 and not crc32c: every part of a shard ends on its own crc32c, so the crc32c of the whole file would be
    the same for all files of that size. A frame in place of another would pass.
    """
    return [len(data), zlib.crc32(data)]


class Fingerprint:
    """The fingerprint of data that passes in pieces."""

    def __init__(self) -> None:
        self.value = [0, 0]

    def of(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Pass the pieces on, and include them in `value`."""
        for piece in pieces:
            self.value = [self.value[0] + len(piece), zlib.crc32(piece, self.value[1])]
            yield piece


def made_from(entry: dict[str, Any] | None, manifest: str) -> bool:
    """Whether an entry's work was done with files of this manifest, or with others that hold the same."""
    return entry is not None and manifest in (entry.get("manifest"), entry.get("same"))


def is_as_written(data: bytes, listed: list[int]) -> bool:
    """Whether data matches the fingerprint of an entry; entries of early versions hold crc32c."""
    import google_crc32c

    return listed in (fingerprint(data), [len(data), google_crc32c.value(data)])


class Ledger:
    """The ledger of a store.

    Args:
        root: the store.
    """

    def __init__(self, root: Root) -> None:
        self.root = root

    def done(self, key: str) -> dict[str, Any] | None:
        """The entry of `key`; None if that work is not finished, or if its entry cannot be read."""
        try:
            return _entry(self.root.read(_file(key)))
        except NotFound:
            return None

    def entries(self, start: str) -> dict[str, dict[str, Any] | None]:
        """All entries whose key starts with `start`; None for one that cannot be read."""
        files = [file for file in self.root.sizes(f"ledger/{start}") if file.endswith(".json")]
        return {
            file.removeprefix("ledger/").removesuffix(".json"): _entry(data)
            for file, data in self.root.read_all(files).items()
        }

    def record(self, key: str, entry: dict[str, Any]) -> None:
        """Record that the work `key` is finished. Call it last.

        Args:
            key: such as "ingest/walk/c03/00000".
            entry: what identifies inputs and settings, so that a change can be seen; plain JSON. "files" holds the
                files that the work stored, see `stored`.
        """
        self.root.sweep(_file(key))
        whole = {**entry, _CHECK: _checksum(entry)}
        self.root.write(_file(key), json.dumps(whole, indent=1, sort_keys=True).encode())

    def forget(self, key: str) -> None:
        """Remove an entry, before its results are replaced."""
        self.root.remove(_file(key))


def _entry(data: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(data)
    except ValueError:
        return None
    if not isinstance(entry, dict):
        return None
    if _CHECK in entry:
        return entry if entry.pop(_CHECK) == _checksum(entry) else None
    # Entries of early versions have no checksum. A value that is that of the rest is one whose name is damaged.
    nameless = any(value == _checksum({k: v for k, v in entry.items() if k != name}) for name, value in entry.items())
    return None if nameless else entry


def _checksum(entry: dict[str, Any]) -> int:
    return zlib.crc32(json.dumps(entry, sort_keys=True).encode())


def _file(key: str) -> str:
    return f"ledger/{key}.json"


def set_seal(root: Root, folder: str, complete: bool) -> None:
    """Put the seal on the group at `folder`, or take it off."""
    ledger, file = Ledger(root), f"{folder}/zarr.json"
    ledger.forget(seal_key(folder))
    data = _write_description(root, file, json.loads(root.read(file)), complete)
    if complete:
        # As text, because the ledger sorts keys and cameras have an order.
        ledger.record(seal_key(folder), {"files": {file: fingerprint(data)}, "description": data.decode()})


def group_document(attributes: dict[str, Any]) -> bytes:
    """The zarr.json of a group of such attributes."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=1).encode()


def restore_description(root: Root, folder: str) -> None:
    """Write the description of a group again, from the ledger's copy if there is one, and without its seal."""
    ledger = Ledger(root)
    description = sealed_copy(ledger.done(seal_key(folder)), folder) or read_description(root, folder)
    if description:
        _write_description(root, f"{folder}/zarr.json", description, False)
    ledger.forget(seal_key(folder))


def read_description(root: Root, folder: str) -> dict[str, Any] | None:
    """The zarr.json of a take or a stage; None if it does not exist or cannot be understood."""
    return _description(root.read(f"{folder}/zarr.json")) if root.exists(f"{folder}/zarr.json") else None


def sealed_copy(entry: dict[str, Any] | None, folder: str) -> dict[str, Any] | None:
    """The description that was sealed, from its entry in the ledger; None if that is damaged itself."""
    text = str((entry or {}).get("description", "")).encode()
    listed = (entry or {}).get("files", {}).get(f"{folder}/zarr.json", [])
    return _description(text) if is_as_written(text, listed) else None


def seal_key(folder: str) -> str:
    """Where the ledger keeps the seal of the group at `folder`."""
    return f"seal/{folder}"


def _write_description(root: Root, file: str, description: dict[str, Any], complete: bool) -> bytes:
    data = group_document({**description["attributes"], "complete": complete})
    root.sweep(file)
    root.write(file, data)
    return data


def _description(text: str | bytes) -> dict[str, Any] | None:
    try:
        whole = json.loads(text)
    except ValueError:
        return None
    fits = isinstance(whole, dict) and isinstance(whole.get("attributes"), dict)
    return whole if fits and "complete" in whole["attributes"] else None
