"""What goes wrong in a store, in one line that says what to do about it.

The operating system and S3 report through dozens of classes; the person who runs a stage needs one sentence.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from capmat_errors import CapmatError, StoreError

_SPACE = "Free some space and run it again; finished work is kept."
_RIGHTS = ("access is denied", "Check owner and permissions.")
_KEYS = ("access is denied", "Check the keys of S3 (AWS_*) and the policy of the bucket.")
_SILENT = ("S3 does not answer", "Check AWS_ENDPOINT_URL and the network, then run it again.")
_AGAIN = "Correct that and run it again; finished work is kept."
_WORDS = {
    errno.ENOSPC: ("the disk is full", _SPACE),
    errno.EDQUOT: ("the disk quota is used up", _SPACE),
    errno.EROFS: ("the disk is read-only", "Mount it for writing, or choose another place."),
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.ENOTDIR: ("a file stands where a folder is needed", "Choose another place, or move the file."),
    errno.EEXIST: ("a file stands where a folder is needed", "Choose another place, or move the file."),
    errno.EISDIR: ("a folder stands where a file is needed", "Name a file in it."),
    errno.EIO: ("the disk reports a read or write error", "Check the disk; restore the file from a copy."),
    errno.ENAMETOOLONG: ("a name is too long for this file system", "Choose a shorter name."),
    errno.EFBIG: ("the file is larger than this disk or account allows", "Raise the limit, or choose another place."),
}
# Answers of status 400 and 409 that ask for patience.
_BUSY = ("RequestTimeout", "ConditionalRequestConflict", "OperationAborted")


@contextmanager
def store_errors(where: str, remote: bool = False, *, missing_is_ours: bool = False) -> Iterator[None]:
    """Turn errors of the disk, of S3 and of its client into `StoreError`.

    Args:
        where: the address being used.
        remote: it is on S3.
        missing_is_ours: let FileNotFoundError and its like through, because the caller has its own word for it.

    Raises:
        StoreError: in place of any OSError or botocore error.
    """
    try:
        yield
    except CapmatError:
        raise
    except OSError as error:
        missing = isinstance(error, FileNotFoundError | IsADirectoryError | NotADirectoryError)
        if missing and missing_is_ours and not _is_missing_bucket(error):
            raise
        what, fix = _words(error, remote)
        raise StoreError(what, where=where, fix=fix) from error
    except _client_errors(remote) as error:
        what, fix = _client_words(error)
        raise StoreError(what, where=where, fix=fix) from error


def may_pass(error: Exception) -> bool:
    """Whether S3 may answer if it is asked again: it was busy, broken or away, rather than unwilling.

    s3fs asks this after every failed attempt, of which it makes five.
    """
    from botocore.exceptions import ClientError, ConnectionError

    if getattr(error, "capmat_seen", False):
        return False  # an inner loop of s3fs has tried it five times; the outer one would multiply that
    error.capmat_seen = True  # type: ignore[attr-defined]
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return status in (429, 500, 502, 503, 504) or _code(error) in _BUSY
    return isinstance(error, ConnectionError)


def _words(error: OSError, remote: bool) -> tuple[str, str]:
    if _is_missing_bucket(error):
        return "the bucket does not exist", "Create it, or correct the store's url."
    if error.errno in _WORDS:
        return _WORDS[error.errno]
    if isinstance(error, PermissionError):  # without a number of the system: s3fs made it
        return _KEYS
    if isinstance(error, TimeoutError | ConnectionError):
        return _SILENT
    return f"{'S3' if remote else 'the file system'} says {error.strerror or error}", _AGAIN


def _is_missing_bucket(error: OSError) -> bool:
    """Whether S3 answered that the bucket is missing; s3fs makes a FileNotFoundError of that, too."""
    codes = {_code(error.__cause__), _code(error.__context__)}
    return isinstance(error, FileNotFoundError) and "NoSuchBucket" in codes


def _code(error: BaseException | None) -> str:
    """S3's own word for an error; "" for an error of another origin."""
    return getattr(error, "response", {}).get("Error", {}).get("Code", "")


def _client_errors(remote: bool) -> tuple[type[Exception], ...]:
    """The classes that come past s3fs untranslated; looked up only after an error."""
    if not remote:
        return ()
    from botocore.exceptions import BotoCoreError, ClientError

    return (BotoCoreError, ClientError)


def _client_words(error: Exception) -> tuple[str, str]:
    from botocore import exceptions as boto

    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        fix = "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE."
        return "the environment has no S3 credentials", fix
    if isinstance(error, boto.HTTPClientError | boto.ConnectionError):
        return _SILENT
    # Some of botocore's errors quote what was to be stored.
    return f"S3 says {str(error)[:200]}", _AGAIN
