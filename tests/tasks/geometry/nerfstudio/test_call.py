"""A program that capmat calls: what it says is heard, and it does not outlive the capmat that wants it."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from capmat_errors import StoreError, TrainingError
from tasks.geometry.nerfstudio.call import Interrupted, alone, call
from tasks.geometry.nerfstudio.offline import no_network

OFFLINE = Path(no_network.__code__.co_filename)


def _python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_a_failing_program_is_quoted_and_its_log_kept(tmp_path: Path) -> None:
    log = tmp_path / "nerfstudio.log"
    with pytest.raises(TrainingError, match="code 3: no such device") as caught:
        call(_python("print('no such device'); raise SystemExit(3)"), log, 20)
    assert not isinstance(caught.value, Interrupted)  # it would fail again
    assert "no such device" in log.read_text()


def test_what_may_pass_is_told_from_what_will_not(tmp_path: Path) -> None:
    log = tmp_path / "nerfstudio.log"
    with pytest.raises(Interrupted, match="SIGKILL"):
        call(_python(f"import os; os.kill(os.getpid(), {int(signal.SIGKILL)})"), log, 20)
    with pytest.raises(Interrupted, match="out of memory"):
        call(_python("raise RuntimeError('CUDA out of memory')"), log, 20)
    with pytest.raises(StoreError, match="disk is full"):
        call(_python("raise OSError(28, os.strerror(28)) if (os := __import__('os')) else 0"), log, 20)


def test_progress_is_heard_from_what_it_prints(tmp_path: Path) -> None:
    lines = ["Step (% Done)       Train Iter (time)", "0 (0.00%)           12 s", "10 (16.67%)         8 s", "1 (x"]
    text = f"import time\nfor line in {lines!r}: print(line, flush=True); time.sleep(0.7)"
    heard: list[tuple[int, str]] = []
    call(_python(text), tmp_path / "nerfstudio.log", 20, heard=lambda done, rate: heard.append((done, rate)))
    assert heard[0][0] in (1, 11)
    assert heard[-1][0] == 11
    assert len(heard) == 1 or "iterations/s" in heard[-1][1]


def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    mark = tmp_path / "child-still-alive"
    child = f"import time, pathlib; time.sleep(1.5); pathlib.Path({str(mark)!r}).touch()"
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    with pytest.raises(TrainingError, match="did not finish in 1 s"):
        call(_python(parent), tmp_path / "nerfstudio.log", 1)
    time.sleep(1.5)
    assert not mark.exists()


def test_a_program_has_the_header_that_cuda_13_took_from_nerfacc_and_none_of_our_python_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    log = tmp_path / "nerfstudio.log"
    call(_python("import os; print(os.environ['NVCC_APPEND_FLAGS'], os.environ.get('PYTHONPATH'))"), log, 20)
    call(_python("import os; print('looks in', os.environ['PATH'])"), log, 20)
    assert f"looks in {Path(sys.executable).parent}:" in log.read_text()  # where ninja is
    assert f"-include {tmp_path / 'cub_compat.h'} None" in log.read_text()
    call(_python("import sys; print('safe path', sys.flags.safe_path)"), log, 20)
    assert "safe path True" in log.read_text()  # the working folder's modules do not hide those of the environment
    assert "using Equality" in (tmp_path / "cub_compat.h").read_text()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the system ends it on Linux only")
def test_a_program_inherits_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = {
        "AWS_SECRET_ACCESS_KEY": "s3cr3t-1",
        "aws_session_token": "s3cr3t-2",
        "PREFECT_API_AUTH_STRING": "s3cr3t-3",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": "s3cr3t-4",
        "HUGGINGFACE_TOKEN": "s3cr3t-5",
        "POSTGRES_PASSWORD": "s3cr3t-6",
        "https_proxy": "http://user:s3cr3t-7@proxy.example",
    }
    for name, value in (secret | {"UP_BY_CAPMAT": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}).items():
        monkeypatch.setenv(name, value)
    call(_python("import os; print(dict(os.environ))"), tmp_path / "nerfstudio.log", 20)
    text = (tmp_path / "nerfstudio.log").read_text()
    assert "s3cr3t" not in text
    assert "UP_BY_CAPMAT" in text  # by which `capmat down` finds it
    assert "CUDA_VISIBLE_DEVICES" in text


def test_a_program_ends_when_its_capmat_is_killed_and_the_next_run_waits_for_that(tmp_path: Path) -> None:
    program = f"import runpy; runpy.run_path({str(OFFLINE)!r})['die_with_starter']()\nimport os, time\n"
    program += f"open({str(tmp_path / 'id')!r} + '.part', 'w').write(str(os.getpid()))\n"
    program += f"os.rename({str(tmp_path / 'id')!r} + '.part', {str(tmp_path / 'id')!r}); time.sleep(60)"
    capmat = f"""
import sys
from pathlib import Path
from tasks.geometry.nerfstudio.call import alone, call
with alone(Path({str(tmp_path / "in-use")!r})) as held:
    call([sys.executable, "-c", {program!r}], Path({str(tmp_path / "nerfstudio.log")!r}), 60, held=held)
"""
    starter = subprocess.Popen(_python(capmat))
    while not (tmp_path / "id").exists():
        assert starter.poll() is None
        time.sleep(0.02)
    with pytest.raises(TrainingError, match="another run is at work"), alone(tmp_path / "in-use", patience=0.3):
        pass
    starter.kill()
    starter.wait()
    with alone(tmp_path / "in-use", patience=20):  # the program holds it too: free means gone
        pass
    assert _ends(int((tmp_path / "id").read_text()), 10)  # its files go a moment before itself


def _ends(program_id: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if psutil.Process(program_id).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def test_nothing_that_nerfstudio_uses_reaches_the_network() -> None:
    text = f"""
import runpy, socket, urllib.request
runpy.run_path({str(OFFLINE)!r})["no_network"]()
for ask in (
    lambda: urllib.request.urlopen("http://weights.example/lpips.pth", timeout=5),
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=5),
    lambda: socket.socket().connect(("192.0.2.1", 80)),
):
    try:
        ask()
    except OSError as error:
        assert "no network" in str(error), error
    else:
        raise SystemExit("it went through")
here = socket.socket()
here.bind(("127.0.0.1", 0)); here.listen()
socket.create_connection(here.getsockname(), timeout=5).close()
"""
    assert subprocess.run(_python(text), check=False).returncode == 0
