"""One program and one browser for all tests of the page, which take seconds to start; and the program alone."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from flows.scribble.guard import HEADER
from storage.store.root import Root
from tests.flows.scribble.browser import FOUND, browser
from tests.flows.scribble.hand import Hand
from tests.flows.scribble.person import RENDERED, propose
from tests.flows.scribble.served import TOKEN, program, served
from tests.rendered_take import make_rendered
from tests.storage.takes.matted_take import make_take


@pytest.fixture(scope="package")
def shared_hand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hand]:
    """The command on a store with one take, and a tab; the command ends well when it is interrupted."""
    if FOUND is None:
        pytest.skip("no Chromium is installed")
    folder = tmp_path_factory.mktemp("page")
    make_take(root := Root(folder / "store"))
    make_rendered(root, name=RENDERED)
    propose(root)
    words = ["--set", f"store={folder}/store", "scribble", "--no-browser", "--author", "Mia"]
    process, link = program(folder, *words)
    with browser(folder / "chromium") as tab:
        yield Hand(tab, link, root)
    process.send_signal(signal.SIGINT)
    assert process.wait(120) == 0


@pytest.fixture
def hand(shared_hand: Hand) -> Iterator[Hand]:
    """The same, as a new person finds it: without strokes, and with nothing that the browser remembers."""
    shared_hand.resize(1600, 1000)
    yield shared_hand
    shared_hand.saved()  # else the browser asks whether to leave
    shared_hand.tab.ask("localStorage.clear()")
    shared_hand.tab.open("about:blank")
    for what in ("drafts", "labels"):
        shared_hand.root.delete(what)


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    make_take(Root(folder))
    return folder


@pytest.fixture
def root(stored: Path) -> Iterator[Root]:
    """A store with one take and nothing painted."""
    root = Root(stored)
    yield root
    for folder in ("drafts", "labels", "ledger/scribbles", "takes/walk.zarr/mined"):
        root.delete(folder)


@pytest.fixture
def page(root: Root, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    """Somebody who has the link."""
    monkeypatch.chdir(tmp_path)  # no Prefect server is found here
    return served(root, **{HEADER: TOKEN})
