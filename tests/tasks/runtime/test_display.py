"""What a command shows: bars at a terminal, lines elsewhere, nothing with --quiet, JSON for programs."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from flows.command.main import main
from tasks.runtime.display import chosen_display
from tasks.runtime.progress import Progress, hand_to, line_of
from tests.project import ROOT
from tests.storage.tiny_session import write_session

INGEST = ["--set", "store=store", "ingest", "day"]
_WORK = """
import sys, time
from tasks.runtime.display import chosen_display
from tasks.runtime.progress import Progress
with chosen_display("matte", quiet=False, events=False, silent=False) as sys.stdout:
    bar = Progress("student mattes amber", 12, "frames")
    for camera in ("C01", "C02"):
        part = bar.part(f"camera {camera}", 6)
        for frame in range(6):
            time.sleep(0.3)
            part.step()
    print("12 mattes\\x1b[2J")
"""


@pytest.fixture
def day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_session(tmp_path / "day")


def at_terminal(folder: Path, *words: str, ends: signal.Signals | None = None) -> tuple[int, str]:
    """Exit code of a Python program at a terminal of 100 columns, and all that the terminal received."""
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "100", "PYTHONPATH": str(ROOT)}
    program = subprocess.Popen([sys.executable, *words], cwd=folder, env=env, stdout=theirs, stderr=theirs)
    os.close(theirs)
    got = b""
    while True:
        try:
            got += os.read(ours, 65536)
        except OSError:  # so a terminal says that nobody writes any more
            break
        if ends and b"C01" in got:
            program.send_signal(ends)
            ends = None
    os.close(ours)
    return program.wait(), got.decode()


def test_a_terminal_shows_a_bar_for_the_take_and_for_the_camera_and_is_left_clean(tmp_path: Path) -> None:
    code, shown = at_terminal(tmp_path, "-c", _WORK)
    assert code == 0
    frames = re.sub("\x1b[^m]*?m", "", shown).split("\x1b[2K")
    assert any(re.search(r"student mattes amber +━+.* \d+/12 frames .*/s .*left", frame) for frame in frames)
    assert any(re.search(r"  camera C02 +━+.* \d/6 frames", frame) for frame in frames)
    assert "12/12 frames" in shown
    assert "12 mattes\\x1b[2J" in shown  # what names hold steers nothing
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")  # the cursor is back


def test_the_bar_of_a_camera_outlives_that_of_one_whose_name_begins_alike(tmp_path: Path) -> None:
    steps = "one, ten = bar.part('camera C1', 2), bar.part('camera C10', 6)\n"
    steps += "    time.sleep(1.3); ten.step(); one.step(); time.sleep(1); one.step(); time.sleep(1.5)\n"
    head, _, tail = _WORK.partition('for camera in ("C01", "C02"):')
    code, shown = at_terminal(tmp_path, "-c", head + steps + "    print" + tail.partition("    print")[2])
    assert code == 0
    assert shown[shown.rindex("camera C1 ") :].count("camera C10") > 2


def test_a_terminal_is_left_clean_by_whoever_is_interrupted(tmp_path: Path) -> None:
    code, shown = at_terminal(tmp_path, "-c", _WORK.replace("range(6)", "range(999)"), ends=signal.SIGINT)
    assert code != 0
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")


def test_a_program_reads_one_object_a_line_and_the_counts(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json-events", *INGEST]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[0]["event"] == "start"
    assert {"event": "done", "command": "ingest", "exit": 0}.items() <= events[-1].items()
    assert events[-1]["counts"] == {"plates": 3, "cameras": 3, "frames": 9}
    assert {event["event"] for event in events} <= {"start", "note", "line", "progress", "done"}
    whole = [event for event in events if event.get("work") == "ingest walk" and "part" not in event]
    assert (whole[-1]["done"], whole[-1]["total"], whole[-1]["unit"], whole[-1]["ended"]) == (9, 9, "frames", True)
    assert any(event.get("part") == "camera c01" for event in events)
    assert main(["--json-events", *INGEST]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["counts"] == {}  # all of it was there


def test_works_that_follow_each_other_are_all_counted(capsys: pytest.CaptureFixture[str]) -> None:
    with chosen_display("ingest", quiet=False, events=True, silent=True) as shown:
        for take in range(20):
            bar = Progress(f"ingest {take}", 8, "frames")
            for frame in range(8):
                bar(frame + 1)
        shown.done(0)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["counts"] == {"frames": 160}


def test_a_program_reads_why_a_command_was_refused(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (day / "takes/walk/c01/0001.png").unlink()
    assert main(["--json-events", *INGEST]) == 2
    out, error = capsys.readouterr()
    *_, refused, done = map(json.loads, out.splitlines())
    assert (refused["event"], refused["error"], done["event"], done["exit"]) == ("refused", "FrameGap", "done", 2)
    assert "c01" in refused["where"]
    assert refused["what"]
    assert error == ""


def test_quiet_prints_the_result_alone(day: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quiet", *INGEST]) == 0
    assert not re.search(r"^\d\d:\d\d:\d\d  ", capsys.readouterr().out, re.MULTILINE)


def test_long_work_that_says_nothing_is_named_all_the_same(tmp_path: Path) -> None:
    asks = (
        "import time; from tasks.runtime import display; display.SILENT_S = 1\n"
        "with display.chosen_display('hull', quiet=False, events=False, silent=False): time.sleep(2.5)"
    )
    done = subprocess.run([sys.executable, "-c", asks], cwd=ROOT, capture_output=True, text=True)
    assert re.fullmatch(r"\d\d:\d\d:\d\d  hull: \d s so far\n", done.stderr)
    assert done.stdout == ""  # which may be for a program


def test_a_line_says_how_fast_and_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, told = [100.0], list[Any]()
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    before = hand_to(told.append)
    bar = Progress("export amber", 1000, "files")
    for done in range(0, 201, 100):
        bar(done, "camera C01")
        clock[0] += 4
    hand_to(before)
    assert line_of(told[-1]) == "export amber  200/1000 files, 25/s, 32 s left  camera C01"
    assert [event["line"] for event in told] == [False, False, True]
