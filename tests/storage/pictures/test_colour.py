"""Colour keeps its promises for every depth: order, range, black, white, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capmat_errors import ConfigError
from storage.pictures.bayer import CFA, split
from storage.pictures.colour import Colour, decode_srgb, encode_srgb

colours = st.builds(
    Colour,
    bits=st.sampled_from([8, 10, 12, 14, 16]),
    transfer=st.sampled_from(["linear", "srgb", "rec709"]),
    black=st.integers(0, 200),
)


def shown(colour: Colour, levels: np.ndarray) -> np.ndarray:
    """What becomes of single numbers, the same in all channels."""
    return colour.display(np.broadcast_to(levels, (3, 1, len(levels))))[0, 0]


def light(colour: Colour, levels: np.ndarray) -> np.ndarray:
    return colour.linear(np.broadcast_to(levels, (3, 1, len(levels))))[0, 0]


@given(colours)
def test_black_is_nothing_white_is_one_and_more_is_brighter(colour: Colour) -> None:
    levels = np.arange(colour.white + 1).astype(colour.dtype)
    for values in (shown(colour, levels), light(colour, levels)):
        assert values.dtype == np.float32
        assert values[colour.black] == 0
        assert values[-1] == pytest.approx(1, abs=1e-6)
        assert (np.diff(values) >= 0).all()
        assert (np.diff(values[colour.black :]) > 0).all()


@given(colours)
def test_display_is_the_srgb_curve_of_linear(colour: Colour) -> None:
    levels = np.arange(0, colour.white + 1, 7).astype(colour.dtype)
    np.testing.assert_allclose(encode_srgb(light(colour, levels)), shown(colour, levels), atol=2e-6)


@given(colours)
def test_a_plates_mean_is_converted_like_the_pictures_it_came_from(colour: Colour) -> None:
    levels = np.arange(0, colour.white + 1, 5).astype(colour.dtype)
    np.testing.assert_allclose(shown(colour, levels.astype(np.float32)), shown(colour, levels), atol=1e-6)


def test_the_curve_has_the_values_of_the_standard() -> None:
    np.testing.assert_allclose(encode_srgb(np.array([0.0031308, 0.18, 0.5])), [0.04045, 0.46135, 0.73536], atol=2e-5)
    x = np.linspace(0, 1, 1000)
    np.testing.assert_allclose(decode_srgb(encode_srgb(x)), x, atol=2e-6)


def test_values_above_white_are_white() -> None:
    colour = Colour(12, "linear", 64)
    assert shown(colour, np.array([5000], np.uint16)) == pytest.approx(1)
    assert shown(colour, np.array([5000.0])) == pytest.approx(1)


@given(colours)
def test_it_survives_json(colour: Colour) -> None:
    assert Colour.from_json(colour.to_json()) == colour


@pytest.mark.parametrize(
    "wrong",
    [
        {"bits": 7},
        {"bits": 17},
        {"black": 4095},
        {"black": -1},
        {"transfer": "log"},
        {"half": True},
        {"cfa": "RGBG"},
        {"gains": (1, 0, 1)},
    ],
)
def test_impossible_colour_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="colour"):
        Colour(**({"bits": 12, "transfer": "linear", "black": 0} | wrong))


def test_half_floats_are_linear_light_with_one_as_white() -> None:
    colour = Colour(16, "linear", half=True)
    values = np.array([-1, 0, 0.25, 1, 7.5], np.float16)
    np.testing.assert_allclose(light(colour, values), [0, 0, 0.25, 1, 1])
    np.testing.assert_allclose(shown(colour, values), encode_srgb(np.array([0, 0, 0.25, 1, 1])), atol=1e-6)
    np.testing.assert_array_equal(colour.light(values.reshape(1, 1, 5))[0, 0], values.astype(np.float32))


def test_gains_and_matrix_work_on_linear_light() -> None:
    colour = Colour(12, "linear", 64, gains=(2.0, 1.0, 1.5), matrix=((0.5, 0.5, 0), (0, 1, 0), (0, 0, 1)))
    grey = np.full((3, 1, 1), 64 + 1000, np.uint16)
    unit = 1000 / (4095 - 64)
    np.testing.assert_allclose(colour.linear(grey)[:, 0, 0], [1.5 * unit, unit, 1.5 * unit], rtol=1e-6)
    np.testing.assert_allclose(colour.display(grey), encode_srgb(colour.linear(grey)), atol=1e-4)


@pytest.mark.parametrize("cfa", CFA)
def test_a_mosaic_of_one_colour_shows_that_colour(cfa: str) -> None:
    colour = Colour(12, "linear", 64, cfa=cfa)
    numbers = {"R": 3000, "G": 1200, "B": 500}
    block = np.array([numbers[c] for c in cfa], np.uint16).reshape(2, 2)
    picture = colour.display(split(np.tile(block, (5, 7))))
    assert picture.shape == (3, 5, 7)
    plain = Colour(12, "linear", 64)
    for channel, number in zip(picture, numbers.values(), strict=True):
        np.testing.assert_allclose(channel, shown(plain, np.array([number], np.uint16))[0], atol=1e-4)
