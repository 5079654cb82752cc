"""The baselines of Table 1 give what the originals give, and read what their authors released."""

import hashlib
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from torch import nn

from capmat_errors import CheckpointError, ConfigError, SizeMismatch
from capmat_models.networks.bgm import box_around, clean, largest_part
from capmat_models.networks.factory import create_model
from capmat_models.networks.modnet import working_size
from capmat_models.weights.official_names import official_name
from capmat_models.weights.state import load_published
from tests.capmat_models.weight_fill import bgmv2_fill, disc_pair, filled
from tests.project import GOLDENS

RVM = ["rvm_mbv3_3frames_108x140_r0375", "rvm_mbv3_2frames_96x128_r1"]
FILES = {"modnet": "modnet_128x160", "rvm_mobilenetv3": RVM[0], "bgm": "bgm2020_64x96"}


def golden(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    file = np.load(GOLDENS / f"{name}.npz")
    return {key: file[key] for key in file.files}, json.loads(str(file["meta"]))


def made_up(model: nn.Module) -> dict[str, torch.Tensor]:
    """Weights as the authors' file would hold them."""
    gain = golden(FILES[model.architecture])[1]["fill_gain"]
    state = filled(model, lambda name, shape: bgmv2_fill(name, shape, gain), official_name)
    if "refiner.box_filter.weight" in state:
        state["refiner.box_filter.weight"] = torch.full((4, 1, 3, 3), 1 / 9)
    if model.architecture == "modnet":
        encoder = {name: value for name, value in state.items() if name.startswith("backbone.")}
        state |= {f"lr_branch.{name}": value for name, value in encoder.items()}
    return state


def loaded(name: str, **config: Any) -> nn.Module:
    model = create_model(name, **config).eval()
    load_published(model, made_up(model))
    return model


@pytest.mark.parametrize("name", FILES)
def test_names_and_shapes_are_those_of_the_released_files(name: str) -> None:
    _, meta = golden(FILES[name])
    digest = hashlib.sha256()  # covers every name and, through the made-up values, every shape
    for key, value in sorted(made_up(create_model(name)).items()):
        digest.update(key.encode() + value.numpy().tobytes())
    assert digest.hexdigest() == meta["weights_sha256"]


@pytest.mark.parametrize(
    ("name", "parameters"), [("modnet", 6_487_075), ("rvm_mobilenetv3", 3_748_633), ("bgm", 17_908_420)]
)
def test_sizes_are_the_published_ones(name: str, parameters: int) -> None:
    # The box of RVM's guided filter is a stored constant.
    assert sum(p.numel() for p in create_model(name).parameters()) == parameters


def test_modnet_equals_the_original() -> None:
    expected, _ = golden(FILES["modnet"])
    model = loaded("modnet", working_side=0)
    src = torch.from_numpy(expected["src_u8"]).float() / 255
    with torch.inference_mode():
        ours = model.network(2 * src - 1)
        torch.testing.assert_close(model(src)["pha"], ours, atol=1e-6, rtol=0)
    np.testing.assert_allclose(ours.numpy(), expected["matte"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", RVM)
def test_rvm_equals_the_original_over_several_frames(name: str) -> None:
    expected, meta = golden(name)
    model = loaded("rvm_mobilenetv3")
    frames, _ = disc_pair(meta["input_seed"], meta["height"], meta["width"], meta["frames"])
    ratio, state, mattes = meta["downsample_ratio"], None, []
    with torch.inference_mode():
        for frame in frames.split(1):
            out = model(frame, state, ratio)
            state = out["state"]
            mattes.append(out["pha"])
    ours = {"pha_first": mattes[0][..., ::3, ::3], "pha_last": mattes[-1], "fgr_last": out["fgr"][..., ::3, ::3]}
    ours |= {f"r{level}": memory[:, ::4] for level, memory in enumerate(state, 1)}
    for key, value in ours.items():
        np.testing.assert_allclose(value.numpy(), expected[key], atol=5e-5, rtol=0, err_msg=key)


def test_bgm_equals_the_original() -> None:
    expected, _ = golden(FILES["bgm"])
    img, back, seg = (
        2 * (torch.from_numpy(expected[f"{key}_u8"]).float() / 255) - 1 for key in ("img", "back", "seg")
    )
    with torch.inference_mode():
        out = loaded("bgm").network(img, back, seg)
    np.testing.assert_allclose(out["alpha"].numpy(), expected["alpha"], atol=5e-5, rtol=0)
    largest = np.abs(expected["fg"]).max()
    np.testing.assert_allclose(out["fg"][..., ::2, ::2].numpy(), expected["fg"], atol=1e-3 * largest, rtol=0)


def test_modnet_reads_its_checkpoint_with_prefix_and_doubled_encoder(tmp_path: Path) -> None:
    model = create_model("modnet")
    released = {f"module.{name}": value for name, value in made_up(model).items()}
    assert len(released) == 751
    torch.save(released, tmp_path / "modnet_webcam_portrait_matting.ckpt")
    load_published(model, tmp_path / "modnet_webcam_portrait_matting.ckpt")
    ours, theirs = "backbone.model.conv_head.weight", "module.lr_branch.backbone.model.features.18.0.weight"
    assert torch.equal(model.state_dict()[ours], released[theirs])


def test_a_doubled_encoder_whose_halves_differ_is_refused() -> None:
    model = create_model("modnet")
    state = made_up(model)
    state["lr_branch.backbone.model.features.0.1.bias"] = torch.ones(32)
    before = model.state_dict()["backbone.model.bn1.bias"].clone()
    with pytest.raises(CheckpointError, match="lr_branch.backbone.model.features.0.1.bias differs from backbone"):
        load_published(model, state)
    assert torch.equal(model.state_dict()["backbone.model.bn1.bias"], before)


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((4608, 5328), (512, 576)),  # a capture frame: far smaller
        ((300, 400), (512, 672)),  # wholly below 512: grown
        ((480, 640), (480, 640)),  # 512 lies between the sides: as it is, but for multiples of 32
        ((500, 650), (480, 640)),
        ((1, 1), (512, 512)),
        ((20, 600), (32, 576)),
        ((2, 511), (512, 4096)),  # a strip does not grow without limit
    ],
)
def test_modnet_sees_frames_at_the_published_working_size(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert working_size(size, 512) == seen


def test_rvm_remembers_each_camera_of_a_batch_by_itself() -> None:
    model = loaded("rvm_mobilenetv3")
    one, two = disc_pair(31, 40, 56, 2)[0], disc_pair(41, 40, 56, 2)[0]
    with torch.inference_mode():
        together = model(two, model(one)["state"])["pha"]
        alone = torch.cat(
            [model(b, model(a)["state"])["pha"] for a, b in zip(one.split(1), two.split(1), strict=True)]
        )
        without = model(two)["pha"]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert (together - without).abs().max() > 1e-3


def test_a_state_of_frames_of_another_size_is_refused() -> None:
    model = create_model("rvm_mobilenetv3").eval()
    with torch.inference_mode(), pytest.raises(SizeMismatch, match="keep one size per camera"):
        model(torch.rand(1, 3, 64, 64), model(torch.rand(1, 3, 32, 48))["state"])


def test_cleaning_a_mask_equals_opencv() -> None:
    coarse = torch.zeros(1, 1, 200, 160)
    coarse[..., 30:, 20:120] = 0.7  # touches the lower edge, where nothing may be eaten away
    coarse[..., 5:15, 130:140] = 1  # too small to survive
    subject = (coarse[0, 0].numpy() > 0.2).astype(np.uint8)
    small, large = (cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side)) for side in (3, 5))
    subject = cv2.dilate(cv2.erode(subject, small, iterations=10), large, iterations=5)
    expected = cv2.GaussianBlur(subject.astype(np.float32), (31, 31), 0)
    np.testing.assert_allclose(clean(coarse)[0, 0].numpy(), expected, atol=1e-5, rtol=0)


def test_the_box_is_a_square_with_a_margin_that_stays_in_the_frame() -> None:
    mask = torch.zeros(1, 1, 300, 400)
    mask[..., 100:200, 150:190] = 1
    assert box_around(mask) == (slice(95, 205), slice(115, 225))
    mask = torch.zeros(1, 1, 300, 400)
    mask[..., 200:300, 360:] = 0.5
    assert box_around(mask) == (slice(190, 300), slice(290, 400))
    assert box_around(torch.ones(1, 1, 300, 400)) == (slice(0, 300), slice(0, 400))
    assert box_around(torch.full((1, 1, 300, 400), 0.1)) is None


def test_only_the_largest_part_of_a_matte_is_kept() -> None:
    pha = torch.zeros(1, 1, 20, 20)
    pha[..., 2:8, 2:8] = 0.5
    pha[..., 8, 8] = 0.2  # hangs on by a corner
    pha[..., 15:18, 15:18] = 1
    expected = (pha > 0).float()
    expected[..., 15:18, 15:18] = 0
    assert torch.equal(largest_part(pha), expected)
    assert largest_part(torch.zeros(1, 1, 4, 4)).sum() == 0


def test_bgm_leaves_everything_outside_the_box_empty_and_frames_without_mask_too() -> None:
    model = loaded("bgm", working_side=64)
    src, bgr = torch.rand(2, 2, 3, 90, 120)
    mask = torch.zeros(2, 1, 90, 120)
    mask[0, :, 20:80, 30:90] = 1
    with torch.inference_mode():
        out = model(src, bgr, mask)
    rows, columns = box_around(mask[:1])
    outside = torch.ones(90, 120, dtype=torch.bool)
    outside[rows, columns] = False
    assert out["pha"][0].amax() > 0.5
    assert out["pha"][0, :, outside].sum() == 0
    assert out["pha"][1].sum() == 0


def test_bgm_at_its_working_size_is_the_network_between_cleaning_and_choosing_the_largest_part() -> None:
    model = loaded("bgm", working_side=64)
    model.get_parameter("model_al_out.9.bias").data += 0.5  # made-up weights alone make nothing opaque
    src, bgr = disc_pair(51, 64, 64)
    mask = torch.ones(1, 1, 64, 64)  # the box is the frame, so nothing is scaled
    mask[..., :10] = 0.1
    mask[..., -1:, :] = mask[..., :1, :] = 1
    with torch.inference_mode():
        out = model(src, bgr, mask)
        raw = model.network(2 * src - 1, 2 * bgr - 1, 2 * clean(mask) - 1)
    pha = (raw["alpha"] + 1) / 2 * largest_part((raw["alpha"] + 1) / 2)
    torch.testing.assert_close(out["pha"], pha, atol=1e-6, rtol=0)
    opaque = (pha > 0.95).expand_as(src)
    torch.testing.assert_close(out["fgr"][opaque], src[opaque], atol=1e-6, rtol=0)
    torch.testing.assert_close(out["fgr"][~opaque], ((raw["fg"] + 1) / 2).clamp(0, 1)[~opaque], atol=1e-6, rtol=0)
    assert 0 < opaque.float().mean() < 1


@pytest.mark.parametrize(("name", "side"), [("modnet", 16), ("modnet", -1), ("bgm", 510), ("bgm", 0)])
def test_working_sizes_that_do_not_suit_a_network_are_refused(name: str, side: int) -> None:
    with pytest.raises(ConfigError, match=f"{name}: working_side is {side}"):
        create_model(name, working_side=side)


@pytest.mark.parametrize("ratio", [0, -0.5, 2])
def test_rvm_refuses_to_work_on_nothing_or_on_more_than_the_frame(ratio: float) -> None:
    with pytest.raises(ConfigError, match="above 0 and at most 1"):
        create_model("rvm_mobilenetv3").eval()(torch.rand(1, 3, 32, 32), None, ratio)


def test_bgm_refuses_a_mask_of_another_size() -> None:
    src, bgr = torch.rand(2, 1, 3, 40, 40)
    with pytest.raises(SizeMismatch, match="40x40, 40x40, 20x20"):
        create_model("bgm")(src, bgr, torch.ones(1, 1, 20, 20))
