"""What goes wrong in a store, said in one line with what to do about it.

The operating system and S3 report through dozens of classes; whoever runs a stage needs one sentence.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from capmat_errors import CapmatError, StoreError

_SAID = {
    errno.ENOSPC: ("the disk is full", "Free some space and run it again; what was finished is kept."),
    errno.EDQUOT: (
        "the disk quota is used up",
        "Free some space and run it again; what was finished is kept.",
    ),
    errno.EROFS: ("the store is read-only", "Mount it for writing, or choose another store."),
    errno.EACCES: ("access to the store is denied", "Check owner and permissions, or the S3 policy."),
    errno.EPERM: ("access to the store is denied", "Check owner and permissions, or the S3 policy."),
    errno.ENOTDIR: ("a file stands where a folder is needed", "Choose another store, or move the file."),
    errno.EIO: ("the disk reports a read or write error", "Check the disk; restore the file from a copy."),
    errno.EFBIG: (
        "the file is larger than this disk or account allows",
        "Raise the limit, or choose another store.",
    ),
}


# Answers of status 400 and 409 that ask for patience.
_BUSY = ("RequestTimeout", "ConditionalRequestConflict", "OperationAborted")


@contextmanager
def store_errors(where: str, remote: bool, *, missing_is_ours: bool = False) -> Iterator[None]:
    """Turn errors of the disk, of S3 and of its client into `StoreError`.

    Args:
        where: the address being used.
        remote: it is on S3.
        missing_is_ours: let FileNotFoundError through, because the caller has its own word for it.

    Raises:
        StoreError: in place of any OSError or botocore error.
    """
    try:
        yield
    except CapmatError:
        raise
    except OSError as error:
        gone = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        bucket = "bucket" in str(error).lower() and remote
        if gone and missing_is_ours and not bucket:
            raise
        what, fix = _words(error, remote, bucket)
        raise StoreError(what, where=where, fix=fix) from error
    except _client_errors(remote) as error:
        what, fix = _client_words(error)
        raise StoreError(what, where=where, fix=fix) from error


def may_pass(error: Exception) -> bool:
    """Whether S3 may answer if it is asked again: it was busy, broken or not there, rather than unwilling.

    s3fs asks this after every failed attempt, of which it makes five.
    """
    from botocore.exceptions import ClientError, ConnectionError

    if getattr(error, "capmat_seen", False):
        return False  # an inner loop of s3fs has tried it five times; the outer one would multiply that
    error.capmat_seen = True  # type: ignore[attr-defined]
    if isinstance(error, ClientError):
        said = error.response
        status = said.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status in (429, 500, 502, 503, 504) or said.get("Error", {}).get("Code") in _BUSY
    return isinstance(error, ConnectionError)


def _words(error: OSError, remote: bool, bucket: bool) -> tuple[str, str]:
    if bucket and isinstance(error, FileNotFoundError):
        return "the bucket does not exist", "Create it, or correct the store's url."
    if error.errno in _SAID:
        return _SAID[error.errno]
    if isinstance(error, PermissionError):
        return _SAID[errno.EACCES]
    if isinstance(error, TimeoutError | ConnectionError):
        return "the store does not answer", "Check AWS_ENDPOINT_URL and the network, then run it again."
    kind = "S3" if remote else "the file system"
    return (
        f"{kind} says {error.strerror or error}",
        "Correct that and run it again; what was finished is kept.",
    )


def _client_errors(remote: bool) -> tuple[type[Exception], ...]:
    """The classes that come past s3fs untranslated; looked up only after something has gone wrong."""
    if not remote:
        return ()
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def _client_words(error: Exception) -> tuple[str, str]:
    from botocore import exceptions as boto

    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return (
            "there are no S3 credentials",
            "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE.",
        )
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        return "the store does not answer", "Check AWS_ENDPOINT_URL and the network, then run it again."
    # Some of botocore's errors quote what was to be stored.
    return f"S3 says {str(error)[:200]}", "Correct that and run it again; what was finished is kept."
