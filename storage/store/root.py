"""The place where everything is kept: a folder or an S3 prefix, seen as keys and bytes.

A write is there completely or not at all, and survives a power cut once the call has returned. Credentials
and the endpoint come from the environment only (AWS_*), so a pickled Root carries nothing but its url.
"""

import glob
import logging
import os
import re
import shutil
import sys
import tempfile
import uuid
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError, NotFound
from storage.store.errors import store_errors
from storage.store.writers import is_gone, mark

_Names = list[str]
_Spans = list[tuple[int, int]]
_Pieces = Iterable[bytes]
_Fetch = Callable[[_Spans], _Pieces]
_GAP = 2**16  # bytes between two parts that are cheaper to read than to ask for separately
_inherited: list[Any] = []
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

# At level DEBUG these print every signed request, session token included.
_TELLTALES = ("botocore.auth", "botocore.endpoint")
# Twice in botocore times the five of s3fs itself; checksums only where required, because many S3 servers
# answer ranged reads with the checksum of the whole object.
_S3 = {
    "max_pool_connections": 32,
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 2},
    "response_checksum_validation": "when_required",
    "request_checksum_calculation": "when_required",
}


def checked_name(kind: str, name: str) -> str:
    """Return `name` if it can be part of a key; it becomes a folder, so no slash and no leading dot.

    Raises:
        ConfigError: it has other characters than letters, digits, dot, underscore and minus.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"{name!r} cannot be the name of a {kind}", fix="Use letters, digits, dot, underscore and minus."
        )
    return name


class Root:
    """A folder ("/data/store") or an S3 prefix ("s3://bucket/prefix").

    Args:
        url: where the store lies; a relative folder is made absolute at once, so that workers agree on it.

    Raises:
        ConfigError: the url has another scheme.
    """

    def __init__(self, url: "str | Path | Root") -> None:
        text = str(url).removeprefix("file://").rstrip("/") or "/"
        self.remote = text.startswith("s3://")
        if "://" in text and not self.remote:
            raise ConfigError(f"{text} is no place for a store", fix="Give a folder or s3://bucket/prefix.")
        self.url = text if self.remote else str(Path(text).absolute())

    def __str__(self) -> str:
        return self.url

    def __repr__(self) -> str:
        return f"Root({self.url!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Root) and self.url == other.url

    def __hash__(self) -> int:
        return hash(self.url)

    def __reduce__(self) -> tuple[type["Root"], tuple[str]]:
        return Root, (self.url,)

    def checked(self) -> "Root":
        """Return self after writing and removing a probe.

        Raises:
            StoreError: the store is full, read-only or out of reach.
        """
        if not self.remote:
            with store_errors(self.url, remote=False):
                Path(self.url).mkdir(parents=True, exist_ok=True)
                # A file without a name, where the system has them: nothing is left by whoever is killed here.
                with tempfile.TemporaryFile(dir=self.url) as file:
                    file.write(b"capmat")
                    file.flush()
                    os.fsync(file.fileno())
            return self
        probe = f".probe-{uuid.uuid4().hex}"
        self.write(probe, b"capmat")
        self.delete(probe)
        return self

    def read(self, key: str) -> bytes:
        """The bytes at `key`.

        Raises:
            NotFound: there is no such key.
            StoreError: the store cannot be read.
        """
        try:
            with store_errors(self.at(key), self.remote, missing_is_ours=True):
                if not self.remote:
                    return self._local(key).read_bytes()
                # In one piece: s3fs asks for the size first when it may use several, and does not retry a piece.
                return bytes(self._s3().cat_file(self._path(key), max_concurrency=1))
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.") from error

    def read_all(self, keys: _Names) -> dict[str, bytes]:
        """The bytes at several keys, on S3 many at a time; keys that are not there are left out.

        Raises:
            StoreError: the store cannot be read.
        """
        if not self.remote:
            found = ((key, self._local(key)) for key in keys)
            with store_errors(self.url, self.remote):
                return {key: path.read_bytes() for key, path in found if path.is_file()}
        by_path = {self._path(key): key for key in keys}
        with store_errors(self.url, self.remote):
            # What s3fs could not read comes back as the error; only "not there" is an answer.
            got = self._s3().cat(list(by_path), on_error="return", max_concurrency=1) if by_path else {}
            for answer in got.values():
                if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                    raise answer
        return {by_path[path]: bytes(data) for path, data in got.items() if not isinstance(data, Exception)}

    @contextmanager
    def parts(self, key: str, *, whole: bool = False) -> Iterator[tuple[int, _Fetch]]:
        """The size of what is at `key`, and a function that reads several parts (start, length) of it.

        On S3 parts that lie close together come in one request; with `whole`, all of it in the first one.

        Raises:
            NotFound: there is no such key.
            StoreError: the store cannot be read.
        """
        if self.remote:
            if whole:
                data = self.read(key)
                yield len(data), lambda spans: [data[start : start + length] for start, length in spans]
                return
            if (size := self.size(key)) is None:
                raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.")
            yield size, lambda spans: self._s3_parts(key, spans)
            return
        try:
            with store_errors(self.at(key), remote=False, missing_is_ours=True):
                file = self._local(key).open("rb")
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.") from error

        def fetch(spans: _Spans) -> Iterator[bytes]:
            # One at a time: what was read last is still in the processor's cache when it is decoded.
            for start, length in spans:
                with store_errors(self.at(key), remote=False):
                    piece = os.pread(file.fileno(), length, start)
                yield piece

        with file:
            yield os.fstat(file.fileno()).st_size, fetch

    def write(self, key: str, data: bytes | Iterable[bytes]) -> None:
        """Put `data`, or the pieces of it, at `key`, replacing what was there.

        One PUT on S3; a synced file and a rename in a folder.

        Raises:
            StoreError: the store is full, read-only or out of reach.
        """
        with store_errors(self.at(key), self.remote):
            if self.remote:
                self._s3().pipe_file(self._path(key), data if isinstance(data, bytes) else b"".join(data))
                return
            path = self._local(key)
            staged = self._stage(path, data)
            try:
                staged.replace(path)
            finally:
                staged.unlink(missing_ok=True)
            _sync(path.parent)

    def sweep(self, key: str) -> None:
        """Remove what killed writers of `key` left beside it; on this machine, since no other can be asked."""
        if not self.remote:
            path = self._local(key)
            with store_errors(self.at(key), self.remote):
                for stray in path.parent.glob(f".{glob.escape(path.name)}.*.partial"):
                    if is_gone(stray.name.split(".")[-3]):
                        stray.unlink(missing_ok=True)

    def create(self, key: str, data: bytes) -> bool:
        """Put `data` at `key` only if nothing is there; the test and the write are one step for everybody.

        Returns:
            True if written, False if somebody was first.
        """
        with store_errors(self.at(key), self.remote):
            if self.remote:
                files, claim = self._s3(), uuid.uuid4().hex
                try:
                    files.pipe_file(self._path(key), data, mode="create", Metadata={"claim": claim})
                except FileExistsError:
                    # Perhaps we were first ourselves: the answer got lost, and the client asked again.
                    return bool(files.metadata(self._path(key)).get("claim") == claim)
                return True
            path = self._local(key)
            staged = self._stage(path, data)
            try:
                # A hard link fails if the name is taken, and shows the whole file at once.
                path.hardlink_to(staged)
            except FileExistsError:
                return False
            finally:
                staged.unlink(missing_ok=True)
            _sync(path.parent)
            return True

    @contextmanager
    def file(self, key: str) -> Iterator[Path]:
        """A path for a program that writes files itself; the file appears at `key` if the block ends well.

        Raises:
            StoreError: the store is full, read-only or out of reach.
        """
        if self.remote:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder, "file")
                yield path
                with store_errors(self.at(key), self.remote):
                    self._s3().put_file(str(path), self._path(key))
            return
        path = self._local(key)
        with store_errors(self.at(key), self.remote):
            path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{mark()}.{uuid.uuid4().hex}.partial")
        try:
            yield staged
            with store_errors(self.at(key), self.remote):
                _sync(staged)
                staged.replace(path)
                _sync(path.parent)
        finally:
            staged.unlink(missing_ok=True)

    def size(self, key: str) -> int | None:
        """Bytes at `key`, or None if there is no such key."""
        try:
            with store_errors(self.at(key), self.remote, missing_is_ours=True):
                if self.remote:
                    found = self._s3().info(self._path(key))
                    return int(found["size"]) if found["type"] == "file" else None
                path = self._local(key)
                return path.stat().st_size if path.is_file() else None
        except FileNotFoundError:
            return None

    def exists(self, key: str) -> bool:
        """Whether something is stored at `key`."""
        return self.size(key) is not None

    def list(self, prefix: str = "") -> _Names:
        """All keys below the folder `prefix`, sorted. Never call it on a whole take: see `names`."""
        with store_errors(self.at(prefix), self.remote):
            if self.remote:
                base = self._path("")
                return sorted(str(found)[len(base) + 1 :] for found in self._s3().find(self._path(prefix)))
            top, base_path = self._local(prefix), Path(self.url)
            return sorted(p.relative_to(base_path).as_posix() for p in top.rglob("*") if p.is_file())

    def sizes(self, start: str) -> dict[str, int]:
        """Bytes of every file whose key starts with `start`: on S3 one request per thousand files."""
        folder, _, stem = start.rpartition("/")
        with store_errors(self.at(start), self.remote):
            if self.remote:
                base = len(self._path("")) + 1
                found = self._s3().find(self._path(folder), prefix=stem, detail=True)
                return {str(path)[base:]: int(item["size"]) for path, item in found.items()}
            inside = (p for item in self._local(folder).glob(f"{stem}*") for p in (item, *item.rglob("*")))
            keys = (p.relative_to(self.url).as_posix() for p in sorted(inside))
            # What a writer renames meanwhile has no size.
            return {key: size for key in keys if (size := self.size(key)) is not None}

    def stamps(self, prefix: str = "") -> dict[str, tuple[int, str, float]]:
        """Every file below the folder `prefix`: bytes, what changes with its bytes, and when it was written.

        On S3 the second is the ETag and the third LastModified, in seconds since 1970: one request per thousand
        files. In a folder they are the times of modification and of the inode's last change.
        """
        if not self.remote:
            found = {}
            for key in self.list(prefix):
                with suppress(FileNotFoundError):  # a writer renames its files when they are whole
                    at = self._local(key).stat()
                    found[key] = (at.st_size, str(at.st_mtime_ns), at.st_ctime)
            return found
        with store_errors(self.at(prefix), self.remote):
            base = len(self._path("")) + 1
            listed = self._s3().find(self._path(prefix), detail=True)
            return {
                str(path)[base:]: (int(item["size"]), str(item["ETag"]).strip('"'), item["LastModified"].timestamp())
                for path, item in listed.items()
                if not str(path).endswith("/")  # consoles mark empty folders this way
            }

    def fetch(self, key: str, path: Path) -> None:
        """Copy what is at `key` to a file of this machine; it appears there when it is whole.

        Raises:
            NotFound: there is no such key.
            StoreError: the store cannot be read, or the disk is full.
        """
        try:
            with store_errors(self.at(key), self.remote, missing_is_ours=True):
                path.parent.mkdir(parents=True, exist_ok=True)
                staged = path.with_name(f".{path.name}.{mark()}.partial")
                try:
                    if self.remote:
                        # In one piece, see `read`; it goes on where a connection broke.
                        self._s3().get_file(self._path(key), str(staged), max_concurrency=1)
                    else:
                        shutil.copyfile(self._local(key), staged)
                    staged.replace(path)
                finally:
                    staged.unlink(missing_ok=True)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
            raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.") from error

    def names(self, prefix: str) -> _Names:
        """The names directly below the folder `prefix`, sorted; empty if there is none."""
        try:
            with store_errors(self.at(prefix), self.remote, missing_is_ours=True):
                if self.remote:
                    found = self._s3().ls(self._path(prefix), detail=False)
                    return sorted(str(path).rstrip("/").rpartition("/")[2] for path in found)
                return sorted(p.name for p in self._local(prefix).iterdir() if not p.name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            return []

    def delete(self, prefix: str) -> None:
        """Remove the key `prefix`, or everything below it. Nothing there is fine."""
        try:
            with store_errors(self.at(prefix), self.remote, missing_is_ours=True):
                if self.remote:
                    self._s3().rm(self._path(prefix), recursive=True)
                elif (path := self._local(prefix)).is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
        except FileNotFoundError:
            return

    def remove(self, key: str) -> None:
        """Remove the one key `key`, in one request. Nothing there is fine."""
        with store_errors(self.at(key), self.remote):
            if self.remote:
                self._s3().rm_file(self._path(key))
            else:
                self._local(key).unlink(missing_ok=True)

    def at(self, key: str) -> str:
        """The full address of `key`, for messages."""
        return f"{self.url}/{key}" if key else self.url

    def _local(self, key: str) -> Path:
        return Path(self.url, key)

    def _path(self, key: str) -> str:
        return self.at(key).removeprefix("s3://").rstrip("/")

    def _s3_parts(self, key: str, spans: _Spans) -> _Pieces:
        """Parts of an object, neighbours together, all requests at once."""
        runs: list[list[int]] = []
        for start, length in sorted(spans):
            if runs and start - runs[-1][1] <= _GAP:
                runs[-1][1] = max(runs[-1][1], start + length)
            else:
                runs.append([start, start + length])
        starts, ends = [run[0] for run in runs], [run[1] for run in runs]
        with store_errors(self.at(key), self.remote):
            # In one piece each, see `read`.
            paths = [self._path(key)] * len(runs)
            got = self._s3().cat_ranges(paths, starts, ends, on_error="raise", max_concurrency=1)
        held = [(run[0], bytes(data)) for run, data in zip(runs, got, strict=True)]
        places = [(bisect_right(starts, start) - 1, start, length) for start, length in spans]
        return [held[run][1][start - held[run][0] :][:length] for run, start, length in places]

    def _s3(self) -> Any:
        from s3fs.core import S3FileSystem, set_custom_error_handler

        from storage.store.errors import may_pass

        for name in _TELLTALES:
            logging.getLogger(name).addFilter(_above_debug)
        # s3fs itself gives up at the first 500, at a 503 without a body, and at a server that is being restarted.
        set_custom_error_handler(may_pass)
        # fsspec keeps one instance per thread and process. The endpoint is passed, and not left to botocore,
        # so that it is part of what tells instances apart.
        return S3FileSystem(
            use_listings_cache=False,
            config_kwargs=_S3,
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        )

    def _stage(self, path: Path, data: bytes | Iterable[bytes]) -> Path:
        """Write `data` beside `path` under a name of its own, and sync it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{mark()}.{uuid.uuid4().hex}.partial")
        try:
            with staged.open("wb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            staged.unlink(missing_ok=True)
            raise
        return staged


def _keep_inherited() -> None:
    """Keep a parent's S3 clients alive in a forked child, unused.

    The child's first use of S3 drops them, and s3fs then closes them on the child's own event loop: that takes their
    connections off the epoll queue, which a fork shares. The parent, whose sockets are still open, then hears no
    answer on them until the timeout of a minute (seen: 12 connections in the queue before, none after, 60 s).
    """
    if "s3fs.core" in sys.modules:
        _inherited.extend(sys.modules["s3fs.core"].S3FileSystem._cache.values())


os.register_at_fork(after_in_child=_keep_inherited)


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _sync(path: Path) -> None:
    """Wait until it is on the disk. A rename is only safe from a power cut when its folder has been synced too."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
