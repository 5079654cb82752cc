"""Frames decoded once into files that are mapped into memory, for trainings that read them thousands of times.

One file per camera: its plate as networks see it, then of every matted frame the stored numbers and the matte. The
name says what it was made of, from the checksums in the ledger: a take that changed has another name, and a file
under its name is whole. Files that are there are kept, so a killed build goes on.
"""

import copy
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capmat_errors import StoreError
from storage.store.errors import store_errors
from storage.store.ledger import Ledger
from storage.store.shards import Window
from storage.takes.crops import MattedFrames, Strip
from storage.takes.views import display_window


def cached(frames: MattedFrames, folder: str | Path, limit: int) -> MattedFrames:
    """The same frames, to the bit, read from files in a folder; what is missing there is decoded first.

    Args:
        frames: what is to be learned from.
        folder: on a fast disk. Files in it may be deleted when no training runs.
        limit: bytes that these frames may take.

    Raises:
        StoreError: they would take more than `limit` or than the disk has, the disk fails, or the ledger does not
            answer for a frame, a matte or a plate.
    """
    folder = Path(folder)
    files = {
        _name(strip): folder / f"{_name(strip)}-{_identity(strip, frames.run)}.frames" for strip in frames.strips
    }
    _check_room(folder, sum(map(_bytes, frames.strips)), limit, "the limit is")
    with store_errors(str(folder), False):
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # one builds, others wait; a killed one lets go
            for stray in folder.glob("*/*.partial"):
                stray.unlink()
            missing = [s for s in frames.strips if not _is_whole(files[_name(s)], _bytes(s))]
            _check_room(folder, sum(map(_bytes, missing)), shutil.disk_usage(folder).free, "the disk has")
            with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
                list(threads.map(lambda strip: _build(strip, frames.run, files[_name(strip)]), missing))
    out = copy.copy(frames)
    out.cut = partial(_cut_mapped, files)
    return out


def _cut_mapped(files: dict[str, Path], strip: Strip, place: int, name: str, window: Window) -> NDArray[np.float32]:
    plate, records = _mapped(files[_name(strip)], _record(strip), strip.size)
    if name == "bgr":
        return _part(plate, window)
    frame = records[place]
    if name == "pha":
        return _part(frame["pha"], window).astype(np.float32) / np.float32(65535)
    return display_window(strip.take.colour, strip.size, window, lambda part: _part(frame["planes"], part))


def _part(picture: NDArray[Any], window: Window) -> NDArray[Any]:
    """A copy of its own, aligned and contiguous as what the store gives: then sums round in the same way."""
    y0, y1, x0, x1 = window
    return np.array(picture[..., y0:y1, x0:x1], order="C")


@lru_cache(maxsize=1024)
def _mapped(file: Path, record: np.dtype[Any], size: tuple[int, int]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Plate and frames of a file. Kept per process and outside of `MattedFrames`, which would pickle them whole."""
    plate = np.memmap(file, np.float32, "r", shape=(3, *size))
    return plate, np.memmap(file, record, "r", offset=plate.nbytes)


def _build(strip: Strip, run: str, file: Path) -> None:
    """Decode one camera. Written, not mapped: a full disk is an error then, and not the end of the process."""
    file.parent.mkdir(exist_ok=True)
    partial_file = file.with_suffix(".partial")
    with partial_file.open("wb") as out:
        out.write(strip.stage.plate(strip.camera).tobytes())
        for frame in strip.frames:
            out.write(strip.take.read_planes(strip.camera, frame).tobytes())
            pha = strip.take.read_alpha(run, strip.camera, frame)
            out.write(np.rint(pha * np.float32(65535)).astype(np.uint16).tobytes())
        out.flush()
        os.fsync(out.fileno())
    partial_file.replace(file)


def _identity(strip: Strip, run: str) -> str:
    """Sixteen hex digits that stand for all that a camera's file is made of."""
    take, camera, ledger = strip.take, strip.camera, Ledger(strip.take.root)
    pictures = ledger.entries(f"ingest/{take.name}/{camera}/")
    # Two takes may share the beginning of this key, so the entry is asked as well.
    mattes = {
        key: entry
        for key, entry in ledger.entries(f"matte/{take.name}-{camera}-{run}/").items()
        if entry and (entry["camera"], entry["run"]) == (camera, run)
    }
    plate = ledger.done(f"plates/{take.stage}/{camera}")
    answered = _numbers(pictures, "frames") & _numbers(mattes, "numbers")
    if plate is None or not answered.issuperset(strip.frames):
        raise StoreError(
            "the ledger does not answer for all frames, mattes and the plate: a change could not be noticed",
            where=f"take {take.name} camera {camera} run {run}",
            fix="Run ingest and inference again; they write what is missing. Or train without a cache.",
        )
    files = [[key, entry and entry.get("files")] for key, entry in sorted((pictures | mattes).items())]
    text = json.dumps([strip.frames, str(_record(strip)), files, plate["files"]])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _numbers(entries: Mapping[str, dict[str, Any] | None], name: str) -> set[int]:
    return {number for entry in entries.values() if entry for number in entry.get(name, ())}


def _check_room(folder: Path, needed: int, room: int, whose: str) -> None:
    if needed > room:
        raise StoreError(
            f"decoded frames take {needed / 1e9:.3g} GB, {whose} {room / 1e9:.3g} GB",
            where=str(folder),
            fix="Allow more, choose fewer takes, or train without a cache.",
        )


def _is_whole(file: Path, size: int) -> bool:
    return file.is_file() and file.stat().st_size == size


def _name(strip: Strip) -> str:
    return f"{strip.take.name}/{strip.camera}"


def _bytes(strip: Strip) -> int:
    height, width = strip.size
    return 3 * 4 * height * width + len(strip.frames) * _record(strip).itemsize


def _record(strip: Strip) -> np.dtype[Any]:
    """One frame in the file."""
    colour, size = strip.take.colour, strip.size
    return np.dtype([("planes", colour.dtype, (colour.channels, *size)), ("pha", "uint16", size)])
