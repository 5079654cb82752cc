"""Files in the store beside the lists of what was written: what is missing, changed or unknown."""

import errno
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from capmat_errors import NotFound, StoreError
from storage.store.ledger import Ledger, is_as_written
from storage.store.root import Root
from storage.takes.group import group_key
from storage.takes.schema import BLOCK

Tell = Callable[[int, int], None]
"""Called with (files read, files in all) while every byte is read."""
Entries = dict[str, dict[str, Any] | None]
"""Ledger entries by key; None for one that cannot be read."""
Lists = dict[str, dict[str, list[int]]]
"""[bytes, crc32] of every listed file, by file and then by the ledger entry that lists it."""


def differing(
    root: Root, sizes: dict[str, int], whose: Lists, deep: bool, tell: Tell | None
) -> Iterator[tuple[str, str, list[str]]]:
    """Every listed file that is not what was written: (file, what is wrong, the entries that list it)."""
    for done, (file, lists) in enumerate(sorted(whose.items())):
        size = sizes.get(file)
        if tell and deep:
            tell(done + 1, len(whose))
        if size is None:
            yield file, "is missing", list(lists)
        elif size not in {listed[0] for listed in lists.values()}:
            wanted = " or ".join(sorted({str(listed[0]) for listed in lists.values()}))
            yield file, f"has {size} bytes instead of {wanted}" if size else "is empty", list(lists)
        elif (deep or file.endswith(".json")) and (what := _differs(root, file, list(lists.values()))):
            yield file, what, list(lists)


def absent(root: Root, sizes: dict[str, int], files: list[str], entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Files that must exist, beside those that the entry lists: (file, what is wrong)."""
    listed = entry.get("files")
    for file in files:
        if listed and file in listed:
            continue
        if listed:
            yield file, "is not in the ledger's list"
        elif not sizes.get(file):
            yield file, "is empty" if file in sizes else "is missing"
        elif file.endswith(".json") and not is_json(root.read(file)):
            yield file, "is damaged"


def listed_files(entries: Entries) -> Lists:
    """Sizes and checksums by file, then by the ledger entry that says them."""
    out: Lists = {}
    for key, entry in entries.items():
        for file, listed in (entry or {}).get("files", {}).items():
            out.setdefault(file, {})[key] = listed
    return out


def strays(
    sizes: dict[str, int], whose: Lists, folder: str, cameras: list[str], blocks: Callable[[str], int]
) -> Iterator[tuple[str, str]]:
    """Files that belong to nothing, except those of an interrupted or running piece of work.

    `blocks` says how many files an array has, by its name.
    """
    for file in sorted(sizes.keys() - whose.keys()):
        part = part_of(file.removeprefix(f"{folder}/"))
        beyond = part.block is not None and part.block >= blocks(part.array)
        if file.endswith(".partial"):
            yield file, "was left by a writer that was killed, unless one is at work now; nothing reads it"
        elif part.kind == "other" or (part.camera and part.camera not in cameras) or beyond:
            yield file, "the ledger does not list this file; nothing reads it"


@dataclass(frozen=True)
class Part:
    """What a file of a take or stage is, by its key.

    Attributes:
        kind: take, run (what announces it), camera, array (what describes one), pixels, boxes (mined ones, or what
            people said of them), or other.
        camera: its name, or "".
        run: whose mattes, or "".
        array: name of the array.
        block: number of the pixels' file in its array.
    """

    kind: str
    camera: str = ""
    run: str = ""
    array: str = ""
    block: int | None = None


def part_of(inside: str) -> Part:
    """What a file is, by its key inside the folder of a take or stage."""
    match inside.split("/"):
        case ["zarr.json"]:
            return Part("take")
        case ["runs", file] if file.endswith(".json"):
            return Part("run", run=file.removesuffix(".json"))
        case ["mined" | "marks", file] if file.endswith(".json"):
            return Part("boxes")
        case ["cameras", camera, "zarr.json"]:
            return Part("camera", camera)
        case ["cameras", camera, "alpha", run, *rest]:
            return _array_part(rest, camera, run, "alpha", 4)
        case ["cameras", camera, array, *rest]:
            return _array_part(rest, camera, "", array, 5)
    return Part("other")


def _array_part(rest: list[str], camera: str, run: str, array: str, depth: int) -> Part:
    if rest == ["zarr.json"]:
        return Part("array", camera, run, array)
    if rest[:1] == ["c"] and len(rest) == depth and rest[1].isdigit() and set(rest[2:]) == {"0"}:
        return Part("pixels", camera, run, array, int(rest[1]))
    return Part("other", camera, run, array)


def is_json(data: bytes) -> bool:
    """Whether this is a json object."""
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _differs(root: Root, file: str, lists: list[list[int]]) -> str:
    try:
        data = root.read(file)
        whole = any(is_as_written(data, listed) for listed in lists)
        return "" if whole else "holds other bytes than were written"
    except NotFound:
        return "is missing"
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
            return "cannot be read: the disk reports an error"
        raise


def all_takes(root: Root) -> list[str]:
    """Takes that lie in the store, and those of which only the ledger is left."""
    names = {*root.names("takes"), *(file.removesuffix(".json") for file in root.names("ledger/seal/takes"))}
    return sorted({name.removesuffix(".zarr") for name in names if name.endswith(".zarr")})


def matte_entries(ledger: Ledger, take: str) -> Entries:
    """Entries of a take's mattes, and those of this beginning that cannot be read any more."""
    return {
        key: entry
        for key, entry in ledger.entries(f"matte/{take}-").items()
        if entry is None or key.split("/")[1] == "-".join((take, *camera_and_run(entry)))
    }


def run_info(root: Root, take: str, run: str, entry: dict[str, Any] | None) -> dict[str, Any] | None:
    """How a run is made, by its ledger entry, else by the take's own file; None if neither can be read."""
    file = f"{group_key('take', take)}/runs/{run}.json"
    if entry or not root.size(file):
        return entry
    data = root.read(file)
    return json.loads(data) if is_json(data) else None


def camera_and_run(entry: dict[str, Any]) -> tuple[str, str]:
    """Camera and run of a matte's entry."""
    return entry.get("camera", ""), entry.get("run", "")


class Shape:
    """Which files a take has, by what it says about itself; this depends on its schema.

    Args:
        about: the attributes of the take.
    """

    def __init__(self, about: dict[str, Any]) -> None:
        self.frames: list[int] = about.get("frames", [])
        self.old = about.get("schema") == "capmat.take/1"
        self.raw = "raw" if about.get("colour", {}).get("cfa") else "rgb"

    def block(self, array: str) -> int:
        """Frames in one file of an array."""
        return 1 if array == self.raw or self.old else BLOCK

    def blocks(self, array: str) -> int:
        """Files of an array."""
        return -(-len(self.frames) // self.block(array))

    def inside(self, part: Part) -> list[int]:
        """The frames in a file of pixels; empty for another file, or one beyond the take."""
        size = self.block(part.array)
        return [] if part.block is None else self.frames[part.block * size : (part.block + 1) * size]

    def ingested(self, key: str, folder: str) -> dict[str, list[str]]:
        """Files of a camera's pictures that must exist, by the ledger entry that answers for them."""
        raw = [f"{folder}/{self.raw}/c/{index}/0/0/0" for index in range(len(self.frames))]
        described = [f"{folder}/{self.raw}/zarr.json"]
        if self.old:
            return {key: described + raw}
        entries = {f"{key}/layout": [f"{folder}/zarr.json", *described, f"{folder}/preview/zarr.json"]}
        for block in range(self.blocks("preview")):
            own = raw[block * BLOCK : (block + 1) * BLOCK]
            entries[f"{key}/{block:05d}"] = [*own, f"{folder}/preview/c/{block}/0/0/0"]
        return entries
