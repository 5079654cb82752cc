"""Masks survive being written as run lengths, and broken run lengths are refused."""

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from capmat_errors import ScribbleError
from storage.labels.formats.rle import coco_counts, from_brush, from_counts
from storage.labels.raster import fill_polygon
from tests.storage.labels.label_exports import brush, coco_text, to_counts

masks = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))
corners = st.lists(st.tuples(st.floats(-5, 20), st.floats(-5, 20)), min_size=3, max_size=7)


@given(masks, st.booleans())
def test_a_mask_comes_back_from_its_runs(mask: NDArray[np.bool_], columns: bool) -> None:
    counts = to_counts(mask, columns=columns)
    np.testing.assert_array_equal(from_counts(counts, mask.shape, "here", columns=columns), mask)


@given(masks)
def test_a_mask_comes_back_from_packed_text(mask: NDArray[np.bool_]) -> None:
    counts = to_counts(mask, columns=True)
    assert coco_counts(coco_text(counts), "here") == counts


@given(st.lists(st.integers(0, 30_000_000), max_size=12))
def test_any_counts_come_back_from_packed_text(counts: list[int]) -> None:
    assert coco_counts(coco_text(counts), "here") == counts


@pytest.mark.parametrize(
    ("counts", "text"),
    [([0, 6, 1, 3], "061M"), ([0, 6, 1, 5], "061O"), ([0, 1, 1, 2, 1, 3, 1, 4, 1], "011101010"), ([0, 1024], "0PP1")],
)
def test_packed_text_is_what_other_programs_write(counts: list[int], text: str) -> None:
    assert coco_text(counts) == text
    assert coco_counts(text, "here") == counts


@given(masks, st.booleans())
def test_a_mask_comes_back_from_a_brush(mask: NDArray[np.bool_], literal: bool) -> None:
    np.testing.assert_array_equal(from_brush(brush(mask, literal=literal), mask.shape, "here"), mask)


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 255), max_size=40),
    st.text("0123456789:;<=>?@PQoz~ ", max_size=12),
    st.lists(st.integers(-3, 90), max_size=9),
)
def test_noise_is_refused_or_a_mask_of_the_size(noise: list[int], text: str, counts: list[int]) -> None:
    head = brush(np.zeros((3, 4), bool))[:7]
    for read in (
        lambda: from_brush(noise, (3, 4), "here"),
        lambda: from_brush(head + noise, (3, 4), "here"),
        lambda: from_counts(counts, (3, 4), "here", columns=True),
        lambda: from_counts(coco_counts(text, "here"), (3, 4), "here", columns=True),
    ):
        with suppress(ScribbleError):
            assert read().shape == (3, 4)


def test_runs_that_only_seem_to_add_up_are_refused() -> None:
    with pytest.raises(ScribbleError, match="here: its runs are 18446744073709551628 pixels"):
        from_counts([2**53] * 2048 + [12], (3, 4), "here", columns=True)


def test_masks_of_whole_sensors_are_no_trouble() -> None:
    runs = [5_000_000, 9_000_000, 10_500_000]
    mask = from_counts(coco_counts(coco_text(runs), "here"), (4900, 5000), "here", columns=True)
    assert mask.sum() == 9_000_000


@settings(max_examples=60)
@given(corners)
def test_a_pixel_is_in_a_polygon_when_its_centre_is(points: list[tuple[float, float]]) -> None:
    inside = np.zeros((14, 16), int)
    y, x = np.mgrid[:14, :16] + 0.5
    near = np.zeros((14, 16), bool)
    for (ax, ay), (bx, by) in zip(points, points[1:] + points[:1], strict=True):
        crosses = (ay <= y) != (by <= y)
        at = ax + (y - ay) / np.where(crosses, by - ay, 1) * (bx - ax)
        inside += crosses & (at <= x)
        near |= crosses & (np.abs(at - x) < 1e-6)
    np.testing.assert_array_equal(fill_polygon(points, (14, 16))[~near], (inside % 2 == 1)[~near])


@given(st.floats(0.5, 15), st.floats(0.5, 12))
def test_polygons_that_share_an_edge_share_no_pixel_and_leave_none(x: float, y: float) -> None:
    whole = [(0.0, 0.0), (16.0, 0.0), (16.0, 14.0), (0.0, 14.0)]
    fan = [fill_polygon([a, b, (x, y)], (14, 16)) for a, b in zip(whole, whole[1:] + whole[:1], strict=True)]
    assert (np.sum(fan, axis=0) == 1).all()
