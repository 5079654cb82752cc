"""Scores under a condition of the paper: the same noise for everybody, grey for a network without plate."""

import numpy as np
import pytest
import torch

from capmat_models.networks.factory import create_model
from capmat_models.training.base import NO_PLATE
from capmat_models.weights.state import dump_weights
from storage.benchmark import freeze_benchmark
from storage.registry import Registry
from storage.store.root import Root
from storage.takes.take import Take
from tasks.ingest.plates import ingest_plates
from tasks.ingest.take import ingest_take
from tasks.matte.take import snap
from tasks.models.infer import infer
from tasks.models.networks import Ref, load_network
from tasks.runtime.step import Record
from tasks.validate.conditions import align, noisy_frame, read_matte, score
from tests.storage.tiny_session import CAMERAS, HEIGHT, WIDTH, write_session

MODEL = Ref(name="bg_vitmatte_xs", version="v0001")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One take with a benchmark on two of its cameras, and a teacher with fresh weights."""
    folder = tmp_path_factory.mktemp("score")
    session = write_session(folder / "day")
    root = Root(folder / "store")
    ingest_plates(root.url, session)
    ingest_take(root.url, session, "walk")
    torch.manual_seed(0)
    network = create_model(MODEL["name"])
    Registry(root).add(MODEL["name"], dump_weights(network), {"architecture": MODEL["name"], "kind": "base"})
    pha = np.zeros((HEIGHT, WIDTH), np.float32)
    pha[12:40, 8:26] = 1
    trimap = np.where(pha > 0, 255, 0).astype(np.uint8)
    trimap[10:14] = 128
    freeze_benchmark(root, "day-walk", [("walk", camera, 0, trimap, pha) for camera in CAMERAS[:2]], {})
    return root.url


def benchmark(*cameras: str) -> Record:
    entries = [(camera, 0) for camera in cameras]
    return {"benchmark": "day-walk", "version": "b0001", "take": "walk", "entries": entries, "digest": str(cameras)}


def matte(store: str, record: Record, camera: str) -> np.ndarray:
    return read_matte(Root(store), record["folder"], camera, 0)


def test_a_score_is_the_papers_measures_of_mattes_that_are_kept(store: str) -> None:
    both = benchmark(*CAMERAS[:2])
    record = score(store, both, MODEL)
    assert record["truth"] is None
    expected = []
    for camera in CAMERAS[:2]:
        reference = np.zeros((HEIGHT, WIDTH))
        reference[12:40, 8:26] = 1
        expected.append(np.mean((matte(store, record, camera) - reference) ** 2))
    assert record["supervisor"]["mse"] == pytest.approx(np.mean(expected), rel=1e-5)
    assert score(store, both, MODEL)["reused"]
    assert align(store, both, record, record)["teacher"] == {"mse": 0, "sad": 0, "grad": 0}


def test_a_frame_has_the_same_noise_whatever_else_is_scored(store: str) -> None:
    camera = CAMERAS[1]
    alone, among = (score(store, benchmark(*some), MODEL, noise=0.1) for some in ([camera], CAMERAS[:2]))
    assert np.array_equal(matte(store, alone, camera), matte(store, among, camera))
    take = Take.open(Root(store), "walk")
    clean, noisy = (noisy_frame(take, camera, 0, noise, 0) for noise in (0, 0.05))
    middle = (clean > 0.2) & (clean < 0.8)
    assert (noisy - clean)[middle].std() == pytest.approx(0.05, rel=0.1)
    assert noisy.min() >= 0
    assert noisy.max() <= 1


def test_a_network_without_plate_is_shown_grey(store: str) -> None:
    camera = CAMERAS[0]
    record = score(store, benchmark(camera), MODEL, plate=False)
    src = Take.open(Root(store), "walk").read(camera, 0)
    pha = snap(infer(load_network(store, MODEL), src, np.full_like(src, NO_PLATE))["pha"])
    assert np.abs(matte(store, record, camera) - pha).max() <= 0.5 / 65535 + 1e-6
    assert not np.array_equal(
        matte(store, record, camera), matte(store, score(store, benchmark(camera), MODEL), camera)
    )
