"""Lamps, bloom, dark places and exposure are found where they are."""

import numpy as np
import pytest

from capmat_models.stage.light import channel_gains, dark_places, find_lamps


def grey(level: float = 0.2, size: tuple[int, int] = (120, 160)) -> np.ndarray:
    return np.full((3, *size), level, np.float32)


def test_a_lamp_is_found_with_place_size_and_no_bloom() -> None:
    picture = grey()
    picture[:, 30:50, 100:130] = 1
    picture[:, 80, 20] = 1  # a hot pixel is not a lamp
    (lamp,) = find_lamps(picture, smallest=4)
    assert (lamp.x, lamp.y, lamp.area, lamp.box) == (114.5, 39.5, 600, (100, 30, 130, 50))
    assert lamp.bloom <= 1


def test_bloom_reaches_as_far_as_it_brightens() -> None:
    picture = grey()
    rows, columns = np.mgrid[:120, :160]
    away = np.hypot(rows - 60, columns - 80)
    halo = np.clip(1 - (away - 10) / 12, 0, 1)
    picture = np.maximum(picture, picture + (1 - picture) * halo).astype(np.float32)
    (lamp,) = find_lamps(picture, smallest=4)
    assert 8 <= lamp.bloom <= 13


def test_larger_lamps_come_first_and_one_at_the_border_is_no_trouble() -> None:
    picture = grey()
    picture[:, :10, :10] = 1
    picture[:, 60:100, 60:100] = 1
    assert [lamp.area for lamp in find_lamps(picture, smallest=4)] == [1600, 100]
    assert [lamp.area for lamp in find_lamps(np.ones_like(picture), smallest=4)] == [120 * 160]
    assert find_lamps(np.zeros_like(picture), smallest=4) == []


def test_dark_places_are_those_without_contrast() -> None:
    picture = grey(0.5)
    picture[:, :, :80] = 0.1
    picture[:, ::2, :40] = 0.19  # dark, but structured
    dark = dark_places(picture, level=0.2, contrast=0.02)
    assert dark[:, 45:75].mean() > 0.9
    assert not dark[:, 5:35].any()
    assert not dark[:, 85:].any()


@pytest.mark.parametrize("gains", [(1.05, 1.05, 1.05), (1.0, 0.97, 1.03), (0.8, 0.8, 0.8)])
def test_exposure_and_white_balance_come_through_a_subject_and_its_shadow(gains: tuple[float, ...]) -> None:
    rng = np.random.default_rng(4)
    plate = rng.uniform(0.05, 0.6, (3, 120, 160)).astype(np.float32)
    shot = plate * np.array(gains, np.float32)[:, None, None] + rng.normal(0, 0.003, plate.shape).astype(np.float32)
    shot[:, 20:100, 40:90] = 0.3  # the subject
    shot[:, 100:, 30:110] *= 0.85  # its shadow
    found = channel_gains(plate, shot, np.ones((120, 160), bool))
    assert found is not None
    np.testing.assert_allclose(found, gains, atol=0.006)


def test_a_black_stage_has_no_exposure() -> None:
    assert channel_gains(grey(0), grey(0), np.ones((120, 160), bool)) is None
