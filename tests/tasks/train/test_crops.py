"""Crops go through torch's loader in any way it has, from a folder and from S3, and are the same every time."""

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from capmat_errors import SizeMismatch
from capmat_models.data.stage import PairData
from storage.store.root import Root
from storage.takes.crops import MattedFrames
from tasks.train.crops import Crops
from tasks.train.student import read_pairs
from tests.storage.matted_take import RUN, make_take


@pytest.fixture(params=["folder", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    root = Root(tmp_path / "store") if request.param == "folder" else request.getfixturevalue("s3_root")
    make_take(root)
    return str(root.url)


def crops(store: str, **settings) -> Crops:
    return Crops(store, ["walk"], RUN, side=64, count=12, seed=2, **settings)


def loaded(data: Crops, workers: int, start: str | None) -> list[dict[str, torch.Tensor]]:
    return list(DataLoader(data, batch_size=4, num_workers=workers, multiprocessing_context=start))


def test_a_sample_is_three_tensors_of_one_size(store):
    sample = crops(store)[0]
    assert {name: tuple(part.shape) for name, part in sample.items()} == {
        "src": (3, 64, 64),
        "bgr": (3, 64, 64),
        "pha": (1, 64, 64),
    }
    assert all(part.dtype == torch.float32 and 0 <= part.min() < part.max() <= 1 for part in sample.values())


@pytest.mark.parametrize("start", ["fork", "forkserver"])
def test_workers_give_the_same_bytes_as_none(store, start, monkeypatch):
    # Prefect, where an earlier test ran a flow in this process, makes every forked child fail at its end.
    monkeypatch.setattr(threading, "_threading_atexits", [])
    data = crops(store)
    alone = loaded(data, 0, None)  # reads in this process first, as a training that looks at a sample does
    together = loaded(data, 2, start)
    assert len(alone) == len(together) == 3
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in ("src", "bgr", "pha"))


@pytest.mark.parametrize("aligned", [False, True])
def test_a_cache_changes_no_byte(store, tmp_path, aligned):
    slow = crops(store, aligned=aligned)
    fast = crops(store, aligned=aligned, cache=tmp_path / "cache")
    for index in range(12):
        one, other = slow[index], fast[index]
        assert all(torch.equal(one[name], other[name]) for name in ("src", "bgr", "pha"))


def test_there_are_as_many_as_asked_for(store):
    data = crops(store)
    assert len(list(iter(data))) == len(data) == 12
    with pytest.raises(IndexError):
        data[12]


def test_crops_that_do_not_fit_are_refused_at_once(store):
    with pytest.raises(SizeMismatch, match="does not fit"):
        Crops(store, ["walk"], RUN, side=300, count=1)


@pytest.mark.parametrize("side", [64, 310])
def test_a_student_draws_what_it_would_draw_from_whole_frames(store, side):
    frames = MattedFrames(Root(store), ["walk"], RUN)
    whole = PairData([tuple(picture[:, :, :] for picture in item) for item in frames])
    for seed in range(5):
        one = read_pairs(store, ["walk"], RUN).sample(np.random.default_rng(seed), side)
        other = whole.sample(np.random.default_rng(seed), side)
        assert one["src"].shape == (3, side, side)
        for name, part in one.items():
            np.testing.assert_array_equal(part, other[name])
