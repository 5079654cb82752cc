"""The sensor's noise has the statistics of counted photons, and each picture has noise of its own."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.sim.sensor import BLACK, FULL_WELL, READ_NOISE, WHITE, expose, lens, noise_of, to_srgb


@settings(max_examples=12, deadline=None)
@given(st.floats(0.02, 0.9), st.integers(0, 99))
def test_mean_is_the_light_and_variance_is_photons_plus_read_noise(light: float, seed: int) -> None:
    counts = expose(np.full((120, 120, 3), light, np.float32), noise_of(seed, "flat")).astype(float)
    gain = (WHITE - BLACK) / FULL_WELL
    spread = gain * np.sqrt(light * FULL_WELL + READ_NOISE**2)
    assert counts.mean() == pytest.approx(BLACK + light * (WHITE - BLACK), abs=5 * spread / 200)
    assert counts.std() == pytest.approx(np.hypot(spread, 12**-0.5), rel=0.05)


def test_counts_are_twelve_bit_and_lamps_clip_at_white() -> None:
    counts = expose(np.array([[[0.0, 0.5, 4.0]]], np.float32), noise_of(0, "lamp"))
    assert counts.dtype == np.uint16
    assert counts[0, 0, 2] == WHITE
    assert abs(int(counts[0, 0, 0]) - BLACK) < 20


def test_noise_repeats_for_one_picture_and_differs_between_pictures() -> None:
    light = np.full((16, 16, 3), 0.4, np.float32)
    one, again = (expose(light, noise_of(3, "amber", "C01", 1)) for _ in range(2))
    other = expose(light, noise_of(3, "amber", "C01", 2))
    assert (one == again).all()
    assert (one != other).mean() > 0.9


def test_the_lens_keeps_composites_composites() -> None:
    rng = np.random.default_rng(0)
    alpha = (rng.random((20, 24)) > 0.5).astype(np.float32)
    fore, back = rng.random((2, 20, 24, 3)).astype(np.float32)
    whole = lens(alpha[..., None] * fore + (1 - alpha[..., None]) * back)
    parts = lens(alpha[..., None] * fore) + lens((1 - alpha[..., None]) * back)
    np.testing.assert_allclose(whole, parts, atol=1e-5)


def test_display_values_follow_the_srgb_curve() -> None:
    linear = np.array([0, 0.0021404, 0.2140411, 1, 9], np.float32)
    np.testing.assert_allclose(to_srgb(linear), [0, 0.02765, 0.5, 1, 1], atol=1e-3)
