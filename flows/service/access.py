"""Who gets into the Prefect server of this folder: the private folder, the password, the proof that it is ours.

Whoever may use the API may run commands, so every server has a password. capmat makes one for each folder, unless
`PREFECT_SERVER_API_AUTH_STRING` holds the operator's own, which is written nowhere.
"""

import base64
import hmac
import os
import secrets
import urllib.error
import urllib.request
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path

from capmat_errors import ConfigError

OWN = "PREFECT_SERVER_API_AUTH_STRING"
"""Prefect's variable with a password that the operator chose."""

_ANSWER_S = 2
_BYTES = 24
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy leads to this machine


def home() -> Path:
    """Folder of Prefect's database, logs and password: `.capmat/prefect` below the working folder."""
    return Path(".capmat/prefect").resolve()


def private_home() -> Path:
    """`home`, made if needed, and closed to other users.

    Raises:
        ConfigError: it is another user's, or nothing can be written here.
    """
    try:
        for folder in (Path(".capmat"), home()):
            folder.mkdir(mode=0o700, exist_ok=True)
            if folder.stat().st_mode & 0o077:
                folder.chmod(0o700)
        (home() / "up.lock").touch(0o600)
    except OSError as e:
        raise ConfigError(
            f"cannot be used ({e.strerror})",
            where=str(Path(".capmat").absolute()),
            fix="Only the user who owns this folder can start, stop or use its server.",
        ) from e
    return home()


def password() -> str:
    """The password of this folder's server; empty until capmat has made one."""
    if own := os.environ.get(OWN):
        return own
    try:
        return _file().read_text()
    except FileNotFoundError:
        return ""


def make_password() -> str:
    """The password of this folder's server; makes one if the folder has none.

    Raises:
        ConfigError: Prefect cannot compare the operator's own.
    """
    if not password().isascii():
        raise ConfigError("the password holds letters outside ASCII", where=OWN, fix="Choose another password.")
    if not password():
        new = private_home() / "password.new"
        with os.fdopen(os.open(new, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w") as file:
            file.write(f"capmat:{secrets.token_urlsafe(_BYTES)}")
        new.replace(_file())
    return password()


def _file() -> Path:
    return home() / "password"


def basic(secret: str) -> str:
    """The header `Authorization` for a password."""
    return f"Basic {base64.b64encode(os.fsencode(secret)).decode()}"


def proof(secret: str, port: int, question: str) -> str:
    """What only the server of this folder, at this port, can answer to a question that was never asked before.

    A program that took the port learns nothing of use: it cannot pass the question on, because the answer of the real
    server holds that server's port.
    """
    return hmac.new(os.fsencode(secret), f"{Path.cwd()}\n{port}\n{question}".encode(), sha256).hexdigest()


def is_ours(port: int) -> bool | None:
    """Whether this folder's server with this folder's password listens at `port`; None if nobody answers."""
    question = secrets.token_urlsafe(_BYTES)
    answer = _ask(port, f"whose/{question}")
    return None if answer is None else hmac.compare_digest(answer, proof(password(), port, question).encode())


def link(port: int) -> str:
    """An address of the UI that lets one browser in, once; see `flows.service.guard`. The server must answer."""
    ticket = _ask(port, "ticket", {"Authorization": basic(password())}) or b""
    return f"http://127.0.0.1:{port}/capmat/enter#{ticket.decode()}"


def _ask(port: int, path: str, headers: dict[str, str] | None = None) -> bytes | None:
    """What the server answers; empty if it refuses, None if nobody answers."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/capmat/{path}", headers=headers or {})
    try:
        with _DIRECT.open(request, timeout=_ANSWER_S) as answer:
            return bytes(answer.read(1000))
    except urllib.error.HTTPError:
        return b""
    except HTTPException:  # another protocol
        return b""
    except OSError:
        return None
