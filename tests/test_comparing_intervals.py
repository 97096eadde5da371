"""What is said of seeds, against SciPy and against laws that hold whatever the numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sumtoone.comparing.intervals import (
    Interval,
    band,
    epochs_to_reach,
    mean_interval,
    paired_difference,
)

numbers = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
shares = st.floats(0, 1)
levels = st.sampled_from([0.5, 0.8, 0.95, 0.99])


@given(st.lists(numbers, min_size=3, max_size=30, unique=True), levels)
def test_means_have_scipys_t_intervals(values: list[float], level: float) -> None:
    found = mean_interval(values, level)
    assert found is not None
    theirs = stats.t.interval(level, len(values) - 1, loc=np.mean(values), scale=stats.sem(values))
    assert (found.low, found.high) == pytest.approx(theirs, rel=1e-9, abs=1e-6)
    assert found.value == pytest.approx(np.mean(values), abs=1e-9)


@given(st.lists(st.tuples(numbers, numbers), min_size=3, max_size=30), levels)
def test_differences_are_scipys_paired_test(pairs: list[tuple[float, float]], level: float) -> None:
    first, second = map(list, zip(*pairs, strict=True))
    differences = np.subtract(second, first)
    found, turned = paired_difference(first, second, level), paired_difference(second, first, level)
    assert found is not None
    assert turned is not None
    assert (turned.low, turned.high) == pytest.approx((-found.high, -found.low), abs=1e-9)
    if np.ptp(differences) > 1e-3:
        theirs = stats.ttest_rel(second, first).confidence_interval(level)
        assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), rel=1e-7, abs=1e-6)


def test_several_comparisons_share_one_chance_of_error() -> None:
    first, second = [1.0, 2.0, 4.0, 4.5], [2.0, 2.5, 7.0, 5.0]
    found = paired_difference(first, second, comparisons=5)
    assert found is not None
    theirs = stats.ttest_rel(second, first).confidence_interval(0.99)
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high))


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0]])
def test_nothing_is_said_of_fewer_than_three(values: list[float]) -> None:
    assert mean_interval(values) is None
    assert paired_difference(values, values) is None


@given(st.lists(shares, min_size=1, max_size=12), shares)
def test_a_level_is_reached_where_the_curve_first_crosses_it(curve: list[float], goal: float) -> None:
    found = epochs_to_reach(curve, goal)
    if max(curve) < goal:
        assert found is None
        return
    assert found is not None
    place = next(place for place, value in enumerate(curve, start=1) if value >= goal)
    assert max(1, place - 1) <= found <= place
    if 1 < found < place:
        assert np.interp(found, range(1, len(curve) + 1), curve) == pytest.approx(goal, abs=1e-9)


@given(st.lists(shares, min_size=1, max_size=12), shares, shares)
def test_a_higher_level_is_not_reached_sooner(curve: list[float], one: float, other: float) -> None:
    low, high = (epochs_to_reach(curve, goal) for goal in sorted((one, other)))
    assert (math.inf if high is None else high) >= (math.inf if low is None else low)


def test_the_band_of_curves_is_that_of_each_epoch() -> None:
    curves = [[0.5, 0.9], [0.6, 0.8], [0.7, 0.7]]
    assert band(curves) == [mean_interval([0.5, 0.6, 0.7]), mean_interval([0.9, 0.8, 0.7], most=1.0)]
    assert band(curves[:1]) == [Interval(0.5, 0.5, 0.5), Interval(0.9, 0.9, 0.9)]
    assert band([]) == []


@given(st.lists(shares, min_size=3, max_size=9))
def test_the_band_of_shares_holds_shares(values: list[float]) -> None:
    (found,) = band([[value] for value in values])
    free = mean_interval(values)
    assert free is not None
    assert (found.low, found.high) == (max(free.low, 0.0), min(free.high, 1.0))


def test_intervals_hold_what_they_promise() -> None:
    """Of 2,000 means of five seeds, 95 % have the truth in their interval, give or take what chance allows."""
    draws = np.random.default_rng(0).normal(3.0, 2.0, (2_000, 5))
    found = [mean_interval(list(row)) for row in draws]
    held = sum(each is not None and each.low <= 3.0 <= each.high for each in found)
    low, high = stats.binom.interval(0.999, 2_000, 0.95)
    assert low <= held <= high
