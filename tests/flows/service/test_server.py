"""A Prefect server that capmat started: only the operator gets in, without thinking; and what a prefect.yaml does."""

import base64
import json
import os
import re
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from capmat_errors import ConfigError
from flows.service.access import OWN, is_ours, private_home
from flows.service.schedules import noted
from flows.service.server import kept, listen, running, running_server
from tests.flows.scribble import browser
from tests.flows.site import Site
from tests.project import ROOT

SESSION = ROOT / "samples/session/session.toml"

ATTACK = """<!doctype html><title>working</title><script>
const api = "http://127.0.0.1:" + location.hash.slice(1) + "/api"
const flow = '{"name": "of-a-strange-page"}'
const tried = async (path, init) => {
  try { const answer = await fetch(api + path, init); return answer.type + answer.status } catch { return "blocked" }
}
Promise.all([
  tried("/health"),
  tried("/flows/filter", {method: "POST", headers: {"Content-Type": "application/json"}, body: "{}"}),
  tried("/flows/", {method: "POST", headers: {"Content-Type": "application/json"}, body: flow}),
  tried("/flows/", {method: "POST", mode: "no-cors", body: new Blob([flow])}),  // Prefect reads it as JSON
]).then(all => document.title = "tried " + all.join(" "))
</script>"""


@pytest.fixture(scope="module")
def ui(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Site, subprocess.Popen[str], str]]:
    """A folder with `capmat ui`, without a password of the operator's, behind a proxy that leads nowhere."""
    nowhere = "http://127.0.0.1:9"
    proxies = {"http_proxy": nowhere, "HTTP_PROXY": nowhere, "HTTPS_PROXY": nowhere, "ALL_PROXY": nowhere}
    site = Site(tmp_path_factory.mktemp("ui"), proxies, password="")
    (site.path / ".capmat").mkdir(mode=0o755)  # as a store of an earlier version left it
    process = site.start("ui")
    assert process.stdout
    said = process.stdout.readline()
    assert said.startswith("Prefect UI: "), said + process.stdout.read()
    yield site, process, said.split()[2]
    site.kill()
    process.kill()
    process.wait()


Ui = tuple[Site, subprocess.Popen[str], str]


@pytest.mark.chain
def test_what_the_server_keeps_is_closed_to_other_users(ui: Ui) -> None:
    site, *_ = ui
    kept = site.path / ".capmat/prefect"
    assert [path.stat().st_mode & 0o777 for path in (kept.parent, kept, kept / "password")] == [0o700, 0o700, 0o600]
    assert [file.name for file in kept.glob("prefect.db*") if file.stat().st_mode & 0o077] == []
    assert len(site.password) > 32


@pytest.mark.chain
def test_without_the_password_the_api_says_nothing(ui: Ui) -> None:
    site, *_ = ui
    for wrong in ("", "capmat:", "capmat:" + "x" * 32):
        with pytest.raises(urllib.error.HTTPError, match="401"):
            site.ask("/flows/filter", {}, wrong)
    assert site.ask("/flows/filter", {}) == []


@pytest.mark.chain
def test_a_request_for_another_host_is_refused_even_with_the_password(ui: Ui) -> None:
    site, *_ = ui
    port = int(site.api.split(":")[2].split("/")[0])
    for name in ("rebound.example", f"rebound.example:{port}", "127.0.0.1.rebound.example", "", "[::1]", "0.0.0.0"):
        with socket.create_connection(("127.0.0.1", port)) as line:
            line.sendall(f"GET /api/health HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n".encode())
            assert b" 400 " in line.makefile("rb").readline(), name
    with pytest.raises(InvalidStatus, match="400"):
        connect(f"ws://rebound.example:{port}/api/events/out", sock=socket.create_connection(("127.0.0.1", port)))


@pytest.mark.chain
@pytest.mark.skipif(not browser.FOUND, reason="Chromium is not installed")
def test_the_link_opens_the_ui_once_and_no_strange_page_gets_in(ui: Ui, tmp_path: Path) -> None:
    site, _, link = ui
    port = site.api.split(":")[2].split("/")[0]

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(ATTACK.encode())

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    strange = "--host-resolver-rules=MAP page.example 127.0.0.1,MAP rebound.example 127.0.0.1"
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), Page) as pages,
        browser.browser(tmp_path / "own", "1600,1200", strange, "--no-proxy-server") as tab,
    ):
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        tab.open(link)
        tab.wait_for(f"location.href.startsWith('http://127.0.0.1:{port}/dashboard')")
        tab.wait_for("document.body.innerText.includes('to get started')")  # only the API knows that there is no run
        assert tab.ask("location.hash") == ""
        tab.open(f"http://127.0.0.1:{port}/runs")  # a bookmark, later
        tab.wait_for("document.body.innerText.includes('Run a task or flow')")
        assert "/login" not in tab.ask("location.href")

        tab.open(f"http://page.example:{pages.server_port}/#{port}")
        assert tab.wait_for("document.title.startsWith('tried') && document.title") == (
            "tried blocked blocked blocked opaque0"
        )
        tab.open(f"http://rebound.example:{port}/api/health")
        tab.wait_for("document.body.innerText == 'Invalid host header'")
        pages.shutdown()
    assert site.ask("/flows/filter", {}) == []

    with browser.browser(tmp_path / "another", "800,600", "--no-proxy-server") as tab:
        tab.open(link)
        tab.wait_for("document.body.innerText.includes('used already')")
        assert tab.ask("localStorage.length") == 0


@pytest.mark.chain
def test_another_folder_takes_another_port_and_knows_that_this_server_is_not_its_own(
    ui: Ui, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, *_ = ui
    port = int(site.api.split(":")[2].split("/")[0])
    monkeypatch.setenv(OWN, site.password)
    monkeypatch.chdir(site.path)
    assert is_ours(port)
    monkeypatch.chdir(tmp_path)
    assert is_ours(port) is False  # even with the same password
    assert running(None) is None
    (private_home() / "server.json").write_text(json.dumps({"port": port, "pid": site.pid("server"), "keep": True}))
    assert running(None) is None  # a note that was copied with its folder
    with listen(None) as listening:
        assert listening.getsockname()[1] != port
    with pytest.raises(ConfigError, match="another program has this port"):
        listen(port)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[1]",
        "null",
        "3",
        '{"port": "x"}',
        '{"port": 70000, "pid": 1}',
        '{"port": 4200, "pid": -1}',
        "[" * 100_000,
    ],
)
def test_a_damaged_note_of_the_server_or_of_deployments_counts_as_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("server.json", "deployed.json"):
        (private_home() / name).write_text(written)
    assert running_server() is None
    assert not kept()
    assert noted() == ("", {})
    with listen(None) as listening:
        assert listening.getsockname()[1] > 0


REFUSAL = """
import sys
import prefect.main  # as words do that look at models before they start a server
from capmat_errors import ConfigError
from flows.service.server import Server, use
use(Server(4200, 1))
logger = prefect.logging.get_logger("prefect")
for error in (ConfigError("the tile is too small"), RuntimeError("a true fault")):
    try:
        raise error
    except Exception:
        logger.exception("Encountered exception during execution")
"""


def test_a_refusal_in_a_flow_is_no_traceback_also_where_prefect_was_loaded_before_its_server(tmp_path: Path) -> None:
    words = [sys.executable, "-c", REFUSAL]
    env = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    env |= {"PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path / "prefect")}
    done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    assert "the tile is too small" not in said
    assert "RuntimeError: a true fault" in said
    assert said.count("Traceback") == 1


PAGE = """name: mine
pull: [{prefect.deployments.steps.set_working_directory: {directory: "{{ $PWD }}"}}]
deployments:
- {name: nightly, entrypoint: flows.nightly.nightly, schedules: [{cron: "30 1 * * *", timezone: Europe/Berlin}],
   work_pool: {name: capmat}}
"""
MORE = """- {name: ingest, entrypoint: flows.ingest.ingest, schedules: [{cron: "0 3 * * *"}],
   work_pool: {name: capmat}}
- {name: extra, entrypoint: flows.ingest.ingest, work_pool: {name: capmat}}
"""
LESS = """- {name: ingest, entrypoint: flows.ingest.ingest, work_pool: {name: capmat}}
"""


@pytest.mark.chain
def test_a_new_file_keeps_what_a_person_paused_and_removes_what_it_lost(ui: Ui) -> None:
    site, *_ = ui

    def deployments() -> dict[str, Any]:
        return {found["name"]: found for found in site.ask("/deployments/filter", {})}

    def add(deployment: dict[str, Any], cron: str) -> None:
        site.ask(f"/deployments/{deployment['id']}/schedules", [{"schedule": {"cron": cron}, "active": True}])

    (site.path / "prefect.yaml").write_text(PAGE + MORE)
    assert "prefect.yaml has no deployment `redistill`, so new labels start no training" in site.capmat("deploy")
    assert "redistill-after-labels" not in {found["name"] for found in site.ask("/automations/filter", {})}
    night = deployments()["nightly"]
    site.change(f"/deployments/{night['id']}/schedules/{night['schedules'][0]['id']}", {"active": False})
    site.change(f"/deployments/{deployments()['ingest']['id']}", {"paused": True})
    add(deployments()["ingest"], "0 5 * * *")
    (silent,) = (a for a in site.ask("/automations/filter", {}) if a["name"] == "crash-silent-running")
    site.change(f"/automations/{silent['id']}", {"enabled": False})

    (site.path / "prefect.yaml").write_text(PAGE + LESS)
    out = site.capmat("deploy")
    assert "the deployment extra is not in prefect.yaml any more, and was removed" in out
    assert "a schedule of the deployment ingest is not in prefect.yaml any more, and was removed" in out
    assert "a schedule of the deployment ingest is not in prefect.yaml\n" in out  # that of a person
    found = deployments()
    assert set(found) == {"nightly", "ingest"}
    assert [schedule["active"] for schedule in found["nightly"]["schedules"]] == [False]
    assert [schedule["schedule"]["cron"] for schedule in found["ingest"]["schedules"]] == ["0 5 * * *"]
    assert found["ingest"]["paused"]
    assert not site.ask(f"/automations/{silent['id']}")["enabled"]


def write(tab: browser.Tab, place: int, text: str) -> None:
    """Put text into a field of the page in the place of what it has; -1 is the last."""
    tab.ask(f"(t => {{ t.focus(); t.select() }})([...document.querySelectorAll('textarea')].at({place}))")
    tab.call("Input.insertText", text=text)


def click(tab: browser.Tab, text: str) -> None:
    """Click the last button that says so."""
    tab.wait_for(f"(b => b && !b.click())([...document.querySelectorAll('button')].findLast(b => {text}))")


@pytest.mark.chain
@pytest.mark.skipif(not browser.FOUND, reason="Chromium is not installed")
def test_one_setting_of_one_night_is_changed_in_a_short_form_and_a_slip_is_refused_in_it(
    ui: Ui, tmp_path: Path
) -> None:
    site, *_ = ui
    address = site.api.removesuffix("/api")
    (night,) = site.ask("/deployments/filter", {"deployments": {"name": {"any_": ["nightly"]}}})
    with browser.browser(tmp_path, "1400,1000", "--no-proxy-server") as tab:
        tab.remember("prefect-password", base64.b64encode(site.password.encode()).decode())
        for width, most in ((420, 2000), (1400, 1600)):  # the form of all settings had 14,000 pixels
            tab.call(
                "Emulation.setDeviceMetricsOverride", width=width, height=1000, deviceScaleFactor=1, mobile=False
            )
            tab.open(f"{address}/deployments/deployment/{night['id']}/run?width={width}")
            tab.wait_for(f"location.search.includes({width}) && document.body.innerText.includes('KEY=VALUE')")
            tall = "Math.max(...[...document.querySelectorAll('*')].map(e => e.scrollHeight))"
            assert 1000 < tab.ask(tall) < most
            assert tab.ask("document.documentElement.scrollWidth") <= width
        assert "V2" not in tab.ask("document.body.innerText")
        click(tab, "b.innerText == 'Add item'")
        tab.wait_for("document.querySelectorAll('textarea').length == 5")
        write(tab, -2, "night.teacher_evry=10")
        click(tab, "b.innerText == 'Submit'")
        tab.wait_for("document.body.innerText.includes('night.teacher_evry')")
        assert tab.ask("location.pathname").endswith("/run")  # nothing has started
        write(tab, -2, "night.teacher_every=10")
        click(tab, "b.innerText == 'Submit'")
        tab.wait_for("!location.pathname.endsWith('/run')")
    (run,) = (run for run in site.runs("nightly") if not run["auto_scheduled"])
    assert run["parameters"]["overrides"] == ["night.teacher_every=10"]


@pytest.mark.chain
def test_after_days_off_only_the_newest_missed_night_runs(ui: Ui) -> None:
    site, *_ = ui
    (ingest,) = site.ask("/deployments/filter", {"deployments": {"name": {"any_": ["ingest"]}}})
    site.change(f"/deployments/{ingest['id']}", {"paused": False})
    now = datetime.now(UTC)
    days = {"start_time": (now - timedelta(days=4)).isoformat(), "end_time": now.isoformat()}
    site.ask(f"/deployments/{ingest['id']}/schedule", days)
    missed = [run for run in site.runs("ingest") if run["expected_start_time"] < now.isoformat()]
    assert len(missed) >= 3  # as many as Prefect plans ahead
    by_hand = site.begin("ingest")
    python(
        site,
        "from flows.service import server, schedules; server.use(server.running_server())\n"
        "from prefect.client.orchestration import get_client\n"
        "with get_client(sync_client=True) as client: schedules.only_the_newest(client, 'capmat')",
    )
    states = {run["expected_start_time"]: run["state_type"] for run in site.runs("ingest") if run["auto_scheduled"]}
    left = [states[run["expected_start_time"]] for run in sorted(missed, key=lambda run: run["expected_start_time"])]
    assert left == ["CANCELLED"] * (len(missed) - 1) + ["SCHEDULED"]
    assert site.ask(f"/flow_runs/{by_hand}")["state_type"] == "SCHEDULED"


@pytest.mark.chain
def test_a_run_whose_restart_was_lost_by_a_busy_database_starts_again(ui: Ui) -> None:
    site, *_ = ui
    for found in site.ask("/automations/filter", {}):
        site.change(f"/automations/{found['id']}", {"enabled": False})
    cluster = ("RuntimeError: Nanny failed to start.", "CommClosedError: in <TLS (closed) ConnectionPool.x>: closed")
    why = dict.fromkeys((*cluster, "PrefectHTTPStatusError: Client error '404 Not Found' for"), "AwaitingRetry")
    why["ValueError: no."] = "Failed"
    runs = {reason: site.begin("ingest") for reason in why}
    for reason, run in runs.items():
        state = {"type": "FAILED", "name": "Failed", "message": f"Flow run encountered an exception: {reason}"}
        site.ask(f"/flow_runs/{run}/set_state", {"state": state, "force": True})
    look = "from flows.service import server, up; server.use(server.running_server()); lost = up._look_after(set())"
    python(site, look)
    assert {site.ask(f"/flow_runs/{run}")["state_name"] for run in runs.values()} == {"Failed"}  # once is not enough
    python(site, f"{look}; up._look_after(lost)")
    assert {reason: site.ask(f"/flow_runs/{run}")["state_name"] for reason, run in runs.items()} == why


@pytest.mark.chain
def test_labels_of_a_server_without_redistill_are_said_to_start_nothing(ui: Ui) -> None:
    site, *_ = ui
    out = python(site, "from flows.service.events import tell_labels; assert tell_labels('l0001') == ''")
    assert "has no deployment `redistill`, so it starts no training" in out


def python(site: Site, text: str) -> str:
    """What a piece of Python says in the folder, behind the proxy as a command is."""
    process = site.python("-c", f"from flows.command.main import spare_loopback; spare_loopback(); {text}")
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 0, out
    return out


def refused(site: Site, *words: str, **env: str) -> str:
    """What a command says that refuses, in one line and without a traceback."""
    process = Site(site.path, site.env | env).start(*words)
    out, _ = process.communicate(timeout=300)
    assert process.returncode == 2, out
    assert "Traceback" not in out
    return out.splitlines()[-1]


@pytest.mark.chain
@pytest.mark.parametrize("words", [("up",), ("deploy",), ("nightly", "--set", f"session={SESSION}")])
def test_with_another_password_a_command_says_so_in_one_line(ui: Ui, words: tuple[str, ...]) -> None:
    site, *_ = ui
    assert re.search(r"does not take this password. Set PREFECT_", refused(site, *words, **{OWN: "wrong:password"}))


@pytest.mark.chain
def test_another_port_than_that_of_the_running_server_is_refused(ui: Ui) -> None:
    site, *_ = ui
    assert "the server of this folder runs already, at port" in refused(site, "up", "--port", "4999", **{OWN: ""})


@pytest.mark.chain
def test_a_command_that_borrows_the_server_leaves_it_and_the_last_one_takes_it_along(ui: Ui) -> None:
    site, first, _ = ui
    server = site.pid("server")
    second = site.start("ui")
    assert second.stdout
    assert second.stdout.readline().startswith("Prefect UI: ")
    first.send_signal(2)
    first.wait(120)
    assert site.ask("/admin/version")
    out = site.capmat("down")
    assert "still uses the server" in out
    assert site.pid("server") == server
    second.kill()  # its lock goes with it
    second.wait(120)
    stranger = Site(site.path, site.env | {OWN: "wrong:password"})
    out = stranger.capmat("down")
    assert "does not take this password" in out
    assert "1 process stopped" in out
    assert not psutil.pid_exists(server)
