"""`capmat scribble`: serve the page on which people paint where the matte failed."""

import getpass
import os
import secrets
import socket
import sys
import webbrowser
from argparse import Namespace

from capmat_errors import ConfigError, NotFound
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.config import Config

_TOKEN_BYTES = 24
_LAST_PORT = 65535


def scribble(config: Config, args: Namespace) -> None:
    """Serve the page until interrupted.

    Raises:
        NotFound: there is no such take, or none at all.
        ConfigError: the address cannot be listened on.
    """
    root = Root(config.store)
    takes = _takes(root, args.take)
    listening = _listen(args.host, args.port)
    port = listening.getsockname()[1]
    token = secrets.token_urlsafe(_TOKEN_BYTES)

    import uvicorn

    from flows.scribble.app import Desk, scribble_app
    from flows.scribble.guard import Guard, own_names

    desk = Desk(root, takes, args.author or getpass.getuser(), config, token)
    guarded = Guard(scribble_app(desk), token, port, {args.host, *own_names()})
    link = f"http://{_called(args.host)}:{port}/?token={token}"
    print(f"{link}\nWhoever has this link can paint. Ctrl-C ends it; what is painted stays in the store.", flush=True)
    if not args.no_browser and _has_screen():
        webbrowser.open(link)
    server = uvicorn.Server(uvicorn.Config(guarded, log_level="warning", server_header=False, lifespan="off"))
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:
        print("ended; the same command goes on")


def _takes(root: Root, wanted: list[str]) -> dict[str, Take]:
    names = wanted or list_takes(root)
    if not names:
        raise NotFound("there is no take in the store", where=root.url, fix="Bring one in with `capmat ingest`.")
    return {name: Take.open(root, name) for name in names}


def _listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        ConfigError: it cannot; another program may have the port.
    """
    try:
        if port > _LAST_PORT:  # the system would take the rest of a division
            raise OverflowError(f"the last one is {_LAST_PORT}")
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen()
    except (OSError, OverflowError) as error:
        raise ConfigError(
            f"cannot listen on port {port} ({getattr(error, 'strerror', None) or error})",
            where=f"--host {host}",
            fix="Choose another --port, or leave it away.",
        ) from error
    return made


def _called(host: str) -> str:
    """The host as it stands in the link."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


def _has_screen() -> bool:
    """Whether a browser could be shown; without a screen `webbrowser` starts one in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
