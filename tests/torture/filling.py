"""A small disk that somebody else fills while we write: a take comes in whole as soon as there is room again."""

import random
import shutil
import sys
import threading
import time
from pathlib import Path

from capmat_errors import StoreError
from tests.torture.writing import Job, faults, work

JOBS: list[Job] = [("ingest", "walk"), ("matte", "walk")]
_SAID = ("the disk is full", "are free", "GB free", "MB free", "kB free", "is free")


def main(disk: Path, session: Path, seed: int, rounds: int) -> None:
    """Store a take again and again until the disk has run full `rounds` times. Prints how often it had to."""
    dice, full, tries, compared, store = random.Random(seed), 0, 0, 0, disk / "store"
    start = time.monotonic()
    _all(store, session)
    whole = time.monotonic() - start
    shutil.rmtree(store)
    while full < rounds:
        tries += 1
        assert tries <= 4 * rounds, f"the disk ran full {full} times only in {tries} tries"
        filling = threading.Thread(target=fill, args=(disk, dice.uniform(0, 0.7) * whole, dice.randrange(20_000)))
        filling.start()
        try:
            _all(store, session)
        except StoreError as error:
            if not any(said in str(error) for said in _SAID):
                raise
            full += 1
        filling.join()
        (disk / "ballast").unlink()
        _all(store, session)
        wrong, looked_at = faults(str(store), session, set(JOBS))
        assert wrong == []
        compared += looked_at
        shutil.rmtree(store)
    print(f"full {full} times in {tries} tries, compared {compared}")


def fill(disk: Path, after: float, leave: int) -> None:
    """Fill the disk but for some bytes, after so many seconds."""
    time.sleep(after)
    try:
        with (disk / "ballast").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
    except OSError:
        with (disk / "ballast").open("r+b") as file:
            file.truncate(max(0, (disk / "ballast").stat().st_size - leave))


def _all(store: Path, session: Path) -> None:
    for job in JOBS:
        work(job, str(store), str(session))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
