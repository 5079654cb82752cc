"""Base weights come with a card that says how to make them again."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch

from capmat_errors import CheckpointError, TrainingError
from capmat_models.networks.factory import create_model
from capmat_models.weights.adapt import background_from_trimap
from capmat_models.weights.state import load_weights
from flows.command.main import main
from storage.pictures.files import read_image
from storage.pictures.png import encode_png
from tasks.train.base import small_settings, train_base_weights


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for part, channels in (("foregrounds", 4), ("backgrounds", 3)):
        folder = tmp_path / "data" / part
        folder.mkdir(parents=True)
        for index in range(3):
            picture = rng.integers(0, 256, (40, 50, channels)).astype(np.uint8)
            (folder / f"{index}.png").write_bytes(encode_png(picture))
    return tmp_path / "data"


def test_the_weights_load_and_the_card_repeats_them(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where no capmat.toml is
    folders = ["--set", f"base_data={data}", "--set", "weights=weights"]
    assert not main([*folders, "train-base", "teacher", "--iterations", "2", "--crop", "32", "--batch", "2"])
    folder = tmp_path / "weights" / "bg_vitmatte_xs"
    first = (folder / "model.safetensors").read_bytes()
    load_weights(create_model("bg_vitmatte_xs"), first)
    card = json.loads((folder / "card.json").read_text())
    assert card["data"]["files"] == 6
    assert set(card["metrics"]) == {"mse", "sad"}
    assert {path.name for path in folder.iterdir()} == {"card.json", "model.safetensors"}
    again = shlex.split(card["command"].replace("capmat", f"--set base_data={data} --set weights=again"))
    assert not main(again)
    assert (tmp_path / "again" / "bg_vitmatte_xs" / "model.safetensors").read_bytes() == first


@pytest.mark.parametrize(
    ("kind", "network", "small", "says"),
    [
        ("teacher", "bg_vitmatte_xs", {"crop": 16}, "a crop of 16 pixels is too small"),
        ("student", "bgmv2_mobilenetv2_xs", {"crop": 32, "batch": 3}, "one crop, of which BatchNorm"),
    ],
)
def test_what_would_fail_in_the_middle_of_a_training_is_refused_before_it(kind, network, small, says, data, tmp_path):
    with pytest.raises(TrainingError, match=says):
        train_base_weights(kind, network, data, tmp_path, iterations=10_000, **small)


def test_the_card_names_every_option_of_its_command(data, tmp_path):
    start = tmp_path / "start.safetensors"
    safetensors.torch.save_file(create_model("bg_vitmatte_xs").state_dict(), start)
    card = train_base_weights(
        "teacher", "bg_vitmatte_xs", data, tmp_path, iterations=1, seed=7, crop=32, batch=1, held=2, threads=1,
        mixed_precision=True, start=start,
    )  # fmt: skip
    assert card["command"] == (
        "capmat --set teacher.model=bg_vitmatte_xs --set seed=7 --set cluster.train_threads=1 train-base teacher "
        "--iterations 1 --crop 32 --batch 1 --held 2 --start start.safetensors --mixed-precision"
    )


def test_only_the_demo_sizes_train_at_their_high_rates():
    assert small_settings("teacher", "bg_vitmatte_s") == {}
    small = small_settings("teacher", "bg_vitmatte_xs")
    assert (small["lr"], small["layer_decay"]) == (3e-3, 1.0)


def test_a_training_can_start_from_an_encoder_alone(data, tmp_path):
    encoder = {k: v for k, v in create_model("bgmv2_mobilenetv2_xs").state_dict().items() if k.startswith("backbone")}
    start = tmp_path / "encoder.safetensors"
    safetensors.torch.save_file(encoder, start)
    small = {"iterations": 1, "crop": 32, "batch": 4, "lr": 1e-9, "start": start}
    card = train_base_weights("student", "bgmv2_mobilenetv2_xs", data, tmp_path / "a", **small)
    assert (card["started_from"], card["settings"]["joint_share"]) == (["backbone"], 0.3)
    trained = safetensors.torch.load_file(tmp_path / "a/bgmv2_mobilenetv2_xs/model.safetensors")
    weight = next(name for name in encoder if name.endswith("conv_stem.weight"))
    torch.testing.assert_close(trained[weight].float(), encoder[weight], atol=1e-3, rtol=0)
    encoder.popitem()
    safetensors.torch.save_file(encoder, start)
    with pytest.raises(CheckpointError, match="1 missing"):
        train_base_weights("student", "bgmv2_mobilenetv2_xs", data, tmp_path / "b", **small)


def test_a_blend_lies_between_start_and_result(data, tmp_path):
    start = tmp_path / "start.safetensors"
    safetensors.torch.save_file(create_model("bg_vitmatte_xs").state_dict(), start)
    small = {"iterations": 2, "crop": 32, "batch": 2, "start": start}
    results = []
    for share in (1.0, 0.25):
        out = tmp_path / str(share)
        card = train_base_weights("teacher", "bg_vitmatte_xs", data, out, blend=share, **small)
        results.append(safetensors.torch.load_file(out / "bg_vitmatte_xs" / "model.safetensors"))
    assert "--blend 0.25" in card["command"]
    floats = {k: v for k, v in safetensors.torch.load_file(start).items() if v.is_floating_point()}
    for name, before in floats.items():
        whole, blended = (result[name].float() for result in results)
        torch.testing.assert_close(blended, torch.lerp(before.float(), whole, 0.25), atol=1e-3, rtol=1e-3)
        if "running" in name:
            torch.testing.assert_close(whole, before.float(), msg="the norms keep the statistics of the start")
    with pytest.raises(TrainingError, match="no whole network"):
        train_base_weights("teacher", "bg_vitmatte_xs", data, tmp_path, blend=0.5, iterations=1)


def test_the_composites_can_be_looked_at_before_training(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert not main(["--set", f"base_data={data}", "train-base", "student", "--sheet", "sheet.jpg"])
    sheet = read_image(tmp_path / "sheet.jpg")
    assert sheet.shape[1] > 12 * 144
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["sheet.jpg"]


def test_a_training_can_start_from_weights_that_were_adapted(data, tmp_path):
    """Trimap weights, adapted to a plate, trained on."""
    trimap = create_model("bg_vitmatte_xs", guide="trimap").state_dict()
    start = tmp_path / "start.safetensors"
    safetensors.torch.save_file(background_from_trimap(trimap), start)
    small = {"iterations": 1, "crop": 32, "batch": 1}
    card = train_base_weights("teacher", "bg_vitmatte_xs", data, tmp_path / "a", start=start, **small)
    assert len(card["settings"]["start"]) == 64
    trained = safetensors.torch.load_file(tmp_path / "a/bg_vitmatte_xs/model.safetensors")
    moved = trained["backbone.pos_embed"] - trimap["backbone.pos_embed"]
    assert moved.abs().max() < 0.01, "one step away from where it started"
    with pytest.raises(CheckpointError, match="cannot be read"):
        train_base_weights("teacher", "bg_vitmatte_xs", data, tmp_path / "b", start=tmp_path / "none", **small)


def test_the_length_has_to_be_clear(data, tmp_path):
    with pytest.raises(TrainingError, match="either minutes or iterations"):
        train_base_weights("teacher", "bg_vitmatte_xs", data, tmp_path)


def test_the_module_does_not_load_torch():
    code = "import sys, tasks.train.base; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
