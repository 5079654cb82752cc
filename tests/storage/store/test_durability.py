"""What was written survives a power cut, and one of several writers gets a name, on any file system."""

import errno
import multiprocessing
import os
from collections.abc import Callable
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import numpy as np
import pytest

from capmat_errors import MatteError, StoreError
from storage.benchmark import freeze_benchmark, list_benchmarks
from storage.registry import Registry
from storage.store.folder import Folder
from storage.store.root import Root
from storage.store.versions import Versions

_START = multiprocessing.get_context("spawn")


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files and folders in the order in which the kernel was asked to sync them."""
    paths: list[Path] = []
    fsync = os.fsync

    def noted(handle: int) -> None:
        paths.append(Path(f"/proc/self/fd/{handle}").readlink())
        fsync(handle)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


@pytest.fixture(params=[errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def without_links(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that has no hard links, as exFAT (EPERM) and some network drives are."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(os, "link", refuse)
    monkeypatch.setattr(Path, "hardlink_to", refuse)


@pytest.mark.parametrize("write", ["write", "create", "file"])
def test_every_new_folder_is_synced_in_its_parent(tmp_path: Path, synced: list[Path], write: str) -> None:
    root = Root(tmp_path / "new" / "store")
    key = "ledger/matte/a/0.json"
    if write == "file":
        with root.file(key) as path:
            path.write_bytes(b"x")
    else:
        getattr(root, write)(key, b"x")
    file = Path(root.url, key)
    wanted = {parent for parent in file.parents if tmp_path in parent.parents or parent == tmp_path}
    assert set(synced) >= wanted  # each folder that got a new name
    synced.clear()
    root.write("ledger/matte/a/1.json", b"x")
    assert [path for path in synced if path.is_dir()] == [file.parent]  # the others were there


@pytest.mark.usefixtures("without_links")
def test_without_hard_links_a_name_is_given_to_one_of_many_and_shown_whole(tmp_path: Path) -> None:
    root = Root(tmp_path / "store").checked()
    start, won = Barrier(8), []

    def make(number: int) -> None:
        start.wait(30)
        if root.create("models/v0001.json", bytes([number]) * 1000):
            won.append(number)

    threads = [Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(won) == 1
    assert root.read("models/v0001.json") == bytes(won) * 1000
    assert Versions(root, "models", "v").names() == ["v0001"]


def _hold_lock(folder: str, ready: Any) -> None:
    import fcntl
    import time

    with Path(folder, ".create.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ready.set()
        time.sleep(600)


@pytest.mark.usefixtures("without_links")
def test_without_hard_links_a_killed_writer_holds_nobody_up(tmp_path: Path) -> None:
    root, ready = Root(tmp_path), _START.Event()
    holder = _START.Process(target=_hold_lock, args=(str(tmp_path), ready))
    holder.start()
    assert ready.wait(60)
    holder.kill()
    holder.join()
    assert root.create("v0001.json", b"x")
    assert not root.create("v0001.json", b"y")


def test_a_file_system_that_can_do_neither_is_found_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without_links: None
) -> None:
    def no_lock(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", no_lock)
    with pytest.raises(StoreError, match="No locks available"):
        Root(tmp_path).checked()
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".probe")] == []


def test_other_faults_of_a_link_are_faults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "hardlink_to", full)
    with pytest.raises(OSError, match="No space left"):
        Folder(str(tmp_path)).create("v0001.json", b"x")


def _entries(value: float) -> list[Any]:
    trimap = np.full((4, 4), 128, np.uint8)
    return [("walk", "c0", 1, trimap, np.full((4, 4), value, np.float32))]


def test_of_two_who_create_a_benchmark_at_once_one_is_told_that_the_name_is_taken(root: Root) -> None:
    start, told = Barrier(2), []

    def make(value: float) -> None:
        start.wait(30)
        try:
            freeze_benchmark(root, "gold", _entries(value), {}, new=True)
        except MatteError as error:
            told.append(error)

    threads = [Thread(target=make, args=(value,)) for value in (0.0, 1.0)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert list_benchmarks(root) == {"gold": ["b0001"]}
    (error,) = told
    assert "exists" in str(error)
    assert "benchmark add" in str(error)


@pytest.mark.parametrize("again", ["hand", "gate"])
def test_a_promotion_that_was_killed_and_repeated_is_one_entry(root: Root, again: str) -> None:
    registry = Registry(root)
    first, second = (registry.add("student", weights, {}) for weights in (b"1", b"2"))
    record: dict[str, Any] = {"decision": "PROMOTE", "by": "hand", "reasons": ("sharper",)}
    if again == "gate":
        record["champion"] = {"name": "student", "version": first}
    registry.promote("student", "student", first, {"decision": "PROMOTE"})
    once: Callable[[], Any] = lambda: registry.promote("student", "student", second, record)  # noqa: E731
    assert once() == once() == ("student", first)
    assert len(registry.history("student")) == 2
    registry.promote("student", "student", second, {**record, "reasons": ["again"]})  # a decision of its own
    assert len(registry.history("student")) == 3
