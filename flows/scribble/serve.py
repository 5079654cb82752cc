"""`capmat scribble`: serve the page on which people paint where the matte failed."""

import getpass
import os
import secrets
import socket
import sys
import webbrowser
from contextlib import suppress
from hashlib import sha256

from capmat_errors import ConfigError, NotFound
from storage.labels.strokes import checked_author
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.config import Config

_TOKEN_BYTES = 24
_LAST_PORT = 65535
_PORTS = range(20000, 32768)  # below those that systems give to outgoing connections
_TRIES = 8


def serve(config: Config, takes: list[str], host: str, port: int, author: str | None, browser: bool) -> None:
    """Serve the page until interrupted.

    Args:
        config: the settings.
        takes: names of the takes; all of the store if empty.
        host: address to listen on.
        port: port to listen on; 0 takes that of the store, or another one if it is taken.
        author: signs new strokes; None takes the login name.
        browser: open the page in a browser, if this machine has a screen.

    Raises:
        NotFound: the store lacks one of the takes, or has no take at all.
        ConfigError: the address or the port is not available.
        ScribbleError: strokes cannot hold this author.
    """
    root = Root(config.store)
    served = _takes(root, takes)
    author = checked_author(author or _login())
    listening = _listen(host, port) if port else _listen_again(root.url, host)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(_TOKEN_BYTES)

    from flows.scribble.app import Desk, scribble_app
    from flows.scribble.connections import server_of
    from flows.scribble.guard import Guard, own_names

    desk = Desk(root, served, author, config)
    guarded = Guard(scribble_app(desk), token, port, {host, *own_names()})
    link = f"http://{_link_host(host)}:{port}/?token={token}"
    print(f"{link}\nWhoever has this link can paint. Ctrl-C ends it; the store keeps what was painted.", flush=True)
    if browser and _has_screen():
        webbrowser.open(link)
    try:
        server_of(guarded).run(sockets=[listening])
    except KeyboardInterrupt:
        print("ended; the same command continues")


def _takes(root: Root, wanted: list[str]) -> dict[str, Take]:
    names = wanted or list_takes(root)
    if not names:
        raise NotFound("the store has no takes", where=root.url, fix="Bring one in with `capmat ingest`.")
    return {name: Take.open(root, name) for name in names}


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # the user has a number alone, as in many containers
        return "somebody"


def _listen_again(store: str, host: str) -> socket.socket:
    """A socket at the port of this store, the same after every restart; at another if it is taken.

    The browser keeps strokes that were not sent under the page's address, and finds them at that address alone.
    """
    seed = sha256(f"{store} {host}".encode("utf-8", "surrogateescape")).digest()
    for start in range(0, 2 * _TRIES, 2):
        with suppress(ConfigError):
            return _listen(host, _PORTS[int.from_bytes(seed[start : start + 2]) % len(_PORTS)])
    return _listen(host, 0)


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens on this address.

    Raises:
        ConfigError: the address is wrong, or another program has the port.
    """
    try:
        if port > _LAST_PORT:  # the system would use the remainder of a division
            raise OverflowError(f"the highest port is {_LAST_PORT}")
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on port {port} ({getattr(error, 'strerror', None) or error})",
            where=f"--host {host}",
            fix="Choose another --port, or remove the option.",
        ) from error
    return listening


def _link_host(host: str) -> str:
    """The host as the link names it."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _has_screen() -> bool:
    """Whether a browser can be shown; without a screen `webbrowser` starts one in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
