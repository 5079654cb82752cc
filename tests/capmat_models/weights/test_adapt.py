"""What a Bg-ViTMatte sees that starts from trimap weights, before any training."""

import pytest
import torch
from torch import nn

from capmat_models.networks.factory import create_model
from capmat_models.networks.inputs import MEAN
from capmat_models.weights.adapt import Way, background_from_trimap


@pytest.fixture(scope="module")
def trimap_network() -> nn.Module:
    torch.manual_seed(0)
    model = create_model("bg_vitmatte_xs", guide="trimap")
    with torch.no_grad():
        for name, value in model.state_dict().items():
            if "running_mean" in name:  # as after a training: away from zero
                value.normal_(0, 0.2)
    return model.eval()


def adapted(old: nn.Module, way: Way) -> nn.Module:
    model = create_model("bg_vitmatte_xs")
    model.load_state_dict(background_from_trimap(old.state_dict(), way))
    return model.eval()


@pytest.fixture
def pictures() -> tuple[torch.Tensor, torch.Tensor]:
    src, bgr = torch.rand(2, 1, 3, 160, 160, generator=torch.Generator().manual_seed(1))
    return src, bgr


@torch.no_grad()
@pytest.mark.parametrize(("way", "trimap"), [("zero", 0.0), ("unknown", 0.5)])
def test_the_plate_is_ignored_and_the_trimap_is_one_value_everywhere(trimap_network, pictures, way, trimap):
    src, bgr = pictures
    new = adapted(trimap_network, way)
    pha = new(src, bgr)["pha"]
    assert torch.equal(new(src, 1 - bgr)["pha"], pha)
    expected = trimap_network(src, torch.full((1, 1, 160, 160), trimap))["pha"]
    inner = (..., slice(64, 96), slice(64, 96))  # at the border zero padding stands in for the constant
    torch.testing.assert_close(pha[inner], expected[inner], atol=1e-5, rtol=0)
    other = trimap_network(src, torch.full((1, 1, 160, 160), 0.5 - trimap))["pha"]
    assert (pha[inner] - other[inner]).abs().max() > 1e-3


@torch.no_grad()
def test_with_the_difference_an_empty_stage_looks_the_same_whatever_it_is(trimap_network, pictures):
    src, bgr = pictures
    new = adapted(trimap_network, "difference")
    torch.testing.assert_close(new(src, src)["pha"], new(bgr, bgr)["pha"], atol=1e-6, rtol=0)
    assert (new(src, bgr)["pha"] - new(bgr, bgr)["pha"]).abs().max() > 1e-3


@torch.no_grad()
def test_with_the_difference_a_plate_of_mean_grey_is_no_plate(trimap_network, pictures):
    src, _ = pictures
    grey = torch.tensor(MEAN).view(1, 3, 1, 1).expand_as(src)
    with_grey = adapted(trimap_network, "difference")(src, grey)["pha"]
    torch.testing.assert_close(with_grey, adapted(trimap_network, "unknown")(src, grey)["pha"], atol=1e-5, rtol=0)
