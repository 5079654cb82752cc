"""Closed-form matting: exact where the colour lines hold, equal to PyMatting, and clear where it cannot be."""

import numpy as np
import pymatting
import pytest
import torch

from capmat_errors import MatteError
from capmat_models.networks.factory import create_model


def composite(height: int = 40, width: int = 64) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """A ramp of alpha between two plain colours, so that every pixel lies on one line: picture, trimap, truth."""
    pha = torch.linspace(-1, 2, width).clamp(0, 1).expand(1, 1, height, width)
    red, blue = torch.tensor([0.9, 0.2, 0.1]).view(1, 3, 1, 1), torch.tensor([0.1, 0.3, 0.8]).view(1, 3, 1, 1)
    trimap = torch.where((pha > 0) & (pha < 1), 0.5, pha)
    return pha * red + (1 - pha) * blue, trimap, pha


def matte(src: torch.Tensor, trimap: torch.Tensor) -> torch.Tensor:
    return create_model("closed_form").eval()(src, trimap)["pha"]


def test_a_blend_of_two_plain_colours_is_undone() -> None:
    src, trimap, pha = composite()
    found = matte(src, trimap)
    assert found.dtype == torch.float32
    assert (found - pha).abs().max() < 1e-3
    assert torch.equal(found[trimap != 0.5], trimap[trimap != 0.5])


def test_it_is_the_method_of_pymatting_although_it_looks_at_a_part_of_the_picture() -> None:
    rng = np.random.default_rng(3)
    src = rng.random((60, 90, 3))
    trimap = np.zeros((60, 90))
    trimap[20:50, 15:70] = 0.5
    trimap[30:40, 30:60] = 1
    whole = pymatting.estimate_alpha_cf(src, trimap)
    part = matte(torch.from_numpy(src).permute(2, 0, 1)[None].float(), torch.from_numpy(trimap)[None, None].float())
    assert np.abs(part[0, 0].numpy() - whole).max() < 1e-4


def test_pictures_of_a_batch_do_not_see_each_other() -> None:
    src, trimap, _ = composite()
    other = torch.rand(src.shape, generator=torch.Generator().manual_seed(0))
    together = matte(torch.cat([other, src]), trimap.expand(2, -1, -1, -1))
    assert torch.equal(together[1:], matte(src, trimap))


def test_without_unknown_pixels_the_trimap_is_the_matte() -> None:
    trimap = (torch.arange(20) > 9).float().expand(1, 1, 16, 20)
    assert torch.equal(matte(torch.rand(1, 3, 16, 20), trimap), trimap)


def test_an_unknown_spot_amid_the_subject_belongs_to_it() -> None:
    trimap = torch.zeros(1, 1, 40, 40)
    trimap[..., 5:35, 5:35] = 1
    trimap[..., 18:20, 18:20] = 0.5
    assert torch.equal(matte(torch.rand(1, 3, 40, 40), trimap), (trimap > 0).float())


@pytest.mark.parametrize("size", [(3, 4), (5, 300), (129, 7)])
def test_small_and_narrow_pictures_are_matted(size: tuple[int, int]) -> None:
    trimap = torch.full((1, 1, *size), 0.5)
    trimap[..., 0], trimap[..., -1] = 0, 1
    found = matte(torch.rand(1, 3, *size), trimap)
    assert torch.isfinite(found).all()
    assert 0 <= found.min() <= found.max() <= 1


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda src, trimap: (src, trimap.clamp(max=0.5)), "no foreground.*Paint some foreground"),
        (lambda src, trimap: (src, trimap.clamp(min=0.5)), "no background.*Paint some background"),
        (lambda src, trimap: (src * torch.nan, trimap), "nan or infinite"),
        (lambda src, trimap: (src[..., :2, :], trimap[..., :2, :]), "smaller than a window"),
    ],
)
def test_what_it_cannot_matte_is_refused(spoil, says: str) -> None:
    src, trimap, _ = composite()
    with pytest.raises(MatteError, match=says):
        matte(*spoil(src, trimap))
