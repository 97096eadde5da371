"""Intervals held against SciPy, plain loops and what they promise: to hold the truth as often as they say."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sumtoone.errors import DataError, UsageError
from sumtoone.evaluation import Reliability, report_from
from sumtoone.evaluation.bootstrap import MOST_UNITS, bootstrapped, units
from sumtoone.evaluation.reliability import equal_masses
from sumtoone.intervals import wilson, with_interval
from test_evaluation import Case, cases, drawn, names

counts = st.integers(1, 10**6).flatmap(lambda rows: st.tuples(st.integers(0, rows), st.just(rows)))


@given(counts, st.floats(0.01, 0.999))
def test_wilsons_interval_is_scipys(given_: tuple[int, int], level: float) -> None:
    expected = stats.binomtest(*given_).proportion_ci(level, method="wilson")
    assert wilson(*given_, level) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(counts)
def test_wilsons_interval_holds_the_share_and_turns_with_it(given_: tuple[int, int]) -> None:
    right, rows = given_
    low, high = wilson(right, rows)
    assert 0 <= low <= right / rows <= high <= 1
    assert wilson(rows - right, rows) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert with_interval(right, rows) == f"{right / rows:.2%} [{low:.2%}, {high:.2%}]"


def test_numpys_numbers_are_numbers() -> None:
    assert wilson(np.int64(95), np.int32(100), np.float64(0.95)) == wilson(95, 100)
    # Perfection says nothing against an error in 28 rows.
    assert wilson(100, 100) == (pytest.approx(0.96300652), 1.0)


@pytest.mark.parametrize(
    "given_", [(1.0, 2), (3, 2), (-1, 2), (0, 0), ("1", 2), (True, 2), (None, 2), (math.nan, 2), (1, [2])]
)
def test_what_is_no_count_is_refused(given_: tuple[object, object]) -> None:
    with pytest.raises(UsageError) as raised:
        wilson(*given_)  # type: ignore[arg-type]
    assert raised.value.code == "interval-counts"
    assert raised.value.got == f"right, rows = {given_[0]!r}, {given_[1]!r}"


@pytest.mark.parametrize("level", [0, 1, 95, -0.5, math.nan, "0.95", None])
def test_what_is_no_level_is_refused(level: object) -> None:
    with pytest.raises(UsageError) as raised:
        wilson(1, 2, level)  # type: ignore[arg-type]
    assert str(raised.value) == (
        "level must be a number of a certain range [number-range]\n"
        "  expected: a finite number x, 0 < x < 1\n"
        f"  got: {level!r}\n"
        "  try: level=0.95, or leave it out"
    )


# --- the bootstrap


def test_the_bootstrap_of_a_mean_is_scipys() -> None:
    values = np.random.default_rng(1).exponential(size=400)
    ((low, high),) = bootstrapped(np.stack([np.ones(400), values], 1), lambda sums: sums[:, 1:] / sums[:, :1])
    expected = stats.bootstrap((values,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    # The ends of 1,000 resamples: their own spread is about a twentieth of the interval's width.
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=0.02)


@pytest.mark.parametrize("rows", [50, MOST_UNITS, 3 * MOST_UNITS])
def test_bags_of_rows_are_as_wide_as_rows(rows: int) -> None:
    # Sorted, as data sets are class by class.
    values = np.sort(np.random.default_rng(2).normal(size=rows))
    homes, count = units(rows)
    assert (len(homes), count, homes.max() < count) == (rows, min(rows, MOST_UNITS), True)
    sums = np.stack([np.bincount(homes, minlength=count), np.bincount(homes, values, count)], axis=1)
    ((low, high),) = bootstrapped(sums, lambda sums: sums[:, 1:] / sums[:, :1])
    assert high - low == pytest.approx(2 * 1.96 * values.std() / math.sqrt(rows), rel=0.1)
    assert low < values.mean() < high


@given(cases)
@settings(max_examples=15)
def test_intervals_hold_their_numbers_and_are_the_same_every_time(case: Case) -> None:
    report, again = (report_from(*case, names(case[0].shape[1])) for _ in range(2))
    assert report.intervals == again.intervals
    for name, (low, high) in report.intervals.items():
        assert low <= getattr(report, name) <= high
    assert report.intervals["accuracy"] == wilson(report.right, report.rows)


def test_the_interval_of_a_loss_holds_the_truth_as_often_as_it_says() -> None:
    seen = []
    for seed in range(100):
        random = np.random.default_rng(seed)
        probabilities = random.dirichlet([0.5] * 3, 300)
        labels = (probabilities.cumsum(1) < random.random((300, 1))).sum(1).clip(max=2)
        low, high = report_from(probabilities, labels, names(3)).intervals["brier"]
        # Labels drawn from the probabilities: the mean of 1 - Σ p², over all that could be drawn, is 1 - 3 E p².
        seen.append(low <= 1 - 3 * (0.5 * 1.5) / (1.5 * 2.5) <= high)
    assert stats.binomtest(sum(seen), 100, 0.95).pvalue > 0.001


# --- bins of equal mass


@given(cases, st.integers(1, 20))
@settings(max_examples=50)
def test_bins_of_equal_mass_are_those_of_a_plain_loop(case: Case, bins: int) -> None:
    probabilities, labels = case
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    ordered, rows = sorted(confidence.tolist()), len(labels)
    edges = sorted({ordered[-(-rows * place // bins) - 1] for place in range(1, bins + 1)})
    assert equal_masses(confidence, bins).tolist() == [0.0, *edges]
    error, low = 0.0, 0.0
    for high in edges:
        inside = [place for place, value in enumerate(confidence) if low < value <= high]
        error += abs(sum(float(right[place]) - float(confidence[place]) for place in inside)) / rows
        low = high
    found = Reliability.of_equal_mass(confidence, right, bins)
    assert found.counts.sum() == rows
    assert found.ece == pytest.approx(error, abs=1e-12)


def test_bins_hold_as_many_rows_each_and_equal_confidences_stay_together() -> None:
    probabilities, labels = drawn(0, 1_500, 4)
    assert (
        Reliability.of_equal_mass(probabilities.max(1), probabilities.argmax(1) == labels).counts.tolist() == [100] * 15
    )
    saturated = Reliability.of_equal_mass([0.5, *[1.0] * 99], [True] * 100)
    assert (saturated.edges.tolist(), saturated.counts.tolist()) == ([0.0, 1.0], [100])


def test_each_bin_of_a_reliability_has_wilsons_interval() -> None:
    found = Reliability.of([0.1, 0.9, 0.95, 1.0], [False, True, False, True], bins=2)
    assert found.intervals == [wilson(0, 1), wilson(2, 3)]


@pytest.mark.parametrize("sort", [Reliability.of, Reliability.of_equal_mass])
@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "got"),
    [
        ([], [], 15, "confidence (0,), correct (0,)"),
        ([[0.5]], [[1]], 15, "confidence (1, 1), correct (1, 1)"),
        ([0.5, 0.6], [1], 15, "confidence (2,), correct (1,)"),
        ([0.5, math.nan], [1, 0], 15, "confidence[1] = nan, correct[1] = 0"),
        ([0.0, 0.6], [1, 0], 15, "confidence[0] = 0, correct[0] = 1"),
        ([0.5, 1.2], [1, 0], 15, "confidence[1] = 1.2, correct[1] = 0"),
        ([0.5, 0.6], [1, 3], 15, "confidence[1] = 0.6, correct[1] = 3"),
        (["a"], [1], 15, "confidence=['a'], correct=[1]"),
        ([0.5], [1], 0, "bins=0"),
        ([0.5], [1], "many", "bins='many'"),
    ],
)
def test_what_is_no_confidence_is_refused(sort: Any, confidence: Any, correct: Any, bins: Any, got: str) -> None:
    """NaN and 1.2 would lie in the last bin, and nothing would tell."""
    with pytest.raises(DataError) as raised:
        sort(confidence, correct, bins)
    assert (raised.value.code, raised.value.got) == ("reliability-values", got)
