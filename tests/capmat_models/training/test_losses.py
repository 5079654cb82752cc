"""The losses are the originals', and the scribble loss is Eq. 3 without its dependence on the brush."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from capmat_models.training.losses import (
    bgmv2_base_losses,
    bgmv2_refine_losses,
    diffmatte_losses,
    foreground_target,
    scribble_loss,
    sobel,
    vitmatte_losses,
)
from tests.project import GOLDENS


def picture(array):
    return torch.from_numpy(np.asarray(array, np.float32) / 255)


@pytest.fixture(scope="module")
def vitmatte():
    return np.load(GOLDENS / "vitmatte_losses.npz")


@pytest.fixture(scope="module")
def bgmv2():
    return np.load(GOLDENS / "bgmv2_losses_64x96.npz")


NAMES = {
    "unknown_l1": "unknown_l1_loss",
    "known_l1": "known_l1_loss",
    "gradient": "loss_gradient_penalty",
    "laplacian": "loss_pha_laplacian",
}


@pytest.mark.parametrize("suffix", ["", "__all_unknown"])
def test_vitmatte_losses_equal_the_original(vitmatte, suffix):
    unknown = torch.from_numpy((vitmatte["trimap"] == 128).astype(np.float32))
    unknown = torch.ones_like(unknown) if suffix else unknown
    terms = vitmatte_losses(
        picture(vitmatte["pred"]), picture(vitmatte["target"]), unknown, reference_pixels=512 * 512
    )
    for ours, theirs in NAMES.items():
        assert terms[ours].item() == pytest.approx(vitmatte[theirs + suffix].item(), rel=1e-5)


def test_vitmatte_losses_have_the_gradient_of_the_original(vitmatte):
    pred = picture(vitmatte["pred"]).requires_grad_()
    unknown = torch.from_numpy((vitmatte["trimap"] == 128).astype(np.float32))
    vitmatte_losses(pred, picture(vitmatte["target"]), unknown, reference_pixels=512 * 512)["total"].backward()
    stride = int(vitmatte["grad_stride"])
    np.testing.assert_allclose(pred.grad[..., ::stride, ::stride], vitmatte["grad"], atol=1e-6)
    assert pred.grad.norm().item() == pytest.approx(vitmatte["grad_norm"].item(), rel=1e-5)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_a_trimap_without_an_unknown_or_a_known_pixel_gives_finite_losses_and_gradients(value):
    pha = torch.rand(1, 1, 32, 32, requires_grad=True)
    terms = vitmatte_losses(pha, torch.rand(1, 1, 32, 32), torch.full((1, 1, 32, 32), value))
    terms["total"].backward()
    assert torch.isfinite(pha.grad).all()
    assert terms["unknown_l1" if value == 0 else "known_l1"] == 0


def test_bgmv2_base_losses_equal_the_original(bgmv2):
    terms = bgmv2_base_losses(
        *(picture(bgmv2[f"pred_{name}"]) for name in ("pha", "fgr", "err")),
        picture(bgmv2["true_pha"]),
        picture(bgmv2["true_fgr"]),
    )
    theirs = {"alpha": "alpha_l1", "sobel": "sobel_l1", "foreground": "fgr_l1", "error": "err_mse"}
    for ours, name in {**theirs, "total": "total"}.items():
        assert terms[ours].item() == pytest.approx(bgmv2[f"base_{name}"].item(), rel=1e-5)


def test_bgmv2_refine_losses_equal_the_original(bgmv2):
    out = {key[5:]: picture(bgmv2[key]) for key in bgmv2 if key.startswith("pred_")}
    terms = bgmv2_refine_losses(out, picture(bgmv2["true_pha"]), picture(bgmv2["true_fgr"]))
    theirs = {
        "alpha": "alpha_l1",
        "alpha_sm": "alpha_sm_l1",
        "sobel": "sobel_l1",
        "sobel_sm": "sobel_sm_l1",
        "foreground": "fgr_l1",
        "foreground_sm": "fgr_sm_l1",
        "error": "err_mse",
        "total": "total",
    }
    for ours, name in theirs.items():
        assert terms[ours].item() == pytest.approx(bgmv2[f"refine_{name}"].item(), rel=1e-5)


def test_sobel_equals_the_original(bgmv2):
    ours = sobel(picture(bgmv2["pred_pha"])).flatten()[::97]
    np.testing.assert_allclose(ours, bgmv2["sobel_pred_pha_samples"], atol=1e-6)


def test_the_scribble_loss_sees_annotated_pixels_and_nothing_else():
    pha = torch.rand(2, 1, 16, 16, requires_grad=True)
    label = torch.full((2, 1, 16, 16), 255, dtype=torch.uint8)
    label[0, 0, 3:6, 4:9], label[1, 0, 10, 2:12] = 1, 0
    scribble_loss(pha, label)["total"].backward()
    assert ((pha.grad != 0) == (label != 255)).all()
    assert (pha.grad[label == 1] < 0).all()
    assert (pha.grad[label == 0] > 0).all()


@given(thickness=st.integers(1, 16), wrong=st.floats(0.1, 1.0))
def test_a_broad_stroke_weighs_as_much_as_a_thin_one(thickness, wrong):
    pha = torch.full((1, 1, 32, 32), wrong)
    label = torch.full((1, 1, 32, 32), 255, dtype=torch.uint8)
    label[..., :thickness, :] = 0
    assert scribble_loss(pha, label)["total"].item() == pytest.approx(wrong, rel=1e-5)


def test_the_foreground_of_a_composite_is_found_again():
    rng = np.random.default_rng(0)
    fgr, bgr = (torch.from_numpy(rng.random((1, 3, 8, 8), np.float32)) for _ in range(2))
    pha = torch.from_numpy(rng.uniform(0.2, 1, (1, 1, 8, 8)).astype(np.float32))
    pha[..., :2, :] = 0
    found = foreground_target(pha * fgr + (1 - pha) * bgr, bgr, pha)
    np.testing.assert_allclose(found, fgr * (pha > 0), atol=1e-5)


def test_a_wrong_alpha_never_asks_for_a_foreground_out_of_range():
    src, bgr = torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)
    found = foreground_target(src, bgr, torch.rand(1, 1, 8, 8) * 0.01)
    assert found.min() >= 0
    assert found.max() <= 1


def test_a_perfect_denoiser_has_no_loss_but_the_penalty_on_gradients():
    pha = torch.rand(1, 1, 32, 32)
    terms = diffmatte_losses(2 * pha - 1, pha, torch.ones_like(pha))
    assert {name for name, term in terms.items() if term > 1e-6} == {"gradient", "total"}
