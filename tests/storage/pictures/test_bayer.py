"""A mosaic is kept to the bit, and its picture has every colour where the pixel is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from capmat_errors import SizeMismatch
from storage.calibration.camera import Camera
from storage.pictures.bayer import CFA, split, superpixel, superpixel_noise
from tests.storage.raw_pictures import join

mosaics = st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
    lambda half: arrays(np.uint16, (2 * half[0], 2 * half[1]), elements=st.integers(0, 4095))
)


def mosaic_of(scene: np.ndarray, cfa: str) -> np.ndarray:
    """What a sensor records of a scene given at every photosite, (3, H, W)."""
    out = np.empty(scene.shape[1:], scene.dtype)
    for index, colour in enumerate(cfa):
        y, x = divmod(index, 2)
        out[y::2, x::2] = scene["RGB".index(colour), y::2, x::2]
    return out


@given(mosaics)
def test_split_and_join_lose_nothing(mosaic: np.ndarray) -> None:
    np.testing.assert_array_equal(join(split(mosaic)), mosaic)


@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (4, 4, 3)])
def test_a_mosaic_without_whole_blocks_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(SizeMismatch, match="whole blocks"):
        split(np.zeros(shape, np.uint16))


@pytest.mark.parametrize("cfa", CFA)
def test_all_colours_lie_at_the_centre_of_the_block(cfa: str) -> None:
    """On a ramp every colour must have the ramp's value between the four photosites: no fringe."""
    y, x = np.mgrid[:12, :16].astype(np.float32)
    ramp = np.stack([100 + 8 * x + 3 * y, 50 + 2 * x + 9 * y, 900 - 5 * x - 4 * y])
    picture = superpixel(split(mosaic_of(ramp, cfa)), cfa)
    true = np.stack([(plane[0::2, 0::2] + plane[1::2, 1::2]) / 2 for plane in ramp])
    np.testing.assert_allclose(picture[:, 1:-1, 1:-1], true[:, 1:-1, 1:-1], atol=1e-3)


@given(mosaics, st.sampled_from(CFA))
def test_a_picture_never_leaves_the_range_of_its_photosites(mosaic: np.ndarray, cfa: str) -> None:
    picture = superpixel(split(mosaic), cfa)
    assert picture.min() >= mosaic.min() - 1e-3
    assert picture.max() <= mosaic.max() + 1e-3


@pytest.mark.parametrize("cfa", CFA)
def test_the_noise_of_a_picture_is_what_it_measures(cfa: str) -> None:
    noise = np.random.default_rng(1).normal(0, 20, (400, 40, 40)).astype(np.float32) + 1000
    measured = np.stack([superpixel(split(frame), cfa) for frame in noise]).std(axis=0)[:, 1:-1, 1:-1]
    predicted = superpixel_noise(np.full((4, 20, 20), 20, np.float32), cfa)[:, 1:-1, 1:-1]
    np.testing.assert_allclose(measured.mean(axis=(1, 2)), predicted.mean(axis=(1, 2)), rtol=0.03)


def test_a_point_keeps_its_place_when_the_picture_has_half_the_size() -> None:
    full = Camera("c", 64, 48, np.array([[60.0, 0, 31.2], [0, 61, 23.9], [0, 0, 1]]), np.array([0.1, 0, 0, 0, 0]),
                  np.eye(3), np.array([0, 0, 2.0]))  # fmt: skip
    points = np.random.default_rng(2).uniform(-0.3, 0.3, (20, 3))
    half = full.halved()
    assert (half.width, half.height) == (32, 24)
    np.testing.assert_allclose(2 * half.project(points) + 0.5, full.project(points), atol=1e-9)
