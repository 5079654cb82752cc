"""Intervals hold the mean about as often as they say, never cost a run its repeatability, and admit ignorance."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from capmat_models.confidence import FEWEST, LEVEL, by_chance, mean_interval, ratio_interval

ERRORS = st.lists(st.floats(1e-6, 1.0), min_size=FEWEST, max_size=20)


@given(ERRORS)
def test_an_interval_holds_the_mean_lies_within_the_values_and_comes_out_the_same_again(values: list[float]) -> None:
    found = mean_interval(values, resamples=200)
    assert found is not None
    low, high = found
    assert min(values) * (1 - 1e-9) <= low <= np.mean(values) * (1 + 1e-9)
    assert np.mean(values) * (1 - 1e-9) <= high <= max(values) * (1 + 1e-9)
    assert mean_interval(values, resamples=200) == found


def test_it_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(5)
    held = 0
    for _ in range(200):
        found = mean_interval(list(rng.normal(1.0, 0.3, 30)), resamples=300)
        assert found is not None
        held += found[0] <= 1.0 <= found[1]
    assert 0.88 <= held / 200 <= 0.99


def test_of_pictures_that_may_all_agree_by_chance_nothing_is_said() -> None:
    for count in range(20):
        agree = count > 0 and binomtest(0, count).pvalue < 1 - LEVEL  # all for one model, a coin tossed for each
        found = ratio_interval([0.3] * count, [0.4] * count)
        assert (found is not None) == agree
        assert (mean_interval([0.3] * count) is not None) == agree
    assert ratio_interval([0.3] * FEWEST, [0.0] * FEWEST) is None


def test_pictures_that_are_hard_for_both_do_not_blur_the_ratio() -> None:
    hard = np.array([1.0, 20.0, 3.0, 50.0, 2.0, 9.0])
    found = ratio_interval(list(0.8 * hard), list(hard))
    assert found == pytest.approx((0.8, 0.8))
    alone = mean_interval(list(0.8 * hard))
    assert alone is not None
    assert alone[1] > np.mean(hard)  # by the means alone one could not tell them apart


@pytest.mark.parametrize("count", [2, 5, 6, 13, 20])
def test_pictures_that_all_differ_alike_are_tosses_of_a_coin(count: int) -> None:
    better = by_chance([0.3] * count, [0.4] * count)
    assert better == by_chance([0.4] * count, [0.3] * count) == pytest.approx(binomtest(0, count).pvalue, abs=1e-3)
    assert by_chance([0.3] * count, [0.3] * count) == 1


def test_of_two_equally_good_models_one_is_called_better_five_times_in_a_hundred() -> None:
    rng = np.random.default_rng(0)
    hard = rng.lognormal(0, 1, (300, 8))
    pairs = zip(hard * rng.lognormal(0, 0.5, hard.shape), hard * rng.lognormal(0, 0.5, hard.shape), strict=True)
    wrong = sum(by_chance(values.tolist(), others.tolist()) < 1 - LEVEL for values, others in pairs)
    assert binomtest(wrong, 300, 1 - LEVEL).pvalue > 0.01
