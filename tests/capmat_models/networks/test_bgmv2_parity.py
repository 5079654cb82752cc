"""BackgroundMattingV2 gives what the original gives, in every mode."""

import hashlib
import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from capmat_models.networks.factory import create_model
from capmat_models.weights.official_names import official_name
from capmat_models.weights.state import load_published
from tests.capmat_models.weight_fill import bgmv2_fill, disc_pair, filled
from tests.project import GOLDENS

LIMIT = 5e-5


@pytest.fixture(scope="module")
def model() -> nn.Module:
    network = create_model("bgmv2_mobilenetv2").eval()
    load_published(network, filled(network, bgmv2_fill, official_name))
    return network


def golden(name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    file = np.load(GOLDENS / f"bgmv2_{name}.npz")
    return {key: file[key] for key in file.files}, json.loads(str(file["meta"]))


@pytest.mark.parametrize(
    "name",
    [
        "full_128x192_s025",
        "sampling_132x204_s025",
        "sampling_256x320_s05",
        "threshold_128x192_s025",
        "threshold_none_64x96_s025",
    ],
)
def test_refined_mattes_equal_the_original(model: nn.Module, name: str) -> None:
    expected, meta = golden(name)
    for key in ("backbone_scale", "refine_mode", "refine_sample_pixels", "refine_threshold"):
        setattr(model, key, meta[key])
    src, bgr = disc_pair(meta["input_seed"], meta["height"], meta["width"])
    with torch.inference_mode():
        out = {key: value.numpy() for key, value in model(src, bgr).items()}
    strides = {"pha": "pha_stride", "fgr": "fgr_stride", "pha_sm": "sm_stride", "err_sm": "sm_stride"}
    for key, stride in strides.items():
        thin = out[key][..., :: meta[stride], :: meta[stride]]
        np.testing.assert_allclose(thin, expected[key], atol=LIMIT, rtol=0, err_msg=key)
    np.testing.assert_array_equal(out["ref_sm"], expected["ref_sm"])


def test_the_coarse_network_alone_equals_the_original(model: nn.Module) -> None:
    expected, meta = golden("base_176x272")
    src, bgr = disc_pair(meta["input_seed"], meta["height"], meta["width"])
    with torch.inference_mode():
        out = {key: value.numpy() for key, value in model.base(src, bgr).items()}
    out["hid"] = out["hid"][:, :: meta["hid_channel_stride"]]
    for key in ("pha", "fgr", "err", "hid"):
        stride = meta[f"{key}_stride"]
        np.testing.assert_allclose(out[key][..., ::stride, ::stride], expected[key], atol=LIMIT, rtol=0)


def test_made_up_weights_are_those_of_the_goldens(model: nn.Module) -> None:
    _, meta = golden("full_128x192_s025")
    digest = hashlib.sha256()
    for name, value in sorted(filled(model, bgmv2_fill, official_name).items()):
        digest.update(name.encode() + value.numpy().tobytes())
    assert digest.hexdigest() == meta["weights_sha256"]


def test_refining_every_cell_equals_the_dense_computation(model: nn.Module) -> None:
    src, bgr = disc_pair(7, 64, 96)
    model.backbone_scale, model.refine_mode = 0.25, "full"
    with torch.inference_mode():
        dense = model(src, bgr)["pha"]
        model.refine_mode, model.refine_threshold = "thresholding", -1.0
        torch.testing.assert_close(model(src, bgr)["pha"], dense, atol=1e-5, rtol=0)


def test_an_image_gets_the_same_matte_alone_and_in_a_batch(model: nn.Module) -> None:
    pairs = [disc_pair(seed, 64, 96) for seed in (11, 21)]
    src, bgr = (torch.cat(side) for side in zip(*pairs, strict=True))
    model.backbone_scale, model.refine_mode, model.refine_sample_pixels = 0.25, "sampling", 1600
    with torch.inference_mode():
        together = model(src, bgr)["pha"]
        alone = torch.cat([model(*pair)["pha"] for pair in pairs])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
