"""Nothing leaves the machine. The kernel judges: it counts what a namespace with loopback alone could not send."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT
from tests.storage.tiny_session import write_session

_ENTER = """
ip link set lo up && mount --bind resolv.conf /etc/resolv.conf || exit 99
"$@"; code=$?
awk '$1 == "Ip:" { for (i = 1; i <= NF; i++) if (name[i] == "OutNoRoutes") print $i; else name[i] = $i }' \
    /proc/net/snmp > lost
awk '$1 == "Ip6OutNoRoutes" { print $2 }' /proc/net/snmp6 >> lost
exit $code
"""
_COMMANDS = """
import flows.command.main as capmat
for words in ("ingest day", "stage check day", "models", "verify", "plan", "gc", "doctor", "metrics"):
    print(words, capmat.main(["--set", "store=store", "--set", "session=day/session.toml", *words.split()]))
"""


def beyond(folder: Path, *words: str) -> tuple[int, str, int]:
    """Run a program at a terminal, for a user who is new to it, where nothing but loopback exists.

    Returns:
        Exit code, what it printed, and how often it, or what it started, tried to reach anything else.
    """
    (folder / "enter.sh").write_text(_ENTER)
    (folder / "resolv.conf").write_text("nameserver 192.0.2.1\n")  # so that names are asked for beyond, too
    (folder / "home").mkdir(exist_ok=True)
    inside = ["unshare", "-rnm", "sh", "enter.sh", *words]
    shell = " ".join(f"'{word}'" for word in inside)
    hidden = ("PREFECT_", "DO_NOT_TRACK", "CI", "PYTEST", "GITHUB_")  # Prefect is silent in a CI
    env = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
    env |= {"HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        ["script", "-qec", shell, "/dev/null"], cwd=folder, env=env, capture_output=True, text=True, timeout=300
    )
    if done.returncode == 99 or "unshare" in done.stdout[:20]:
        pytest.skip("namespaces are not allowed here")
    return done.returncode, done.stdout, sum(map(int, (folder / "lost").read_text().split()))


pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("unshare", "script", "ip", "awk"))), reason="needs util-linux and iproute2"
)


def test_prefect_is_silenced_before_a_worker_or_a_flow_imports_it() -> None:
    asks = "import sys, flows.cluster.runner, prefect._internal.analytics as a; sys.exit(a.is_telemetry_enabled())"
    env = {name: value for name, value in os.environ.items() if name not in ("CI", "DO_NOT_TRACK")}
    assert subprocess.run([sys.executable, "-c", asks], cwd=ROOT, env=env).returncode == 0


def test_commands_reach_for_nothing_beyond_loopback(tmp_path: Path) -> None:
    write_session(tmp_path / "day")
    (tmp_path / "commands.py").write_text(_COMMANDS)
    code, said, lost = beyond(tmp_path, sys.executable, "commands.py")
    assert (code, lost) == (0, 0), said
    assert "Traceback" not in said
    assert "anonymous usage data" not in said
    for words in ("ingest day", "stage check day", "verify", "doctor"):
        assert f"{words} 0" in said, said


def test_the_counter_sees_who_asks_for_more(tmp_path: Path) -> None:
    asks = "import socket; socket.socket().connect_ex(('192.0.2.7', 443)); socket.getaddrinfo('capmat.invalid', 80)"
    (tmp_path / "ask.py").write_text(asks)
    assert beyond(tmp_path, sys.executable, "ask.py")[2] >= 2
