"""Noise of a camera is told apart into photons and electronics, whatever the stage shows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capmat_models.stage.noise import brightness, measure_noise, noise_of_map, times_noisier


def stage(seed: int = 0, size: int = 160) -> np.ndarray:
    """Panels of many greys, (3, H, W) linear light."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0.01, 0.85, (3, size // 16, size // 16)).repeat(16, 1).repeat(16, 2)


def recorded(light: np.ndarray, well: float, read: float, seed: int, gain: float = 1.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    counts = rng.poisson(light * gain * well) + rng.normal(0, read, light.shape)
    return np.clip(counts / well, 0, 1).astype(np.float32)


@settings(max_examples=6, deadline=None)
@given(st.floats(2000, 20000), st.floats(2, 40), st.integers(0, 99))
def test_full_well_and_read_noise_are_recovered(well: float, read: float, seed: int) -> None:
    light = stage(seed)
    noise = measure_noise([recorded(light, well, read, k) for k in (seed, seed + 1)])
    assert noise is not None
    assert 1 / noise.photon == pytest.approx(well, rel=0.15)
    true = np.sqrt(light.mean() / well + (read / well) ** 2)
    assert noise.at(np.array([light.mean()]))[0] == pytest.approx(true, rel=0.06)


def test_flicker_and_what_moved_are_no_noise() -> None:
    light = stage()
    frames = [recorded(light, 9600, 3, 1), recorded(light, 9600, 3, 2, gain=1.03)]
    still = measure_noise([frames[0], recorded(light, 9600, 3, 2)])
    frames[1][:, 20:60, 20:60] = 0.9
    use = np.ones(light.shape[1:], bool)
    use[18:62, 18:62] = False
    noise = measure_noise(frames, use)
    assert noise is not None
    assert still is not None
    assert times_noisier(noise, still) == pytest.approx(1, abs=0.05)


def test_twice_the_noise_is_twice_the_noise_with_a_map_too() -> None:
    light = stage()
    noise = measure_noise([recorded(light, 2400, 3, k) for k in (1, 2)])
    spread = np.sqrt(light / 9600 + (3 / 9600) ** 2).astype(np.float32)
    known = noise_of_map(light.astype(np.float32), spread)
    assert noise is not None
    assert known is not None
    assert times_noisier(noise, known) == pytest.approx(2, rel=0.05)


@pytest.mark.parametrize("frames", [[], [np.zeros((3, 40, 40), np.float32)], [np.zeros((3, 40, 40), np.float32)] * 4])
def test_without_two_lit_frames_nothing_is_measured(frames: list[np.ndarray]) -> None:
    assert measure_noise(frames) is None
    assert brightness(frames) is None


def test_pictures_without_any_noise_say_so() -> None:
    assert measure_noise([stage().astype(np.float32)] * 2) is None


@pytest.mark.parametrize("steps", [4095, 255])
def test_flicker_is_seen_to_a_thousandth_in_twelve_bits_as_in_eight(steps: int) -> None:
    light = stage()
    frames = [recorded(light, 9600, 3, k, gain) for k, gain in enumerate((1.0, 1.02, 0.99))]
    for frame, cloth in zip(frames, (0.9, 0.05, 0.4), strict=True):
        frame[:, 30:60, 30:90] = cloth  # somebody passes by
    factors = brightness([np.rint(frame * steps).astype(np.float32) / steps for frame in frames])
    assert factors is not None
    np.testing.assert_allclose(factors / factors[0], (1.0, 1.02, 0.99), atol=1e-3)
