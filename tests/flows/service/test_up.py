"""`capmat up` and `capmat down` as a technical director uses them, with a real server and a real worker."""

import base64
import json
import os
import signal
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from flows.service.restarts import STARTS
from tasks.report.sheets import scores_table
from tasks.show.artifact import picture_text
from tasks.show.charts import WIDTH, curves_svg
from tasks.show.sheet import to_jpeg
from tests.flows.cluster.dawdling import DEPLOYMENT, NAME
from tests.flows.scribble import browser
from tests.flows.site import PASSWORD, Site, eventually
from tests.project import ROOT

TOKEN = "9b1d-of-the-desk"

pytestmark = pytest.mark.chain


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    for name in ("flows", "storage", "tasks"):  # the user's own, which must not take the place of ours
        (site.path / name).mkdir()
        (site.path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    (site.path / "prefect.yaml").write_text((ROOT / "prefect.yaml").read_text() + DEPLOYMENT)
    try:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        assert f"Prefect UI: http://127.0.0.1:{port}" in site.capmat("up", "--port", port)
        # a story whose end is looked at further below, because it takes a while
        tell = (
            "from flows.service.events import tell_labels\nfor n in range(10):\n    assert tell_labels(f'l{n:04d}')"
        )
        assert site.python("-c", tell).wait() == 0
        yield site
    finally:
        site.capmat("down")
    assert not site.processes()


def test_every_deployment_is_there_with_a_form_of_a_few_fields(site: Site) -> None:
    deployments = {d["name"]: d for d in site.ask("/deployments/filter", {})}
    assert set(deployments) >= {"nightly", "ingest", "redistill", "reconstruct"}
    for deployment in (deployments[name] for name in deployments.keys() - {NAME}):
        assert "overrides" in deployment["parameter_openapi_schema"]["properties"]
        assert deployment["parameter_openapi_schema"].get("definitions", {}) == {}
        assert deployment["global_concurrency_limit"]["limit"] == 1
        assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"


def test_the_next_nights_are_scheduled_at_half_past_one_in_berlin(site: Site) -> None:
    runs = eventually(lambda: [r for r in site.runs("nightly") if r["state_type"] == "SCHEDULED"])
    first = min(datetime.fromisoformat(r["expected_start_time"]) for r in runs)
    assert timedelta() < first - datetime.now(UTC) <= timedelta(hours=25)
    assert (first.minute, first.hour) in ((30, 0), (30, 23))  # UTC, in winter and in summer


def test_runs_that_died_are_noticed_after_a_while_and_never_one_that_shows_signs_of_life(site: Site) -> None:
    found = {a["name"]: a for a in site.ask("/automations/filter", {})}
    then = {
        "restart-stuck-pending": "SCHEDULED",
        "crash-silent-running": "CRASHED",
        "cancel-stuck-cancelling": "CANCELLED",
    }
    for name, state in then.items():
        automation = found[name]
        assert automation["enabled"]
        assert automation["trigger"]["posture"] == "Proactive"
        assert automation["trigger"]["for_each"] == ["prefect.resource.id"]  # without, it fires for ever
        assert automation["actions"][0]["state"] == state
    assert found["crash-silent-running"]["trigger"]["within"] >= 3 * 60


def test_crashed_runs_start_again_three_times_and_cancelled_ones_never(site: Site) -> None:
    found = {a["name"]: a for a in site.ask("/automations/filter", {})}
    restarts = [found["restart-crashed"]["trigger"], found["restart-unreached"]["trigger"]]
    assert {name for trigger in restarts for name in trigger["expect"]} == {
        "prefect.flow-run.Crashed",
        "prefect.flow-run.Failed",
    }
    assert all(trigger["match"]["prefect.run-count"] == ["1", "2", "3"] for trigger in restarts)
    passing = restarts[1]["match"]["prefect.state-message"]
    assert all(any(known in said for known in ("ConnectError", "'404", "Nanny", "CommClosed")) for said in passing)
    early = found["restart-before-start"]["trigger"]["match"]  # a flow that cannot be imported crashes every time
    assert early["prefect.run-count"] == "0"
    assert all("code" in said and said.endswith("-*") for said in early["prefect.state-message"])


def test_without_the_password_nobody_learns_anything(site: Site) -> None:
    assert site.ask("/admin/version")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        site.ask("/admin/version", password="")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        site.ask("/admin/version", password="night:wotch")


def test_nothing_listens_beyond_this_machine(site: Site) -> None:
    places = [c.laddr.ip for pid in site.processes() for c in psutil.Process(pid).net_connections("inet")
              if c.status == psutil.CONN_LISTEN]  # fmt: skip
    assert places
    assert set(places) == {"127.0.0.1"}


def test_a_second_up_changes_nothing(site: Site) -> None:
    before = site.pid("server"), site.pid("worker")
    automations = {a["id"] for a in site.ask("/automations/filter", {})}
    site.capmat("up")
    assert (site.pid("server"), site.pid("worker")) == before
    assert sum("worker" in words for words in site.processes().values()) == 1
    assert {a["id"] for a in site.ask("/automations/filter", {})} == automations


def test_ten_label_sets_in_a_row_start_one_training(site: Site) -> None:
    (run,) = eventually(lambda: site.runs("redistill"))
    assert run["parameters"] == {"only_new": True}
    done = eventually(lambda: [r for r in site.runs("redistill") if r["state_type"] == "COMPLETED"])
    assert [r["state_name"] for r in done] == ["NothingNew"]  # this folder has no labels
    assert len(site.runs("redistill")) == 1  # and longer than the quiet time has gone by


@pytest.fixture(scope="module")
def heard() -> Iterator[tuple[int, list[tuple[str, str]]]]:
    """An HTTP server on loopback: its port, and path and text of what it was sent."""
    said: list[tuple[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            said.append((self.path, json.loads(text)["text"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port, said
        server.shutdown()


def make_block(site: Site, kind: str, name: str, data: dict[str, Any]) -> None:
    """As the UI does it."""
    block_type = site.ask(f"/block_types/slug/{kind}")["id"]
    (schema, *_) = site.ask("/block_schemas/filter", {"block_schemas": {"block_type_id": {"any_": [block_type]}}})
    block = {"name": name, "data": data, "block_schema_id": schema["id"], "block_type_id": block_type}
    site.ask("/block_documents/", block)


def test_people_are_told_once_of_what_failed_and_of_what_needs_them_and_of_nothing_else(
    site: Site, heard: tuple[int, list[tuple[str, str]]]
) -> None:
    port, said = heard
    make_block(
        site,
        "custom-webhook",
        "desk",
        {
            "name": "desk",
            "url": f"http://127.0.0.1:{port}/{{{{token}}}}",
            "json_data": {"text": "{{subject}}\n{{body}}"},
            "secrets": {"token": TOKEN},
        },
    )
    blocks = {"CAPMAT_NOTIFY__BLOCKS": "custom-webhook/desk,slack-webhook/nobody"}
    up = Site(site.path, site.env | blocks).start("up")
    out, _ = up.communicate(timeout=300)
    assert up.returncode == 0, out  # a night is worth more than the message about it
    assert "notify.blocks: slack-webhook/nobody does not exist. Make it at http://127.0.0.1:" in out
    (deployment,) = site.ask("/deployments/filter", {"deployments": {"name": {"any_": ["ingest"]}}})
    runs = {}
    for name, kind in (("Completed", "COMPLETED"), ("NeedsHuman", "FAILED"), ("Failed", "FAILED")):
        late = (datetime.now(UTC) + timedelta(hours=1)).isoformat()  # so that the worker leaves it alone
        state = {"type": "SCHEDULED", "state_details": {"scheduled_time": late}}
        runs[name] = site.ask(f"/deployments/{deployment['id']}/create_flow_run", {"state": state})["id"]
        end = {"type": kind, "name": name, "message": f"take cedar: {name}"}
        site.ask(f"/flow_runs/{runs[name]}/set_state", {"state": end, "force": True})
    eventually(lambda: len(said) >= 2)
    assert {path for path, _ in said} == {f"/{TOKEN}"}
    texts = sorted(text for _, text in said)
    assert len(texts) == 2
    for name, text in zip(("Failed", "NeedsHuman"), sorted(texts, key=lambda t: "NeedsHuman" in t), strict=True):
        assert f": {name}\ntake cedar: {name}" in text
        assert f"{site.api.removesuffix('/api')}/runs/flow-run/{runs[name]}" in text
        assert ("Started again" in text) == (name == "Failed")


@pytest.mark.skipif(not browser.FOUND, reason="Chromium is not installed")
def test_a_picture_beside_a_run_opens_in_a_browser(site: Site, tmp_path: Path) -> None:
    jpeg, curves = to_jpeg(np.full((48, 80, 3), 90, np.uint8)), curves_svg({"MSE": {"take": [(0, 1.0), (9, 0.1)]}})
    text = picture_text("take walk", jpeg, scores_table({"a": {"mse": 1, "sad": 1, "grad": 1}}, {"a": "run"}), curves)
    artifact = site.ask("/artifacts/", {"key": "look", "type": "markdown", "data": text})
    with browser.browser(tmp_path) as tab:
        tab.remember("prefect-password", base64.b64encode(PASSWORD.encode()).decode())
        tab.open(f"{site.api.removesuffix('/api')}/artifacts/artifact/{artifact['id']}")
        tab.wait_for("document.querySelectorAll('img[src^=\"data:image/\"]').length == 2")
        sizes = "[...document.querySelectorAll('img[src^=\"data:image/\"]')].map(i => i.complete && i.naturalWidth)"
        assert tab.wait_for(f"{sizes}.every(Boolean) && {sizes}") == [80, WIDTH]
        assert tab.ask("document.querySelectorAll('table td').length") == 5


def test_the_password_is_written_nowhere(site: Site) -> None:
    secrets = (PASSWORD.encode(), base64.b64encode(PASSWORD.encode()), TOKEN.encode())
    files = [file for file in (site.path / ".capmat").rglob("*") if file.is_file()]
    assert site.path / ".capmat/prefect/prefect.db" in files
    assert not [file for file in files if any(secret in file.read_bytes() for secret in secrets)]


def test_a_killed_run_starts_again_alone_and_a_cancelled_one_ends_for_good(site: Site) -> None:
    guard = site.start("up", "--foreground")
    try:
        run = site.begin(NAME)
        first = {int(file.name.partition("-")[2]) for file in eventually(lambda: working(site), 300)}
        killed = [p for p in site.of_run(run) if "multiprocessing" not in " ".join(p.cmdline())]
        assert killed
        for process in killed:
            process.kill()
        eventually(lambda: {int(f.name.partition("-")[2]) for f in working(site)} - first, 300)
        assert not [pid for pid in first if psutil.pid_exists(pid)]
        # the worker may report a crash a second time, seconds later, which costs one more start
        assert 1 < site.ask(f"/flow_runs/{run}")["run_count"] <= STARTS

        eventually(lambda: site.ask(f"/flow_runs/{run}")["state_type"] == "RUNNING")
        site.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "CANCELLING"}})  # what the button does
        eventually(lambda: site.ask(f"/flow_runs/{run}")["state_type"] == "CANCELLED", 120)
        eventually(lambda: not site.of_run(run))
        of_it = {"flow_runs": {"id": {"any_": [run]}}}
        eventually(
            lambda: {t["state_type"] for t in site.ask("/task_runs/filter", of_it)} <= {"CRASHED", "CANCELLED"}
        )
        assert site.ask(f"/flow_runs/{run}")["state_type"] == "CANCELLED"
    finally:
        guard.kill()
        guard.wait()
        (site.path / "go").touch()


def working(site: Site) -> list[Path]:
    """The files of the processes that ever worked on the run."""
    return list(site.path.glob("working-*"))


def test_a_killed_worker_is_started_again_and_the_run_that_it_had_taken_too(site: Site) -> None:
    worker = site.pid("worker")
    os.kill(worker, signal.SIGKILL)
    run = site.begin("ingest")
    site.ask(f"/flow_runs/{run}/set_state", {"state": {"type": "PENDING"}})  # as far as it had come
    guard = site.start("up", "--foreground")
    # as it does in a folder without a session
    eventually(lambda: site.ask(f"/flow_runs/{run}")["state_name"] == "Failed", 300)
    assert site.ask(f"/flow_runs/{run}")["run_count"] == 1  # and nobody tried again
    (again,) = {pid for pid, words in site.processes().items() if "worker" in words}
    assert again != worker
    guard.kill()
    guard.wait()


def test_a_server_that_comes_back_elsewhere_gets_a_worker_that_talks_to_it(site: Site) -> None:
    worker, api = site.pid("worker"), site.api
    server = psutil.Process(site.pid("server"))
    server.kill()
    server.wait(60)
    with socket.create_server(("127.0.0.1", int(api.split(":")[2].split("/")[0]))):  # somebody else's
        site.capmat("up")
    assert site.api != api
    again = psutil.Process(site.pid("worker"))
    assert again.pid != worker
    assert again.environ()["PREFECT_API_URL"] == site.api


def test_down_leaves_no_process_even_after_parts_were_killed(site: Site) -> None:
    os.kill(site.pid("server"), signal.SIGKILL)
    assert site.processes()
    site.capmat("down")
    assert not site.processes()
    assert "`capmat up` has nothing running in this folder" in site.capmat("down")
