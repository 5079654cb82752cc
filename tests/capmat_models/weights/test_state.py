"""Weights come back as they were, and nothing else gets in."""

import io
import os
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from capmat_errors import CheckpointError
from capmat_models.networks.factory import create_model
from capmat_models.weights.adapt import background_from_trimap
from capmat_models.weights.official_names import TRANSFORMERS, official_name
from capmat_models.weights.state import dump_weights, load_published, load_weights


@pytest.fixture
def student() -> nn.Module:
    return create_model("bgmv2_mobilenetv2_xs").eval()


def same(one: nn.Module, other: nn.Module) -> bool:
    theirs = other.state_dict()
    return all(torch.equal(value, theirs[name]) for name, value in one.state_dict().items())


def test_weights_come_back_exactly_at_full_precision(student: nn.Module) -> None:
    other = create_model("bgmv2_mobilenetv2_xs")
    load_weights(other, dump_weights(student, half=False))
    assert same(student, other)


def test_half_precision_halves_the_size_and_hardly_moves_the_matte(student: nn.Module) -> None:
    weights = dump_weights(student)
    assert len(weights) < 0.53 * len(dump_weights(student, half=False))
    other = create_model("bgmv2_mobilenetv2_xs").eval()
    load_weights(other, weights)
    src, bgr = torch.rand(2, 1, 3, 64, 64)
    with torch.inference_mode():
        difference = student.base(src, bgr)["pha"] - other.base(src, bgr)["pha"]
    assert difference.abs().max() < 5e-3
    assert all(p.dtype == torch.float32 for p in other.parameters())


def test_values_beyond_half_precision_keep_32_bits(student: nn.Module) -> None:
    student.refiner.bn1.running_var.fill_(1e6)
    other = create_model("bgmv2_mobilenetv2_xs")
    load_weights(other, dump_weights(student))
    assert other.refiner.bn1.running_var[0] == 1e6


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_torn_weights_are_refused(student: nn.Module, keep: int) -> None:
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(student, dump_weights(student)[:keep])


def test_weights_of_another_network_are_refused_by_name_and_change_nothing(student: nn.Module) -> None:
    before = {name: value.clone() for name, value in student.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"382 missing \(backbone.conv_stem.weight, .* and 379 more\)"):
        load_weights(student, dump_weights(create_model("diffmatte_xs")))
    wider = create_model("bgmv2_mobilenetv2_xs", hidden_channels=24)
    with pytest.raises(CheckpointError, match=r"decoder.conv4.weight \(29, 38, 3, 3\) instead of \(21,"):
        load_weights(student, dump_weights(wider))
    assert all(torch.equal(value, before[name]) for name, value in student.state_dict().items())


def test_weights_that_are_no_numbers_are_neither_kept_nor_loaded(student: nn.Module) -> None:
    state = student.state_dict()
    state["refiner.conv4.bias"] = torch.full((4,), torch.nan)
    with pytest.raises(CheckpointError, match="refiner.conv4.bias"):
        load_weights(student, safetensors.torch.save(state))
    with torch.no_grad():
        student.refiner.conv4.bias.fill_(torch.inf)
    with pytest.raises(CheckpointError, match="Training diverged"):
        dump_weights(student)


def test_longer_position_tables_tell_the_training_size() -> None:
    large = create_model("diffmatte_xs", image_size=512)
    with pytest.raises(CheckpointError, match="image_size that it was trained with"):
        load_published(create_model("diffmatte_xs"), large.state_dict())


@pytest.mark.parametrize("wrap", ["bare", "model", "state_dict", "prefix", "safetensors"])
def test_released_files_load_in_every_common_form(student: nn.Module, tmp_path: Path, wrap: str) -> None:
    official = {official_name(name): value for name, value in student.state_dict().items()}
    path = tmp_path / ("student.safetensors" if wrap == "safetensors" else "student.pth")
    if wrap == "safetensors":
        safetensors.torch.save_file(official, path)
    elif wrap == "prefix":
        torch.save({f"model.{name}": value for name, value in official.items()}, path)
    else:
        torch.save(official if wrap == "bare" else {wrap: official, "epoch": 3}, path)
    other = create_model("bgmv2_mobilenetv2_xs")
    load_published(other, path)
    assert same(student, other)


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.victim),)


def test_a_checkpoint_cannot_run_code(student: nn.Module, tmp_path: Path) -> None:
    victim = tmp_path / "was_here"
    torch.save({"refiner.conv4.bias": Malicious(victim)}, tmp_path / "a.pth")
    (tmp_path / "b.pth").write_bytes(pickle.dumps({"model": Malicious(victim)}))
    for name in ("a.pth", "b.pth"):
        with pytest.raises(CheckpointError, match="not a file of plain tensors"):
            load_published(student, tmp_path / name)
    assert not victim.exists()


def test_files_that_are_no_checkpoints_are_refused(student: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="does not exist"):
        load_published(student, tmp_path / "nowhere.pth")
    (tmp_path / "page.pth").write_text("<html>Quota exceeded</html>")
    with pytest.raises(CheckpointError, match="page.pth"):
        load_published(student, tmp_path / "page.pth")
    torch.save([torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(CheckpointError, match="holds a list"):
        load_published(student, tmp_path / "list.pth")
    torch.save({3: torch.zeros(3)}, tmp_path / "numbered.pth")
    with pytest.raises(CheckpointError, match="1 unexpected \\(3\\)"):
        load_published(student, tmp_path / "numbered.pth")
    (tmp_path / "empty.ckpt").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"empty\.ckpt"):
        load_published(student, tmp_path / "empty.ckpt")
    torch.save({"epoch": 3}, tmp_path / "numbers.pth")
    with pytest.raises(CheckpointError, match="382 missing"):
        load_published(student, tmp_path / "numbers.pth")


@pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_whatever_happened_to_a_file_it_is_refused_and_never_half_loaded(form: str, data: st.DataObject) -> None:
    model = nn.Linear(3, 2)
    before = model.weight.clone()
    whole = io.BytesIO()
    if form == "safetensors":
        whole.write(safetensors.torch.save(model.state_dict()))
    else:
        torch.save(model.state_dict(), whole, _use_new_zipfile_serialization=form == "zip")
    torn = bytearray(whole.getvalue())
    if data.draw(st.booleans()):
        torn = torn[: data.draw(st.integers(0, len(torn) - 1))]
    else:
        for at in data.draw(st.lists(st.integers(0, len(torn) - 1), min_size=1, max_size=4)):
            torn[at] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "torn.safetensors" if form == "safetensors" else "torn.pth")
        path.write_bytes(torn)
        try:
            load_published(model, path)
        except CheckpointError:
            assert torch.equal(model.weight, before)
        else:  # a byte of padding, or of a value
            assert model.weight.isfinite().all()


def test_released_weights_that_are_no_numbers_are_refused(student: nn.Module, tmp_path: Path) -> None:
    state = {official_name(name): value.clone() for name, value in student.state_dict().items()}
    state["refiner.conv4.bias"][1] = torch.nan
    torch.save(state, tmp_path / "nan.pth")
    with pytest.raises(CheckpointError, match=r"nan\.pth: weights are not numbers.*refiner.conv4.bias"):
        load_published(student, tmp_path / "nan.pth")


@pytest.mark.parametrize(
    "change",
    [
        lambda x: torch.quantize_per_tensor(x, 0.1, 0, torch.qint8),
        torch.Tensor.to_sparse,
        lambda x: x.to("meta"),
        lambda x: x.to(torch.complex64),
        lambda _: 3,
    ],
    ids=["quantised", "sparse", "meta", "complex", "number"],
)
@pytest.mark.filterwarnings("ignore:torch.quantize_per_tensor")
def test_released_weights_that_are_no_plain_tensors_are_refused(
    change: Callable[[torch.Tensor], object], student: nn.Module, tmp_path: Path
) -> None:
    state = {official_name(name): value for name, value in student.state_dict().items()}
    name = "refiner.conv4.weight"
    torch.save({**state, name: change(state[name])}, tmp_path / "odd.pth")
    with pytest.raises(CheckpointError, match=rf"odd\.pth: .*1 not a plain tensor \({name}\)"):
        load_published(student, tmp_path / "odd.pth")


def test_only_a_trimap_network_can_be_adapted_to_a_plate() -> None:
    with pytest.raises(CheckpointError, match="trimap input"):
        background_from_trimap(create_model("bg_vitmatte_xs").state_dict())


def test_vitmatte_weights_of_the_transformers_library_load(tmp_path: Path) -> None:
    theirs = create_model("vitmatte_s", depth=2, global_blocks=(1,))
    renamed = {}
    for name, value in theirs.state_dict().items():
        for library, official in TRANSFORMERS:
            name = name.replace(official, library)
        renamed[name] = value
    assert "backbone.encoder.layer.1.attention.rel_pos_h" in renamed
    assert "decoder.fusion_blocks.0.conv.batch_norm.running_mean" in renamed
    safetensors.torch.save_file(renamed, tmp_path / "model.safetensors")
    ours = create_model("vitmatte_s", depth=2, global_blocks=(1,))
    load_published(ours, tmp_path / "model.safetensors")
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in ours.state_dict().items())
