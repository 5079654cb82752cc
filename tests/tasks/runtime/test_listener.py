"""A command outlives who listens to it, and ends cleanly when it is asked to."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from storage.store.marker import begin_store
from storage.store.root import Root
from tests.project import ROOT
from tests.storage.tiny_session import write_session

TALK = """
import sys
from tasks.runtime.listener import outlive
outlive()
outlive()
for line in range(3000):
    print("a line that nobody reads " * 3)
    print("and one for errors", file=sys.stderr)
with open("result", "w") as result:
    result.write(f"{result.fileno()}")
"""


def _python(folder: Path, *words: str, shell: str = "") -> "subprocess.CompletedProcess[str]":
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(folder / "prefect")}
    command = ["bash", "-c", f'"$@" {shell}', "bash", sys.executable, "-P", *words]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize(
    "shell", ["2>&1 | head -1; exit ${PIPESTATUS[0]}", "> /dev/full 2>&1", ">&- 2>&-", "<&- >&- 2>/dev/full"]
)
def test_work_goes_on_when_nobody_takes_what_it_says(shell: str, tmp_path: Path) -> None:
    done = _python(tmp_path, "-c", TALK, shell=shell)
    assert done.returncode == 0
    assert "Traceback" not in done.stdout + done.stderr
    assert int((tmp_path / "result").read_text()) > 2  # no file of the work takes the place of a stream


def test_what_cannot_be_encoded_is_said_in_another_way(tmp_path: Path) -> None:
    code = "from tasks.runtime.listener import outlive\noutlive()\nprint('caf\\u00e9 \\udcff')"
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "caf\\xe9 \\udcff\n"


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Lines on standard error, but for those that tell a person that a slow machine still works."""
    return [line for line in done.stderr.splitlines() if not line.endswith("so far")]


def test_an_ingest_ends_well_on_a_full_disk_under_its_log_and_a_list_does_not(tmp_path: Path) -> None:
    session = str(write_session(tmp_path / "day") / "session.toml")
    capmat = ["-m", "flows.command.main", "--set", "store=store"]
    done = _python(tmp_path, *capmat, "ingest", session, shell="> /dev/full")
    assert (done.returncode, said(done)) == (0, [])
    done = _python(tmp_path, *capmat, "verify", "--json", shell="> /dev/full")
    assert done.returncode == 2
    assert said(done) == [
        "capmat: standard output: what verify prints could not be written (No space left on device)"
    ]
    done = _python(tmp_path, *capmat, "verify", shell="| true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, said(done)) == (0, [])


EVERY = """
from flows.command.main import WORDS, main
for words in ([], *([word, "--help"] for word in WORDS), ["models"], ["--json-events", "verify"], ["doctor"]):
    try:
        main(["--set", "store=store", *words] if words else [])
    except SystemExit as ended:
        assert not ended.code
"""


def test_every_command_ends_quietly_when_nobody_reads_what_it_says(tmp_path: Path) -> None:
    begin_store(Root(str(tmp_path / "store")))
    done = _python(tmp_path, "-c", EVERY, shell="| true; exit ${PIPESTATUS[0]}")
    assert (done.returncode, said(done)) == (0, [])


WAIT = """
import signal, sys, time
from tasks.runtime.listener import Ended, ended_by_signals
signal.signal(signal.SIGHUP, {hangup})
try:
    with ended_by_signals():
        try:
            print("ready", flush=True)
            time.sleep(60)
        finally:
            print("cleaning up", flush=True)
            time.sleep(1)
            print("clean", flush=True)
except Ended as ended:
    sys.exit(ended.signal)
"""


@pytest.mark.parametrize(("number", "hangup"), [("INT", "DFL"), ("TERM", "DFL"), ("HUP", "DFL"), ("TERM", "IGN")])
def test_a_signal_ends_work_once_and_lets_it_clean_up(number: str, hangup: str) -> None:
    code = WAIT.format(hangup=f"signal.SIG_{hangup}")
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    if hangup == "IGN":  # as under nohup
        process.send_signal(signal.SIGHUP)
    process.send_signal(getattr(signal, f"SIG{number}"))
    assert process.stdout.readline() == "cleaning up\n"
    process.send_signal(getattr(signal, f"SIG{number}"))  # people press Ctrl-C twice
    out, _ = process.communicate(timeout=30)
    assert (out, process.returncode) == ("clean\n", getattr(signal, f"SIG{number}"))


TWO = """
import os, signal, sys, time
from tasks.runtime.listener import Ended, ended_by_signals
look = signal.getsignal
def also_terminated(number):
    os.kill(os.getpid(), signal.SIGTERM)
    return look(number)
try:
    with ended_by_signals():
        signal.getsignal = also_terminated
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(60)
except Ended as ended:
    sys.exit(ended.signal)
"""


def test_the_first_of_two_signals_counts_when_the_second_comes_while_it_is_answered() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", TWO], env=env, capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.returncode, done.stderr) == (signal.SIGHUP, "")


DROP = """
import gc, signal, sys, time, weakref
from contextlib import suppress
from tasks.runtime.listener import Ended, ended_by_signals
def slow(*_):
    print("dropping", flush=True)
    {slow}
class Slow:
    {held}
def drop():
    {drop}
try:
    with ended_by_signals():
        try:
            while True:
                drop()
        finally:
            time.sleep(0.2)
except Ended as ended:
    sys.exit(128 + ended.signal)
"""

FLOW = """
    from prefect.utilities.engine import capture_sigterm
    with capture_sigterm():
        while True:
            Slow()
"""


@pytest.mark.parametrize(
    ("slow", "held", "drop"),
    [
        ("time.sleep(0.3)", "__del__ = slow", "Slow()"),
        ("time.sleep(0.3)", "pass", "kept = Slow(); ref = weakref.ref(kept, slow); del kept"),
        ("time.sleep(0.3)", "__del__ = slow", "kept = Slow(); kept.kept = kept; del kept; gc.collect()"),
        ("try: time.sleep(0.3)\n    finally: open('')", "__del__ = slow", "Slow()"),
        ("time.sleep(0.3)", "__del__ = slow", "with suppress(KeyError): {}[Slow()]"),
        ("time.sleep(0.3)", "__del__ = slow", FLOW),
        ("time.sleep(0.3)", "__del__ = slow", "kept = Slow()"),
        ("time.sleep(0.3)", "__del__ = slow", "kept, kept_too = Slow(), Slow()"),
        ("time.sleep(0.3)", "__del__ = slow", "list(map(lambda _: Slow() and None, range(9)))"),
    ],
    ids=["del", "weakref", "cycle", "another-error", "handled-error", "flow", "return", "two", "loop-in-c"],
)
def test_a_signal_also_ends_work_that_is_dropping_an_object(slow: str, held: str, drop: str) -> None:
    code = DROP.format(slow=slow, held=held, drop=drop)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout
    assert process.stdout.readline() == "dropping\n"
    process.send_signal(signal.SIGHUP)  # as systemd sends both, where it is told to
    process.send_signal(signal.SIGTERM)
    try:
        _, err = process.communicate(timeout=10)
    finally:
        process.kill()
    assert process.returncode in (128 + signal.SIGHUP, 128 + signal.SIGTERM)
    assert "Ended" not in err or "open" in slow
