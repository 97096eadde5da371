"""What can be said of seeds: numbers in, numbers with their intervals out. Knows no training and no process.

All intervals of means are Student's t intervals over seeds: they say what other seeds would give, with the same rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from sumtoone.intervals import LEVEL, wilson

# Of two numbers a t interval is thirteen times as wide as they are apart: it says nothing.
FEWEST_SEEDS = 3


@dataclass(frozen=True)
class Interval:
    """An estimate, and the interval around it at a level such as 0.95."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float]:
        """Return plain values."""
        return {"value": self.value, "low": self.low, "high": self.high}


def epochs_to_reach(accuracies: Sequence[float], goal: float) -> float | None:
    """Return after how many epochs an accuracy first reaches a goal, or None if it never does.

    Between two epochs the accuracy is taken to rise on a line. What is reached within the first epoch counts as 1:
    nothing was measured before its end.

    >>> epochs_to_reach([0.5, 0.75, 1.0], 0.875), epochs_to_reach([0.9], 0.875), epochs_to_reach([0.5], 0.875)
    (2.5, 1.0, None)
    """
    for place, accuracy in enumerate(accuracies):
        if accuracy >= goal:
            if place == 0:
                return 1.0
            before = accuracies[place - 1]
            # Exactly the whole epoch where the goal is met exactly.
            return place + 1 - (accuracy - goal) / (accuracy - before)
    return None


def mean_interval(
    values: Sequence[float], level: float = LEVEL, least: float = -math.inf, most: float = math.inf
) -> Interval | None:
    """Return the mean and its t interval (Student 1908); None of fewer than three values.

    What can be no less than ``least`` and no more than ``most`` has an interval that ends there: a share of 101 %
    is none.

    >>> mean_interval([1.0, 2.0, 3.0]).value
    2.0
    >>> mean_interval([1.0, 2.0])
    """
    count = len(values)
    if count < FEWEST_SEEDS:
        return None
    mean = math.fsum(values) / count
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    half = _t_quantile(level, count - 1) * deviation / math.sqrt(count)
    return Interval(mean, max(mean - half, least), min(mean + half, most))


def paired_difference(
    first: Sequence[float], second: Sequence[float], level: float = LEVEL, comparisons: int = 1
) -> Interval | None:
    """Return the mean of ``second - first``, paired by seed, and its t interval; None of fewer than three pairs.

    Of several ``comparisons`` with the same ``first``, the intervals hold together at the level (Bonferroni).

    >>> difference = paired_difference([1.0, 2.0, 4.0], [2.0, 3.0, 5.0])
    >>> difference.low, difference.value, difference.high
    (1.0, 1.0, 1.0)
    """
    pairs = zip(first, second, strict=True)
    return mean_interval([after - before for before, after in pairs], 1 - (1 - level) / comparisons)


def share_interval(count: int, total: int) -> Interval:
    """Return a share of ``total`` and its interval (Wilson 1927).

    >>> found = share_interval(8, 10)
    >>> round(found.low, 2), found.value, round(found.high, 2)
    (0.49, 0.8, 0.94)
    """
    return Interval(count / total, *wilson(count, total))


def band(curves: Sequence[Sequence[float]]) -> list[Interval]:
    """Return for each epoch the mean over seeds and its t interval, as wide as nothing where there are too few seeds.

    Shape: ``curves`` (S, E), shares in [0, 1].
    """
    found = []
    for values in zip(*curves, strict=True):
        mean = math.fsum(values) / len(values)
        found.append(mean_interval(values, least=0.0, most=1.0) or Interval(mean, mean, mean))
    return found


def _t_quantile(level: float, degrees: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))
