"""Lets only the browser tab that opened the link talk to the scribble page.

The link carries a random token. Its answer hands the token on behind a "#", where the page's own script takes it from
the address bar. The script sends it in a header, which no other site can make a browser send. The page and its
pictures also open by a cookie. Browsers show cookies to every port of a machine, so the cookie holds another secret,
which changes nothing. The Host header reveals a page of another site that was given this machine's address (DNS
rebinding).
"""

import hmac
import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-capmat-token"
_OPEN = ("GET", "HEAD")
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Guard:
    """ASGI middleware around the page.

    Args:
        app: the program behind it.
        token: of the link.
        port: of the page, which the name of the cookie holds: all ports of a machine share its cookies.
        hosts: accepted names of this machine; numeric addresses are always accepted.
    """

    def __init__(self, app: ASGIApp, token: str, port: int, hosts: Iterable[str]) -> None:
        self._app, self._token, self._reader = app, token, secrets.token_urlsafe()
        self._cookie = f"capmat-{port}"
        self._hosts = {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a refusal, or let the request pass."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # the page uses nothing else
            raise RuntimeError(f"no {scope['type']} here")

        async def secured(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_SECURITY)
            await send(message)

        refused = self._refusal(Request(scope))
        await (refused or self._app)(scope, receive, secured)

    def _refusal(self, request: Request) -> Response | None:
        if not self._is_ours(request.headers):
            return PlainTextResponse("This is not the name of the machine that serves the page.", 421)
        if _same(request.headers.get(HEADER, ""), self._token):
            return None
        if request.method in _OPEN and _same(request.query_params.get("token", ""), self._token):
            answer = RedirectResponse(f"/#token={self._token}", 303)
            answer.set_cookie(self._cookie, self._reader, httponly=True, samesite="lax")
            return answer
        if request.method in _OPEN and _same(request.cookies.get(self._cookie, ""), self._reader):
            return None
        return PlainTextResponse("Open the whole link that `capmat scribble` printed.", 403)

    def _is_ours(self, headers: Headers) -> bool:
        host = re.fullmatch(r"(\[.*\]|[^:]*)(:[0-9]*)?", headers.get("host", "").lower())
        name = host[1].strip("[]") if host else ""
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True


def _same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode(), secret.encode())


def own_names() -> set[str]:
    """Names of this machine."""
    return {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
