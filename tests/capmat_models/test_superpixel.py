"""Bayer planes become the same picture in a network's code as in the store's."""

import numpy as np
import pytest
import torch

from capmat_models.superpixel import superpixel
from storage.pictures import bayer


@pytest.mark.parametrize("shape", [(7, 5), (2, 3), (1, 1)])
@pytest.mark.parametrize("cfa", bayer.CFA)
def test_it_gives_the_numbers_of_the_store_up_to_the_borders(cfa, shape):
    planes = np.random.default_rng(4).integers(0, 4096, (2, 4, *shape), np.uint16)
    ours = superpixel(torch.from_numpy(planes), cfa)
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours, np.stack([bayer.superpixel(p, cfa) for p in planes]), rtol=0, atol=1e-3)


def test_any_leading_axes_will_do():
    planes = torch.rand(2, 3, 4, 6, 5)
    out = superpixel(planes, "GRBG")
    assert out.shape == (2, 3, 3, 6, 5)
    assert (out[1, 2] == superpixel(planes[1, 2], "GRBG")).all()


@pytest.mark.parametrize(("shape", "cfa"), [((3, 6, 5), "RGGB"), ((4, 6, 5), "RGBG"), ((6, 5), "RGGB")])
def test_what_is_no_mosaic_is_refused(shape, cfa):
    with pytest.raises(ValueError, match="RGGB, GRBG"):
        superpixel(torch.zeros(shape), cfa)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_gives_the_same():
    planes = torch.randint(0, 4096, (4, 60, 70))
    torch.testing.assert_close(superpixel(planes.cuda(), "BGGR").cpu(), superpixel(planes, "BGGR"), rtol=0, atol=1e-3)
