"""Twelve bits in one and a half bytes come back as they went in, and one packing is not taken for another."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.recordings.raw_pixels import PACKINGS, Packing, other_packing, pack, packed_bytes, unpack


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 70), st.sampled_from(PACKINGS))
def test_unpacking_undoes_packing_for_every_size(seed: int, height: int, width: int, packing: Packing) -> None:
    picture = np.random.default_rng(seed).integers(0, 4096, (height, width)).astype(np.uint16)
    data = pack(picture, packing)
    assert len(data) == packed_bytes(picture.size, packing)
    np.testing.assert_array_equal(unpack(data, picture.shape, packing), picture)


@pytest.mark.parametrize(
    ("packing", "data"),
    [
        ("lsb", b"\xbc\x3a\x12"),  # PFNC: bits follow each other, least significant first
        ("gige", b"\xab\x3c\x12"),
        ("mipi", b"\xab\x12\x3c"),
        ("msb", b"\xab\xc1\x23"),  # hexadecimal digits in reading order
    ],
)
def test_the_bytes_lie_where_the_standards_put_them(packing: Packing, data: bytes) -> None:
    assert unpack(data, (2,), packing).tolist() == [0xABC, 0x123]


def test_msb_is_what_tiff_does() -> None:
    import imagecodecs

    picture = np.random.default_rng(2).integers(0, 4096, 1001).astype(np.uint16)
    assert pack(picture, "msb") == imagecodecs.packints_encode(picture, 12)


def test_another_number_of_bytes_is_refused() -> None:
    with pytest.raises(ValueError, match="5 bytes for 4 photosites"):
        unpack(bytes(5), (2, 2), "lsb")


def _scene(seed: int, level: float, contrast: float, noise: float) -> np.ndarray:
    """A mosaic of soft shapes, each colour at its own level, with noise; 0..4095."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :192] / 40
    shapes = np.sin(x * rng.uniform(0.5, 2) + rng.uniform(0, 6)) * np.cos(y * rng.uniform(0.5, 2))
    gains = np.tile(rng.uniform(0.5, 1, (2, 2)), (64, 96))
    picture = (level + contrast * shapes) * gains + rng.normal(0, noise, shapes.shape)
    return np.clip(np.rint(picture), 0, 4095).astype(np.uint16)


@pytest.mark.parametrize("stated", PACKINGS)
@pytest.mark.parametrize("true", PACKINGS)
def test_a_picture_in_another_packing_than_stated_is_noticed(true: Packing, stated: Packing) -> None:
    for seed in range(6):
        data = pack(_scene(seed, level=1200, contrast=900, noise=20), true)
        assert other_packing(data, 192, stated) == (None if true == stated else true)


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    level=st.floats(0, 4095),
    contrast=st.sampled_from([0, 2, 5, 10, 20, 40, 80, 300, 1500]),
    noise=st.sampled_from([0, 1, 3, 10, 25, 200]),
    packing=st.sampled_from(PACKINGS),
)
def test_a_picture_in_the_stated_packing_is_never_refused(
    seed: int, level: float, contrast: float, noise: float, packing: Packing
) -> None:
    data = pack(_scene(seed, level, contrast, noise), packing)
    assert other_packing(data, 192, packing) is None
