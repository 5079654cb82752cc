"""Every network can be built by name, mattes frames of any size, and can be trained."""

import json
import subprocess
import sys
from dataclasses import asdict

import pytest
import torch
from torch import nn

from capmat_errors import ConfigError
from capmat_models.networks.configs import ARCHITECTURES
from capmat_models.networks.factory import create_model, list_models

FULL = ["bg_vitmatte_s", "bgmv2_mobilenetv2", "diffmatte_vits", "vitmatte_s"]
DEMO = ["bg_vitmatte_xs", "bgmv2_mobilenetv2_xs", "diffmatte_xs"]
BASELINES = ["modnet", "rvm_mobilenetv3", "bgm"]
QUICK = {"modnet": {"working_side": 64}, "bgm": {"working_side": 16}}


def inputs(model: nn.Module, n: int, height: int, width: int) -> tuple[torch.Tensor, ...]:
    channels = {"src": 3, "bgr": 3, "trimap": 1, "mask": 1}
    return tuple(torch.rand(n, channels[kind], height, width) for kind in model.inputs)


def test_the_catalogue_has_full_and_demo_sizes_and_baselines() -> None:
    assert sorted(list_models()) == sorted([*FULL, *DEMO, *BASELINES, "closed_form"])
    assert list_models("student") == ["bgmv2_mobilenetv2", "bgmv2_mobilenetv2_xs"]
    assert list_models("baseline") == BASELINES


def test_the_catalogue_says_what_each_network_takes() -> None:
    assert {name: entry.inputs for name, entry in ARCHITECTURES.items()} == {
        **dict.fromkeys(["bg_vitmatte_s", "bg_vitmatte_xs"], ("src", "bgr")),
        **dict.fromkeys(["bgmv2_mobilenetv2", "bgmv2_mobilenetv2_xs"], ("src", "bgr")),
        **dict.fromkeys(["vitmatte_s", "diffmatte_vits", "diffmatte_xs", "closed_form"], ("src", "trimap")),
        **dict.fromkeys(["modnet", "rvm_mobilenetv3"], ("src",)),
        "bgm": ("src", "bgr", "mask"),
    }
    assert create_model("bg_vitmatte_xs", guide="trimap").inputs == ("src", "trimap")
    assert [name for name, entry in ARCHITECTURES.items() if entry.recurrent] == ["rvm_mobilenetv3"]
    assert [name for name, entry in ARCHITECTURES.items() if entry.rig] == list_models("student")
    assert list_models("supervisor") == ["diffmatte_vits", "diffmatte_xs", "closed_form"]
    assert [name for name, entry in ARCHITECTURES.items() if entry.sampled] == ["diffmatte_vits", "diffmatte_xs"]
    assert [name for name, entry in ARCHITECTURES.items() if entry.package] == ["closed_form"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [("bimatting", "import FILE --as bimatting --contract recurrent"), ("bg_damnet", "nobody has released weights")],
)
def test_networks_that_cannot_be_had_say_why_and_what_to_do(name: str, advice: str) -> None:
    assert name not in list_models()
    with pytest.raises(ConfigError, match=f"{name}: .*{advice}"):
        create_model(name)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("vitmatte_s", 25_814_753),
        ("bgmv2_mobilenetv2", 5_006_839),
        ("diffmatte_vits", 29_014_273),
    ],
)
def test_full_sizes_have_the_published_number_of_parameters(name: str, parameters: int) -> None:
    assert sum(p.numel() for p in create_model(name).parameters()) == parameters


def test_demo_networks_fit_into_10_mb_together() -> None:
    numbers = sum(v.numel() for name in DEMO for v in create_model(name).state_dict().values())
    assert 2 * numbers < 10e6


@pytest.mark.parametrize("name", DEMO + BASELINES)
@pytest.mark.parametrize("size", [(1, 1), (37, 53), (2, 130), (3, 1700)])
def test_any_size_gives_a_finite_matte_of_that_size(name: str, size: tuple[int, int]) -> None:
    model = create_model(name, **QUICK.get(name, {})).eval()
    with torch.inference_mode():
        out = model(*inputs(model, 1, *size))
    assert out["pha"].shape == (1, 1, *size)
    assert all(value.isfinite().all() for key, value in out.items() if key != "state")
    assert all(memory.isfinite().all() for memory in out.get("state", ()))
    assert out["pha"].min() >= 0
    assert out["pha"].max() <= 1


@pytest.mark.parametrize("mode", ["full", "sampling", "thresholding"])
def test_the_student_refines_frames_of_any_size_in_every_mode(mode: str) -> None:
    model = create_model("bgmv2_mobilenetv2_xs", refine_mode=mode, backbone_scale=0.125).eval()
    with torch.inference_mode():
        assert model(*inputs(model, 2, 37, 53))["fgr"].shape == (2, 3, 37, 53)


@pytest.mark.parametrize("size", [(64, 96), (200, 120)])
def test_a_share_of_the_frame_is_refined_whatever_its_size(size: tuple[int, int]) -> None:
    model = create_model("bgmv2_mobilenetv2_xs", refine_share=0.25, prevent_oversampling=False).eval()
    with torch.inference_mode():
        given = inputs(model, 2, *size)
        assert model(*given)["ref_sm"].mean().item() == pytest.approx(0.25, abs=0.01)
        assert model(*given, everywhere=True)["ref_sm"].mean().item() == 1.0


@pytest.mark.parametrize("name", DEMO + BASELINES)
@pytest.mark.parametrize("way", ["autocast", "weights"])
def test_half_precision_gives_nearly_the_same_matte(name: str, way: str) -> None:
    model = create_model(name, **QUICK.get(name, {})).eval()
    given = inputs(model, 1, 16, 24)
    with torch.inference_mode():
        exact = model(*given)["pha"]
        if way == "autocast":
            with torch.autocast("cpu", torch.bfloat16):
                half = model(*given)["pha"]
        else:
            half = model.bfloat16()(*(x.bfloat16() for x in given))["pha"]
    assert (half.float() - exact).abs().mean() < 0.02


@pytest.mark.parametrize("name", FULL[:3])
def test_full_networks_learn_one_step(name: str) -> None:
    model = create_model(name)
    assert loss_after_step(model) < float("inf")


@pytest.mark.parametrize("name", DEMO)
def test_every_weight_of_a_demo_network_gets_a_gradient(name: str) -> None:
    model = create_model(name)
    if name.startswith("bgmv2"):
        model.refine_mode = "full"
    loss_after_step(model)
    unused = [key for key, p in model.named_parameters() if p.grad is None]
    assert unused == []


def loss_after_step(model: nn.Module) -> float:
    optimiser = torch.optim.SGD(model.parameters(), 1e-4)
    src, guide = inputs(model, 2, 64, 64)
    if model.sampled:
        out = model.predict(model.encode(src, (guide * 2).round() / 2), torch.randn(2, 1, 64, 64), torch.rand(2))
        loss = out.square().mean()
    else:
        loss = sum(value.float().square().mean() for value in model(src, guide).values())
    loss.backward()
    optimiser.step()
    assert all(p.isfinite().all() for p in model.parameters())
    return loss.item()


def test_a_configuration_survives_json() -> None:
    model = create_model("bg_vitmatte_xs", depth=2, global_blocks=(1,))
    again = create_model(model.architecture, **json.loads(json.dumps(asdict(model.config))))
    assert again.config == model.config


def test_unknown_names_and_settings_are_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError, match="Choose one of vitmatte_s, bg_vitmatte_s"):
        create_model("resnet50")
    with pytest.raises(ConfigError, match="no such setting: widht. Choose from .*depth"):
        create_model("vitmatte_s", widht=3)
    student = create_model("bgmv2_mobilenetv2_xs").eval()
    student.refine_mode = "sometimes"
    with pytest.raises(ConfigError, match="full, sampling or thresholding"):
        student(*inputs(student, 1, 8, 8))


@pytest.mark.parametrize(
    ("name", "settings", "says"),
    [
        ("bg_vitmatte_xs", {"num_heads": 5}, "num_heads=5.*divisible"),
        ("bg_vitmatte_xs", {"detail_channels": [8, 16]}, "detail_channels"),
        ("bg_vitmatte_xs", {"image_size": 0}, "image_size=0"),
        ("bg_vitmatte_xs", {"padding": "oficial"}, "padding is 'oficial'. Choose from minimal, official"),
        ("bgmv2_mobilenetv2_xs", {"encoder": "mobilenet"}, "encoder=mobilenet"),
        ("bgmv2_mobilenetv2_xs", {"refiner_channels": [8]}, "refiner_channels"),
        ("bgmv2_mobilenetv2_xs", {"refine_mode": "half"}, "Choose from full, sampling, thresholding"),
        ("modnet", {"working_side": 8}, "Choose 0 or at least 32"),
    ],
)
def test_settings_that_no_network_can_have_are_refused(name: str, settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=f"{name}: .*{says}"):
        create_model(name, **settings)


def test_asking_what_there_is_costs_no_torch() -> None:
    code = "import sys, capmat_models.networks.factory as f; f.list_models(); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
