"""Nights over an inbox, with the real command, server and cluster: a bad take stops nothing but itself."""

import base64
import json
import re
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.cluster.kinds import start_cluster
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.config import Cluster
from tests.flows.cluster.test_security import make_keys
from tests.flows.conftest import Folder
from tests.flows.scribble import browser
from tests.flows.site import Site
from tests.storage.tiny_session import background, edit_toml, write_picture, write_session

pytestmark = pytest.mark.chain

START = "from flows.service import server; server.keep(server.start(None))"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Settings of a worker for all nights here, so that torch is loaded once."""
    keys = str(make_keys(tmp_path_factory.mktemp("keys")))
    with start_cluster(Cluster(workers=1, memory="2.5GiB", tls=keys)) as cluster:
        yield {"CAPMAT_CLUSTER__ADDRESS": cluster.scheduler_address, "CAPMAT_CLUSTER__TLS": keys}


def nights(place: Path, cluster: dict[str, str]) -> Folder:
    night = {
        "CAPMAT_STORE": f"{place}/.capmat/store",  # the workers were not started in this folder
        "CAPMAT_INBOX": f"{place}/inbox",
        "CAPMAT_EXPORTS": f"{place}/out",
        "CAPMAT_NIGHT__STILL_MINUTES": "0.03",
        "CAPMAT_NIGHT__TEACHER_EVERY": "2",
        **cluster,
    }
    return Folder(place, place / "no-samples", night)


def begin(folder: Folder) -> Any:
    """Start a night once the inbox has been still for long enough: its server runs, so it looks within a second."""
    time.sleep(3)
    return folder.start("nightly")


@pytest.fixture(scope="module")
def folder(cluster: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Folder]:
    """A folder whose server stays from night to night."""
    folder = nights(tmp_path_factory.mktemp("nights"), cluster)
    folder.python("-c", START)
    yield folder
    folder.run("down")


def newest_report(folder: Folder) -> dict[str, Any]:
    """The record of the last night."""
    newest = max((folder.path / ".capmat/store/reports").glob("night-*.json"))
    report: dict[str, Any] = json.loads(newest.read_text())
    return report


def session(place: Path, name: str, takes: tuple[str, ...]) -> Path:
    """A session whose takes are copies of one."""
    write_session(place)
    text = (place / "session.toml").read_text().replace('"day"', f'"{name}"').replace('"ring"', f'"{name}"')
    head, _, _ = text.partition("[takes.walk]")
    walk = place / "takes/walk"
    for take in takes:
        for file in walk.rglob("*.png"):
            copy = place / "takes" / take / file.relative_to(walk)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(file.read_bytes())
        head += f'[takes.{take}]\npath = "takes/{take}/{{camera}}/{{frame:04d}}.png"\n'
    (place / "session.toml").write_text(head)
    return place


@contextmanager
def copying(file: Path) -> Iterator[None]:
    """Somebody writes to a file again and again."""
    ended = threading.Event()

    def write() -> None:
        while not ended.wait(0.2):
            file.touch()

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def written(folder: Folder, take: str) -> dict[str, int]:
    """When each file of a take in the store was written."""
    top = folder.path / f".capmat/store/takes/{take}.zarr"
    return {str(file): file.stat().st_mtime_ns for file in top.rglob("*") if file.is_file()}


def state_of_last_run(folder: Folder) -> tuple[str, str]:
    with closing(sqlite3.connect(folder.path / ".capmat/prefect/prefect.db")) as db:
        found: tuple[str, str] = db.execute(
            "select state_type, state_name from flow_run where parent_task_run_id is null order by start_time desc"
        ).fetchone()
    return found


def test_a_night_does_what_it_can_and_the_next_one_only_what_was_missing(folder: Folder) -> None:
    inbox = folder.path / "inbox"
    session(inbox / "good", "good", ("alder",))
    broken = session(inbox / "mixed", "mixed", ("birch", "cedar")) / "takes/cedar/c01/0001.png"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:200])
    slow = session(inbox / "slow", "slow", ("dune",))
    with copying(slow / "takes/dune/c02/0002.png"):
        process = begin(folder)
        out, _ = process.communicate(timeout=900)
    first = newest_report(folder)
    assert process.returncode == 3, out  # a script or a scheduler hears of it, too
    assert "Traceback" not in out
    assert re.search(r"student mattes alder c02-c02  3/3 frames", out)  # what workers say, wherever they run
    assert re.search(r"^\d\d:\d\d:\d\d  refused: mixed cedar: ingest: .*camera c01 frame 1", out, re.MULTILINE)

    assert [take["take"] for take in first["takes"]] == ["alder", "birch"]
    assert sorted(list_takes(Root(str(folder.path / ".capmat/store")))) == ["alder", "birch"]
    (refused,) = first["refused"]
    assert (refused["session"], refused["take"], refused["step"]) == ("mixed", "cedar", "ingest")
    assert refused["error"] == "ImageUnreadable"
    assert "camera c01 frame 1" in refused["where"]
    assert refused["fix"]
    assert [Path(left["where"].partition(",")[0]).name for left in first["left"]] == ["slow"]
    assert [(look["take"], Path(look["html"]).exists()) for look in first["stages"]][:2] == [
        ("alder", True),
        ("birch", True),
    ]
    assert first["state"] == "NeedsHuman"
    assert state_of_last_run(folder) == ("FAILED", "NeedsHuman")  # red, and not the green tick of a run that is done
    assert "2 takes done, 1 refused, 1 left for another night; first" in out.splitlines()[-1]

    for take in ("alder", "birch"):
        stored = Take.open(Root(str(folder.path / ".capmat/store")), take)
        runs = {run.partition("-")[0]: run for run in stored.alpha_runs()}
        assert stored.matted(runs["student"], "c02") == [0, 1, 2]
        assert stored.matted(runs["teacher"], "c02") == [0, 2]
        assert len(list((folder.path / f"out/{take}").rglob("*.exr"))) == 9
    page = max((folder.path / ".capmat/store/reports").glob("night-*.html")).read_text()
    assert page.index("cedar") < page.index("alder")  # what needs a human comes first
    assert page.count("data:image/jpeg;base64,") == 2
    assert [part["verb"] for part in first["forecast"]["parts"]][-1] == "all else"
    took, parts = first["forecast"]["whole"]["real"], [part["real"] for part in first["forecast"]["parts"]]
    assert sum(parts) >= 0.99 * took > 0.99 * max(parts)  # no second of the night is left out
    assert "Forecast and truth" in page

    before = written(folder, "alder") | written(folder, "birch")
    broken.write_bytes(whole)
    process = begin(folder)
    assert process.stdout
    assert "starting" in process.stdout.readline()
    process.stdout.close()  # nobody listens any more
    assert process.wait(timeout=900) == 0
    second = newest_report(folder)
    assert [take["take"] for take in second["takes"]] == ["cedar", "dune"]
    assert sorted(second["kept"]) == ["alder", "birch"]
    assert (second["refused"], second["left"], second["state"]) == ([], [], "Completed")
    assert written(folder, "alder") | written(folder, "birch") == before
    assert state_of_last_run(folder) == ("COMPLETED", "Completed")


@pytest.mark.skipif(not browser.FOUND, reason="Chromium is not installed")
def test_the_page_of_a_night_that_needs_a_human_is_red_and_begins_with_the_report(
    folder: Folder, tmp_path: Path
) -> None:
    site = Site(folder.path, password="")
    (run,) = (run for run in site.ask("/flow_runs/filter", {}) if run["state_name"] == "NeedsHuman")
    assert re.fullmatch(r"nightly \d{4}-\d\d-\d\d inbox", run["name"])
    assert {"nightly", "inbox", "teacher@v0001", "student@v0001"} <= set(run["tags"])
    of_it = site.ask("/artifacts/filter", {"artifacts": {"flow_run_id": {"any_": [run["id"]]}}})
    own = [artifact["key"] for artifact in of_it if not artifact["task_run_id"]]
    assert own[0] == "morning"
    assert set(own) == {"morning", "sheet-alder", "sheet-birch"}
    with browser.browser(tmp_path, "1400,1000", "--no-proxy-server") as tab:
        tab.remember("prefect-password", base64.b64encode(site.password.encode()).decode())
        tab.open(f"{site.api.removesuffix('/api')}/runs/flow-run/{run['id']}")
        badge = "[...document.querySelectorAll('.state-badge')].find(e => e.innerText.includes('NeedsHuman'))"
        colour = tab.wait_for(f"(e => e && getComputedStyle(e).backgroundColor)({badge})")
        red, green, blue = map(int, re.findall(r"\d+", colour))
        assert red > 2 * max(green, blue)
        names = "[...document.querySelectorAll('*')].filter(e => !e.children.length && e.textContent == 'Artifacts')"
        tab.wait_for(f"(e => e && !e.click())({names}.at(-1))")
        for width in (1400, 420):
            tab.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=False
            )
            tab.wait_for(f"innerWidth == {width} && document.body.innerText.includes('sheet-birch')")
            page = tab.ask("document.body.innerText")
            assert page.index("1 failed; 2 takes matted") < page.index("sheet-birch") < page.rindex("Task runs")
            assert tab.ask("document.documentElement.scrollWidth") <= width


def test_a_night_that_can_do_nothing_fails_and_says_why(folder: Folder) -> None:
    place = folder.path / "idle"
    others = {**nights(place, {}).env, "CAPMAT_STAGE__DRIFT": "block"}
    folder = replace(folder, env=folder.env | others)  # another store and inbox at the same server
    bad = session(place / "inbox/bad", "bad", ("elm",))
    edit_toml(bad, "bits = 12", "bits = 77")
    knocked = session(place / "inbox/knocked", "knocked", ("fir",))
    for file in (knocked / "takes/fir/c01").iterdir():  # the camera was knocked after its plate
        write_picture(file, np.roll(background(1), 3, axis=1).astype(np.uint16))
    process = begin(folder)
    out, _ = process.communicate(timeout=900)
    assert process.returncode == 2, out
    assert "nothing could be done, 2 refused" in out.splitlines()[-1]
    assert "Traceback" not in out
    (report,) = (place / ".capmat/store/reports").glob("night-*.json")
    by_session = {item["session"]: item for item in json.loads(report.read_text())["refused"]}
    assert by_session["knocked"]["step"] == "stage check"
    assert "take fir camera c01" in by_session["knocked"]["where"]
    assert re.search(r"\+(2\.9|3\.0)\d px right", by_session["knocked"]["what"])
    assert list_takes(Root(f"{place}/.capmat/store"), sealed=False) == []
    assert state_of_last_run(folder)[0] == "FAILED"
    assert list((place / ".capmat/store/reports").glob("night-*.html"))
