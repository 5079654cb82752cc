"""Numbered records that never change: l0001, l0002, ... of label sets, benchmarks, models, promotions.

A version is one JSON file. It is created in one step, only if its number is free, after everything that it refers to
is stored. So two people who save at once get two numbers, and a version that can be seen is whole.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from capmat_errors import NotFound, StoreError, no_such
from storage.store.json_file import read_object
from storage.store.root import Root

_TRIES = 100


@dataclass(frozen=True)
class Versions:
    """The versions of one thing.

    Attributes:
        root: the store.
        folder: where their files lie.
        letter: what their names start with.
        needed: what each version holds, by name its type; one that lacks it is damaged.
    """

    root: Root
    folder: str
    letter: str
    needed: Mapping[str, type] = field(default_factory=dict)

    def names(self) -> list[str]:
        """The names of the versions ("l0001", ...), oldest first."""
        pattern = re.compile(rf"({self.letter}\d{{4,}})\.json")
        names = [match[1] for name in self.root.names(self.folder) if (match := pattern.fullmatch(name))]
        return sorted(names, key=lambda version: int(version[1:]))

    def add(self, content: Callable[[str | None], Mapping[str, Any]]) -> str:
        """Write the next version and return its name.

        Args:
            content: makes the JSON to write from the name of the newest version (None for the first). It is called
                again with a newer name if another writer was faster.

        Raises:
            StoreError: the store cannot be written to.
        """
        for _ in range(_TRIES):
            newest = next(reversed(self.names()), None)
            version = f"{self.letter}{(int(newest[1:]) if newest else 0) + 1:04d}"
            data = json.dumps(content(newest), indent=1, sort_keys=True).encode()
            if self.root.create(f"{self.folder}/{version}.json", data):
                return version
        raise StoreError("others keep writing at the same time", where=self.root.at(self.folder), fix="Try again.")

    def read(self, version: str | None = None) -> tuple[str, dict[str, Any]]:
        """Name and JSON of a version; None stands for the newest.

        Raises:
            NotFound: the version does not exist; the message lists those that do.
            FileDamaged: its file is damaged.
        """
        names = self.names()
        wanted = version or (names[-1] if names else "")
        if wanted not in names:
            where = self.root.at(self.folder)
            if not version:
                raise NotFound("no version is stored here", where=where, fix="Check the name.")
            raise no_such("version", version, names, where=where)
        return wanted, read_object(self.root, f"{self.folder}/{wanted}.json", **self.needed)
