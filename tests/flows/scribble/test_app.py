"""The scribble page's program: only its link opens it, it reaches nothing but its takes, and it loses no stroke."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from flows.scribble.app import MOST_BYTES
from flows.scribble.guard import HEADER
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.queue import Mined, write_queue
from storage.store.root import Root
from tasks.labels.views import FrameViews
from tests.flows.scribble.served import HERE, STROKES, TILE, TOKEN, done, drawing, served, stroke
from tests.project import ROOT
from tests.storage.takes.matted_take import RUN

# ---- who may come in


@pytest.mark.parametrize("path", ["", "page/main.js", "api/desk", HERE, TILE])
def test_nothing_is_shown_without_the_token(root: Root, path: str) -> None:
    stranger = served(root)
    for headers in ({}, {HEADER: ""}, {HEADER: TOKEN[:-1]}, {HEADER: TOKEN + "x"}, {"cookie": "capmat-8123=wrong"}):
        answer = stranger.get(path, headers=headers, follow_redirects=False)
        assert answer.status_code == 403
        assert "Open the whole link" in answer.text
    assert stranger.get(path, params={"token": "é"}, follow_redirects=False).status_code == 403


def test_nothing_is_changed_without_the_token_in_a_header(root: Root) -> None:
    stranger = served(root)
    stranger.get("/", params={"token": TOKEN})  # has the cookie now, as a page of another site would make it sent
    assert stranger.get("api/desk").status_code == 200
    assert stranger.put(STROKES, params={"after": 0}, json=drawing(stroke(20))).status_code == 403
    assert stranger.post("api/done", params={"token": TOKEN}, json={}).status_code == 403
    # the cookie goes to every port of this machine, so neither it nor what it opens holds the secret that writes
    cookie = stranger.cookies["capmat-8123"]
    assert stranger.put(STROKES, params={"after": 0}, json=drawing(), headers={HEADER: cookie}).status_code == 403
    assert TOKEN not in stranger.get("/").text + stranger.get("api/desk").text
    assert root.names("drafts") == []


def test_the_link_opens_the_page_and_leaves_the_address_bar(root: Root) -> None:
    somebody = served(root)
    for address in ("http://127.0.0.1:8123//evil.example/", "/"):  # never to another machine
        answer = somebody.get(address, params={"token": TOKEN}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, f"/#token={TOKEN}")
    assert "httponly" in answer.headers["set-cookie"].lower()
    answer = somebody.get("/")
    assert answer.status_code == 200
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize(
    ("host", "welcome"),
    [
        ("127.0.0.1:8123", True),
        ("[::1]:8123", True),
        ("localhost", True),
        ("STAGE-PC:8123", True),
        ("evil.example", False),
        ("localhost.evil.example:8123", False),
        ("", False),
        ("[127.0.0.1].evil.example", False),
        ("127.0.0.1:evil.example", False),
        ("[::1", False),
    ],
)
def test_it_answers_to_its_own_names_only(page: TestClient, host: str, welcome: bool) -> None:
    assert page.get("api/desk", headers={"host": host}).status_code == (200 if welcome else 421)


# ---- what can be reached


def test_a_fault_of_the_program_is_named_on_the_page(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise MemoryError("no room for a tile")

    monkeypatch.setattr(FrameViews, "tile", full)
    page = served(root, raise_server_exceptions=False, **{HEADER: TOKEN})
    answer = page.get(TILE)
    assert (answer.status_code, answer.headers["content-security-policy"] > "") == (500, True)
    assert "MemoryError: no room for a tile" in answer.json()["error"]
    with pytest.raises(MemoryError):  # and the server writes all of it to the terminal
        served(root, **{HEADER: TOKEN}).get(TILE)


@pytest.mark.parametrize(
    "path",
    [
        "page/..%2fscribble_app.py",
        "page/%2e%2e/cli.py",
        "page//etc/passwd",
        "page/__init__.py",
        "api/frame/..%2f..%2fetc/c00/4",
        "api/frame/other/c00/4",
        "api/frame/walk/..%2fc00/4",
        "api/frame/walk/c09/4",
        "api/frame/walk/c00/6",
        "api/frame/walk/c00/-4",
        "api/tile/walk/c00/4/..%2f..%2fzarr.json/0/0/0",
        "api/tile/walk/c00/4/picture/9/0/0",
        "api/tile/walk/c00/4/picture/0/0/7",
        "api/tile/walk/c00/4/alpha/0/0/0?run=..%2f..%2fruns",
        "api/tile/walk/c00/4/alpha/0/0/0?run=nobody-v0001",
        "api/strokes/walk/c00/4",
        "ledger",
    ],
)
def test_nothing_but_the_page_and_its_takes_is_reached(page: TestClient, path: str) -> None:
    answer = page.get(path)
    assert answer.status_code in (400, 404, 405)
    assert "zarr_format" not in answer.text
    assert "root:" not in answer.text


def test_the_page_consists_of_its_own_files_alone(page: TestClient) -> None:
    html, folder = page.get("/").text, ROOT / "flows" / "scribble" / "page"
    for name in (file.relative_to(folder).as_posix() for file in folder.rglob("*.*") if file.suffix != ".svg"):
        answer = page.get(f"page/{name}")
        assert answer.status_code == 200
        html += answer.text
    assert "http://" not in html
    assert "https://" not in html


def test_tiles_are_pictures(page: TestClient) -> None:
    answer = page.get(TILE)
    assert (answer.headers["content-type"], answer.content[:3]) == ("image/jpeg", b"\xff\xd8\xff")
    answer = page.get("api/tile/walk/c00/4/alpha/1/0/0", params={"run": RUN})
    assert (answer.headers["content-type"], answer.content[1:4]) == ("image/png", b"PNG")


# ---- what it says


def test_the_queue_comes_with_its_reasons(page: TestClient, root: Root) -> None:
    (take,) = page.get("api/desk").json()["takes"]
    assert take["queue"] is None
    item = Mined("c01", 7, 0.8, (10, 20, 90, 120), ("hole: 31 of 38 views see foreground here",), {"hole": 0.8}, RUN)
    write_queue(root, "walk", [item], {})
    (take,) = page.get("api/desk").json()["takes"]
    (found,) = take["queue"]["items"]
    assert (found["camera"], found["frame"], found["box"]) == ("c01", 7, [10, 20, 90, 120])
    assert found["reasons"] == ["hole: 31 of 38 views see foreground here"]
    assert take["cameras"]["c00"] == [[300, 420], [150, 210]]
    assert take["frames"] == [4, 5, 7]


def test_a_frame_says_what_there_is_to_see(page: TestClient) -> None:
    found = page.get(HERE).json()
    assert found["runs"] == [RUN]
    assert found["plate"]
    assert (found["strokes"], found["revision"], found["frozen"]) == ([], 0, 0)
    assert page.get("api/frame/walk/c01/5").json()["runs"] == []


# ---- strokes


def test_strokes_are_there_after_a_reload(page: TestClient, root: Root) -> None:
    assert page.put(STROKES, params={"after": 0}, json=drawing(stroke(20))).json() == {"revision": 1}
    assert page.put(STROKES, params={"after": 1}, json=drawing(stroke(20), stroke(70))).json() == {"revision": 2}
    again = served(root, **{HEADER: TOKEN})
    found = again.get(HERE).json()
    assert (found["strokes"], found["revision"]) == ([stroke(20), stroke(70)], 2)
    assert again.get("api/desk").json()["takes"][0]["drafts"] == {"c00/4": {"fg": 2, "bg": 0, "authors": ["Mia"]}}


def test_of_two_people_at_one_frame_the_later_is_told_what_the_other_drew(page: TestClient) -> None:
    page.put(STROKES, params={"after": 0}, json=drawing(stroke(20)))
    answer = page.put(STROKES, params={"after": 0}, json=drawing(stroke(70, author="Ben")))
    assert answer.status_code == 409
    assert (answer.json()["strokes"], answer.json()["revision"]) == ([stroke(20)], 1)
    joined = drawing(stroke(20), stroke(70, author="Ben"))
    assert page.put(STROKES, params={"after": 1}, json=joined).json() == {"revision": 2}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b" " * (MOST_BYTES + 1), "not JSON"),
        (json.dumps(drawing(stroke(20, radius=float("nan")))).encode(), "radius"),
        (json.dumps(drawing(stroke(20, radius=1e9))).encode(), "radius"),
        (json.dumps(drawing(stroke(20, points=[]))).encode(), "points"),
        (json.dumps(drawing(stroke(20, points=[[float("inf"), 0]]))).encode(), "x is"),
        (json.dumps(drawing(stroke(20, label="hair"))).encode(), "label"),
        (json.dumps(drawing(stroke(20), frame=5)).encode(), "sent for take walk camera c00 frame 4"),
        (json.dumps(drawing(stroke(20), take="run")).encode(), "sent for take walk"),
        (json.dumps(drawing(stroke(20), width=421)).encode(), "421x300"),
    ],
)
def test_a_document_that_is_none_is_refused_in_words(page: TestClient, root: Root, body: bytes, says: str) -> None:
    answer = page.put(STROKES, params={"after": 0}, content=body)
    assert answer.status_code == 400
    assert says in answer.json()["error"]
    assert root.names("drafts") == []


@pytest.mark.parametrize("author", ["Mia\u00a0Berg", "سارا\u200cجعفری", "👩\u200d🎨", "\ue000"])
def test_every_name_that_people_have_can_sign(page: TestClient, root: Root, author: str) -> None:
    assert page.put(STROKES, params={"after": 0}, json=drawing(stroke(20, author=author))).json() == {"revision": 1}
    assert page.get(HERE).json()["strokes"][0]["author"] == author
    done(page, author)
    assert LabelSet.open(root, LABELS).authors("walk", "c00", 4) == [author]


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters()) | st.just(10**4000),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(), inside, max_size=3),
    max_leaves=5,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["label", "radius", "points", "author", "time", "width", "frame", "take", "strokes"]), JSON_VALUES
)
@example("radius", "\ud800")
@example("points", [["\ud800", 1]])
@example("author", "\ud800")
@example("author", "a\nb")
def test_whatever_a_document_holds_is_stored_or_refused_in_words(page: TestClient, field: str, value: Any) -> None:
    wrong = drawing(stroke(20, **{field: value})) if field in stroke(20) else drawing(stroke(20), **{field: value})
    answer = page.put(STROKES, params={"after": 10**9}, content=json.dumps(wrong).encode())
    assert answer.status_code in (400, 409)
    assert answer.json()["error"]


def test_numbers_of_thousands_of_digits_and_deep_lists_are_refused_in_words(page: TestClient) -> None:
    many = "9" * 5000
    for path in (HERE[:-1] + many, TILE.replace("/0/0/0", f"/{many}/0/0")):
        assert page.get(path).status_code == 404
    assert page.put(STROKES, params={"after": many}, json=drawing(stroke(20))).status_code == 400
    deep = json.dumps(drawing(stroke(20))).replace("6.0", "[" * 900 + "]" * 900)
    assert page.put(STROKES, params={"after": 0}, content=deep.encode()).status_code == 400
    assert page.post("api/done", content=b'{"author": "\\ud800"}').status_code == 400


@pytest.mark.parametrize("point", ["x=1e308&y=0", "x=nan&y=1", "x=1&y=-inf", "x=1", "x=&y="])
def test_a_point_far_from_every_picture_is_refused(page: TestClient, point: str) -> None:
    assert page.get(f"api/lines/walk/c00/4?{point}").status_code == 400


def test_whoever_leaves_while_sending_leaves_no_traceback(page: TestClient) -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        said.append(message["type"])

    said: list[str] = []
    headers = [(b"host", b"127.0.0.1"), (HEADER.encode(), TOKEN.encode())]
    scope = {"type": "http", "method": "PUT", "path": f"/{STROKES}", "query_string": b"", "headers": headers}
    asyncio.run(page.app(scope, receive, send))
    assert "http.response.start" in said


def test_a_save_that_does_not_say_what_it_is_made_from_is_refused(page: TestClient) -> None:
    for after in ("", "-1", "x", "٣"):
        assert page.put(STROKES, params={"after": after}, json=drawing(stroke(20))).status_code == 400


def test_a_store_that_cannot_be_written_is_said_in_words(page: TestClient, root: Root) -> None:
    root.write("drafts", b"in the way")
    answer = page.put(STROKES, params={"after": 0}, json=drawing(stroke(20)))
    assert answer.status_code == 503
    assert "Choose another place, or move the file" in answer.json()["error"]
