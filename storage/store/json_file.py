"""A JSON file of the store that people or programs of another time may have damaged: reports, plans, versions."""

import json
from types import UnionType
from typing import Any

from capmat_errors import StoreError
from storage.store.root import Root


class FileDamaged(StoreError, ValueError):
    """A file of the store does not hold what was written."""


def read_object(root: Root, key: str, **needed: type | UnionType) -> dict[str, Any]:
    """The JSON object at `key`; see `object_of`, which also says what `needed` is.

    Raises:
        NotFound: nothing is stored there.
        FileDamaged: it is no JSON object, or lacks what is needed.
    """
    return object_of(root.read(key), root.at(key), **needed)


def object_of(data: bytes, where: str, **needed: type | UnionType) -> dict[str, Any]:
    """The JSON object in the bytes of a file.

    Args:
        data: of the file.
        where: its address, for the message.
        needed: names that the object must have, each with the type of its value.

    Raises:
        FileDamaged: it is no JSON object, or lacks what is needed.
    """
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(found.get(name), kind) for name, kind in needed.items()):
        raise FileDamaged(
            "the file is damaged", where=where, fix="Restore it from a copy; `capmat verify` looks at the rest."
        )
    return found
