"""`capmat scribble`: serve the page on which people paint where the matte failed."""

import getpass
import os
import secrets
import socket
import sys
import webbrowser

from capmat_errors import ConfigError, NotFound
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.config import Config

_TOKEN_BYTES = 24
_LAST_PORT = 65535


def serve(config: Config, takes: list[str], host: str, port: int, author: str | None, browser: bool) -> None:
    """Serve the page until interrupted.

    Args:
        config: the settings.
        takes: names of the takes; all of the store if empty.
        host: address to listen on.
        port: port to listen on; 0 takes a free one.
        author: signs new strokes; None takes the login name.
        browser: open the page in a browser, if this machine has a screen.

    Raises:
        NotFound: the store lacks one of the takes, or has no take at all.
        ConfigError: the address or the port is not available.
    """
    root = Root(config.store)
    served = _takes(root, takes)
    listening = _listen(host, port)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(_TOKEN_BYTES)

    import uvicorn

    from flows.scribble.app import Desk, scribble_app
    from flows.scribble.guard import Guard, own_names

    desk = Desk(root, served, author or getpass.getuser(), config, token)
    guarded = Guard(scribble_app(desk), token, port, {host, *own_names()})
    link = f"http://{_link_host(host)}:{port}/?token={token}"
    print(f"{link}\nWhoever has this link can paint. Ctrl-C ends it; the store keeps what was painted.", flush=True)
    if browser and _has_screen():
        webbrowser.open(link)
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="warning", server_header=False, lifespan="off"))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        print("ended; the same command continues")


def _takes(root: Root, wanted: list[str]) -> dict[str, Take]:
    names = wanted or list_takes(root)
    if not names:
        raise NotFound("the store has no takes", where=root.url, fix="Bring one in with `capmat ingest`.")
    return {name: Take.open(root, name) for name in names}


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
