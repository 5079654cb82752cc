"""Takes are matted by whatever network is asked for; those with a memory see every camera in order."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import zarr

from capmat_errors import ConfigError, MatteError
from capmat_models.inference.rig import Rig
from capmat_models.networks.factory import create_model
from capmat_models.weights.state import dump_weights
from storage.registry import Registry
from storage.store.ledger import Ledger
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from storage.upkeep.verify import verify
from tasks.config import Config
from tasks.ingest.session import ingest, plates, take_record
from tasks.matte.provenance import keep_config
from tasks.matte.take import matte, open_run, snap
from tasks.models.imported import import_weights
from tasks.models.infer import coarse_mask, infer, on_rig
from tasks.models.networks import Ref, Run, described, load_network
from tests.storage.tiny_session import CAMERAS, write_session


@pytest.fixture
def store(tmp_path: Path) -> str:
    """A store with one take: three cameras, four frames."""
    session = str(write_session(tmp_path / "session", frames=4) / "session.toml")
    place = str(tmp_path / "store")
    ingest(place, session, "walk", plates(place, session)["digest"])
    return place


def registered(store: str, tmp_path: Path, name: str, **config: Any) -> Ref:
    torch.manual_seed(0)
    torch.save(create_model(name, **config).state_dict(), tmp_path / "weights.pth")
    changes = [f"{key}={value}" for key, value in config.items()]
    return import_weights(store, tmp_path / "weights.pth", name, changes=changes)


def run(store: str, model: Ref, frames: list[int] | None = None) -> tuple[Take, str]:
    record = take_record(store, "walk")
    who = Run(model["name"], model)
    name = open_run(store, "walk", who)
    given = (store, "walk", record["cameras"], frames or record["frames"], who, record["digest"])
    first = matte(*given)
    assert first["frames"] == 12
    again = matte(*given)
    assert again["reused"]
    assert first["coverage"] == again["coverage"]
    assert set(first["coverage"]) == set(CAMERAS)
    return Take.open(Root(store), "walk"), name


def test_a_network_with_a_memory_sees_each_camera_in_order_from_the_start(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "rvm_mobilenetv3")
    take, name = run(store, model, frames=[2, 0, 3, 1])
    assert name == "rvm_mobilenetv3-v0001"
    network = load_network(store, model)
    for camera in CAMERAS:
        state = None
        for frame in take.frames:
            out = infer(network, take.read(camera, frame), state=state)
            state = out["state"]
            assert np.allclose(take.read_alpha(name, camera, frame), snap(out["pha"]), atol=1e-4)
    alone = snap(infer(network, take.read(CAMERAS[1], 3))["pha"])
    assert np.abs(take.read_alpha(name, CAMERAS[1], 3) - alone).max() > 1e-3  # the memory matters


def test_a_network_without_plate_is_not_given_one(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "modnet", working_side=64)
    take, name = run(store, model)
    expected = snap(infer(load_network(store, model), take.read("c01", 2))["pha"])
    assert np.allclose(take.read_alpha(name, "c01", 2), expected, atol=1e-4)


def test_a_mask_is_made_where_a_network_wants_one(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "bgm", working_side=64)
    take, name = run(store, model)
    src, bgr = take.read("c00", 1), Stage.open(Root(store), take.stage).plate("c00")
    mask = coarse_mask(src, bgr)
    assert mask[20:30, 15:25].mean() > 0.9
    assert mask[:8].mean() < 0.05
    expected = snap(infer(load_network(store, model), src, bgr, mask=mask)["pha"])
    assert np.allclose(take.read_alpha(name, "c00", 1), expected, atol=1e-4)


def test_the_student_runs_on_a_rig_and_gives_its_own_matte(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "bgmv2_mobilenetv2_xs")
    take, name = run(store, model)
    network, bgr = load_network(store, model), Stage.open(Root(store), take.stage).plate("c01")
    frames = [take.read("c01", frame) for frame in take.frames]
    expected = [infer(network, src, bgr)["pha"] for src in frames]
    for frame, pha in zip(take.frames, expected, strict=True):
        assert np.allclose(take.read_alpha(name, "c01", frame), snap(pha.copy()), atol=1e-4)
    three_at_once = list(on_rig(network, frames, bgr, 3))  # four frames: the second batch is filled up
    assert len(three_at_once) == 4
    assert np.allclose(three_at_once, expected, atol=1e-5)


def test_a_student_as_teacher_mattes_in_tiles_if_its_run_says_so(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "bgmv2_mobilenetv2_xs")
    record, of = take_record(store, "walk"), Run("teacher", model, tile=32)
    name = open_run(store, "walk", of)
    assert name.endswith("-tiles32")
    matte(store, "walk", ["c00"], [1], of, record["digest"])
    take, network = Take.open(Root(store), "walk"), load_network(store, model)
    bgr = Stage.open(Root(store), take.stage).plate("c00")
    whole, tiles = (snap(infer(network, take.read("c00", 1), bgr, tile=tile)["pha"]) for tile in (0, 32))
    stored = take.read_alpha(name, "c00", 1)
    assert np.allclose(stored, tiles, atol=1e-4)
    assert not np.allclose(stored, whole, atol=1e-4)


def test_a_gpu_without_room_gets_fewer_frames_at_a_time_and_none_is_lost(
    store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = load_network(store, registered(store, tmp_path, "bgmv2_mobilenetv2_xs"))
    rng = np.random.default_rng(0)
    bgr, *frames = rng.random((12, 3, 64, 96), dtype=np.float32)
    expected = list(on_rig(network, frames, bgr, 1))
    sizes, matte = [], Rig.matte

    def with_room_for_two(rig: Rig, src: torch.Tensor) -> dict[str, torch.Tensor]:
        sizes.append(len(src))
        if len(src) > 2 and len(sizes) > 1:  # the first batch fits, then somebody else takes the memory
            raise torch.OutOfMemoryError
        return matte(rig, src)

    monkeypatch.setattr(Rig, "matte", with_room_for_two)
    assert np.allclose(list(on_rig(network, frames, bgr, 8)), expected, atol=1e-5)
    assert sizes == [8, 8, 4, 2, 2]


def test_a_run_says_what_its_mattes_were_made_from_and_keeps_to_it(store: str, tmp_path: Path) -> None:
    first = registered(store, tmp_path, "bgmv2_mobilenetv2_xs")
    registry = Registry(Root(store))
    weights, card = registry.load(first["name"], first["version"])
    registry.add("vit", weights, {**card, "labels": "l0007"})  # a teacher that learned from labels
    taught = Ref(name="mine", version=registry.add("mine", weights, {**card, "teacher": "teacher-vit-v0001"}))
    settings = [Config(store=store, seed=seed) for seed in (0, 1)]
    keys = [keep_config(config) for config in settings]
    run = open_run(store, "walk", Run("student", taught, config=keys[0]))
    take = Take.open(Root(store), "walk")
    said = take.alpha_runs()[run]
    assert said["labels"] == "scribbles@l0007"
    assert (said["config"], said["stage"], said["name"], said["version"]) == (keys[0], "ring", "mine", "v0001")
    assert said["code"]
    assert json.loads(Root(store).read(f"configs/{keys[0]}.json"))["seed"] == 0
    array = zarr.open_array(f"{store}/takes/walk.zarr/cameras/c01/alpha/{run}", mode="r")
    assert array.attrs["capmat"] == said

    open_run(store, "walk", Run("student", taught, config=keys[1]))  # other settings, the same mattes
    assert take.alpha_runs()[run] == said
    plate = next(key for key in Ledger(Root(store)).entries("plates/ring/c00"))
    Ledger(Root(store)).record(plate, {**(Ledger(Root(store)).done(plate) or {}), "manifest": "another"})
    open_run(store, "walk", Run("student", taught, config=keys[1]))
    again = take.alpha_runs()[run]
    assert again["plates"] != said["plates"]
    assert again["config"] == keys[1]
    untaught = open_run(store, "walk", Run("student", first))
    assert "labels" not in take.alpha_runs()[untaught]


def test_runs_that_are_opened_at_once_agree_on_what_they_say(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "bgmv2_mobilenetv2_xs")
    settings = [keep_config(Config(store=store, seed=seed)) for seed in range(3)]
    take = Take.open(Root(store), "walk")
    for number in range(4):
        who = [Run(f"r{number}", model, config=config) for config in settings]
        with ThreadPoolExecutor(3) as crowd:
            (name,) = set(crowd.map(lambda run: open_run(store, "walk", run), who))
        described = take.run_info(name)
        for camera in CAMERAS:
            array = zarr.open_array(f"{store}/takes/walk.zarr/cameras/{camera}/alpha/{name}", mode="r")
            assert array.attrs["capmat"] == described
    assert verify(Root(store)).damaged == []


def test_a_model_that_makes_no_numbers_is_refused_with_the_place_and_nothing_is_stored(
    store: str, tmp_path: Path
) -> None:
    model = registered(store, tmp_path, "bgmv2_mobilenetv2_xs")
    network = load_network(store, model, fresh=True)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(3e38)  # numbers each, but what is made of them is none
    broken = Ref(name="nan", version=Registry(Root(store)).add("nan", dump_weights(network), described(network)))
    record = take_record(store, "walk")
    run = open_run(store, "walk", Run("student", broken))
    with pytest.raises(MatteError, match="take walk camera c00 frame 0: the matte of run .* holds nan"):
        matte(store, "walk", ["c00"], [0], Run("student", broken), record["digest"])
    assert Take.open(Root(store), "walk").matted(run, "c00") == []


def test_mattes_in_tiles_are_told_apart_from_those_of_whole_frames(
    store: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = registered(store, tmp_path, "bg_vitmatte_xs")
    take, whole = run(store, model)
    record = take_record(store, "walk")
    tiles = open_run(store, "walk", Run(model["name"], model, 32))
    assert tiles == f"{whole}-tiles32"
    capsys.readouterr()
    matte(store, "walk", ["c00"], [0], Run(model["name"], model, 32), record["digest"])
    assert "whole frames give slightly different mattes" in capsys.readouterr().out
    src, bgr = take.read("c00", 0), Stage.open(Root(store), take.stage).plate("c00")
    expected = snap(infer(load_network(store, model), src, bgr, tile=32)["pha"])
    assert np.allclose(take.read_alpha(tiles, "c00", 0), expected, atol=1e-4)
    assert np.abs(take.read_alpha(whole, "c00", 0) - expected).max() > 1e-4


def test_a_network_that_needs_a_trimap_is_refused_for_takes(store: str, tmp_path: Path) -> None:
    model = registered(store, tmp_path, "diffmatte_xs")
    record = take_record(store, "walk")
    with pytest.raises(ConfigError, match="take walk: diffmatte_xs needs a trimap for every frame"):
        matte(store, "walk", record["cameras"], record["frames"], Run("x", model), record["digest"])
