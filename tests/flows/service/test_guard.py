"""What guards a Prefect server of capmat, without the server: names, tickets, ports, proxies."""

import base64
import os
import socket
import subprocess
import sys
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from botocore.utils import get_environ_proxies
from fastapi import FastAPI
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

from capmat_errors import ConfigError
from flows.command.main import main, spare_loopback
from flows.service.access import OWN, is_ours
from flows.service.guard import guarded, routes
from flows.service.server import listen, start
from tests.project import ROOT


def test_two_that_start_at_once_never_get_one_port() -> None:
    with listen(None) as first, pytest.raises(ConfigError, match="another program has this port"):
        listen(first.getsockname()[1])


def test_a_port_that_is_held_is_never_free_between_two_servers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    held: list[socket.socket] = []
    try:
        ports = []
        for _ in range(2):
            server = start(None, held)
            ports.append(server.port)
            psutil.Process(server.pid).kill()
            psutil.Process(server.pid).wait(20)
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", server.port))
        assert ports[0] == ports[1]
    finally:
        for listening in held:
            listening.close()
    socket.create_server(("127.0.0.1", ports[0])).close()


def test_a_held_port_behind_which_the_server_was_killed_is_not_waited_for(tmp_path: Path) -> None:
    look = """
import socket, httpx
from flows.service import server, up
held = socket.create_server(("127.0.0.1", 0))  # takes every question and answers none
server.use(server.Server(held.getsockname()[1], 0))
up._PATIENCE_S = 0.2
try:
    with up._impatient():
        up._look_after(set())
except httpx.TimeoutException:
    print("given up")
"""
    said = subprocess.run(
        [sys.executable, "-c", look],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        timeout=100,  # Prefect alone takes seven minutes
    )
    assert said.stdout == "given up\n"


def test_no_page_of_the_server_runs_scripts_of_another_host() -> None:
    app = FastAPI()
    app.router.routes[:0] = routes("stage:secret", 4200)  # as `main` does
    assert [TestClient(app).get(path).status_code for path in ("/docs", "/redoc", "/openapi.json")] == [404, 404, 200]


NAMES = st.sampled_from(["127.0.0.1", "localhost", "LOCALHOST", "stage.lan", "127.0.0.2", "0", "[::1]", "localhost."])
HOSTS = st.one_of(
    st.tuples(NAMES, st.sampled_from(["", ":4200", ":1", ":80:80", ".evil.example", "@evil.example", "#", "/"])).map(
        "".join
    ),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=30),
)


@settings(max_examples=60, deadline=None)
@given_by(HOSTS)
def test_only_names_of_this_machine_are_answered(host: str) -> None:
    async def inside(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("in")(scope, receive, send)

    answer = TestClient(guarded(inside)).get("/", headers={"Host": host})
    if answer.text == "in":
        assert urlsplit(f"http://{host}").hostname in ("127.0.0.1", "localhost")
    else:
        assert answer.status_code == 400
    assert (answer.text == "in") or host not in ("127.0.0.1", "localhost", "127.0.0.1:4200")


@pytest.mark.parametrize("secret", ["secret", "a@b/c: %41+=&#$'\"\\"])
def test_a_ticket_costs_the_password_and_works_once(secret: str) -> None:
    client = TestClient(Starlette(routes=routes(f"stage:{secret}", 4200)), headers={"Host": "127.0.0.1"})
    assert client.get("/capmat/ticket").status_code == 401
    assert client.get("/capmat/ticket", auth=("stage", "wrong")).status_code == 401
    ticket = client.get("/capmat/ticket", auth=("stage", secret)).text
    answers = [client.post("/capmat/password", headers={"X-Capmat-Ticket": given}) for given in ("", ticket, ticket)]
    assert [answer.status_code for answer in answers] == [403, 200, 403]
    assert base64.b64decode(answers[1].text).decode() == f"stage:{secret}"
    assert secret not in client.get("/capmat/enter").text


@pytest.mark.parametrize("password", ["b\u00fchne:x", "stage:\udcff"])
def test_a_password_that_prefect_cannot_compare_is_refused(
    password: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(OWN, password)
    with pytest.raises(ConfigError, match="the password holds letters outside ASCII"):
        start(0)
    with socket.create_server(("127.0.0.1", 0)) as other, ThreadPoolExecutor() as pool:
        asked = pool.submit(is_ours, other.getsockname()[1])
        talk, _ = other.accept()
        talk.recv(65536)
        talk.sendall(b"HTTP/1.0 200 OK\r\n\r\nanother")
        talk.close()
        assert asked.result(9) is False


@pytest.mark.parametrize("given", [{}, {"NO_PROXY": "stage.lan"}, {"no_proxy": "stage.lan", "NO_PROXY": "old.lan"}])
def test_loopback_is_never_asked_through_a_proxy(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in ({"HTTP_PROXY": "http://127.0.0.1:9"} | given).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "environ", os.environ.copy())
    spare_loopback()
    for name in ("127.0.0.1:4200", "localhost:4200"):
        assert urllib.request.proxy_bypass(name)
        assert get_environ_proxies(f"http://{name}/") == {}  # of botocore, which asks S3
    assert bool(urllib.request.proxy_bypass("stage.lan")) == bool(given)
    assert not urllib.request.proxy_bypass("elsewhere.example")


@pytest.mark.parametrize("words", [["--set", "redistill.quiet_s=20"], ["--config", "other.toml"]])
@pytest.mark.parametrize("word", ["up", "deploy"])
def test_settings_that_runs_would_not_see_are_refused(
    word: str, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([*words, word]) == 2
    said = capsys.readouterr().err
    assert "would not see this. Write it into capmat.toml of this folder" in said
    assert ("CAPMAT_REDISTILL__QUIET_S" in said) == ("--set" in words)
    assert not (tmp_path / ".capmat").exists()
