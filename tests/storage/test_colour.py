"""Colour keeps its promises for every depth: order, range, black, white, and the way back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capmat_errors import ConfigError
from storage.colour import Colour, decode_srgb, encode_srgb

colours = st.builds(
    Colour,
    bits=st.sampled_from([8, 10, 12, 14, 16]),
    transfer=st.sampled_from(["linear", "srgb"]),
    black=st.integers(0, 200),
)


@given(colours)
def test_black_is_nothing_white_is_one_and_more_is_brighter(colour: Colour) -> None:
    levels = np.arange(colour.white + 1).astype(colour.dtype)
    for values in (colour.to_display(levels), colour.to_linear(levels)):
        assert values.dtype == np.float32
        assert values[colour.black] == 0
        assert values[-1] == pytest.approx(1, abs=1e-6)
        assert (np.diff(values) >= 0).all()
        assert (np.diff(values[colour.black :]) > 0).all()


@given(colours)
def test_display_is_the_srgb_curve_of_linear(colour: Colour) -> None:
    levels = np.arange(0, colour.white + 1, 7).astype(colour.dtype)
    np.testing.assert_allclose(encode_srgb(colour.to_linear(levels)), colour.to_display(levels), atol=2e-6)


@given(colours)
def test_a_plates_mean_is_converted_like_the_pictures_it_came_from(colour: Colour) -> None:
    levels = np.arange(0, colour.white + 1, 5).astype(colour.dtype)
    np.testing.assert_allclose(colour.to_display(levels.astype(np.float32)), colour.to_display(levels), atol=1e-6)


def test_the_curve_has_the_values_of_the_standard() -> None:
    np.testing.assert_allclose(encode_srgb(np.array([0.0031308, 0.18, 0.5])), [0.04045, 0.46135, 0.73536], atol=2e-5)
    x = np.linspace(0, 1, 1000)
    np.testing.assert_allclose(decode_srgb(encode_srgb(x)), x, atol=2e-6)


def test_values_above_white_are_white() -> None:
    colour = Colour(12, "linear", 64)
    assert colour.to_display(np.array([5000], np.uint16)) == pytest.approx(1)
    assert colour.to_display(np.array([5000.0])) == pytest.approx(1)


@given(colours)
def test_it_survives_json(colour: Colour) -> None:
    assert Colour.from_json(colour.to_json()) == colour


@pytest.mark.parametrize("wrong", [{"bits": 7}, {"bits": 17}, {"black": 4095}, {"black": -1}, {"transfer": "log"}])
def test_impossible_colour_is_refused(wrong: dict) -> None:
    with pytest.raises(ConfigError, match="colour"):
        Colour(**({"bits": 12, "transfer": "linear", "black": 0} | wrong))
