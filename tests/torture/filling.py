"""A small disk that somebody else fills: a take has to come in whole all the same, as soon as there is room."""

import random
import sys
from pathlib import Path

from capmat_errors import StoreError
from tests.torture.writing import Job, faults, work

JOBS: list[Job] = [("ingest", "walk"), ("matte", "walk")]


def main(disk: Path, session: Path, seed: int, rounds: int) -> None:
    """Work with little room, `rounds` times; then with enough of it. Prints how often the disk was full."""
    dice, full, store = random.Random(seed), 0, disk / "store"
    for _ in range(rounds):
        fill(disk, leave=dice.randrange(0, 400_000))
        try:
            for job in JOBS:
                work(job, str(store), str(session))
        except StoreError as error:
            if "the disk is full" not in str(error):
                raise
            full += 1
        (disk / "ballast").unlink()
        assert not list(disk.rglob("*.partial"))
    for job in JOBS:
        work(job, str(store), str(session))
    wrong, compared = faults(str(store), session, set(JOBS))
    assert wrong == []
    print(f"full {full} times of {rounds}, compared {compared}")


def fill(disk: Path, leave: int) -> None:
    """Fill the disk but for so many bytes."""
    try:
        with (disk / "ballast").open("wb") as file:
            while True:
                file.write(bytes(4096))
                file.flush()
    except OSError:
        with (disk / "ballast").open("r+b") as file:
            file.truncate(max(0, (disk / "ballast").stat().st_size - leave))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
