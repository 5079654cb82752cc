"""The store in a folder: a write is synced, then renamed, so that it survives a power cut completely or not at all.

Errors of the system come out as they are; `Root` translates them.
"""

import errno
import fcntl
import glob
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from stat import S_ISREG

from storage.store.writers import is_gone, mark

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # what link(2) says where there are none
Fetch = Callable[[list[tuple[int, int]]], Iterable[bytes]]
"""Reads several parts (start, length) of a file."""
Stamp = tuple[int, str, float]
"""Bytes of a file, a text that changes with its bytes, and when it was written, in seconds since 1970."""


class Folder:
    """The backend of a store in a folder.

    Args:
        top: the folder.
    """

    def __init__(self, top: str) -> None:
        self.top = Path(top)

    def check(self) -> None:
        """Create a probe as versions are created, and remove it, as well as those of killed processes."""
        for probes in ("probe", ".probe"):  # finished and half-written ones
            self.sweep(probes)
        probe = f".probe.{mark()}.{uuid.uuid4().hex}.partial"
        try:
            self.create(probe, b"capmat")
        finally:
            self.remove(probe)

    def clock(self) -> float:
        """The present time of the file server."""
        with tempfile.TemporaryFile(dir=self.top) as probe:
            probe.write(b"capmat")
            probe.flush()
            return os.fstat(probe.fileno()).st_ctime

    def read(self, key: str) -> bytes:
        """The bytes of one file."""
        return (self.top / key).read_bytes()

    def read_all(self, keys: list[str]) -> dict[str, bytes]:
        """The bytes of those of the files that exist."""
        return {key: self.read(key) for key in keys if (self.top / key).is_file()}

    @contextmanager
    def parts(self, key: str, whole: bool) -> Iterator[tuple[int, Fetch]]:
        """The size of a file, and a function that reads parts of it one after the other."""
        with (self.top / key).open("rb") as file:
            handle = file.fileno()
            # A generator: the part that was read last is still in the processor's cache when it is decoded.
            yield os.fstat(handle).st_size, lambda spans: (os.pread(handle, length, at) for at, length in spans)

    def write(self, key: str, pieces: Iterable[bytes]) -> None:
        """Write a file, sync it, and rename it to its name."""
        with self._staged(key, pieces) as staged:
            self._rename(staged, key)

    def create(self, key: str, data: bytes) -> bool:
        """Write a file unless the name is taken: a hard link fails then, and shows the whole file at once."""
        with self._staged(key, [data]) as staged:
            try:
                (self.top / key).hardlink_to(staged)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                return self._create_alone(staged, key)
            _sync(staged.parent)
            return True

    def _create_alone(self, staged: Path, key: str) -> bool:
        """`create` where the file system has no hard links (exFAT, some network drives): one writer at a time."""
        with (staged.parent / ".create.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # a killed process holds it no longer
            if (self.top / key).exists():
                return False
            self._rename(staged, key)
            return True

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A free path beside the file at `key`; what lies there at the end is removed."""
        path = self.top / key
        new = list(takewhile(lambda folder: not folder.exists(), path.parents))
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{mark()}.{uuid.uuid4().hex[:8]}.partial")
        try:
            yield staged
        finally:
            staged.unlink(missing_ok=True)
        for folder in new:  # or a power cut takes them, and all that lies in them
            _sync(folder.parent)

    def put(self, scratch: Path, key: str) -> None:
        """Sync a file of `scratch` and rename it to its name."""
        _sync(scratch)
        self._rename(scratch, key)

    def copy(self, key: str, path: Path) -> None:
        """Copy a file of the store to `path`."""
        shutil.copyfile(self.top / key, path)

    def sweep(self, key: str) -> None:
        """Remove what killed writers of `key` on this machine left beside it."""
        path = self.top / key
        for stray in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
            if is_gone(stray.name.split(".")[-3]):
                stray.unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Bytes of a file; None if it does not exist."""
        path = self.top / key
        return path.stat().st_size if path.is_file() else None

    def stamps(self, start: str) -> dict[str, Stamp]:
        """Every file whose key starts with `start`: bytes, time of modification, time of the inode's last change."""
        folder, _, stem = start.rpartition("/")
        stamps = {}
        for item in (self.top / folder).glob(f"{glob.escape(stem)}*"):
            for path in (item, *item.rglob("*")):
                with suppress(FileNotFoundError):  # a writer renames its files when they are whole
                    if S_ISREG((stat := path.stat()).st_mode):
                        key = path.relative_to(self.top).as_posix()
                        stamps[key] = (stat.st_size, str(stat.st_mtime_ns), stat.st_ctime)
        return stamps

    def names(self, prefix: str) -> Iterable[str]:
        """The names in a folder that do not start with a dot."""
        return (path.name for path in (self.top / prefix).iterdir() if not path.name.startswith("."))

    def delete(self, prefix: str) -> None:
        """Remove a file, or a folder with all that it holds."""
        path = self.top / prefix
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def remove(self, key: str) -> None:
        """Remove a file if it exists."""
        (self.top / key).unlink(missing_ok=True)

    @contextmanager
    def _staged(self, key: str, pieces: Iterable[bytes]) -> Iterator[Path]:
        with self.scratch(key) as staged:
            with staged.open("wb") as file:
                file.writelines(pieces)
                file.flush()
                os.fsync(file.fileno())
            yield staged

    def _rename(self, staged: Path, key: str) -> None:
        staged.replace(self.top / key)
        _sync(staged.parent)  # a rename is only safe from a power cut when its folder is synced too


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
