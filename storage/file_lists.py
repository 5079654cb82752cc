"""Files in the store beside the lists of what was written: what is missing, changed, or belongs to nobody."""

import errno
import json
from collections.abc import Callable, Iterator
from typing import Any

from capmat_errors import NotFound, StoreError
from storage.ledger import stored
from storage.root import Root

Tell = Callable[[int, int], None]
"""Called with (files read, files in all) while every byte is read."""
Entries = dict[str, dict[str, Any] | None]
"""Ledger entries by key; None for one that cannot be read."""
Lists = dict[str, dict[str, list[int]]]
"""[bytes, crc32c] of every listed file, by file and then by the ledger entry that lists it."""


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
    """Files that must be there, beside those that the entry lists: (file, what is wrong)."""
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
    sizes: dict[str, int], whose: Lists, folder: str, cameras: list[str], frames: int
) -> Iterator[tuple[str, str]]:
    """Files that belong to nothing; what an interrupted or running piece of work wrote is not among them."""
    for file in sorted(sizes.keys() - whose.keys()):
        camera, kind, run, index = place(file.removeprefix(f"{folder}/"))
        if file.endswith(".partial"):
            yield file, "was left by a writer that was killed, unless one is at work now; nothing reads it"
        elif kind == "other" or (camera and camera not in cameras) or (index is not None and index >= frames):
            yield file, "nobody recorded this file; nothing reads it"


def place(inside: str) -> tuple[str, str, str, int | None]:
    """Camera, kind (take, run, array, frame, other), run and place in the array of a file of a take or stage."""
    match inside.split("/"):
        case ["zarr.json"]:
            return "", "take", "", None
        case ["runs", file] if file.endswith(".json"):
            return "", "run", file.removesuffix(".json"), None
        case ["cameras", camera, "alpha", run, *rest]:
            return camera, *_part(rest, run, 4)
        case ["cameras", camera, _, *rest]:
            return camera, *_part(rest, "", 5)
    return "", "other", "", None


def _part(rest: list[str], run: str, depth: int) -> tuple[str, str, int | None]:
    if rest == ["zarr.json"]:
        return "array", run, None
    if rest[:1] == ["c"] and len(rest) == depth and rest[1].isdigit() and set(rest[2:]) == {"0"}:
        return "frame", run, int(rest[1])
    return "other", run, None


def is_json(data: bytes) -> bool:
    """Whether this is a json object."""
    try:
        return isinstance(json.loads(data), dict)
    except ValueError:
        return False


def _differs(root: Root, file: str, lists: list[list[int]]) -> str:
    try:
        return "" if stored(root, file)[file] in lists else "holds other bytes than were written"
    except NotFound:
        return "is missing"
    except StoreError as error:
        if isinstance(error.__cause__, OSError) and error.__cause__.errno == errno.EIO:
            return "cannot be read: the disk reports an error"
        raise
