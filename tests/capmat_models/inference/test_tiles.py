"""Frames too large for one piece are matted in tiles that blend."""

import pytest
import torch
from torch import Tensor

from capmat_models.inference.tiles import matte_in_tiles
from capmat_models.networks.factory import create_model


def local(src: Tensor, guide: Tensor) -> dict[str, Tensor]:
    """A network that looks at one pixel at a time: tiles cannot hurt it."""
    return {"pha": (src - guide).abs().mean(1, keepdim=True)}


@pytest.mark.parametrize("size", [(1, 1), (64, 64), (65, 200), (300, 97)])
def test_tiles_cover_every_pixel_and_agree_where_they_overlap(size: tuple[int, int]) -> None:
    src, bgr = torch.rand(2, 2, 3, *size)
    pha = matte_in_tiles(local, src, bgr, tile=64, overlap=16)["pha"]
    torch.testing.assert_close(pha, local(src, bgr)["pha"], atol=1e-6, rtol=0)


def test_no_tile_is_larger_than_asked_for_and_none_is_a_sliver() -> None:
    seen: list[tuple[int, ...]] = []

    def network(src: Tensor, guide: Tensor) -> dict[str, Tensor]:
        seen.append(tuple(src.shape[-2:]))
        return local(src, guide)

    matte_in_tiles(network, *torch.rand(2, 1, 3, 200, 130), tile=64, overlap=16)
    assert set(seen) == {(64, 64)}
    assert len(seen) == 4 * 3


def test_a_seam_between_tiles_that_disagree_is_a_slope() -> None:
    level = iter([0.0, 1.0])

    def network(src: Tensor, guide: Tensor) -> dict[str, Tensor]:
        return {"pha": src[:, :1] * 0 + next(level)}

    pha = matte_in_tiles(network, *torch.rand(2, 1, 3, 8, 112), tile=64, overlap=16)["pha"]
    assert pha[0, 0, 0].diff().max() < 0.1
    assert (pha[0, 0, 0, :40] == 0).all()
    assert (pha[0, 0, 0, -40:] == 1).all()


def test_a_frame_that_fits_is_the_networks_own_matte() -> None:
    model = create_model("bg_vitmatte_xs").eval()
    src, bgr = torch.rand(2, 1, 3, 96, 64)
    with torch.inference_mode():
        torch.testing.assert_close(matte_in_tiles(model, src, bgr)["pha"], model(src, bgr)["pha"], atol=1e-6, rtol=0)


def test_tiles_that_would_overlap_entirely_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot overlap by 64"):
        matte_in_tiles(local, *torch.rand(2, 1, 3, 80, 80), tile=64, overlap=64)
