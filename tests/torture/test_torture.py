"""Whatever is killed, full, failing or damaged: after the last run every frame is what was recorded, to the bit.

A failure is repeated with the seed that it printed: TORTURE_SEED=17 make torture.
"""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.store.root import Root
from tests.project import ROOT
from tests.storage.store.faulty_s3 import faulty_s3
from tests.torture.killing import live
from tests.torture.spoiling import damage_and_mend
from tests.torture.writing import Job, faults, work, write_takes

JOBS: list[Job] = [("ingest", "walk"), ("ingest", "walk"), ("ingest", "run"), ("matte", "still")]
"""Two operators take in the same take at once."""
Tell = Callable[[str], None]


@pytest.fixture
def tell(capsys: pytest.CaptureFixture[str]) -> Tell:
    """Prints past pytest: what was done and counted is what a torture is for."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}", end=" ", flush=True)

    return say


@pytest.fixture
def seed(tell: Tell) -> int:
    chosen = int(os.environ.get("TORTURE_SEED") or random.SystemRandom().randrange(10**6))
    tell(f"TORTURE_SEED={chosen}")
    return chosen


def _torture(tmp_path: Path, seed: int, tell: Tell, *, kills: int, rounds: int, frames: int = 18) -> Counter[str]:
    dice, count, start = random.Random(seed), Counter[str](), time.monotonic()
    while count["kills"] < kills:
        count["stores"] += 1
        place = tmp_path / str(count["stores"])
        session, store = write_takes(place / "session", frames), place / "store"
        work(("ingest", "still"), str(store), str(session))
        live(JOBS, str(store), session, dice, count, kills=kills - count["kills"])
        jobs = {*JOBS, ("ingest", "still")}
        wrong, compared = faults(str(store), session, jobs)
        assert wrong == []
        count["compared"] += compared
        for _ in range(rounds):
            assert damage_and_mend(store, dice, count, 8) == []
            for job in sorted(jobs):
                work(job, str(store), str(session))
            wrong, compared = faults(str(store), session, jobs)
            assert wrong == []
            count["compared"] += compared
            count["mended"] += 8
    tell(f"{time.monotonic() - start:.0f} s: {dict(sorted(count.items()))}")
    return count


def test_writers_that_are_killed_and_files_that_are_spoiled_cost_no_frame(
    tmp_path: Path, seed: int, tell: Tell
) -> None:
    count = _torture(tmp_path, seed, tell, kills=10, rounds=1)
    assert count["kills"] >= 10
    assert count["found"] == count["mended"] >= 8


def test_a_disk_that_is_full_again_and_again_costs_no_frame(tmp_path: Path, seed: int, tell: Tell) -> None:
    _on_a_small_disk(tmp_path, seed, tell, rounds=4)


@pytest.mark.torture
def test_many_kills_and_much_damage(tmp_path: Path, seed: int, tell: Tell) -> None:
    count = _torture(tmp_path, seed, tell, kills=60, rounds=3)
    assert count["kills"] >= 50


@pytest.mark.torture
def test_s3_that_fails_every_fifth_time_and_killed_writers_cost_no_frame(
    tmp_path: Path, seed: int, tell: Tell, s3_root: Root, s3_server: str
) -> None:
    dice, count, start = random.Random(seed), Counter[str](), time.monotonic()
    session, jobs = write_takes(tmp_path / "session", 4), 2 * [("ingest", "walk")]
    with faulty_s3(s3_server) as proxy:
        proxy.fail(0.2, seed)
        live(jobs, s3_root.url, session, dice, count, kills=15, pause=3.0, environ={"AWS_ENDPOINT_URL": proxy.url})
        count.update({f"S3: {kind}": n for kind, n in proxy.faults.items()})
        count["S3: requests"] += len(proxy.requests)
    wrong, count["compared"] = faults(s3_root.url, session, set(jobs))
    assert wrong == []
    assert sum(proxy.faults.values()) > 10
    tell(f"{time.monotonic() - start:.0f} s: {dict(sorted(count.items()))}")


@pytest.mark.torture
def test_a_disk_that_is_full_fifty_times(tmp_path: Path, seed: int, tell: Tell) -> None:
    _on_a_small_disk(tmp_path, seed, tell, rounds=50)


def _on_a_small_disk(tmp_path: Path, seed: int, tell: Tell, *, rounds: int) -> None:
    disk, session = tmp_path / "disk", write_takes(tmp_path / "session", 10)
    disk.mkdir()
    mount = f'mount -t tmpfs -o size=2m tmpfs "{disk}"'
    if subprocess.run(["unshare", "-rm", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk (unshare -rm)")
    words = [sys.executable, "-m", "tests.torture.filling", str(disk), str(session), str(seed), str(rounds)]
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{mount} && exec "$0" "$@"', *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    tell(said := done.stdout.splitlines()[-1])
    assert f"full {rounds} times" in said
