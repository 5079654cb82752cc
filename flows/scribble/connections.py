"""Nobody keeps others from the page by holding connections open.

Uvicorn waits for ever for the rest of a request, and for those who do not take its answer, and takes in connections
until the process has no files left. Here a request has to come in within a time, and a piece of an answer to go out.
Among too many connections, the one that has kept us waiting longest goes: a browser sends its request and takes the
answer at once, so it is never that one.
"""

import asyncio
from typing import Any

import h11
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

MOST = 128
"""Connections at once; a browser opens six."""
DEAF = object()
LIMITS_S: dict[Any, float] = {h11.IDLE: 10.0, h11.SEND_BODY: 60.0, DEAF: 20.0}
"""For the head of a request, for its body, up to 16 MB of strokes over a slow line, and for a piece of the answer."""


class Connection(H11Protocol):
    """A connection that ends when its request does not come in."""

    _state: Any = None
    _since = 0.0
    _deaf = False
    _end: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection in; end another, or this one, if they are too many."""
        super().connection_made(transport)
        self._watch()
        if len(self.connections) > MOST:
            waiting = [one for one in self.connections if isinstance(one, Connection) and one._end]
            longest = min(waiting, key=lambda one: one._since, default=self)
            longest._watch(over=True)  # many may come in before it is lost, and each has to end another
            longest.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the connection."""
        super().connection_lost(exc)
        self._watch(over=True)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Wait for the next request."""
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Wait for the other side to take what was sent."""
        super().pause_writing()
        self._deaf = True
        self._watch()

    def resume_writing(self) -> None:
        """Send on."""
        super().resume_writing()
        self._deaf = False
        self._watch()

    def _watch(self, over: bool = False) -> None:
        """Set the clock anew when the connection begins to wait for something else."""
        state = None if over else DEAF if self._deaf else self.conn.their_state
        if state is self._state:
            return
        if self._end:
            self._end.cancel()
        self._state, self._since, self._end = state, self.loop.time(), None
        if state in LIMITS_S:
            self._end = self.loop.call_later(LIMITS_S[state], self.transport.abort)


def server_of(app: ASGIApp) -> uvicorn.Server:
    """A server of the program that holds these limits; it speaks plain HTTP, no WebSocket."""
    return uvicorn.Server(
        uvicorn.Config(
            app, http=Connection, ws="none", lifespan="off", log_level="error", server_header=False, backlog=MOST // 2
        )
    )
