"""*Train now*: one training at a time, which only who began it can stop, and which ends with the program."""

import re
import signal
from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from threading import Thread

import httpx
import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from flows.scribble.app import Desk, scribble_app
from flows.scribble.connections import server_of
from flows.scribble.guard import HEADER, Guard
from flows.scribble.serve import _listen
from storage.labels.drafts import read_draft, save_draft
from storage.labels.queue import read_queue
from storage.labels.raster import OPEN, rasterise
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tasks.models.networks import base_model
from tasks.train.background import Trials
from tests.flows.scribble.hand import Hand
from tests.flows.scribble.person import RENDERED, at_the_take, lines, propose, strokes_on
from tests.flows.scribble.served import TOKEN, program
from tests.flows.scribble.test_access import faults
from tests.flows.site import eventually
from tests.project import ROOT
from tests.rendered_take import FRAME, TEACHER, TRUTH, drawn, make_rendered
from tests.storage.takes.matted_take import RUN, make_take

_SAID = "document.querySelector('#trial p').textContent"
_ROWS = "[...document.querySelectorAll('#trial li')].map((row) => row.textContent)"
_OUTSIDE = """(() => {
  const { left, right, top, bottom } = document.querySelector("#stage").getBoundingClientRect();
  const inside = (box) => box.left >= left && box.right <= right && box.top >= top && box.bottom <= bottom;
  return [...document.querySelectorAll("#trial, #trial button, #trial p, #tools button, #foot button")]
    .filter((one) => one.getBoundingClientRect().width && !inside(one.getBoundingClientRect())
      && one.closest("#trial") || one.getBoundingClientRect().right > innerWidth).map((one) => one.outerHTML);
})()"""


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """A store with a take, its boxes, and the teacher that made its mattes; and one whose mattes nobody knows."""
    config = Config(store=str(tmp_path_factory.mktemp("store")), base_data=str(ROOT / "samples/base"))
    make_take(root := Root(config.store))
    make_rendered(root, name=RENDERED)
    propose(root)
    base_model(config.store, config.weights, "bg_vitmatte_xs")
    return config


@pytest.fixture(scope="module")
def desk(config: Config) -> Desk:
    root = Root(config.store)
    desk = Desk(root, {name: Take.open(root, name) for name in ("walk", RENDERED)}, "Mia", config)
    desk.trials = Trials(config, 2.0)
    return desk


@pytest.fixture
def painter(shared_hand: Hand, desk: Desk) -> Iterator[Hand]:
    """The browser of the other tests at a program of these."""
    listening = _listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    server = server_of(Guard(scribble_app(desk), TOKEN, port, {"127.0.0.1"}))
    Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True).start()
    yield (hand := Hand(shared_hand.tab, f"http://127.0.0.1:{port}/?token={TOKEN}", desk.root))
    hand.saved()
    hand.tab.ask("localStorage.clear()")
    hand.tab.open("about:blank")
    server.should_exit = True
    desk.root.delete("drafts")


def test_a_person_trains_sees_before_and_after_and_others_see_that_somebody_does(painter: Hand, desk: Desk) -> None:
    painter.resize(1280, 720)
    tab, person, box = painter.tab, at_the_take(painter), read_queue(desk.root, RENDERED).items[0]
    person.opened(box.camera, FRAME)
    stored = desk.takes[RENDERED].read_alpha(TEACHER, box.camera, FRAME)
    person.align(stored)
    for label, line in lines(stored, TRUTH(box.camera, FRAME), box.box).items():
        tab.press(label[0])
        person.draw(line, "mouse")
    tab.press("t")  # at once: it saves the strokes itself
    tab.wait_for(f"{_SAID}.startsWith('reading') && !document.querySelector('#trial progress').hidden")
    assert tab.ask("document.querySelector('#trial > button').textContent") == "Stop"
    tab.wait_for(f"{_SAID}.startsWith('Learned from 1 painted frame.')")
    rows = tab.ask(_ROWS)
    assert len(rows) == 3
    assert [row.split(" · ")[0] for row in rows] == [item.camera for item in read_queue(desk.root, RENDERED).items]
    assert "has no strokes" in rows[1]

    tab.wait_for("document.querySelector('#preview').textContent === 'Trained'")
    trained = person.shown()
    png = np.array(Image.open(BytesIO(desk.trials.png(desk.trials.state()["id"], 0))), np.float32) / 255
    assert np.abs(trained - png).max() < 1.5 / 255
    draft = read_draft(desk.root, RENDERED, box.camera, FRAME)
    assert draft
    label = rasterise(draft.drawing.strokes, stored.shape)
    before, after = (np.abs(pha - label)[label != OPEN].mean() for pha in (stored, png))
    assert after < before
    told = re.search(r"([\d.]+) % → ([\d.]+) %", rows[0])
    assert told
    # the page knows the mattes themselves, the pictures have 8 bits
    assert [float(one) for one in told.groups()] == pytest.approx([100 * before, 100 * after], abs=0.25)
    tab.press("x")
    assert np.abs(person.shown() - stored).max() < 1.5 / 255
    tab.press("x")
    assert faults(painter) == []
    for size in ((900, 700), (1280, 720)):
        painter.resize(*size)
        assert tab.ask(_OUTSIDE) == []

    other = rows[1].split(" · ")[0]
    tab.ask("document.querySelectorAll('#trial li button')[1].click()")
    person.opened(other, FRAME)
    tab.wait_for("document.querySelector('#preview').textContent === 'Trained'")
    _reload(painter)
    tab.wait_for(f"({_ROWS}).length === 3 && document.querySelector('#preview').textContent === 'Trained'")

    mine = tab.ask("localStorage.getItem('capmat trial')")
    tab.ask("localStorage.setItem('capmat trial', 'of somebody else')")
    _reload(painter)  # as another person, for whom this is over
    tab.wait_for("document.querySelector('#name').textContent && document.querySelector('#trial').hidden")
    page = TestClient(scribble_app(desk))
    _begin(page, "theirs")
    tab.press("t")
    tab.wait_for(f"{_SAID}.startsWith('Somebody else is training')")
    assert faults(painter) == []
    tab.ask("document.querySelector('#trial > button').click()")
    assert tab.ask("document.querySelector('#trial').hidden")
    assert page.get("api/trial").json()["state"] == "running"
    assert page.delete("api/trial", params={"id": mine}).json()["state"] == "running"
    assert page.delete("api/trial", params={"id": "theirs"}).json() == {"state": "none"}
    tab.press("t")
    tab.wait_for("document.querySelector('#trial > button').textContent === 'Stop'")
    tab.wait_for(f"{_SAID}.startsWith('reading')")
    tab.ask("document.querySelector('#trial > button').click()")
    eventually(lambda: desk.trials.state() == {"state": "none"}, 120)
    assert tab.ask("document.querySelector('#trial').hidden")


def _reload(hand: Hand) -> None:
    hand.tab.ask("window.old = true; location.reload()")
    hand.tab.wait_for("!window.old && document.querySelector('#name')?.textContent")


def _begin(page: TestClient | httpx.Client, id: str, camera: str = "C01", run: str = TEACHER) -> httpx.Response:
    take = RENDERED if camera.startswith("C") else "walk"
    return page.post(f"api/trial/{take}/{camera}/{FRAME if take == RENDERED else 4}", params={"id": id, "run": run})


@pytest.mark.parametrize(
    ("camera", "run", "status", "says"),
    [
        ("C99", TEACHER, 404, "C99"),
        ("C01", "teacher-bg_vitmatte_xs-v0009", 404, "v0009"),
        ("c00", RUN, 400, "take walk run teacher-v0001: the store does not say which model made these mattes"),
    ],
)
def test_a_training_of_what_cannot_be_trained_is_refused_in_one_line(
    desk: Desk, camera: str, run: str, status: int, says: str
) -> None:
    page = TestClient(scribble_app(desk))
    answer = _begin(page, "one", camera, run)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert says in error
    assert "\n" not in error
    assert page.get("api/trial").json() == {"state": "none"}
    assert page.get("api/trial/one/0").status_code == 404


def test_nobody_without_the_link_trains(desk: Desk) -> None:
    stranger = TestClient(Guard(scribble_app(desk), TOKEN, 8123, {"127.0.0.1"}), base_url="http://127.0.0.1:8123")
    stranger.get("/", params={"token": TOKEN})
    assert _begin(stranger, "one").status_code == stranger.delete("api/trial").status_code == 403


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_a_training_ends_with_the_program(config: Config, tmp_path: Path, end: signal.Signals) -> None:
    root = Root(config.store)
    root.delete("drafts")
    pha = Take.open(root, RENDERED).read_alpha(TEACHER, "C01", FRAME)
    save_draft(root, replace(drawn("C01", strokes_on(pha, "C01")), take=RENDERED), 0)
    words = ["--set", f"store={config.store}", "--set", f"base_data={config.base_data}", "scribble", "--no-browser"]
    process, address = program(tmp_path, *words)
    try:
        link = httpx.URL(address)
        headers = {HEADER: link.params["token"]}
        with httpx.Client(base_url=link.copy_with(query=None), headers=headers, trust_env=False) as page:
            assert _begin(page, "one").json()["state"] == "running"
            eventually(lambda: page.get("api/trial").json()["doing"] != "starting", 120)
        (training,) = [pid for pid in _children(process.pid) if "tasks.train.background" in _command(pid)]
        process.send_signal(end)
        assert process.wait(60) in (0, -end)
        eventually(lambda: not _command(training), 120)
    finally:
        process.kill()


def _children(pid: int) -> list[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return [int(child) for thread in threads for child in (thread / "children").read_text().split()]


def _command(pid: int) -> str:
    """The command line of a process; empty once it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""
