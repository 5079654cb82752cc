"""The process of the Prefect server: Prefect's own program behind a check of Host, with a way in for browsers.

    python -P -m flows.service.guard server FD      # FD: a socket that listens already

Prefect asks for the password in a header that only its own UI and our processes send, so other sites cannot use a
browser's login. A page of another site that was given this machine's address (DNS rebinding) is known by its Host.
"""

import base64
import hmac
import os
import secrets
import socket
import sys
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flows.service.access import OWN, basic, proof
from tasks.runtime.form import faults

HOSTS = ["127.0.0.1", "localhost"]
"""Names of a server that listens on loopback only, also at the end of `ssh -L`."""

_TICKET_S = 3600
_NO_STORE = {"Cache-Control": "no-store"}
_TICKET = "x-capmat-ticket"  # a header that no page of another origin may send
_SCRIPT = """
const ticket = location.hash.slice(1), key = "prefect-password"
history.replaceState(null, "", location.pathname)
fetch("/capmat/password", {method: "POST", headers: {"x-capmat-ticket": ticket}}).then(async answer => {
  if (answer.ok) localStorage.setItem(key, await answer.text())
  if (answer.ok || localStorage.getItem(key)) location.replace("/")
  else document.querySelector("p").textContent =
    "This link was used already, or is too old. `capmat ui`, in the folder of the stage, prints a new one."
})
"""
_PAGE = f'<!doctype html><meta charset="utf-8"><title>capmat</title><p></p><script>{_SCRIPT}</script>'
_HASH = base64.b64encode(sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = f"default-src 'none'; script-src 'sha256-{_HASH}'; connect-src 'self'; frame-ancestors 'none'"


def routes(password: str, port: int) -> list[Route]:
    """What capmat adds to Prefect's program.

    `whose` proves whose server it is. `ticket` gives whoever has the password a ticket. `enter` is the page of the
    link that `capmat` prints: it trades the ticket for the password, once, and keeps it where Prefect's UI looks.
    `form` takes the place of Prefect's check of a form, and checks the settings in it as well. `/docs` and `/redoc`
    are gone: they run scripts of a foreign host, where the browser keeps the password.
    """
    tickets: dict[str, float] = {}

    def whose(request: Request) -> Response:
        return PlainTextResponse(proof(password, port, request.path_params["question"]))

    def ticket(request: Request) -> Response:
        if not _same(request.headers.get("authorization", ""), basic(password)):
            return PlainTextResponse("", 401)
        for old in [old for old, until in tickets.items() if until < time.monotonic()]:
            tickets.pop(old, None)
        new = secrets.token_urlsafe()
        tickets[new] = time.monotonic() + _TICKET_S
        return PlainTextResponse(new, headers=_NO_STORE)

    def enter(_: Request) -> Response:
        return HTMLResponse(_PAGE, headers={**_NO_STORE, "Content-Security-Policy": _POLICY})

    def trade(request: Request) -> Response:
        if tickets.pop(request.headers.get(_TICKET, ""), 0) < time.monotonic():
            return PlainTextResponse("", 403)
        return PlainTextResponse(base64.b64encode(password.encode()).decode(), headers=_NO_STORE)

    async def form(request: Request) -> Response:
        from prefect.server.api.ui.schemas import validate_obj
        from prefect.server.database import provide_database_interface

        if not _same(request.headers.get("authorization", ""), basic(password)):
            return PlainTextResponse("", 401)
        body = await request.json()
        answer = dict(await validate_obj(body["schema"], body["values"], provide_database_interface()))
        if answer["valid"] and {"overrides", "config"} <= body["schema"].get("properties", {}).keys():
            answer["errors"] = faults(body["values"])
            answer["valid"] = not answer["errors"]
        return JSONResponse(answer)

    def missing(_: Request) -> Response:
        return PlainTextResponse("", 404)

    return [
        Route("/docs", missing),
        Route("/redoc", missing),
        Route("/api/ui/schemas/validate", form, methods=["POST"]),
        Route("/capmat/whose/{question}", whose),
        Route("/capmat/ticket", ticket),
        Route("/capmat/enter", enter),
        Route("/capmat/password", trade, methods=["POST"]),
    ]


def guarded(app: ASGIApp) -> ASGIApp:
    """The program behind a check of Host; no other page may show it in a frame, where a click would be stolen."""

    async def unframed(scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).setdefault("Content-Security-Policy", "frame-ancestors 'none'")
            await send(message)

        await app(scope, receive, sent)

    return TrustedHostMiddleware(unframed, allowed_hosts=HOSTS)


def _sort_by_time() -> None:
    """Let Prefect show the newest artifact of a run first. It sorts them by their ids, which are random."""
    from prefect.server.schemas.sorting import ArtifactSort

    usual = ArtifactSort.as_sql_sort

    def sort(self: ArtifactSort) -> Any:
        return usual(ArtifactSort.CREATED_DESC if self is ArtifactSort.ID_DESC else self)

    ArtifactSort.as_sql_sort = sort  # type: ignore[method-assign]


def _same(given: str, right: str) -> bool:
    return hmac.compare_digest(given.encode(), right.encode())


def main(listening: socket.socket) -> None:
    """Serve until asked to end (SIGTERM). The settings are those of the environment."""
    import prefect
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import get_current_settings

    os.umask(0o077)  # of the database and of its key
    settings = get_current_settings().server
    # The newer UI asks a foreign host for its feature switches. Without its files, nothing offers it.
    prefect.__ui_v2_static_path__ = Path(os.devnull, "none")
    _sort_by_time()
    app = create_app(final=True)
    app.router.routes[:0] = routes(os.environ[OWN], listening.getsockname()[1])
    config = uvicorn.Config(
        guarded(app),
        timeout_keep_alive=settings.api.keepalive_timeout,
        ws_ping_interval=settings.api.websocket_ping_interval,
        ws_ping_timeout=settings.api.websocket_ping_timeout,
        log_level=settings.logging_level.lower(),
        server_header=False,
    )
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[2])))
