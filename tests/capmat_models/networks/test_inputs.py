"""Small frames are doubled; decoding in bands of rows gives the same matte as decoding the whole frame."""

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from capmat_models.networks.factory import create_model


def doubled(x: Tensor) -> Tensor:
    """By OpenCV: bilinear for pictures, the nearest pixel for trimaps."""
    size = (2 * x.shape[3], 2 * x.shape[2])
    how = cv2.INTER_LINEAR if x.shape[1] == 3 else cv2.INTER_NEAREST
    planes = [cv2.resize(plane.numpy(), size, interpolation=how) for plane in x[0]]
    return torch.from_numpy(np.stack(planes))[None]


def pictures(name: str, height: int, width: int) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    src, bgr = torch.rand(2, 1, 3, height, width, generator=draw)
    return [src, (2 * bgr[:, :1]).round() / 2 if name.startswith("diffmatte") else bgr]


@pytest.mark.parametrize("name", ["bg_vitmatte_xs", "bgmv2_mobilenetv2_xs", "diffmatte_xs"])
def test_small_frames_are_doubled_and_larger_ones_are_not(name: str) -> None:
    torch.manual_seed(0)
    model, plain = create_model(name).eval(), create_model(name, double_below=0).eval()
    plain.load_state_dict(model.state_dict())
    more = {"steps": 1} if name.startswith("diffmatte") else {}
    with torch.inference_mode():
        small = pictures(name, 70, 90)
        by_hand = plain(*map(doubled, small), **more)["pha"].view(1, 1, 70, 2, 90, 2).mean((3, 5))
        torch.testing.assert_close(model(*small, **more)["pha"], by_hand, atol=1e-5, rtol=0)
        assert (plain(*small, **more)["pha"] - by_hand).abs().max() > 1e-3  # so doubling matters
        large = pictures(name, 448, 448)
        torch.testing.assert_close(model(*large, **more)["pha"], plain(*large, **more)["pha"], atol=0, rtol=0)


def test_doubling_does_not_blur_the_foreground() -> None:
    model = create_model("bgmv2_mobilenetv2_xs").eval()
    for weight in model.parameters():
        weight.data.zero_()  # the network adds nothing to the picture
    src, bgr = pictures("bgmv2_mobilenetv2_xs", 40, 60)
    with torch.inference_mode():
        torch.testing.assert_close(model(src, bgr)["fgr"], src, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["bg_vitmatte_xs", "diffmatte_xs", "bg_vitmatte_s"])
def test_bands_change_nothing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    model = create_model(name).eval()
    src = torch.rand(2, 3, 150, 96)
    guide = torch.rand(2, 1 if name.startswith("diffmatte") else 3, 150, 96)
    with torch.inference_mode():
        whole = model(src, guide)["pha"]
        monkeypatch.setattr("capmat_models.networks.inputs._PIXELS_CPU", 1)  # the narrowest bands there are
        bands = model(src, guide)["pha"]
    torch.testing.assert_close(bands, whole, atol=1e-6, rtol=0)


def test_gradients_flow_through_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("capmat_models.networks.inputs._PIXELS_CPU", 1)
    model = create_model("bg_vitmatte_xs")
    src, bgr = torch.rand(2, 1, 3, 96, 64)
    model(src, bgr)["pha"].mean().backward()
    assert all(p.grad is not None for p in model.decoder.parameters())
