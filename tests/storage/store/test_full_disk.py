"""A disk that is full or read-only is said in one line, and what was finished is still there."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.project import ROOT
from tests.storage.tiny_session import write_session

# Fills a disk of 1 MB with one take of about 0.3 MB and most of a second; the third try has room again.
_FULL = """
import sys
from pathlib import Path
from capmat_errors import StoreError
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take, list_takes
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take

disk, session = Path(sys.argv[1]), sys.argv[2]
store = disk / "store"
ingest_take(str(store), session, "walk")
registry = Registry(Root(store))
registry.add("m", b"weights", {})
registry.promote("student", "m", "v0001", {})
ballast = disk / "ballast"
try:
    with ballast.open("wb") as file:
        while True:
            file.write(b"0" * 4096)
            file.flush()
except OSError:
    pass
for name, work in {
    "ingest": lambda: ingest_plates(str(store), session),
    "model": lambda: registry.add("m", b"w" * 100_000, {}),
    "promotion": lambda: registry.promote("student", "m", "v0001", {"why": "x" * 9000}),
    "matte": lambda: Take.open(Root(store), "walk").start_run("r", {}),
}.items():
    try:
        work()
        print(name, "no error")
    except StoreError as error:
        print(name, error)
assert registry.champion("student") == ("m", "v0001")
assert registry.load("m")[0] == b"weights"
assert list_takes(Root(store)) == ["walk"]
assert not list(store.rglob("*.partial"))
ballast.unlink()
print("after", ingest_plates(str(store), session)["written"])
"""

_READ_ONLY = """
import subprocess, sys
from capmat_errors import StoreError
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take

disk, session = sys.argv[1:]
ingest_take(disk + "/store", session, "walk")
subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
for name, work in {
    "check": lambda: Root(disk + "/store").checked(),
    "ingest": lambda: ingest_plates(disk + "/store", session),
    "matte": lambda: Take.open(Root(disk + "/store"), "walk").start_run("r", {}),
}.items():
    try:
        work()
        print(name, "no error")
    except StoreError as error:
        print(name, error)
print("read", Take.open(Root(disk + "/store"), "walk").read("c00", 1).shape)
"""


def _on_a_small_disk(program: str, tmp_path: Path) -> list[str]:
    """Run a program with a disk of 1 MB of its own, in a mount namespace that ends with it."""
    disk, session = tmp_path / "disk", write_session(tmp_path / "session")
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=1m tmpfs "{disk}"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk (unshare -rm)")
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" "$@"', sys.executable, "-c", program, disk, session],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    return [line for line in done.stdout.splitlines() if not line[:1].isdigit()]  # progress begins with the time


def test_a_full_disk_is_said_and_costs_nothing_that_was_finished(tmp_path: Path) -> None:
    *refused, after = _on_a_small_disk(_FULL, tmp_path)
    assert [line.split()[0] for line in refused] == ["ingest", "model", "promotion", "matte"]
    for line in refused:
        assert "the disk is full" in line
        assert "Free some space" in line
    assert after == "after ['c00', 'c01', 'c02']"


def test_a_read_only_store_is_said_and_can_still_be_read(tmp_path: Path) -> None:
    *refused, read = _on_a_small_disk(_READ_ONLY, tmp_path)
    assert len(refused) == 3
    for line in refused:
        assert "the disk is read-only" in line
        assert "Mount it for writing" in line
    assert read == "read (3, 48, 64)"
