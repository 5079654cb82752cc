"""Claims across containers, clocks and machines: a living writer keeps its claim, a dead one holds nobody up."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_errors import StoreError
from storage.store import claim as claims
from storage.store.claim import claim
from storage.store.root import Root
from storage.store.writers import is_gone, mark
from storage.upkeep.waste import find_waste, remove_waste

CONTAINER = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child", "--mount-proc"]
"""A process of this command has its own numbers of processes, as in a container; the name of the host stays."""
HOLD = """
import sys, time
from storage.store.claim import claim
from storage.store.root import Root
with claim(Root(sys.argv[1]), "takes/walk.zarr"):
    print("held", flush=True)
    time.sleep(600)
"""
FOLDER = "takes/walk.zarr"
AWAY = "77_1234_another-machine_0123456789ab-4026531836"


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leases of less than a second."""
    monkeypatch.setattr(claims, "RENEW_S", 0.1)
    monkeypatch.setattr(claims, "LEASE_S", 0.4)


def test_a_writer_in_a_container_keeps_its_claim_and_its_half_written_files(folder: Root) -> None:
    if subprocess.run([*CONTAINER, "true"], capture_output=True).returncode:
        pytest.skip("this machine makes no namespaces")
    words = [*CONTAINER, sys.executable, "-c", HOLD, folder.url]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as inside:
        try:
            assert inside.stdout
            assert inside.stdout.readline() == "held\n"
            (held,) = folder.list("claims")
            assert held.startswith("claims/takes/walk.zarr/1_") or "/2_" in held  # its number is not ours to judge
            half = Path(folder.url, f".0001.{Path(held).name.split('.')[0]}.0123.partial")
            half.write_bytes(b"half")
            with pytest.raises(StoreError, match="is ingesting it"), claim(folder, FOLDER):
                pass
            remove_waste(folder, find_waste(folder))
            folder.sweep("0001")
            assert folder.list("claims") == [held]
            assert half.exists()
        finally:
            inside.kill()


def test_a_mark_is_the_tick_of_the_kernel_which_no_clock_moves() -> None:
    process, ticks, _, where = mark().split("_")
    stat = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
    assert (process, ticks) == (str(os.getpid()), stat[19])
    assert where.startswith(Path("/proc/sys/kernel/random/boot_id").read_text().replace("-", "")[:12])
    assert where.endswith(Path("/proc/self/ns/pid").readlink().name.strip("pid:[]"))


def test_a_process_that_ended_or_whose_number_is_used_again_is_gone_and_a_stopped_one_is_not() -> None:
    code = "from storage.store.writers import mark; print(mark(), flush=True); import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        text = child.stdout.readline().strip()
        child.send_signal(signal.SIGSTOP)
        assert not is_gone(text)
        number, ticks, *rest = text.split("_")
        assert is_gone("_".join([number, str(int(ticks) + 1), *rest]))
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # a zombie
        assert is_gone(text)
    assert is_gone(text)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 10**7), st.integers(0, 10**9), st.integers(0, 2**48 - 1), st.integers(1, 2**32))
def test_a_process_of_another_boot_or_container_is_never_said_to_be_gone(
    number: int, ticks: int, boot: int, namespace: int
) -> None:
    machine = mark().split("_")[2]
    assert not is_gone(f"{number}_{ticks}_{machine}_{boot:012x}-{namespace}")


def test_a_claim_of_a_machine_that_is_gone_ends_by_itself(root: Root, request: pytest.FixtureRequest) -> None:
    dead = f"claims/{FOLDER}/{AWAY}.0"
    root.write(dead, b"")
    with pytest.raises(StoreError, match="process 77 on another-machine"), claim(root, FOLDER):
        pass
    request.getfixturevalue("quick")
    time.sleep(1.2)  # S3 counts whole seconds
    with claim(root, FOLDER):
        assert dead not in root.list("claims")


@pytest.mark.usefixtures("quick")
def test_a_claim_that_is_renewed_counts_whatever_the_clocks_say(
    folder: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = mark()
    stamps = Root.stamps

    def stepped(root: Root, start: str = "") -> dict[str, tuple[int, str, float]]:
        """The storage's clock made a leap of an hour after the other claim was written."""
        found = stamps(root, start)
        return {key: (size, tag, at + (3600 if f"/{ours}." in key else 0)) for key, (size, tag, at) in found.items()}

    renewing = (
        "import sys, time\nfrom storage.store.root import Root\nroot = Root(sys.argv[1])\n"
        f"while True: root.write('claims/{FOLDER}/{AWAY}.0', b''); print('renewed', flush=True); time.sleep(0.05)"
    )
    with subprocess.Popen([sys.executable, "-c", renewing, folder.url], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout
            other.stdout.readline()
            monkeypatch.setattr(Root, "stamps", stepped)
            done = []

            def claims_it() -> None:
                with claim(folder, FOLDER):
                    done.append(1)

            thread = claims.threading.Thread(target=claims_it, daemon=True)
            thread.start()
            thread.join(2)
            assert not done
            other.kill()
            thread.join(20)
            assert done
        finally:
            other.kill()


@pytest.mark.usefixtures("quick")
def test_a_claim_is_renewed_while_its_block_runs_and_gone_afterwards(folder: Root) -> None:
    with claim(folder, FOLDER):
        ((_, first),) = folder.stamps("claims/").items()
        time.sleep(0.5)
        ((_, second),) = folder.stamps("claims/").items()
        assert second[2] > first[2]
    time.sleep(0.3)
    assert folder.list("claims") == []


@pytest.mark.usefixtures("quick")
def test_a_process_whose_claim_others_took_away_says_so(folder: Root) -> None:
    def work() -> None:
        with claim(folder, FOLDER):
            folder.delete("claims")
            time.sleep(0.5)

    with pytest.raises(StoreError, match="another one may have taken its place"):
        work()
    assert folder.list("claims") == []
