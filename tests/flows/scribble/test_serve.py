"""`capmat scribble` refuses what cannot work before anything is served."""

import socket
from pathlib import Path

import pytest

from flows.command.main import main
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
