"""`capmat scribble` refuses what cannot work before anything is served, and nobody keeps others from the page."""

import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from threading import Thread

import h11
import httpx
import pytest
from starlette.responses import PlainTextResponse

from flows.command.main import main
from flows.scribble import connections
from flows.scribble.connections import LIMITS_S, MOST, server_of
from flows.scribble.serve import _listen_again
from storage.store.marker import begin_store
from storage.store.root import Root
from tests.storage.takes.matted_take import make_take


@pytest.fixture
def store(tmp_path: Path) -> list[str]:
    make_take(Root(tmp_path / "store"))
    return ["--set", f"store={tmp_path}/store", "scribble", "--no-browser"]


def said(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    return error


def test_an_unknown_take_is_named_with_those_there_are(store: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "no take is called wlak; the store has: walk" in said([*store, "wlak"], capsys)


def test_an_empty_store_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    begin_store(Root(tmp_path))
    words = ["--set", f"store={tmp_path}", "scribble", "--no-browser"]
    assert "the store has no takes. Bring one in" in said(words, capsys)


def test_an_address_that_cannot_be_listened_on_is_refused(
    store: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert f"cannot listen on port {port}" in said([*store, "--port", str(port)], capsys)
    assert "cannot listen" in said([*store, "--port", "70000"], capsys)
    assert "cannot listen" in said([*store, "--host", "192.0.2.7"], capsys)


@pytest.mark.parametrize("name", ["a\nb", "x" * 201, "\udcff", "\x1b[31m"])
def test_an_author_whom_strokes_cannot_hold_is_refused(
    store: list[str], name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "its name is not one line of text of up to 200 characters" in said([*store, "--author", name], capsys)


def test_the_page_has_the_same_port_again_where_the_browser_keeps_what_was_not_sent() -> None:
    with (
        closing(_listen_again("/a/store", "127.0.0.1")) as first,
        closing(_listen_again("/a/store", "127.0.0.1")) as two,
    ):
        port = first.getsockname()[1]
        assert two.getsockname()[1] != port
    with closing(_listen_again("/a/store", "127.0.0.1")) as again, closing(_listen_again("/b", "127.0.0.1")) as other:
        assert again.getsockname()[1] == port
        assert other.getsockname()[1] != port


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    """A page behind the limits of the command."""
    server = server_of(PlainTextResponse(getattr(request, "param", "the page")))
    with closing(_listen_again("/", "127.0.0.1")) as listening:
        thread = Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield listening.getsockname()[1]
        server.should_exit = True
        thread.join(30)


def test_half_open_requests_do_not_keep_others_from_the_page(port: int) -> None:
    ones = []
    with ExitStack() as held:
        for number in range(2 * MOST):
            ones.append(held.enter_context(socket.create_connection(("127.0.0.1", port))))
            ones[-1].sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n")
            if number % 32 == 31:  # whoever answers this has taken in all before
                assert httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False).text == "the page"
        assert sum(map(is_over, ones)) >= MOST


def is_over(one: socket.socket) -> bool:
    """Whether the other side has ended a connection that waits for an answer."""
    one.setblocking(False)
    try:
        return one.recv(1) == b""
    except ConnectionResetError:
        return True
    except BlockingIOError:
        return False


@pytest.mark.parametrize(
    "start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: ", b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET"]
)
def test_a_request_that_does_not_come_in_ends(port: int, start: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LIMITS_S, h11.IDLE, 0.5)
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        one.sendall(start)
        for _ in range(3 * bool(start)):  # a byte now and then is no sign of life
            time.sleep(0.1)
            one.sendall(b"x")
        with suppress(ConnectionResetError):
            while one.recv(65536):  # raises TimeoutError if the server waits
                continue


@pytest.mark.parametrize("port", ["x" * 2**23], indirect=True)
def test_those_who_take_no_answer_do_not_keep_others_from_the_page(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "MOST", 4)
    with ExitStack() as held:
        ones = [held.enter_context(socket.create_connection(("127.0.0.1", port))) for _ in range(8)]
        for one in ones:
            one.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert len(httpx.get(f"http://127.0.0.1:{port}/", timeout=5, trust_env=False).text) == 2**23
        monkeypatch.setitem(LIMITS_S, connections.DEAF, 0.5)
        last = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=5))
        last.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        time.sleep(1)
        with suppress(ConnectionResetError):
            assert sum(map(len, iter(lambda: last.recv(2**20), b""))) < 2**23
