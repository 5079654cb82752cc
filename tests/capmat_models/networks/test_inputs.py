"""Decoding in bands of rows gives the same matte as decoding the whole frame."""

import pytest
import torch

from capmat_models.networks.factory import create_model


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
