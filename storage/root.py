"""The place where everything is kept: a folder or an S3 prefix, seen as keys and bytes.

A write is there completely or not at all, and survives a power cut once the call has returned. Credentials
and the endpoint come from the environment only (AWS_*), so a pickled Root carries nothing but its url.
"""

import atexit
import os
import re
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from capmat_errors import ConfigError, NotFound
from storage.store_errors import store_errors

if TYPE_CHECKING:
    import zarr

_Names = list[str]
_closed_at_exit: set[Any] = set()
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")

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
                return bytes(self._s3().cat_file(self._path(key))) if self.remote else self._local(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError) as error:
            raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.") from error

    def write(self, key: str, data: bytes) -> None:
        """Put `data` at `key`, replacing what was there: one PUT on S3; a synced file and rename in a folder.

        Raises:
            StoreError: the store is full, read-only or out of reach.
        """
        with store_errors(self.at(key), self.remote):
            if self.remote:
                self._s3().pipe_file(self._path(key), data)
                return
            path = self._local(key)
            staged = self._stage(path, data)
            try:
                staged.replace(path)
            finally:
                staged.unlink(missing_ok=True)
            _sync_folder(path.parent)

    def create(self, key: str, data: bytes) -> bool:
        """Put `data` at `key` only if nothing is there; the test and the write are one step for everybody.

        Returns:
            True if written, False if somebody was first.
        """
        with store_errors(self.at(key), self.remote):
            if self.remote:
                try:
                    self._s3().pipe_file(self._path(key), data, mode="create")
                except FileExistsError:
                    return False
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
            _sync_folder(path.parent)
            return True

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

    def flush(self, key: str) -> None:
        """Wait until the file at `key` and its folders are on the disk; zarr itself does not. Free on S3."""
        if self.remote:
            return
        with store_errors(self.at(key), self.remote):
            path = self._local(key)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            _sync_folder(path.parent)

    def group(self, key: str, mode: Literal["r", "r+", "a", "w"]) -> "zarr.Group":
        """Open the zarr group at `key`, afresh: handles do not survive a fork, and pickle with secrets.

        Raises:
            NotFound: mode is "r" or "r+" and there is no group.
            StoreError: the store cannot be used.
        """
        import zarr

        if mode in ("r", "r+") and not self.exists(f"{key}/zarr.json"):
            raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.")
        with store_errors(self.at(key), self.remote):
            return zarr.open_group(self.store(key, read_only=mode == "r"), mode=mode, zarr_format=3)

    def store(self, key: str, *, read_only: bool) -> Any:
        """The zarr store of the folder `key`."""
        from zarr.storage import FsspecStore, LocalStore

        if self.remote:
            files = self._s3(asynchronous=True)
            if files not in _closed_at_exit:
                # s3fs closes only its synchronous sessions; an open one is complained about at exit.
                _closed_at_exit.add(files)
                atexit.register(_close, files)
            return FsspecStore(files, read_only=read_only, path=self._path(key))
        return LocalStore(self._local(key), read_only=read_only)

    def at(self, key: str) -> str:
        """The full address of `key`, for messages."""
        return f"{self.url}/{key}" if key else self.url

    def _local(self, key: str) -> Path:
        return Path(self.url, key)

    def _path(self, key: str) -> str:
        return self.at(key).removeprefix("s3://").rstrip("/")

    def _s3(self, *, asynchronous: bool = False) -> Any:
        from s3fs.core import S3FileSystem

        # fsspec keeps one instance per thread and process. The endpoint is passed, and not left to botocore,
        # so that it is part of what tells instances apart.
        return S3FileSystem(
            asynchronous=asynchronous,
            use_listings_cache=False,
            config_kwargs=_S3,
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        )

    def _stage(self, path: Path, data: bytes) -> Path:
        """Write `data` beside `path` under a name of its own, and sync it."""
        path.parent.mkdir(parents=True, exist_ok=True)
        staged = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
        try:
            with staged.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            staged.unlink(missing_ok=True)
            raise
        return staged


def _close(files: Any) -> None:
    from zarr.core.sync import sync

    if files._s3 is not None:
        sync(files._s3.close())  # in the event loop that opened it, which is zarr's


def _sync_folder(folder: Path) -> None:
    """A rename is only safe from a power cut when its folder has been synced too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
