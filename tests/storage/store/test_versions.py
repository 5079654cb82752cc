"""Numbered records: what a damaged one is told as, wherever it is read."""

from collections.abc import Callable
from typing import Any

import pytest

from storage.benchmark import Benchmark
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.marks import read_marks
from storage.labels.queue import read_queue
from storage.registry import Registry
from storage.store.json_file import FileDamaged
from storage.store.root import Root
from tests.storage.takes.matted_take import make_take

READERS: dict[str, Callable[[Root], Any]] = {
    "labels/scribbles/l0001": lambda root: LabelSet.open(root, LABELS),
    "benchmarks/night/b0001": lambda root: Benchmark.open(root, "night"),
    "models/student/v0001": lambda root: Registry(root).entries(),
    "promotions/student/p0001": lambda root: Registry(root).champion("student"),
    "promotions/student/verdicts/d0001": lambda root: Registry(root).verdicts("student"),
    "takes/walk.zarr/mined/q0001": lambda root: read_queue(root, "walk"),
    "takes/walk.zarr/marks/m0001": lambda root: read_marks(root, "walk"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Root:
    make_take(root := Root(tmp_path_factory.mktemp("store")))
    return root


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"entries": {}, "items": 1, "marks": null, "name": []}'])
@pytest.mark.parametrize("version", READERS)
def test_a_damaged_version_is_named_wherever_it_is_read(root: Root, version: str, data: bytes) -> None:
    root.write(f"{version}.json", data)
    with pytest.raises(FileDamaged, match=f"{version}.json"):
        READERS[version](root)
    root.remove(f"{version}.json")
