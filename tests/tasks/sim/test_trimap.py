"""A drawn trimap is right wherever it claims to be sure, and wide at hair."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from tasks.sim.hand import draw_trimap


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 4))
def test_sure_regions_are_sure(seed: int, softness: float) -> None:
    blobs = gaussian_filter(np.random.default_rng(seed).normal(size=(96, 80)), 8)
    alpha = np.clip(blobs / blobs.std() * softness, 0, 1).astype(np.float32)
    trimap = draw_trimap(alpha, np.random.default_rng(seed))
    assert set(np.unique(trimap)) <= {0, 128, 255}
    assert (alpha[trimap == 255] >= 0.99).all()
    assert (alpha[trimap == 0] <= 0.01).all()


def test_a_hard_edge_gets_a_narrow_band_and_hair_a_wide_one() -> None:
    alpha = np.zeros((120, 120), np.float32)
    alpha[60:, :] = 1
    hair = alpha.copy()
    hair[45:60] = np.random.default_rng(0).random((15, 120))
    hard, soft = ((draw_trimap(a, np.random.default_rng(1)) == 128).sum(axis=0) for a in (alpha, hair))
    assert 2 <= hard.min() <= hard.max() <= 9
    assert (soft >= hard + 10).all()


def test_an_empty_picture_has_no_unknown() -> None:
    assert (draw_trimap(np.zeros((8, 8), np.float32), np.random.default_rng(0)) == 0).all()
