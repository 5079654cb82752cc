"""A night repairs what was lost, and says what it is about to do."""

import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from flows.inbox_night import announce, planned
from flows.nightly import teacher_every
from tasks.config import Config
from tasks.labels.in_use import mark_used, newest_labels
from tasks.labels.incoming import INBOX, import_labels
from tasks.night.parts import Part
from tasks.night.plan import NightPlan
from tests.tasks.labels.test_in_use import overlay, put, store  # noqa: F401
from tests.tasks.night.test_plan import config, slow_teacher  # noqa: F401


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What a server is told of events; it answers as Prefect's does."""
    events: list[Any] = []

    class Api(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            events.extend(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}/api")
    yield events
    server.shutdown()
    server.server_close()


def test_a_night_announces_labels_that_wait_and_no_others(
    store: str,  # noqa: F811
    tmp_path: Path,
    told: list[Any],
) -> None:
    stage = Config(store=store)
    announce(stage)
    assert told == []
    put(tmp_path / "painted", "walk/c00/0001.png", overlay())
    import_labels(store, tmp_path / "painted", INBOX)
    announce(stage)
    assert [event["event"] for event in told] == ["capmat.labels.new"]
    mark_used(store, newest_labels(store), {"teacher": "HOLD"})
    announce(stage)
    assert len(told) == 1


def test_a_night_says_when_it_is_done_and_what_the_teacher_leaves_out() -> None:
    made = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
    part = Part("student mattes", "matte student", ("walk",), frames=9, pixels=9, seconds=3600.0)

    def said(every: int, until: datetime | None = None, *parts: Part) -> str:
        return planned(NightPlan(made, until, "host", parts or (part,), every, None))

    assert said(1) == "planned: done at about Mon 02:30"
    assert said(3, made + timedelta(hours=2)).endswith("02:30; the teacher sees one frame in 3")
    assert said(0, made + timedelta(minutes=30)).endswith("02:30, after 02:00; the teacher is left out")
    open_part = Part("student mattes", "matte student", ("walk",), frames=9, pixels=9, seconds=None)
    assert said(1, None, open_part) == "planned: it is not known when it is done"
    assert said(1, None, Part("ingest", "ingest")) == "nothing is to be done"


def test_a_night_whose_end_came_during_the_ingest_leaves_the_teacher_out(config: Config) -> None:  # noqa: F811
    slow_teacher(config)
    chosen, now = config.model_copy(update={"scribble_takes": ("walk",)}), datetime.now(UTC)
    assert teacher_every(chosen, now + timedelta(days=1)) == 1
    assert teacher_every(chosen, now - timedelta(minutes=1)) == 0
    assert teacher_every(chosen, None) == 1
