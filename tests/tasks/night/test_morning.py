"""The morning report says first what needs a human, shows every take, and no name can break it."""

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from storage.labels.freeze import freeze_labels
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Gate
from tasks.ingest.session import ingest, plates
from tasks.models.networks import Ref
from tasks.night.morning import stages_wait, write_morning
from tasks.night.page import needs, next_command, night_page, night_text, sentence
from tasks.night.status import boxes_wait
from tasks.validate.promote import promote
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, write_session
from tests.tasks.report.test_page import JPEG, Page

TAKE = {"take": "walk", "session": "day", "cameras": 3, "frames": 4, "runs": ["student-v1"], "seconds": 75.0}
TAKE |= {"teacher": 6, "teacher_wanted": 2, "finished": True}
REFUSED = {
    "session": "day",
    "take": "run",
    "step": "ingest",
    "error": "FrameGap",
    "what": "frame 3 is missing",
    "where": "take run camera c01",
    "fix": "Copy it again.",
}
NIGHT: dict[str, Any] = {
    "night": "2026-01-02 01:30",
    "inbox": "in",
    "store": "store",
    "state": "NeedsHuman",
    "models": {},
    "attention": [{"what": "The label set l0002 waits.", "fix": "Train."}],
    "refused": [REFUSED],
    "left": [{"where": "in/jump", "why": "still moving"}],
    "stages": [],
    "takes": [{**TAKE, "bytes": 1234567}],
    "kept": ["older"],
    "forecast": {
        "parts": [
            {"verb": "ingest", "share": 1.0, "forecast": 60.0, "real": 50.0},
            {"verb": "student mattes", "share": 0.5, "forecast": 30.0, "real": 40.0},
        ],
        "whole": {"share": 0.5, "forecast": 90.0, "real": 100.0},
    },
    "seconds": 3899.0,
    "free": 5e9,
}


def test_what_needs_a_human_stands_before_what_was_done() -> None:
    page = Page(night_page(NIGHT, {"walk": JPEG}))
    order = ["FrameGap", "Copy it again.", "The label set l0002 waits.", "in/jump", "student-v1", "older"]
    places = [page.text.index(text) for text in order]
    assert places == sorted(places)
    assert [id for id in page.ids if not id.startswith(("p-", "c-"))] == [
        "human",
        "left",
        "done",
        "forecast",
        "pictures",
        "kept",
    ]
    assert "1 h 05 min" in page.text
    assert "1.23 MB" in page.text
    assert "script" not in page.tags
    assert "Take walk: the teacher saw one frame in 6 instead of one in 2; the night was too short" in page.text
    assert "forecast to take 1 min 30 s (for what was done of it) and took 1 min 40 s" in page.text
    assert "off by -10 %" in page.text
    assert "student mattes (50 % of it)" in page.text
    text = night_text(NIGHT)
    assert "| ingest | 1 min 00 s | 50.0 s | +20 % |" in text
    assert text.index("frame 3 is missing") < text.index("| walk |")


def test_a_quiet_night_has_no_section_that_is_empty() -> None:
    quiet = NIGHT | {"attention": [], "refused": [], "left": [], "takes": [], "kept": [], "forecast": {}}
    assert Page(night_page(quiet, {})).ids == []
    assert sentence(quiet) == "No take was matted."


@pytest.mark.parametrize("name", ["<script>&\"'</td>", "a|b`c*d_[e](f)"])
def test_no_name_can_break_page_or_table(name: str) -> None:
    night = NIGHT | {
        "refused": [dict.fromkeys(REFUSED, name)],
        "left": [{"where": name, "why": name}],
        "takes": [{**TAKE, "take": name, "session": name, "runs": [name], "bytes": 1}],
        "kept": [name],
    }
    page = Page(night_page(night, {name: JPEG}))
    assert "script" not in page.tags
    assert name in page.text
    (row,) = (line for line in night_text(night).splitlines() if "1 min 15 s" in line)
    assert row.replace("\\|", "").count("|") == 7


def test_the_report_lies_in_the_store_with_a_picture_and_what_waits_for_somebody(tmp_path: Path) -> None:
    session, store = str(write_session(tmp_path / "session") / "session.toml"), str(tmp_path / "store")
    ingest(store, session, "walk", plates(store, session)["digest"])
    root = Root(store)
    take = Take.open(root, "walk")
    take.start_run("student-v1", {})
    for camera in CAMERAS:
        take.write_alphas("student-v1", camera, {0: np.ones((HEIGHT, WIDTH), np.float32)})
    freeze_labels(root, "scribbles", [("walk", "c00", 0, np.ones((HEIGHT, WIDTH), np.uint8))])
    registry = Registry(root)
    models = [Ref(name="small", version=registry.add("small", weights, {})) for weights in (b"old", b"new")]
    scores = {"student_base": {"p": {"mse": 1.0}}, "student_refined": {"p": {"mse": 0.99}}}
    promote(store, "student", *models, {"per_image": scores, "digest": "d"}, Gate())

    moved = {"camera": "c01", "kind": "moved", "what": "the camera moved since its plate", "advice": "Fasten it."}
    looked = [{"session": "day", "take": take, "light": "red", "red": red, "html": f"{take}.html"}
              for take, red in (("walk", [moved]), ("run", [moved]), ("jump", []))]  # fmt: skip
    night = {**NIGHT, "takes": [TAKE], "stages": looked}
    done = write_morning(store, night, time.time() - 60)
    assert json.loads(Path(done["json"]).read_text())["seconds"] >= 60
    (shown,) = (v for _, v in Page(Path(done["html"]).read_text()).attributes if v and v.startswith("data:image/"))
    assert len(shown) > 1000
    assert done["takes"][0]["bytes"] == sum(f.stat().st_size for f in Path(store, "takes").rglob("*") if f.is_file())
    said = [item["what"] for item in done["attention"]]
    assert said[0] == "Camera c01 of day is red (take walk, run): the camera moved since its plate."
    assert done["attention"][0]["fix"] == "Fasten it."
    assert done["attention"][0]["link"] == "walk.html"
    assert "Camera c01 of day is red" in Path(done["html"]).read_text()
    assert any(what.startswith("The student small v0002 was held back: benchmark MSE") for what in said)
    assert "The label set l0001 waits to be trained on (1 frame)." in said
    time.sleep(1.1)
    again = write_morning(store, night, time.time() + 60)  # the gate's decision is old news to the next night
    assert [item["what"] for item in again["attention"]] == [said[0], *said[2:]]


def test_boxes_that_were_mined_wait_for_people() -> None:
    said = boxes_wait({"walk": 7, "run": 5, "jump": 0})
    assert [item["what"] for item in said] == ["12 boxes wait for scribbles (walk 7, run 5)."]
    assert boxes_wait({"jump": 0}) == []


def test_red_comes_first_each_with_its_command_and_the_page_of_the_stage() -> None:
    lamp = {"kind": "lamp", "what": "a lamp clips", "advice": "Dim it."}
    moved = {"camera": "c02", "kind": "moved", "what": "the camera moved", "advice": "Fasten it."}
    look = {"session": "day", "take": "walk", "light": "red", "html": "/store/reports/stage-day-walk.html",
            "red": [moved], "yellow": [{**lamp, "camera": "c00"}, {**lamp, "camera": "c01"}]}  # fmt: skip
    light = {"what": "Labels wait.", "fix": "Train.", "light": "yellow", "command": "capmat redistill"}
    night = NIGHT | {"attention": [light, *stages_wait([look])], "stages": [look], "refused": []}
    assert [need.light for need in needs(night)] == ["red", "yellow", "yellow"]
    assert "Camera c00 and 1 more of day is yellow (take walk): a lamp clips." in [need.what for need in needs(night)]
    assert next_command(night) == "capmat redistill"
    page = Page(night_page(night | {"takes": [{**NIGHT["takes"][0], "exports": "/out put"}]}, {"walk": JPEG}))
    links = [value for name, value in page.attributes if name == "href"]
    assert "stage-day-walk.html" in links  # beside the report, so that the folder can be copied
    assert "file:///out%20put" in links
    assert page.text.index("red") < page.text.index("yellow")
    assert next_command(NIGHT) == "capmat nightly"  # something was refused
    assert next_command(NIGHT | {"refused": [], "attention": []}) == "capmat export walk --out FOLDER"
