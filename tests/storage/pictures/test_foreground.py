"""The subject's own colour: over another background nothing of the stage is left at its rim."""

from collections.abc import Callable

import numpy as np
import pytest

from storage.pictures.foreground import foreground
from tests.storage.pictures.rims import Floats, naive, rendered, rim

RED, GREEN = (np.array(colour, np.float32)[:, None, None] for colour in ((0.7, 0.1, 0.1), (0.1, 0.6, 0.1)))


def test_the_rim_of_the_rendered_stage_is_less_than_half_of_the_naive_one() -> None:
    stage = [rendered(f"C{number:02d}") for number in range(1, 13)]

    def mean_rim(way: Callable[[Floats, Floats, Floats], Floats]) -> float:
        return float(np.mean([rim(way(light, pha, plate), true, pha) for light, plate, pha, true in stage]))

    before = mean_rim(naive)  # 32.7 levels when this was written
    assert mean_rim(foreground) < 0.5 * before  # 14.1
    assert mean_rim(lambda light, pha, plate: foreground(light, pha)) < 0.7 * before  # 20.0


def soft_disc(size: int = 64) -> Floats:
    """A disc with a soft edge of a quarter of the picture."""
    y, x = np.indices((size, size)) - (size - 1) / 2
    return np.clip(2 - np.hypot(y, x) / (size / 6), 0, 1).astype(np.float32)


def test_a_lamp_brighter_than_the_sensor_leaves_no_bright_rim() -> None:
    pha = soft_disc()
    lamp = np.where(np.arange(64) < 32, np.float32(8), np.float32(0.2)) * np.ones((3, 64, 1), np.float32)
    light, plate = (np.clip(seen, 0, 1) for seen in (pha * RED + (1 - pha) * lamp, lamp))
    assert rim(foreground(light, pha, plate), RED, pha) < 0.1 * rim(naive(light, pha, plate), RED, pha)


def test_a_plate_is_not_used_where_it_is_not_valid() -> None:
    pha = soft_disc()
    light, wrong = pha * RED + (1 - pha) * GREEN, 0.9 - GREEN + np.zeros((3, 64, 64), np.float32)
    bad = foreground(light, pha, wrong), foreground(light, pha, wrong, np.zeros((64, 64), bool))
    assert rim(bad[1], RED, pha) < 0.05 * rim(bad[0], RED, pha)


def test_where_the_matte_is_empty_the_colour_is_the_subjects_and_where_it_is_solid_the_frames() -> None:
    pha = soft_disc()
    light = pha * RED * np.float32(3) + (1 - pha) * GREEN  # a highlight of 2.1, as an EXR may hold
    fgr = foreground(light, pha, GREEN + 0 * light)
    np.testing.assert_array_equal(fgr[:, pha == 1], light[:, pha == 1])
    assert (fgr[0] > 3 * fgr[1]).all()
    assert fgr.max() <= light.max()


@pytest.mark.parametrize("alpha", [0, 0.3, 1])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (33, 20)])
@pytest.mark.parametrize("behind", [lambda light: None, lambda light: light * np.float32(0.5)])
def test_pictures_of_any_size_and_mattes_without_an_edge_give_finite_colours(
    behind: Callable[[Floats], Floats | None], size: tuple[int, int], alpha: float
) -> None:
    light = np.random.default_rng(0).random((3, *size), np.float32)
    fgr = foreground(light, np.full(size, alpha, np.float32), behind(light))
    assert fgr.shape == light.shape
    assert fgr.dtype == np.float32
    assert fgr.min() >= 0
    assert fgr.max() <= 1
