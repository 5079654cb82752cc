"""The place where everything is kept: a folder or an S3 prefix, seen as keys and bytes.

A write is there completely or not at all, and survives a power cut once the call has returned. `Root` is the contract
and speaks in capmat's errors; `folder.py` and `s3.py` do the work. A pickled Root carries nothing but its url.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from capmat_errors import ConfigError, NotFound
from storage.store.errors import store_errors
from storage.store.folder import Fetch, Folder, Stamp
from storage.store.s3 import S3
from storage.store.writers import mark

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_Names = list[str]  # inside the class `list` is the method
_MISSING = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


def checked_name(kind: str, name: str, longest: int = 250) -> str:
    """Return `name` if it can be part of a key; it becomes a folder, so no slash and no leading dot.

    Raises:
        ConfigError: it has other characters than letters, digits, dot, underscore and minus, or too many.
    """
    if not _NAME.fullmatch(name) or len(name) > longest:
        fix = f"Use letters, digits, dot, underscore and minus, at most {longest}."
        raise ConfigError(f"{name!r} cannot be the name of a {kind}", fix=fix)
    return name


class Root:
    """A folder ("/data/store") or an S3 prefix ("s3://bucket/prefix").

    Every method raises StoreError if the store is full, read-only, damaged or out of reach.

    Args:
        url: where the store lies; a relative folder is made absolute at once, so that workers agree on it.

    Raises:
        ConfigError: the url is empty, has another scheme, or s3fs would take it for another one.
    """

    def __init__(self, url: "str | Path | Root") -> None:
        text = str(url).removeprefix("file://")
        self.remote = text.startswith("s3://")
        if not text:  # an empty variable of a script must not become the top of the disk
            raise ConfigError("no place is given", where="store or --out", fix="Give a folder or s3://bucket/prefix.")
        text = text.rstrip("/") or "/"
        if ("://" in text or "s3:" in Path(text).parts) and not self.remote:
            raise ConfigError(f"a store cannot lie at {text}", fix="Give a folder or s3://bucket/prefix.")
        self.url = text if self.remote else str(Path(text).absolute())
        self._backend = S3(text[len("s3://") :]) if self.remote else Folder(self.url)

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
        """Return self after writing and removing a probe."""
        with store_errors(self.url, self.remote):
            self._backend.check()
        return self

    def clock(self) -> float:
        """The present time by the clock that dates what is stored here, in seconds since 1970."""
        with store_errors(self.url, self.remote):
            return self._backend.clock()

    def read(self, key: str) -> bytes:
        """The bytes at `key`; raises NotFound if nothing is stored there."""
        with self._needed(key):
            return self._backend.read(key)

    def read_all(self, keys: _Names) -> dict[str, bytes]:
        """The bytes at several keys, on S3 many at a time; keys where nothing is stored are left out."""
        with store_errors(self.url, self.remote):
            return self._backend.read_all(keys)

    @contextmanager
    def parts(self, key: str, *, whole: bool = False) -> Iterator[tuple[int, Fetch]]:
        """The size of what is at `key`, and a function that reads several parts (start, length) of it.

        On S3 parts that lie close together come in one request; with `whole`, all of it in the first one.

        Raises:
            NotFound: nothing is stored at `key`.
        """
        with self._needed(key), self._backend.parts(key, whole) as opened:
            yield opened

    def write(self, key: str, data: bytes | Iterable[bytes]) -> None:
        """Put `data`, or the pieces of it, at `key`, replacing what was there."""
        with store_errors(self.at(key), self.remote):
            self._backend.write(key, [data] if isinstance(data, bytes) else data)

    def create(self, key: str, data: bytes) -> bool:
        """Put `data` at `key` only if nothing is there; the test and the write are one step for everybody.

        Returns:
            True if written, False if another writer was first.
        """
        with store_errors(self.at(key), self.remote):
            return self._backend.create(key, data)

    @contextmanager
    def file(self, key: str) -> Iterator[Path]:
        """A path for a program that writes files itself; the file appears at `key` if the block ends well."""
        with ExitStack() as stack:
            with store_errors(self.at(key), self.remote):
                path = stack.enter_context(self._backend.scratch(key))
            yield path
            with store_errors(self.at(key), self.remote):
                self._backend.put(path, key)

    def fetch(self, key: str, path: Path) -> None:
        """Copy what is at `key` to a file of this machine; it appears there when it is whole.

        Raises:
            NotFound: nothing is stored at `key`.
        """
        with self._needed(key):
            path.parent.mkdir(parents=True, exist_ok=True)
            staged = path.with_name(f".{path.name}.{mark()}.partial")
            try:
                self._backend.copy(key, staged)
                staged.replace(path)
            finally:
                staged.unlink(missing_ok=True)

    def sweep(self, key: str) -> None:
        """Remove what killed writers of `key` left beside it; on this machine only, since no other can be asked."""
        with store_errors(self.at(key), self.remote):
            self._backend.sweep(key)

    def size(self, key: str) -> int | None:
        """Bytes at `key`; None if nothing is stored there."""
        with self._optional(key):
            return self._backend.size(key)
        return None

    def exists(self, key: str) -> bool:
        """Whether something is stored at `key`."""
        return self.size(key) is not None

    def list(self, prefix: str = "") -> _Names:
        """All keys below the folder `prefix`, sorted. Never call it on a whole take: see `names`."""
        return list(self.stamps(f"{prefix}/" if prefix else ""))

    def sizes(self, start: str) -> dict[str, int]:
        """Bytes of every file whose key starts with `start`, sorted by key."""
        return {key: size for key, (size, _, _) in self.stamps(start).items()}

    def stamps(self, start: str = "") -> dict[str, Stamp]:
        """Every file whose key starts with `start`, sorted by key. On S3 one request lists a thousand files."""
        with store_errors(self.at(start), self.remote):
            return dict(sorted(self._backend.stamps(start).items()))

    def names(self, prefix: str) -> _Names:
        """The names directly below the folder `prefix`, sorted; empty if the folder does not exist."""
        with self._optional(prefix):
            return sorted(self._backend.names(prefix))
        return []

    def delete(self, prefix: str) -> None:
        """Remove the key `prefix`, or everything below it, if it exists."""
        with self._optional(prefix):
            self._backend.delete(prefix)

    def remove(self, key: str) -> None:
        """Remove the one key `key`, if it exists, in one request."""
        with store_errors(self.at(key), self.remote):
            self._backend.remove(key)

    def at(self, key: str) -> str:
        """The full address of `key`, for messages."""
        return f"{self.url}/{key}" if key else self.url

    @contextmanager
    def _needed(self, key: str) -> Iterator[None]:
        try:
            with store_errors(self.at(key), self.remote, missing_is_ours=True):
                yield
        except _MISSING as error:
            raise NotFound("nothing is stored here", where=self.at(key), fix="Check the name.") from error

    @contextmanager
    def _optional(self, key: str) -> Iterator[None]:
        with suppress(*_MISSING), store_errors(self.at(key), self.remote, missing_is_ours=True):
            yield
