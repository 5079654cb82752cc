"""Figures in words never surprise a reader."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.show.figures import amount, counted, dotted, duration


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (999_600, "1 MB"), (1234567, "1.23 MB"), (5e9, "5 GB"),
     (2.5e15, "2500 TB")],
)  # fmt: skip
def test_bytes_have_three_digits_and_the_unit_that_fits(count: float, text: str) -> None:
    assert amount(count) == text


@given(st.integers(0, 10**18))
def test_an_amount_is_never_written_with_an_exponent(count: int) -> None:
    assert re.fullmatch(r"\d+(\.\d+)? (B|kB|MB|GB|TB)", amount(count))


@given(st.floats(0, 1e7))
def test_a_duration_never_counts_to_sixty(seconds: float) -> None:
    assert not re.search(r"\b60(\.0)? (s|min)", duration(seconds))


def test_one_is_singular() -> None:
    assert [counted(count, "take") for count in (0, 1, 2)] == ["0 takes", "1 take", "2 takes"]


def test_nested_settings_become_dotted_names() -> None:
    assert dotted({"a": {"b": 1, "c": None}, "d": (1, 2), "e": []}) == [("a.b", "1"), ("d", "1, 2"), ("e", "–")]
