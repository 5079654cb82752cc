"""A proxy on loopback between a store and a real S3 server, that fails as networks and busy servers do.

It counts what is asked of it. Faults are drawn from a seed, or decided request by request.
"""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("503", "500", "reset", "lost")
"""Busy, broken, cut before the request was looked at, and cut after it was obeyed: the answer is lost."""

_ERROR = "<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code}, says the test</Message></Error>"
_CODES = {"503": "SlowDown", "500": "InternalError", "403": "AccessDenied", "409": "ConditionalRequestConflict"}
Decide = Callable[[str, str], str]


class FaultyS3:
    """What the proxy does and has seen.

    Attributes:
        url: where it listens.
        decide: method and path to a fault ("503", "500", "403", "409", "reset", "lost", "half"), or "" for none.
        latency: seconds before every answer.
        requests: (method, path) of all requests, in order of arrival.
        faults: how many of each kind were made.
    """

    def __init__(self, target: str, port: int = 0) -> None:
        self.target = urlsplit(target).netloc
        self.decide: Decide = lambda method, path: ""
        self.latency = 0.0
        self.requests: list[tuple[str, str]] = []
        self.faults: Counter[str] = Counter()
        self.server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"proxy": self}))
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def fail(self, share: float, seed: int, kinds: tuple[str, ...] = FAULTS) -> None:
        """From now on a share of all requests fails."""
        dice = random.Random(seed)
        self.decide = lambda method, path: dice.choice(kinds) if dice.random() < share else ""

    def asked(self, method: str = "") -> list[str]:
        """Paths asked for, of one method or all."""
        return [path for verb, path in self.requests if method in ("", verb)]


@contextmanager
def faulty_s3(target: str, port: int = 0) -> Iterator[FaultyS3]:
    """Run a proxy before the server at `target`."""
    proxy = FaultyS3(target, port)
    thread = threading.Thread(target=proxy.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.server.shutdown()
        proxy.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy: FaultyS3

    def _serve(self) -> None:
        proxy, path = self.proxy, urlsplit(self.path).path
        proxy.requests.append((self.command, path))
        fault = proxy.decide(self.command, path)
        length = int(self.headers.get("Content-Length") or 0)
        if proxy.latency:
            time.sleep(proxy.latency)
        if fault:
            proxy.faults[fault] += 1
        if fault == "half":
            self.rfile.read(length // 2)
        if fault in ("reset", "half"):
            self._hang_up()
            return
        body = self.rfile.read(length)
        if len(body) < length:  # the client is gone
            self._hang_up()
            return
        if fault in _CODES:
            self._answer(int(fault), {"Content-Type": "application/xml"}, _ERROR.format(code=_CODES[fault]).encode())
            return
        upstream = http.client.HTTPConnection(self.proxy.target, timeout=30)
        upstream.request(self.command, self.path, body, dict(self.headers))
        answer = upstream.getresponse()
        data = answer.read()
        upstream.close()
        if fault == "lost":
            self._hang_up()
            return
        self._answer(answer.status, dict(answer.getheaders()), data)

    do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = _serve

    def _answer(self, status: int, headers: dict[str, str], data: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        size = headers.get("Content-Length", len(data)) if self.command == "HEAD" else len(data)
        self.send_header("Content-Length", str(size))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _hang_up(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True

    def log_message(self, *said: object) -> None:
        """Say nothing."""
