"""ViTMatte gives what the original gives."""

import numpy as np
import pytest
import torch

from capmat_models.networks.factory import create_model
from capmat_models.weights.adapt import background_from_trimap
from capmat_models.weights.state import load_published
from tests.capmat_models.weight_fill import filled, tagged_image, tagged_trimap, vit_fill
from tests.project import GOLDENS

LIMIT = 2e-5


def distance(name: str, tag: str, field: str, architecture: str, padding: str = "minimal") -> float:
    golden = np.load(GOLDENS / f"{name}.npz")
    height, width = golden["size"]
    model = create_model(architecture, padding=padding).eval()
    load_published(model, filled(model, vit_fill))
    if model.config.guide == "trimap":
        guide = tagged_trimap(tag, height, width)
    else:
        guide = tagged_image("background", tag, height, width)
    with torch.inference_mode():
        pha = model(tagged_image("image", tag, height, width), guide)["pha"]
    stride = int(golden["alpha_stride"])
    return float(np.abs(pha[0, 0].numpy()[::stride, ::stride] - golden[field]).max())


# At 512x512 the position tables fit as they are; the other sizes resample them.
@pytest.mark.parametrize(("name", "tag"), [("64x96", "a"), ("256x320", "c"), ("512x512", "d")])
def test_trimap_form_equals_the_original(name: str, tag: str) -> None:
    assert distance(f"vitmatte_s_trimap_{name}", tag, "alpha", "vitmatte_s") < LIMIT


@pytest.mark.parametrize(("name", "tag"), [("64x96", "a"), ("256x320", "c")])
def test_background_form_equals_the_original(name: str, tag: str) -> None:
    assert distance(f"vitmatte_s_background_{name}", tag, "alpha", "bg_vitmatte_s") < LIMIT


@pytest.mark.parametrize(("padding", "field"), [("official", "alpha"), ("minimal", "alpha_minimal_padding")])
def test_both_padding_rules_equal_their_originals(padding: str, field: str) -> None:
    assert distance("vitmatte_s_trimap_96x150_padding", "b", field, "vitmatte_s", padding) < LIMIT


def test_attention_in_pieces_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    model = create_model("bg_vitmatte_xs").eval()
    src, bgr = torch.rand(2, 1, 3, 160, 224)
    with torch.inference_mode():
        at_once = model(src, bgr)["pha"]
        monkeypatch.setattr("capmat_models.networks.vit._BIAS_ELEMENTS", 1)  # one row of tokens at a time
        in_pieces = model(src, bgr)["pha"]
    torch.testing.assert_close(in_pieces, at_once, atol=1e-6, rtol=0)


def test_a_trimap_network_becomes_a_background_network_that_ignores_the_plate() -> None:
    old = create_model("vitmatte_s").eval()
    load_published(old, filled(old, vit_fill))
    new = create_model("bg_vitmatte_s").eval()
    load_published(new, background_from_trimap(old.state_dict(), "zero"))
    src, one, another = torch.rand(3, 1, 3, 64, 64)
    with torch.inference_mode():
        pha = new(src, one)["pha"]
        # a trimap of zeros is what dropping its column amounts to
        torch.testing.assert_close(pha, old(src, torch.zeros(1, 1, 64, 64))["pha"], atol=1e-5, rtol=0)
        torch.testing.assert_close(new(src, another)["pha"], pha, atol=0, rtol=0)
