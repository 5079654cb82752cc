"""Done at the scribble page: what was drawn becomes labels once; marks and previews make none."""

import json
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, HTTPServer
from io import BytesIO
from threading import Thread
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image
from starlette.testclient import TestClient

from flows.service.automations import EVENT
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.marks import read_marks
from storage.labels.queue import Mined, write_queue
from storage.labels.raster import rasterise
from storage.labels.strokes import Stroke
from storage.store.root import Root
from tests.flows.scribble.served import HERE, STROKES, done, drawing, served, stroke
from tests.storage.takes.matted_take import RUN


def test_done_makes_labels_of_what_was_drawn(page: TestClient, root: Root) -> None:
    strokes = [stroke(20), stroke(50, label="bg"), stroke(390, points=[[390.0, 20.0], [600.0, -80.0]])]
    page.put(STROKES, params={"after": 0}, json=drawing(*strokes))
    said = done(page)
    assert (said["labels"], said["new"], said["frames"], said["told"], said["ui"]) == ("l0001", True, 1, False, "")
    labels = LabelSet.open(root, LABELS)
    drawn = [Stroke(s["label"], s["radius"], tuple((x, y) for x, y in s["points"])) for s in strokes]
    assert np.array_equal(labels.label("walk", "c00", 4), rasterise(drawn, (300, 420)))
    assert labels.authors("walk", "c00", 4) == ["Mia"]
    assert page.get("api/desk").json()["takes"][0]["labelled"] == ["c00/4"]
    assert page.get(HERE).json()["frozen"] == 3


class Told(BaseHTTPRequestHandler):
    """Where a Prefect server would take events; keeps them."""

    events: ClassVar[list[Any]] = []

    def do_POST(self) -> None:
        self.events.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(204)
        self.end_headers()

    def do_GET(self) -> None:  # whether there is a deployment
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def test_done_tells_the_server_once_and_links_to_it(page: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20)))
    with HTTPServer(("127.0.0.1", 0), Told) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
        said, again = done(page), done(page)
        server.shutdown()
    assert (said["told"], said["ui"], said["quiet_s"]) == (True, address, 60)
    assert not again["told"]
    (event,) = Told.events
    assert (event["event"], event["payload"]) == (EVENT, {"labels": "l0001"})


def test_done_twice_makes_one_version(page: TestClient) -> None:
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20)))
    done(page)
    assert (done(page)["labels"], done(page)["new"]) == ("l0001", False)


def test_done_before_anything_is_painted_is_refused(page: TestClient, root: Root) -> None:
    answer = page.post("api/done", json={"author": ""})
    assert answer.status_code == 400
    assert "nothing is painted" in answer.json()["error"]
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20, label="erase")))
    assert page.post("api/done", json={"author": ""}).status_code == 400
    assert root.names("labels") == []
    assert page.post("api/done", content=b"[]").status_code == 400


def test_two_people_who_finish_lose_nothing_of_each_other(page: TestClient, root: Root) -> None:
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20)))
    other = "api/strokes/walk/c01/7"
    ben = drawing(stroke(70, author="Ben"), camera="c01", frame=7, width=330, height=280)
    page.put(other, params={"after": 0}, json=ben)
    assert (done(page, "Ben")["frames"], done(page, "Mia")["frames"]) == (1, 1)
    page.put(STROKES, params={"after": 1}, json=drawing(stroke(20), stroke(90, author="Ben")))
    assert done(page, "Ben")["labels"] == "l0003"
    labels = LabelSet.open(root, LABELS)
    assert labels.keys == [("walk", "c00", 4), ("walk", "c01", 7)]
    assert labels.authors("walk", "c00", 4) == ["Ben", "Mia"]


def test_strokes_that_are_labels_are_there_where_nobody_drew_since(page: TestClient, root: Root) -> None:
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20)))
    done(page)
    root.delete("drafts")
    found = page.get(HERE).json()
    assert (found["strokes"], found["frozen"], found["revision"]) == ([stroke(20)], 1, 0)
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20), stroke(70)))
    done(page)
    drawn = LabelSet.open(root, LABELS).strokes("walk", "c00", 4)
    assert drawn
    assert len(drawn.strokes) == 2


def test_a_mark_is_in_the_queue_until_it_is_taken_back(page: TestClient, root: Root) -> None:
    box = [10, 10, 60, 60]
    write_queue(root, "walk", [Mined("c00", 4, 0.5, (10, 10, 60, 60), ("hole",), {"hole": 1.0}, RUN)], {})
    path = "api/mark/walk/c00/4"

    def shown() -> str:
        return str(page.get("api/desk").json()["takes"][0]["queue"]["items"][0]["mark"])

    assert shown() == ""
    for kind in ("right", "unsure", ""):
        assert page.put(path, json={"box": box, "kind": kind, "author": "Mia"}).status_code == 200
        assert shown() == kind
    root.delete("takes/walk.zarr/marks")


@pytest.mark.parametrize(
    "said",
    [
        b"[",
        b"[]",
        b'{"box": [1, 2, 3], "kind": "right", "author": ""}',
        b'{"box": [0, 0, 421, 9], "kind": "right", "author": ""}',
        b'{"box": [0, 0, 9, 9], "kind": "wrong", "author": ""}',
        b'{"box": [0, 0, 9, 9], "kind": "right", "author": "a\\nb"}',
        b'{"box": [0, 0, 1e999, 9], "kind": "right", "author": ""}',
    ],
)
def test_a_mark_that_is_none_is_refused_in_words(page: TestClient, root: Root, said: bytes) -> None:
    answer = page.put("api/mark/walk/c00/4", content=said)
    assert (answer.status_code, bool(answer.json()["error"])) == (400, True)
    assert read_marks(root, "walk") == []


# ---- the preview


def test_a_preview_shows_what_strokes_would_change_and_stores_nothing(page: TestClient, root: Root) -> None:
    path = "api/preview/walk/c00/4"
    given = page.post(path, params={"run": RUN, "page": "a"}, json=drawing(stroke(50), stroke(200, label="bg")))
    assert given.status_code == 200
    x0, y0, x1, y1 = given.json()["box"]
    assert 0 <= x0 < 50 < 230 < x1 <= 420
    picture = np.asarray(Image.open(BytesIO(b64decode(given.json()["png"]))))
    assert picture.shape == (y1 - y0, x1 - x0)
    assert picture[40 - y0, 52 - x0] == 255
    assert picture[41 - y0, 202 - x0] == 0
    assert page.get(HERE).json()["strokes"] == []
    assert page.post(path, params={"run": "other"}, json=drawing(stroke(50))).status_code == 404
    assert page.post(path, params={"run": RUN}, content=b"no json").status_code == 400
    assert served(root).post(path, params={"run": RUN}, json=drawing(stroke(50))).status_code == 403
