"""`capmat status`: one screen and one JSON of the same record, from the store alone, at once."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from capmat_models.networks.factory import create_model
from flows.command.main import main
from flows.service.deploy import next_night
from storage.labels.freeze import freeze_labels
from storage.labels.queue import Mined, write_queue
from storage.registry import Registry
from storage.store.root import Root
from storage.upkeep.verify import verify
from tasks.ingest.session import ingest, plates, take_record
from tasks.matte.export import export
from tasks.matte.take import matte, open_run
from tasks.models.imported import import_weights
from tasks.models.networks import Ref, Run
from tests.project import ROOT
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, edit_toml, write_session
from tests.tasks.night.test_morning import NIGHT


def matted(store: str, role: str, model: Ref, frames: list[int]) -> str:
    record, who = take_record(store, "walk"), Run(role, model)
    name = open_run(store, "walk", who)
    matte(store, "walk", record["cameras"], frames, who, record["digest"])
    return name


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A day in its middle: one of two takes is in, the first camera is exported, a night refused something."""
    folder = tmp_path_factory.mktemp("status")
    session = write_session(folder / "session")
    store = str(folder / "store")
    ingest(store, str(session / "session.toml"), "walk", plates(store, str(session / "session.toml"))["digest"])
    edit_toml(session, "[takes.walk]", '[takes.run]\npath = "runs"\n\n[takes.walk]')
    root, registry = Root(store), Registry(Root(store))
    torch.manual_seed(0)
    torch.save(create_model("bgmv2_mobilenetv2_xs").state_dict(), folder / "weights.pth")
    model = import_weights(store, folder / "weights.pth", "bgmv2_mobilenetv2_xs")
    registry.promote("student", **model, record={"reasons": ["benchmark MSE 12.00e-4 against 15.00e-4", "more"]})
    student = matted(store, "student", model, [0, 1, 2])
    matted(store, "teacher", model, [1])
    export(store, "walk", student, ["c00"], str(folder / "out"), ["png"])
    ones = np.ones((HEIGHT, WIDTH), np.uint8)
    freeze_labels(root, "scribbles", [("walk", "c00", 0, ones), ("walk", "c02", 1, ones)])
    boxes = [Mined(camera, 0, 0.5, (0, 0, 9, 9), ("because",), {}, student) for camera in CAMERAS]
    write_queue(root, "walk", boxes, {})
    night = {**NIGHT, "ended": "2026-01-02T03:00:00+00:00"}
    root.write("reports/night-2026-01-02-013000.json", json.dumps(night).encode())
    check = {"stage": "ring", "session": "day", "take": "walk", "light": "yellow"}
    root.write("reports/stage-ring-day-walk.json", json.dumps(check).encode())
    return folder


def asked(place: Path, *words: str) -> list[str]:
    return [
        "--set",
        f"store={place / 'store'}",
        "--set",
        f"session={place / 'session/session.toml'}",
        "status",
        *words,
    ]


def test_the_record_says_what_was_done_and_what_waits(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(asked(place, "--json")) == 0
    record: dict[str, Any] = json.loads(capsys.readouterr().out)
    walk, run = record["takes"]
    assert (walk["name"], walk["ingested"], walk["cameras"], walk["frames"]) == ("walk", True, 3, 3)
    assert (run["name"], run["ingested"]) == ("run", False)
    done = {one["role"]: (one["done"], one["in_use"]) for one in walk["runs"]}
    assert done == {"student": (9, True), "teacher": (3, False)}
    assert (walk["labels"], walk["boxes"]) == (2, 2)  # one of the three boxes lies on a labelled frame
    assert (walk["exported"]["cameras"], walk["exported"]["out"]) == (1, str(place / "out"))
    (model,) = record["models"]
    assert (model["role"], model["score"]) == ("student", "benchmark MSE 12.00e-4 against 15.00e-4")
    assert datetime.fromisoformat(model["since"]).date() == datetime.now(UTC).date()
    assert record["last_night"]["refused"] == 1
    assert record["stages"] == {"ring": "yellow"}
    (stage,) = [item for item in record["waits"] if "stage check" in item["what"]]
    assert stage["fix"] == f"See {place / 'store/reports/stage-ring-day-walk.html'}."
    assert not verify(Root(str(place / "store"))).damaged  # what an export notes is no stray work
    waits = [(item["light"], item.get("command")) for item in record["waits"]]
    assert waits[0] == ("red", "capmat nightly")  # the refusal of the night comes first
    assert {command for _, command in waits} >= {"capmat ingest", "capmat scribble", "capmat redistill"}


def test_the_screen_is_one_screen_and_names_what_other_commands_ask_for(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(place)) == 0
    screen = capsys.readouterr().out
    assert len(screen.splitlines()) <= 24
    (walk,) = (line.split() for line in screen.splitlines() if line.startswith("walk"))
    assert {"9/9", "3/9", "1/3", "2"} <= set(walk)
    assert "frame 3 is missing" in screen
    assert NIGHT["refused"][0]["where"] in screen
    assert f"{place}/store/reports/night-2026-01-02-013000.html" in screen
    assert "`capmat redistill`" in screen
    assert main(asked(place, "walk")) == 0
    assert "student-bgmv2_mobilenetv2_xs-v0001" in capsys.readouterr().out
    assert main(asked(place, "wolk")) == 2
    assert "walk" in capsys.readouterr().err


def test_it_costs_neither_torch_nor_prefect(place: Path) -> None:
    code = (
        "import sys; from flows.command.main import main; code = main(sys.argv[1:]);"
        "sys.exit(code or bool({'torch', 'prefect', 'dask', 'cv2'} & sys.modules.keys()))"
    )
    words, path = [sys.executable, "-c", code, *asked(place)], {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, cwd=place, env=path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_next_night_is_that_of_prefect_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    late = datetime(2026, 7, 1, 23, 45, tzinfo=UTC)  # 01:45 of the next day in Berlin
    assert next_night(late, up=True) == "2026-07-03 01:30 (Europe/Berlin)"
    assert "`capmat up`" in next_night(late, up=False)
    Path("prefect.yaml").write_text("deployments:\n- name: nightly\n  schedules:\n  - cron: '0 2 * * 1-5'\n")
    assert next_night(late, up=True) == "0 2 * * 1-5 (UTC)"
    Path("prefect.yaml").write_text("deployments: []\n")
    assert "no schedule" in next_night(late, up=True)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("{schedules: [{cron: 0 2 * * *, active: false}]}", "no schedule"),
        ("{paused: true, schedules: [{cron: 0 2 * * *}]}", "no schedule"),
        ("{schedule: {cron: 0 2 * * *}}", "2026-07-02 02:00 (UTC)"),  # Prefect takes this form, too
        (
            "{schedules: [{cron: 0 2 * * *}, {cron: 30 13 * * *}]}",
            "2026-07-02 02:00 (UTC) and 2026-07-02 13:30 (UTC)",
        ),
        ("{schedules: [{cron: 0 25 * * *}]}", "0 25 * * * (UTC)"),
        ("{schedules: [{cron: 0 2 * * *, timezone: Europe/Nowhere}]}", "0 2 * * * (Europe/Nowhere)"),
    ],
)
def test_the_next_night_is_one_that_prefect_will_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("prefect.yaml").write_text(f"deployments:\n- {{name: nightly, {written[1:]}\n")
    assert said in next_night(datetime(2026, 7, 1, 23, 45, tzinfo=UTC), up=True)


@pytest.mark.parametrize("written", [b"deployments: [\n", b"text", b"- a", b"deployments: {a: 1}", b"", b"\xff"])
def test_a_prefect_yaml_that_cannot_be_used_hides_no_other_line_of_the_status(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], written: bytes
) -> None:
    monkeypatch.chdir(place)
    (place / "prefect.yaml").write_bytes(written)
    try:
        assert main(asked(place)) == 0
    finally:
        (place / "prefect.yaml").unlink()
    screen = capsys.readouterr().out
    assert f"next night not known: {place}/prefect.yaml: is not a file of deployments" in screen
    assert "walk" in screen


@pytest.mark.parametrize("written", [b"", b'{"ended": ', b"[]", b"null", b"{}", b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("name", ["night-2026-01-03-013000", "stage-ring-day-run"])
def test_a_damaged_report_is_named_and_hides_no_other_line(
    place: Path, capsys: pytest.CaptureFixture[str], name: str, written: bytes
) -> None:
    file = place / f"store/reports/{name}.json"
    file.write_bytes(written)
    try:
        assert main(asked(place, "--json")) == 0
    finally:
        file.unlink()
    record = json.loads(capsys.readouterr().out)
    assert [item["light"] for item in record["waits"] if str(file) in item["what"]] == ["yellow"]
    assert record["stages"] == {"ring": "yellow"}
    assert record["last_night"]["ended"] == "2026-01-02T03:00:00+00:00"
