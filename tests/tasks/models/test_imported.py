"""Weights that others trained come in unchanged, or not at all; a registered model runs as it did before."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from capmat_errors import CapmatError, CheckpointError, ConfigError, NotFound
from capmat_models.networks.factory import create_model
from capmat_models.weights.official_names import official_name
from storage.registry import Registry
from storage.store.root import Root
from tasks.models.imported import import_exported, import_weights
from tasks.models.infer import infer
from tasks.models.networks import Ref, Run, described, find_model, load_network, register_base
from tests.capmat_models.weights.test_exported import Difference, traced
from tests.project import WEIGHTS

STUDENT = "bgmv2_mobilenetv2_xs"
SRC, BGR = np.random.default_rng(0).random((2, 3, 45, 70), dtype=np.float32)


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def official(model: nn.Module) -> dict[str, torch.Tensor]:
    return {official_name(name): value for name, value in model.state_dict().items()}


def released(model: nn.Module, path: Path, prefix: str = "") -> Path:
    """A checkpoint as its authors would have saved it."""
    state = {prefix + name: value for name, value in official(model).items()}
    if path.suffix == ".safetensors":
        safetensors.torch.save_file(state, path)
    else:
        torch.save(state, path)
    return path


def card(store: str, model: Any) -> dict[str, Any]:
    return Registry(Root(store)).load(model["name"], model["version"])[1]


@pytest.mark.parametrize(
    ("name", "file", "prefix"),
    [
        (STUDENT, "pytorch_mobilenetv2.pth", ""),
        ("bgmv2_mobilenetv2", "whole.safetensors", ""),
        ("diffmatte_xs", "diffmatte.pth", "model."),
        ("modnet", "modnet_photographic_portrait_matting.ckpt", "module."),
        ("rvm_mobilenetv3", "rvm_mobilenetv3.pth", ""),
    ],
)
def test_published_weights_come_in_to_the_last_bit(
    name: str, file: str, prefix: str, store: str, tmp_path: Path
) -> None:
    torch.manual_seed(3)
    theirs = create_model(name).eval()
    model = import_weights(store, released(theirs, tmp_path / file, prefix), name)
    ours = load_network(store, model)
    assert all(torch.equal(value.cpu(), theirs.state_dict()[key]) for key, value in ours.state_dict().items())
    said = card(store, model)
    assert (said["architecture"], said["kind"]) == (name, "published")
    assert said["source"]["file"] == file
    assert said["source"]["bytes"] == (tmp_path / file).stat().st_size
    assert said["parameters"] == sum(p.numel() for p in theirs.parameters())
    assert import_weights(store, tmp_path / file, name) == model


@pytest.mark.parametrize(("size", "rows"), [(512, 63), (1024, 127)])
def test_the_training_size_is_read_from_the_position_tables(size: int, rows: int, store: str, tmp_path: Path) -> None:
    theirs = create_model("diffmatte_xs", image_size=size).eval()
    assert len(theirs.state_dict()["backbone.blocks.1.attn.rel_pos_h"]) == rows
    model = import_weights(store, released(theirs, tmp_path / "com.pth", "model."), "diffmatte_xs")
    assert card(store, model)["config"] == {"image_size": size}
    assert load_network(store, model).config == theirs.config


def test_a_changed_configuration_travels_with_the_model(store: str, tmp_path: Path) -> None:
    theirs = create_model("bg_vitmatte_xs", guide="trimap", detail_channels=(8, 16, 32)).eval()
    file = released(theirs, tmp_path / "trimap.pth")
    changes = ["guide=trimap", "detail_channels=[8, 16, 32]"]
    model = import_weights(store, file, "bg_vitmatte_xs", name="mine", changes=changes)
    assert model["name"] == "mine"
    ours = load_network(store, model)
    assert ours.inputs == ("src", "trimap")
    assert described(ours) == {
        "architecture": "bg_vitmatte_xs",
        "config": {"guide": "trimap", "detail_channels": (8, 16, 32)},
    }


@pytest.mark.parametrize("change", ["image_size=big", "image_size", "guide=3", "detail_channels=8"])
def test_settings_of_the_wrong_kind_are_refused(change: str, store: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"--field {change}"):
        import_weights(store, released(nn.Linear(1, 1), tmp_path / "a.pth"), "bg_vitmatte_xs", changes=[change])
    with pytest.raises(ConfigError, match="no such setting: sized. Choose from"):
        import_weights(store, tmp_path / "a.pth", "bg_vitmatte_xs", changes=["sized=3"])


def test_trimap_weights_become_the_start_of_a_teacher(store: str, tmp_path: Path) -> None:
    theirs = create_model("bg_vitmatte_xs", guide="trimap", image_size=512)
    file = released(theirs, tmp_path / "ViTMatte_S_Com.pth")
    model = import_weights(store, file, "bg_vitmatte_xs", adapt=True)
    assert card(store, model)["kind"] == "adapted"
    assert card(store, model)["config"] == {"image_size": 512}
    ours = load_network(store, model)
    assert ours.inputs == ("src", "bgr")
    assert torch.equal(
        ours.state_dict()["backbone.patch_embed.proj.weight"][:, :3].cpu(),
        theirs.state_dict()["backbone.patch_embed.proj.weight"][:, :3],
    )
    with pytest.raises(CheckpointError, match="a trimap, but bg_vitmatte_xs takes a plate. Add --adapt background"):
        import_weights(store, file, "bg_vitmatte_xs")
    with pytest.raises(ConfigError, match="bgmv2_mobilenetv2_xs is not a ViTMatte"):
        import_weights(store, file, STUDENT, adapt=True)


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.victim),)


def broken(values: float) -> dict[str, torch.Tensor]:
    state = official(create_model(STUDENT))
    state["refiner.conv4.bias"] = torch.full((4,), values)
    return state


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda p: torch.save(create_model("diffmatte_xs").state_dict(), p), "belong to another network"),
        (lambda p: p.write_bytes(released(create_model(STUDENT), p).read_bytes()[:-5000]), "plain tensors"),
        (lambda p: p.write_bytes(b""), "its format is unknown"),
        (lambda p: p.write_text("<html>Quota exceeded</html>"), "its format is unknown"),
        (lambda p: p.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(99)), "its format is unknown"),
        (lambda p: torch.save(broken(float("nan")), p), "not numbers"),
        (lambda p: torch.save(broken(float("inf")), p), "not numbers"),
        (lambda p: torch.save({"model": Malicious(p.parent / "was_here")}, p), "plain tensors"),
        (lambda p: p.write_bytes(pickle.dumps(Malicious(p.parent / "was_here"))), "plain tensors"),
        (lambda p: p.write_bytes(traced(Difference(), torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8))), "--contract"),
        (lambda p: None, "No such file"),
    ],
)
def test_a_file_that_cannot_be_trusted_is_refused_and_nothing_is_kept(
    write: Callable[[Path], Any], says: str, store: str, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pth"
    write(file)
    with pytest.raises(CapmatError, match=says) as refusal:
        import_weights(store, file, STUDENT)
    assert str(file) in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value)  # torch's advice, which would run the file
    assert not (tmp_path / "was_here").exists()
    assert Registry(Root(store)).names() == []


def test_a_network_whose_matte_is_no_number_is_refused(store: str, tmp_path: Path) -> None:
    state = official(create_model("bg_vitmatte_xs"))
    state["decoder.matting_head.matting_convs.0.weight"].fill_(1e38)  # finite, until it is used
    torch.save(state, tmp_path / "loud.pth")
    with pytest.raises(CheckpointError, match=r"loud\.pth: the matte of a test picture runs from nan"):
        import_weights(store, tmp_path / "loud.pth", "bg_vitmatte_xs")
    assert Registry(Root(store)).names() == []


@pytest.mark.parametrize("role", ["student", "teacher", "supervisor"])
def test_no_model_takes_the_name_of_a_role(role: str, store: str, tmp_path: Path) -> None:
    weights = released(create_model(STUDENT), tmp_path / "a.pth")
    with pytest.raises(ConfigError, match=f"{role} stands for the model in use"):
        import_weights(store, weights, STUDENT, name=role)
    with pytest.raises(ConfigError, match=f"{role} stands for the model in use"):
        import_exported(store, weights, role, {"kind": "rgb"})
    assert Registry(Root(store)).names() == []


def test_networks_that_cannot_be_had_are_refused_with_the_way_out(store: str, tmp_path: Path) -> None:
    for name in ("bimatting", "bg_damnet"):
        with pytest.raises(ConfigError, match=f"{name}: .*models import FILE --as {name} --contract"):
            import_weights(store, released(nn.Linear(1, 1), tmp_path / "a.pth"), name)


def test_an_exported_file_is_kept_byte_by_byte_and_runs(store: str, tmp_path: Path) -> None:
    pair = torch.rand(1, 3, 64, 96), torch.rand(1, 3, 64, 96)
    file = tmp_path / "difference.pt"
    file.write_bytes(traced(Difference(), *pair))
    model = import_exported(store, file, "difference", {"kind": "rgb+plate"})
    data, said = Registry(Root(store)).load("difference", model["version"])
    assert data == file.read_bytes()
    assert (said["architecture"], said["format"], said["kind"]) == ("exported", "torchscript", "exported")
    assert import_exported(store, file, "difference", {"kind": "rgb+plate"}) == model
    pha = infer(load_network(store, model), SRC, BGR)["pha"]
    assert np.allclose(pha, np.abs(SRC - BGR).max(0), atol=1e-6)
    with pytest.raises(CheckpointError, match=r"difference\.pt: the file does not fit the contract 'rgb'"):
        import_exported(store, file, "other", {"kind": "rgb"})
    assert Registry(Root(store)).names() == ["difference"]


def test_a_network_of_an_unknown_format_is_refused_before_it_is_opened(store: str, tmp_path: Path) -> None:
    for name, data in (("a.pt", b"\x89HDF\r\n\x1a\n"), ("b.tflite", b"\x1c\0\0\0TFL3"), ("c", b"")):
        file = tmp_path / name
        file.write_bytes(data)
        with pytest.raises(CheckpointError, match=rf"{name}: its format is unknown"):
            import_exported(store, file, "any", {"kind": "rgb"})


def test_a_name_that_the_store_lacks_is_answered_with_those_that_it_has(store: str, tmp_path: Path) -> None:
    registry = Registry(Root(store))
    with pytest.raises(NotFound, match="no model is called student; the store has: none"):
        registry.resolve("student")
    import_weights(store, released(create_model(STUDENT), tmp_path / "a.pth"), STUDENT)
    with pytest.raises(NotFound, match=f"no model is called student; the store has: {STUDENT}. `capmat models`"):
        registry.resolve("student", "v0001")
    with pytest.raises(NotFound, match="no version is called v0009; the store has: v0001"):
        registry.resolve(STUDENT, "v0009")


def test_a_role_starts_from_imported_weights_where_the_folder_has_none(store: str, tmp_path: Path) -> None:
    empty = str(tmp_path / "no_weights")
    with pytest.raises(CheckpointError, match="the base weights are missing"):
        register_base(store, empty, {"student": STUDENT})
    versions = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        file = released(create_model(STUDENT), tmp_path / f"{seed}.pth")
        versions.append(import_weights(store, file, STUDENT))
    record = register_base(store, empty, {"student": STUDENT})
    assert record["student"] == versions[-1]
    assert Registry(Root(store)).champion("student") == (STUDENT, versions[-1]["version"])
    assert register_base(store, str(WEIGHTS), {"student": STUDENT})["student"] not in versions


def test_a_name_without_version_means_the_one_in_use_or_else_the_newest(store: str, tmp_path: Path) -> None:
    for seed in (1, 2):
        torch.manual_seed(seed)
        import_weights(store, released(create_model(STUDENT), tmp_path / f"{seed}.pth"), STUDENT)
    assert find_model(store, "", STUDENT)["version"] == "v0002"
    Registry(Root(store)).promote("student", STUDENT, "v0001", {})
    assert find_model(store, "", STUDENT)["version"] == "v0001"
    assert find_model(store, "", f"{STUDENT}@v0002")["version"] == "v0002"


def test_two_models_of_one_role_never_write_to_the_same_run() -> None:
    runs = [Run("student", Ref(name=name, version="v0001")).name for name in ("one", "other")]
    assert runs == ["student-one-v0001", "student-other-v0001"]
    assert Run("one", Ref(name="one", version="v0001")).name == "one-v0001"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_networks_run_on_the_gpu_and_arrays_come_back(store: str) -> None:
    model = register_base(store, str(WEIGHTS), {"student": STUDENT})["student"]
    network = load_network(store, model)
    assert next(network.parameters()).device.type == "cuda"
    there = infer(network, SRC, BGR)["pha"]
    here = infer(network.cpu(), SRC, BGR)["pha"]
    assert np.abs(there - here).max() < 1e-2
