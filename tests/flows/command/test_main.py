"""The command line: answers at once, refuses with one line, exits with the documented codes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from flows.command.main import main

COMMANDS = [
    *("demo", "nightly", "redistill", "validate", "reconstruct", "session", "ingest", "matte", "export", "verify"),
    *("scribbles", "scribble", "mine", "train-base", "sim", "models", "ui", "doctor", "plan", "metrics", "gc", "up"),
    *("down", "deploy", "benchmark", "paper", "stage", "hull", "scene", "calibration", "bench"),
]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert command in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--set", "teacher.itrations=1", "models"], "itrations"),
        (["ingest", "nowhere/session.toml"], "nowhere/session.toml"),
        (["matte", "--image", "none.png"], "--plate"),
        (["matte", "--image", "none.png", "--plate", "none.png", "--out", "out"], "none.png"),
        (["export", "nobody", "--out", "out"], "nobody"),
        (["reconstruct", "student-v0001"], "two alpha runs"),
        (["--set", "store=ftp://x", "models"], "ftp://x"),
        (["paper", "--only", "table9"], "table9"),
        (["--set", "pseudo_takes=", "paper"], "pseudo_takes"),
        (["--set", "paper.shares=0,0.01", "paper"], "not one scribbled crop"),
    ],
)
def test_a_refusal_is_one_line_with_the_place(
    words: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert says in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_command_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flows.command.main", "nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "invalid choice" in done.stderr


def test_doctor_says_the_same_to_programs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    code = main(["doctor", "--json"])
    found = json.loads(capsys.readouterr().out)
    assert {"python", "store", "disk", "cluster", "teacher"} <= {finding["name"] for finding in found}
    assert all(list(finding) == ["name", "state", "detail", "fix", "needed"] for finding in found)
    assert {finding["state"] for finding in found} <= {"ok", "limited", "missing"}
    assert code == any(finding["state"] == "missing" and finding["needed"] for finding in found)
