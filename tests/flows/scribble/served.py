"""The program behind the page, alone or as a command, and what it is sent."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from flows.scribble.app import Desk, scribble_app
from flows.scribble.guard import Guard
from storage.store.root import Root
from storage.takes.take import Take
from tasks.config import Config
from tests.project import ROOT

TOKEN = "the-token-of-the-link"
HERE, STROKES = "api/frame/walk/c00/4", "api/strokes/walk/c00/4"
TILE = "api/tile/walk/c00/4/picture/0/0/0"


def served(root: Root, *, raise_server_exceptions: bool = True, **headers: str) -> TestClient:
    desk = Desk(root, {"walk": Take.open(root, "walk")}, "Mia", Config())
    guarded = Guard(scribble_app(desk), TOKEN, 8123, {"localhost", "stage-pc"})
    base = "http://127.0.0.1:8123"
    return TestClient(guarded, base, headers=headers, raise_server_exceptions=raise_server_exceptions)


def stroke(x: float, *, author: str = "Mia", label: str = "fg", **change: Any) -> dict[str, Any]:
    made = {"label": label, "radius": 6.0, "points": [[x, 40.5], [x + 30, 60.25]], "author": author}
    return {**made, "time": f"2026-03-01T10:00:{int(x) % 60:02d}.5Z", **change}


def drawing(*strokes: dict[str, Any], **change: Any) -> dict[str, Any]:
    place = {"take": "walk", "camera": "c00", "frame": 4, "width": 420, "height": 300}
    return {"capmat": "strokes", "schema": 1, **place, "strokes": list(strokes), **change}


def done(page: TestClient, author: str = "") -> dict[str, Any]:
    answer = page.post("api/done", json={"author": author})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def program(folder: Path, *words: str) -> tuple[subprocess.Popen[str], str]:
    """`capmat` with these words in a folder, as a user has it, and the link that it prints first."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.command.main", *words],
        stdout=subprocess.PIPE,
        text=True,
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    assert process.stdout
    return process, process.stdout.readline().strip()
