"""What an ingest will cost: bytes in the store, and time on one core.

Both are measured: the plan decoded and encoded sampled frames, and here a file of a frame's size is written to the
store's disk and synced.
"""

import os
import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from capmat_errors import StoreError
from storage.session.plan import SessionPlan, TakePlan
from storage.store.errors import store_errors
from storage.store.ledger import Ledger, made_from
from storage.store.root import Root
from storage.takes.schema import BLOCK

_SPARE = 1.05  # share of the estimate that must be free


@dataclass(frozen=True)
class Cost:
    """What remains to be done for a session.

    Attributes:
        frames: pictures of all takes and cameras, also those that are stored already.
        raw: bytes of their pixels.
        blocks: pieces of work that they make.
        left: those of them that the ledger does not have.
        stored: bytes that these will take in the store.
        plates: bytes that the missing plates will take at most, uncompressed.
        free: bytes free on the store's disk; None on S3.
        seconds: on one core.
        measured: frames that all of this was measured on.
    """

    frames: int
    raw: int
    blocks: int
    left: int
    stored: int
    plates: int
    free: int | None
    seconds: float
    measured: int


def expected_cost(plan: SessionPlan, root: Root) -> Cost:
    """Estimate what an ingest of `plan` into the store will cost.

    Raises:
        StoreError: the store's disk cannot be written to.
    """
    frames = raw = blocks = left = measured = 0
    stored = seconds = writes = 0.0
    for take in plan.takes.values():
        todo, pieces = blocks_left(root, take), len(take.rows) * len(take.blocks)
        share = todo / pieces if pieces else 0.0
        blocks, left = blocks + pieces, left + todo
        for row in take.rows.values():
            frames, raw, measured = frames + row.count, raw + row.raw, measured + row.measured
            stored += share * row.count * row.encoded
            seconds += share * row.count * row.seconds
            writes += share * row.count
    if writes:
        # A block has two more files: its previews and its entry in the ledger.
        seconds += writes * (1 + 2 / BLOCK) * _write_seconds(root, round(stored / writes))
    ledger, colour = Ledger(root), plan.session.colour
    missing = [camera for camera in plan.plates if ledger.done(f"plates/{plan.session.stage}/{camera}") is None]
    sizes = [plan.cameras[id].width * plan.cameras[id].height for id in missing if id in plan.cameras]
    # Mean and noise as 32-bit floats, and one byte that says where they are valid.
    plates = sum(sizes) * ((1 if colour.cfa else 3) * 8 + 1)
    # A plate's frames are read twice.
    seconds += 2 * plan.plate_seconds * len(missing) / len(plan.plates) if plan.plates else 0.0
    return Cost(frames, raw, blocks, left, round(stored), plates, free_bytes(root), seconds, measured)


def check_space(cost: Cost, root: Root) -> None:
    """Refuse an ingest that will not fit.

    Raises:
        StoreError: less is free than the estimate and 5 % more.
    """
    need = _SPARE * (cost.stored + cost.plates)
    if cost.free is not None and need > cost.free:
        raise StoreError(
            f"the ingest needs about {need / 1e9:.3g} GB, {cost.free / 1e9:.3g} GB are free",
            where=root.url,
            fix="Free some space, choose another store, or ingest fewer takes (`capmat ingest SESSION TAKE`).",
        )


def blocks_left(root: Root, take: TakePlan) -> int:
    """How many blocks of a take the ledger does not have, or has from other files."""
    entries = Ledger(root).entries(f"ingest/{take.name}/")
    left = (len(take.rows) - len(take.recordings)) * len(take.blocks)
    for camera, recording in take.recordings.items():
        for number, frames in enumerate(take.blocks):
            entry = entries.get(f"ingest/{take.name}/{camera}/{number:05d}")
            left += not made_from(entry, recording.select(frames).manifest())
    return left


def free_bytes(root: Root) -> int | None:
    """Bytes free on the store's disk, also if the store does not exist yet; None on S3."""
    if root.remote:
        return None
    with store_errors(root.url):
        return shutil.disk_usage(_existing(root)).free


def _existing(root: Root) -> Path:
    path = Path(root.url)
    return next(folder for folder in (path, *path.parents) if folder.is_dir())


def _write_seconds(root: Root, size: int) -> float:
    """Seconds that the store takes to write one file of `size` bytes, the median of three."""
    took = []
    for _ in range(3):
        data, probe = os.urandom(size), ".probe"  # the name that `check` removes too, after a kill
        start = time.perf_counter()
        if root.remote:
            root.write(probe, data)
        else:
            _write_nameless(_existing(root), data)
        took.append(time.perf_counter() - start)
        if root.remote:
            root.remove(probe)
    return statistics.median(took)


def _write_nameless(folder: Path, data: bytes) -> None:
    """Write and sync a file without a name, so that a killed process leaves nothing behind."""
    with store_errors(str(folder)), tempfile.TemporaryFile(dir=folder) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
