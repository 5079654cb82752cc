"""`capmat bench` times real networks on real files and says what a figure needs to mean something."""

import time
from pathlib import Path

import pytest

from flows.command.main import main
from tasks.models.bench import Candidate, bench_student, bench_teacher, race, table
from tasks.models.latency import hardware


def test_candidates_take_turns_and_are_compared_with_the_first() -> None:
    calls: list[str] = []

    def slow() -> None:
        calls.append("slow")
        time.sleep(0.02)

    rows = race(
        [Candidate("slow", 1, "float32", slow), Candidate("fast", 4, "float32", lambda: calls.append("fast"))], 3
    )
    assert calls == ["slow", "fast"] * 4
    assert rows[0].ratio == 1
    assert rows[1].ratio > 4
    assert rows[0].spread[0] <= rows[0].seconds <= rows[0].spread[1]


def test_the_student_is_timed_beside_its_released_structure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    rows = bench_student(
        "bgmv2_mobilenetv2_xs", (96, 128), cameras=2, device="cpu", dtype="float32", threads=1, rounds=1
    )
    assert [row.what for row in rows] == [
        "structure of the released code", "rig, one camera", "rig, 2 cameras", "file to file (8-bit PNG)",
    ]  # fmt: skip
    assert float(rows[1].note.split()[3]) < 1e-4, "the rig's alpha is the released structure's"
    text = "\n".join(table(rows, (96, 128), "cpu", 1))
    assert "128x96" in text
    assert hardware("cpu") in text
    assert not list(tmp_path.glob("capmat-bench-*")), "the pictures it made are gone"


def test_the_teacher_is_timed_on_any_size() -> None:
    rows = bench_teacher("bg_vitmatte_xs", (65, 97), device="cpu", dtype="float32", threads=1, rounds=1)
    assert [row.batch for row in rows] == [1, 8]


def test_a_size_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["bench", "student", "--size", "1920"])
    assert "--size" in capsys.readouterr().err
