"""Numbered things that never change: l0001, l0002, ... Label sets, benchmarks, models, promotions.

A version is one json file that is created only if its number is free, in one step, after everything that it
refers to is stored. So two people who save at once get two numbers, and a version that can be seen is whole.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from capmat_errors import NotFound, StoreError
from storage.store.root import Root

_TRIES = 100


def list_versions(root: Root, folder: str, letter: str) -> list[str]:
    """The versions in `folder` ("l0001", ...), oldest first."""
    fits = re.compile(rf"({letter}\d{{4,}})\.json")
    found = [hit[1] for name in root.names(folder) if (hit := fits.fullmatch(name))]
    return sorted(found, key=lambda version: int(version[1:]))


def add_version(root: Root, folder: str, letter: str, content: Callable[[str | None], dict[str, Any]]) -> str:
    """Write the next version.

    Args:
        root: the store.
        folder: where the versions are.
        letter: what their names start with.
        content: given the newest version's name (None for the first), makes the json to write; called again
            with a newer one if somebody else was faster.

    Returns:
        The name of the version.

    Raises:
        StoreError: the store cannot be written to.
    """
    for _ in range(_TRIES):
        there = list_versions(root, folder, letter)
        newest = there[-1] if there else None
        version = f"{letter}{(int(newest[1:]) if newest else 0) + 1:04d}"
        data = json.dumps(content(newest), indent=1, sort_keys=True).encode()
        if root.create(f"{folder}/{version}.json", data):
            return version
    raise StoreError("others keep writing at the same time", where=root.at(folder), fix="Try again.")


def read_version(root: Root, folder: str, letter: str, version: str | None) -> tuple[str, dict[str, Any]]:
    """Read a version, the newest if None: (its name, its json).

    Raises:
        NotFound: there is no such version; the message lists those there are.
    """
    there = list_versions(root, folder, letter)
    wanted = version or (there[-1] if there else "")
    if wanted not in there:
        raise NotFound(
            f"there is no version {version or ''}; there is {', '.join(there) or 'none'}".replace(" ;", ";"),
            where=root.at(folder),
            fix="Check the name.",
        )
    return wanted, json.loads(root.read(f"{folder}/{wanted}.json"))
