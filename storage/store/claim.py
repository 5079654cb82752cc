"""A claim: one ingest at a time works on a take or on the plates of a stage, one writer on a camera's mattes.

Everybody writes a file of its own first, and then looks for those of others. Two that start at the same moment see
each other, step back, and try again after a random pause. This needs nothing of the storage but listing.

The claim of a killed process of this machine does not count. Processes of other machines and containers cannot be
asked, so each renews its claim. One that looks old, by the times that the storage gives to files, and is not renewed
while we look, does not count either. No clock that is set can make it look so.
"""

import random
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

from capmat_errors import StoreError
from storage.store.root import Root
from storage.store.writers import is_gone, machine_of, mark, renews

RENEW_S = 30.0
"""Seconds between the renewals of a claim."""
LEASE_S = 200.0
"""Age in seconds from which on the claim of a process that cannot be asked looks old."""
_TRIES = 4


@contextmanager
def claim(root: Root, folder: str, doing: str = "ingesting", patience: float = 0.0) -> Iterator[None]:
    """Keep others from what lies at `folder` while the block runs; what lies below it has claims of its own.

    Args:
        root: the store.
        folder: such as "takes/walk.zarr".
        doing: what others are doing there, for the message.
        patience: seconds to wait for others; without it, a few tries.

    Raises:
        StoreError: another process is still at work there, and the message names it; or this one was silent for so
            long that others no longer waited for it.
    """
    own, end, ended = f"claims/{folder}/{mark()}.{uuid.uuid4().hex}", time.monotonic() + patience, threading.Event()
    seen: dict[tuple[str, float], float] = {}
    try:
        for tries in count(1):
            root.write(own, b"")
            others, old = _others(root, f"claims/{folder}", own, seen)
            if not others:
                break
            root.remove(own)
            if tries >= _TRIES and time.monotonic() >= end and not old:
                process, machine = machine_of(_mark_in(others[0]))
                raise StoreError(
                    f"process {process} on {machine} is {doing} it",
                    where=root.at(folder),
                    fix=f"Wait until it is done. If that machine is gone, wait or delete {root.at(others[0])}.",
                )
            time.sleep(random.uniform(0.02, 0.3) * (10 if old else 1))
        start = time.monotonic()
        threading.Thread(target=_renew, args=(root, own, ended), daemon=True).start()
        yield
        if time.monotonic() - start > LEASE_S and not root.exists(own):
            raise StoreError(
                f"this process was silent for {LEASE_S / 60:.0f} minutes, and another one may have taken its place",
                where=root.at(folder),
                fix="Run it again; finished work is kept.",
            )
    finally:
        ended.set()
        root.remove(own)


def _renew(root: Root, own: str, ended: threading.Event) -> None:
    """Write a claim anew at intervals, until it ends or is removed as too old."""
    while not ended.wait(RENEW_S):
        try:
            if not root.exists(own):
                return
            root.write(own, b"")
        except StoreError:  # a store that is away for a while may be back at the next renewal
            continue
    with suppress(StoreError):  # `ended` may have come during a write, after the claim was removed
        root.remove(own)


def _others(root: Root, claims: str, own: str, seen: dict[tuple[str, float], float]) -> tuple[list[str], bool]:
    """Other claims, and whether one of them looks old; removes those of processes that have ended, also half-written.

    Args:
        root: the store.
        claims: where they lie.
        own: the claim of this process, which was written just now.
        seen: when each claim that looks old was first seen, by its key and time.
    """
    out, doubts = [], False
    stamps = root.stamps(f"{claims}/")
    now = stamps[own][2] if own in stamps else 0.0  # by the storage's own clock, which has just written it
    for key, (_, _, written) in stamps.items():
        folder, _, name = key.rpartition("/")
        if key == own or folder != claims or name.count("_") < 2:
            continue
        old = renews(_mark_in(key)) and now - written > LEASE_S
        silent = old and time.monotonic() - seen.setdefault((key, written), time.monotonic()) > 2 * RENEW_S
        if silent or is_gone(_mark_in(key)):
            root.remove(key)
        elif not name.endswith(".partial"):
            out.append(key)
            doubts |= old
    return out, doubts


def _mark_in(key: str) -> str:
    return key.rpartition("/")[2].lstrip(".").partition(".")[0]
