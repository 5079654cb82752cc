"""A finished take that is delivered again: equal pictures are noted as such, others are refused.

Mattes, labels and benchmarks belong to the pictures on which they were made. So the pictures of a finished take never
change, and a copy with other dates costs one look.
"""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice

import numpy as np

from capmat_errors import NotFound, StoreError
from storage.benchmark import Benchmark, list_benchmarks
from storage.labels.label_set import LABELS, LabelSet, list_label_sets
from storage.pictures.bayer import stored_planes
from storage.recordings.recording import Recording
from storage.session.plan import TakePlan
from storage.store.ledger import Ledger, made_from
from storage.takes.take import Take


def compare_again(stored: Take, chosen: TakePlan, workers: int = 0) -> None:
    """Compare the files that changed since a finished take was stored, and note those that hold the same pictures.

    Args:
        stored: the take in the store.
        chosen: what was delivered.
        workers: cameras at a time, one thread each; 0 for one per core.

    Raises:
        StoreError: a picture is not the one in the store.
        ImageUnreadable: a picture is damaged.
    """
    with ThreadPoolExecutor(workers or len(os.sched_getaffinity(0))) as threads:
        list(threads.map(partial(_compare, stored), chosen.recordings.values()))


def _compare(stored: Take, recording: Recording) -> None:
    ledger, camera = Ledger(stored.root), recording.camera
    changed = {}
    for number, frames in enumerate(stored.blocks):
        key, manifest = f"ingest/{stored.name}/{camera}/{number:05d}", recording.select(frames).manifest()
        entry = ledger.done(key)
        if entry and not made_from(entry, manifest):
            changed[key] = frames, {**entry, "same": manifest}
    # one pass, since a video that is opened for each block is decoded many times
    pictures = recording.select(tuple(f for frames, _ in changed.values() for f in frames)).read(stored.colour)
    for key, (frames, entry) in changed.items():
        for frame, picture in islice(pictures, len(frames)):
            try:
                held = stored.read_planes(camera, frame)
            except (NotFound, StoreError):  # the store has lost it, and takes it in again
                continue
            if not np.array_equal(stored_planes(picture), held):
                raise StoreError(
                    f"the take was delivered again with another picture than the store holds{belongings(stored)}",
                    where=f"take {stored.name} camera {camera} frame {frame}, {recording.file(frame)}",
                    fix="Give the new recording another take name in session.toml; the stored take stays as it is.",
                )
        ledger.record(key, entry)


def belongings(take: Take) -> str:
    """What people have made for the pictures of a take, as the end of a sentence; "" if nothing."""
    root = take.root
    labels = LabelSet.open(root, LABELS).keys if list_label_sets(root).get(LABELS) else []
    marked = sum(name == take.name for name, _, _ in labels)
    benchmarks = [name for name in list_benchmarks(root) if take.name in Benchmark.open(root, name).takes]
    made = [
        *([f"labels of {marked} picture{'s' * (marked > 1)}"] if marked else []),
        *(f"benchmark {name}" for name in benchmarks),
    ]
    return f", to which {' and '.join(made)} belong" if made else ""
