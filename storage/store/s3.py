"""The store on S3, by way of s3fs. A write is one PUT, so it is there completely or not at all.

Credentials and the endpoint come from the environment only (AWS_*). Errors of s3fs and botocore come out as they are;
`Root` translates them. `rm`, `cat`, `get` and `copy` of s3fs take `*`, `?` and `[` in a path for a pattern, and reach
objects of other stores. Only calls that take each path as it is are used here.
"""

import logging
import os
import re
import sys
import tempfile
import uuid
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

from capmat_errors import ConfigError
from storage.store.errors import may_pass
from storage.store.folder import Fetch, Stamp

_GAP = 2**16  # bytes between two parts that are cheaper to read than to ask for separately
_AT_ONCE = 1000  # objects that S3 removes in one request
_MISREAD = re.compile(r"/|$|[^/]*//|.*\?versionId=", re.DOTALL)  # addresses that s3fs shortens
_ADDRESS = re.compile(r"https?://[^\s/:]+(:[0-9]{1,5})?(/\S*)?|https?://\[[0-9A-Fa-f:.]+\](:[0-9]{1,5})?(/\S*)?")
_inherited: list[Any] = []

# At level DEBUG these print every signed request, session token included.
_TELLTALES = ("botocore.auth", "botocore.endpoint")
# Two attempts of botocore times the five of s3fs. Checksums only where required, because many S3 servers answer
# ranged reads with the checksum of the whole object.
_CONFIG = {
    "max_pool_connections": 32,
    "connect_timeout": 10,
    "read_timeout": 60,
    "retries": {"mode": "standard", "total_max_attempts": 2},
    "response_checksum_validation": "when_required",
    "request_checksum_calculation": "when_required",
}


class S3:
    """The backend of a store on S3.

    Reads ask for one piece (`max_concurrency=1`): s3fs asks for the size first when it may use several pieces, and
    does not retry a single piece that failed.

    Args:
        top: bucket and prefix, "bucket/prefix".

    Raises:
        ConfigError: s3fs would take the address for another one, or the endpoint's is none.
    """

    def __init__(self, top: str) -> None:
        self.top = top
        _check_endpoint()
        self._path("")

    def check(self) -> None:
        """Write a probe and remove it; that of a killed process has the same name."""
        self.write(".probe", [b"capmat"])
        self.remove(".probe")

    def clock(self) -> float:
        """The present time of the server, from the head of an answer."""
        answer = self._files.call_s3("list_objects_v2", Bucket=self.top.partition("/")[0], MaxKeys=1)
        return parsedate_to_datetime(answer["ResponseMetadata"]["HTTPHeaders"]["date"]).timestamp()

    def read(self, key: str) -> bytes:
        """The bytes of one object, in one request."""
        return bytes(self._files.cat_file(self._path(key), max_concurrency=1))

    def read_all(self, keys: list[str]) -> dict[str, bytes]:
        """The bytes of those of the objects that exist, many requests at a time."""
        paths = [self._path(key) for key in keys]
        # What s3fs could not read comes back as the error.
        answers = self._files.cat_ranges(paths, None, None, on_error="return", max_concurrency=1)
        for answer in answers:
            if isinstance(answer, Exception) and not isinstance(answer, FileNotFoundError):
                raise answer
        pairs = zip(keys, answers, strict=True)
        return {key: bytes(data) for key, data in pairs if not isinstance(data, Exception)}

    @contextmanager
    def parts(self, key: str, whole: bool) -> Iterator[tuple[int, Fetch]]:
        """The size of an object, and a function that reads parts of it; with `whole`, one request for all of it."""
        if whole:
            data = self.read(key)
            yield len(data), lambda spans: [data[start : start + length] for start, length in spans]
        elif (size := self.size(key)) is None:
            raise FileNotFoundError(key)
        else:
            yield size, lambda spans: self._read_spans(key, spans)

    def write(self, key: str, pieces: Iterable[bytes]) -> None:
        """Write an object: one PUT."""
        self._files.pipe_file(self._path(key), b"".join(pieces))

    def create(self, key: str, data: bytes) -> bool:
        """Write an object unless the name is taken: one conditional PUT."""
        files, claim = self._files, uuid.uuid4().hex
        try:
            files.pipe_file(self._path(key), data, mode="create", Metadata={"claim": claim})
        except FileExistsError:
            # The first PUT may be ours: its answer got lost, and the client asked again.
            return bool(files.metadata(self._path(key)).get("claim") == claim)
        return True

    @contextmanager
    def scratch(self, key: str) -> Iterator[Path]:
        """A free path on this machine; what lies there at the end is removed."""
        with tempfile.TemporaryDirectory() as folder:
            yield Path(folder, "file")

    def put(self, scratch: Path, key: str) -> None:
        """Send a file of `scratch`."""
        self._files.put_file(str(scratch), self._path(key))

    def copy(self, key: str, path: Path) -> None:
        """Copy an object to `path`; it goes on where a connection broke."""
        self._files.get_file(self._path(key), str(path), max_concurrency=1)

    def sweep(self, key: str) -> None:
        """Nothing to do: S3 shows whole objects only."""

    def size(self, key: str) -> int | None:
        """Bytes of an object; None if it is a folder. Raises FileNotFoundError if it does not exist."""
        info = self._files.info(self._path(key))
        return int(info["size"]) if info["type"] == "file" else None

    def stamps(self, start: str) -> dict[str, Stamp]:
        """Every object whose key starts with `start`: bytes, ETag, LastModified. One request lists a thousand."""
        listed = self._files.find(self._path(""), prefix=start, detail=True)
        stamps = {}
        for path, item in listed.items():
            if not path.endswith("/"):  # consoles mark empty folders this way
                tag, written = str(item["ETag"]).strip('"'), item["LastModified"].timestamp()
                stamps[path[len(self.top) + 1 :]] = (int(item["size"]), tag, written)
        return stamps

    def names(self, prefix: str) -> Iterable[str]:
        """The names directly below a folder."""
        return (path.rstrip("/").rpartition("/")[2] for path in self._files.ls(self._path(prefix), detail=False))

    def delete(self, prefix: str) -> None:
        """Remove an object, or everything below a folder."""
        files, path = self._files, self._path(prefix)
        bucket = files.split_path(path)[0]
        keys = [{"Key": found[len(bucket) + 1 :]} for found in files.find(path)]
        for start in range(0, len(keys), _AT_ONCE):
            removal = {"Objects": keys[start : start + _AT_ONCE], "Quiet": True}
            if errors := files.call_s3("delete_objects", Bucket=bucket, Delete=removal).get("Errors"):
                raise OSError(f"{errors[0]['Code']} for {errors[0]['Key']}")

    def remove(self, key: str) -> None:
        """Remove an object if it exists, in one request."""
        self._files.rm_file(self._path(key))

    def _path(self, key: str) -> str:
        path = f"{self.top}/{key}".rstrip("/")
        if _MISREAD.match(path):
            what = "s3fs takes this address for another one"
            fix = "Give s3://bucket/prefix, without `?versionId=` and without `//` after the bucket."
            raise ConfigError(what, where=f"s3://{path}", fix=fix)
        return path

    def _read_spans(self, key: str, spans: list[tuple[int, int]]) -> list[bytes]:
        """Parts of an object: those that lie close together in one request, all requests at once."""
        runs: list[list[int]] = []
        for start, length in sorted(spans):
            if runs and start - runs[-1][1] <= _GAP:
                runs[-1][1] = max(runs[-1][1], start + length)
            else:
                runs.append([start, start + length])
        starts, ends = [run[0] for run in runs], [run[1] for run in runs]
        paths = [self._path(key)] * len(runs)
        data = self._files.cat_ranges(paths, starts, ends, on_error="raise", max_concurrency=1)
        placed = [(bisect_right(starts, start) - 1, start, length) for start, length in spans]
        return [bytes(data[run][start - starts[run] :][:length]) for run, start, length in placed]

    @property
    def _files(self) -> Any:
        from s3fs.core import S3FileSystem, set_custom_error_handler

        for name in _TELLTALES:
            logging.getLogger(name).addFilter(_above_debug)
        # s3fs itself gives up at the first 500, at a 503 without a body, and at a server that is being restarted.
        set_custom_error_handler(may_pass)
        # fsspec keeps one instance per thread and process. The endpoint is passed, and not left to botocore,
        # so that it is part of what tells instances apart.
        return S3FileSystem(
            use_listings_cache=False,
            config_kwargs=_CONFIG,
            endpoint_url=os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"),
        )


def _above_debug(record: logging.LogRecord) -> bool:
    return record.levelno > logging.DEBUG


def _keep_inherited() -> None:
    """Keep a parent's S3 clients alive in a forked child, unused.

    The child's first use of S3 drops them, and s3fs then closes them on the child's own event loop: that takes their
    connections off the epoll queue, which a fork shares. The parent, whose sockets are still open, then hears no
    answer on them until the timeout of a minute (seen: 12 connections in the queue before, none after, 60 s).
    """
    if "s3fs.core" in sys.modules:
        _inherited.extend(sys.modules["s3fs.core"].S3FileSystem._cache.values())


os.register_at_fork(after_in_child=_keep_inherited)


def _check_endpoint() -> None:
    """Refuse an endpoint that botocore calls invalid in the middle of the work."""
    for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"):
        given = os.environ.get(name)
        if given is not None and not _ADDRESS.fullmatch(given):
            fix = "Write it as http://host:port or https://host:port, or remove the variable."
            raise ConfigError(f"{name} is {given!r}, which is no address", fix=fix)
