"""The files of an inbox: in a folder, or on S3, from where the files of a take are copied to this machine first.

Files on S3 go by the path of their copies, so that nothing else has to know the difference. A copy has the size and
the time of its original; a copy with others is fetched again.
"""

import os
import shutil
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypedDict

from capmat_errors import ConfigError, SessionError, StoreError
from storage.descriptor import Session
from storage.store.root import Root

STAGING = Path(".capmat/inbox")
"""Where copies of files from S3 lie."""
Listing = dict[str, tuple[int, str, float]]
"""By path: bytes, time of modification (ns) or ETag, and time of the last write (s)."""
_DEEP = 3  # folders below the inbox in which a session.toml is looked for
_AT_ONCE = 8
_SPARE = 1.05


class Postponed(TypedDict):
    """Something in the inbox that must wait for another night, and why."""

    where: str
    why: str


def open_inbox(inbox: str, staging: Path = STAGING) -> "InboxFiles":
    """The inbox at a folder or s3:// address.

    Raises:
        ConfigError: the inbox is neither a folder of this machine nor on S3.
    """
    if inbox.startswith("s3://"):
        return Bucket(inbox, staging)
    if "://" in inbox or not Path(inbox).is_dir():
        fix = "Create it, or mount what holds the sessions, or give s3://bucket/prefix."
        raise ConfigError("the inbox is not a folder", where=inbox, fix=fix)
    return Folder(inbox)


class Folder:
    """An inbox on this machine.

    Args:
        inbox: the folder.
    """

    def __init__(self, inbox: str) -> None:
        self.inbox = Path(inbox)

    def sessions(self, left: list[Postponed]) -> Iterator[Path]:
        """Every session.toml, by path; folders of the inbox without one are noted in `left`.

        A folder with several names, through symbolic links, is one session, by its own name if the inbox has that.
        """
        found: dict[Path, list[Path]] = {}
        for folder in sorted(self.inbox.iterdir()):
            if folder.is_dir() and not folder.name.startswith("."):
                files = sorted(_below(folder, _DEEP - 1))
                for file in files:
                    found.setdefault(file.parent.resolve(), []).append(file)
                if not files:
                    left.append({"where": str(folder), "why": "has no session.toml yet"})
        top = self.inbox.resolve()
        yield from sorted(
            next((name for name in names if top / name.parent.relative_to(self.inbox) == folder), names[0])
            for folder, names in found.items()
        )

    def clock(self) -> float:
        """The present time of the file server, by a file without a name; ours, if nothing can be written there."""
        try:
            return Root(self.inbox).clock()
        except StoreError:
            return time.time()

    def again(self) -> None:
        """Nothing to do: a folder is read anew at every listing."""

    def listing(self, paths: Iterable[Path]) -> Listing:
        """Every file at or below some paths; the last write is the time of the inode, which no program sets back."""
        listing: Listing = {}
        for path in _files(paths):
            with suppress(FileNotFoundError):  # rsync renames a file when it is whole
                at = path.stat()
                listing[str(path)] = (at.st_size, str(at.st_mtime_ns), at.st_ctime)
        return listing

    def shown(self, path: Path) -> str:
        """A path as people know it."""
        return str(path)


class Bucket:
    """An inbox on S3.

    Args:
        inbox: s3://bucket/prefix. Nothing in it is ever changed.
        staging: folder of this machine for copies.
    """

    def __init__(self, inbox: str, staging: Path) -> None:
        self.root, self.staging = Root(inbox), staging.absolute()
        self._keys: list[str] = []
        self._stamps: Listing = {}
        self._odd: list[str] = []  # keys that no path stands for

    def sessions(self, left: list[Postponed]) -> Iterator[Path]:
        """As of `Folder`; every session.toml is fetched."""
        self.again()
        tops: dict[str, list[str]] = {}
        for key in sorted(self._list(), key=lambda key: (key.count("/"), key)):
            *folders, name = key.split("/")
            if not folders or any(folder.startswith(".") for folder in folders):
                continue
            sessions = tops.setdefault(folders[0], [])
            within = any(key.startswith(f"{other}/") for other in sessions)
            if name == "session.toml" and len(folders) <= _DEEP and not within:
                sessions.append("/".join(folders))
        for top, sessions in sorted(tops.items()):
            for folder in sorted(sessions):
                self._bring(file := self.staging / folder / "session.toml")
                yield file
            if not sessions:
                left.append({"where": self.root.at(top), "why": "has no session.toml yet"})
        left += [{"where": self.root.at(key), "why": "a part of its key is empty, . or .."} for key in self._odd]

    def clock(self) -> float:
        """The present time of the server."""
        return self.root.clock()

    def again(self) -> None:
        """Read the bucket anew at the next listing."""
        self._keys, self._stamps, self._odd = [], {}, []

    def listing(self, paths: Iterable[Path]) -> Listing:
        """Every file at or below some paths.

        Raises:
            SessionError: a path is not in the inbox.
        """
        stamps, keys, listing = self._list(), self._keys, Listing()
        for path in paths:
            start = self._key(path)
            inside = keys[bisect_left(keys, f"{start}/") : bisect_left(keys, f"{start}0")]  # "0" follows "/"
            for key in [start] if start in stamps else inside:
                listing[str(self.staging / key)] = stamps[key]
        return listing

    def shown(self, path: Path) -> str:
        """The address of a path."""
        return self.root.at(self._key(path))

    def fetch(self, files: Iterable[str], within: Iterable[Path]) -> None:
        """Copy files. Existing copies stay, copies of removed files are removed.

        Args:
            files: of a listing.
            within: where copies of removed files may lie.

        Raises:
            StoreError: the disk has too little room, or S3 does not answer.
        """
        for path in _files(self.staging / self._key(path) for path in within):
            if self._key(path) not in self._list():
                path.unlink()
        missing = self.missing(files)
        need = sum(missing.values())
        self.staging.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(self.staging).free
        if _SPARE * need > free:
            raise StoreError(
                f"the copy needs {need / 1e9:.3g} GB, {free / 1e9:.3g} GB are free",
                where=str(self.staging),
                fix="Free some space, or start capmat in a folder on a larger disk.",
            )
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            list(threads.map(self._bring, missing))

    def missing(self, files: Iterable[str]) -> dict[Path, int]:
        """By path, the bytes of those files of a listing that are not copied."""
        paths = map(Path, files)
        return {path: self._stamps[self._key(path)][0] for path in paths if not self._is_copied(path)}

    def drop(self, files: Iterable[str]) -> None:
        """Remove the copies of some files of a listing, and folders that become empty."""
        for file in files:
            Path(file).unlink(missing_ok=True)
        for folder, _, _ in os.walk(self.staging, topdown=False):
            if not any(Path(folder).iterdir()):
                Path(folder).rmdir()

    def _bring(self, path: Path) -> None:
        if not self._is_copied(path):
            self.root.fetch(self._key(path), path)
            written = self._stamps[self._key(path)][2]
            os.utime(path, (written, written))  # part of the digest of what is ingested

    def _is_copied(self, path: Path) -> bool:
        size, _, written = self._stamps[self._key(path)]
        try:
            at = path.stat()
        except FileNotFoundError:
            return False
        return (at.st_size, int(at.st_mtime)) == (size, int(written))

    def _key(self, path: Path) -> str:
        key = os.path.relpath(path, self.staging)
        if key.startswith(".."):
            fix = "Give paths below the folder of session.toml, or beside it in the inbox."
            raise SessionError("the session's files are not in the inbox", where=str(path), fix=fix)
        return key

    def _list(self) -> Listing:
        if not self._keys:
            self._stamps = self.root.stamps()
            self._odd = [key for key in self._stamps if {"", ".", ".."} & {*key.split("/")}]
            for key in self._odd:
                del self._stamps[key]
            self._keys = sorted(self._stamps)
        return self._stamps


InboxFiles = Folder | Bucket


def shared_paths(file: Path, session: Session) -> list[Path]:
    """Where descriptor, calibration, plates and trimaps lie."""
    paths = [file, _fixed(session, session.calibration.path)]
    if session.plates:
        paths.append(_fixed(session, session.plates.path))
    if session.benchmark:
        paths.append(_fixed(session, session.benchmark.trimaps))
    return paths


def take_path(session: Session, take: str) -> Path:
    """Where the files of a take lie."""
    return _fixed(session, session.takes[take].path)


def _fixed(session: Session, template: str) -> Path:
    """The part of a path template that names no camera and no frame."""
    parts = Path(template).parts
    fixed = parts[: next((i for i, part in enumerate(parts) if "{" in part), len(parts))]
    return session.folder.joinpath(*fixed)


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_file():
            yield path
        else:
            seen = set[str]()
            for top, folders, names in os.walk(path, followlinks=True):
                if (real := os.path.realpath(top)) in seen:  # a symbolic link that leads back
                    folders.clear()
                    continue
                seen.add(real)
                yield from (Path(top, name) for name in names)


def _below(folder: Path, deep: int) -> Iterator[Path]:
    if (file := folder / "session.toml").is_file():
        yield file
    elif deep:
        for inner in folder.iterdir():
            if inner.is_dir() and not inner.name.startswith("."):
                yield from _below(inner, deep - 1)
