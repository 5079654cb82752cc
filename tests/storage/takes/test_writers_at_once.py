"""Several processes that write mattes of one run lose none, and none waits for a writer that was killed."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Barrier, Event
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import zarr

from capmat_errors import StoreError
from storage.calibration.camera import Camera
from storage.pictures.colour import Colour
from storage.store.claim import claim
from storage.store.root import Root
from storage.takes import take as takes
from storage.takes.take import Take

_START = multiprocessing.get_context("spawn")
FRAMES = list(range(100, 112))
"""A block and a half."""
SIZE = (24, 32)
ARRAY = "takes/walk.zarr/cameras/c0/alpha/r"
ELSEWHERE = f"claims/{ARRAY}/77_1700000000_another-machine.0"


def _take(root: Root) -> Take:
    height, width = SIZE
    K = np.array([[30.0, 0, width / 2], [0, 30.0, height / 2], [0, 0, 1]])
    cameras = {id: Camera(id, width, height, K, np.zeros(5), np.eye(3), np.zeros(3)) for id in ("c0", "c1")}
    colour = Colour(8, "srgb")
    take = Take.create(root, "walk", stage="s", cameras=cameras, colour=colour, frames=FRAMES, fps=25.0, source={})
    take.start_run("r", {})
    take.seal()
    return take


def _matte(frame: int) -> Any:
    """Noise that only this frame has."""
    return np.random.default_rng(frame).integers(0, 65536, SIZE) / 65535


def _write(url: str, frames: list[int], start: Barrier) -> None:
    take = Take.open(Root(url), "walk")
    start.wait(60)
    for frame in frames:
        take.write_alphas("r", "c0", {frame: _matte(frame)})


def _hold(url: str, held: Event) -> None:
    with claim(Root(url), ARRAY):
        held.set()
        time.sleep(60)


def _as_zarr_reads_it(root: Root, folder: Path) -> Any:
    """The stored integers (frame, y, x), without any of our code."""
    if not root.remote:
        return zarr.open_array(f"{root.url}/{ARRAY}", mode="r")[:]
    bucket, _, prefix = root.url.removeprefix("s3://").partition("/")
    s3 = boto3.client("s3")
    for item in s3.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/{ARRAY}/")["Contents"]:
        path = folder / item["Key"].removeprefix(f"{prefix}/{ARRAY}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        s3.download_file(bucket, item["Key"], str(path))
    return zarr.open_array(folder, mode="r")[:]


@pytest.mark.parametrize("writers", [2, 4])
def test_writers_of_one_block_keep_each_others_mattes(root: Root, tmp_path: Path, writers: int) -> None:
    _take(root)
    start = _START.Barrier(writers)
    shares = [FRAMES[number::writers] for number in range(writers)]
    running = [_START.Process(target=_write, args=(root.url, share, start)) for share in shares]
    for process in running:
        process.start()
    for process in running:
        process.join(120)
    assert [process.exitcode for process in running] == [0] * writers
    stored = _as_zarr_reads_it(root, tmp_path / "copy")
    expected = np.stack([np.rint(_matte(frame) * 65535) for frame in FRAMES])
    lost = [frame for frame, is_, should in zip(FRAMES, stored, expected, strict=True) if (is_ != should).any()]
    assert lost == []
    assert root.list("claims") == []


def test_a_killed_writer_holds_nobody_up(root: Root) -> None:
    take, held = _take(root), _START.Event()
    process = _START.Process(target=_hold, args=(root.url, held))
    process.start()
    assert held.wait(60)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    start = time.monotonic()
    take.write_alphas("r", "c0", {100: _matte(100)})
    assert time.monotonic() - start < 10
    assert root.list("claims") == []


def test_a_writer_that_does_not_end_is_named_and_other_cameras_go_on(
    folder: Root, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takes, "PATIENCE", 0.0)
    take = _take(folder)
    folder.write(ELSEWHERE, b"")
    with pytest.raises(
        StoreError, match=f"/{ARRAY}: process 77 on another-machine is matting it.*delete .*/{ELSEWHERE}"
    ):
        take.write_alphas("r", "c0", {100: _matte(100)})
    take.write_alphas("r", "c1", {100: _matte(100)})
    with claim(folder, "takes/walk.zarr"):  # an ingest of the take looks at its own claims only
        assert not take.has_alpha("r", "c0", 100)
        assert take.has_alpha("r", "c1", 100)
    assert folder.list("claims") == [ELSEWHERE]


def test_a_claim_that_could_not_look_for_others_leaves_nothing(folder: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(root: Root, prefix: str) -> list[str]:
        raise StoreError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(Root, "stamps", fails)
        with pytest.raises(StoreError, match="the disk is gone"), claim(folder, "takes/walk.zarr"):
            pass
    assert folder.list("claims") == []
