"""How far a number that was measured on some rows can be trusted: Wilson's intervals, and the bootstrap.

In shapes, N counts rows, U resampled units, M quantities, R resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from sumtoone.errors import UsageError
from sumtoone.language.display import quoted
from sumtoone.specification import plain_number
from sumtoone.storage import is_number

LEVEL = 0.95
RESAMPLES = 1_000
# Of more rows, so many bags of rows, filled at random, are drawn in place of rows: the bootstrap of large samples.
MOST_UNITS = 2**14
# Of resamples x units: so many weights are in memory at a time.
_BLOCK = 2**20

Interval = tuple[float, float]


def wilson(right: int, rows: int, level: float = LEVEL) -> Interval:
    """Return Wilson's score interval for a share, of which ``right`` out of ``rows`` were seen.

    It keeps its promise also for few rows and for shares near 0 and 1, and never leaves [0, 1].

    Parameters
    ----------
    right, rows
        Whole numbers, 0 ≤ right ≤ rows, and at least one row.
    level
        In how many of all such samples it holds the true share, between 0 and 1.

    Raises
    ------
    UsageError
        If they are not.

    Examples
    --------
    >>> [round(end, 4) for end in wilson(95, 100)]
    [0.8882, 0.9785]

    References
    ----------
    Wilson 1927, "Probable Inference, the Law of Succession, and Statistical Inference".
    """
    right, rows, level = map(plain_number, (right, rows, level))
    if type(right) is not int or type(rows) is not int or not 0 <= right <= rows or not rows:
        raise UsageError("interval-counts", given=f"{quoted(right)}, {quoted(rows)}")
    if not is_number(level) or not 0 < level < 1:
        raise UsageError("number-range", name="level", given=quoted(level), wanted="0 < x < 1", example=LEVEL)
    z, share = NormalDist().inv_cdf(0.5 + level / 2), right / rows
    middle = (share + z * z / (2 * rows)) / (1 + z * z / rows)
    half = z / (1 + z * z / rows) * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows))
    # Exact where rounding would miss it.
    return (0.0 if right == 0 else max(0.0, middle - half)), (1.0 if right == rows else min(1.0, middle + half))


def with_interval(right: int, rows: int) -> str:
    """Return a share as every text shows it: in percent, with its 95 % interval.

    >>> with_interval(95, 100)
    '95.00% [88.82%, 97.85%]'
    """
    low, high = wilson(right, rows)
    return f"{right / rows:.2%} [{low:.2%}, {high:.2%}]"


def units(rows: int) -> tuple[NDArray[np.int64], int]:
    """Return the unit (N,) that each row goes into for :func:`bootstrapped`, and how many units there are.

    >>> units(3)[1], units(100_000)[1]
    (3, 16384)
    """
    if rows <= MOST_UNITS:
        return np.arange(rows), rows
    return np.random.default_rng(0).integers(0, MOST_UNITS, rows), MOST_UNITS


def bootstrapped(
    sums: NDArray[np.float64], statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> list[Interval]:
    """Return the 95 % percentile intervals of numbers that are made from sums over rows, the same every time.

    The units are drawn with replacement 1,000 times, from a seed.

    Parameters
    ----------
    sums
        (U, M): what each unit adds to the sums.
    statistic
        From sums (R, M) to numbers (R, S).

    References
    ----------
    Efron 1979, "Bootstrap Methods: Another Look at the Jackknife".
    """
    generator, count = np.random.default_rng(0), len(sums)
    # Rounded so that every sum is exact: whatever the order, and so whatever the threads, the same bits come out.
    scale = 2.0 ** np.floor(52 - np.log2(1 + count * np.abs(sums).max()))
    sums = np.round(sums * scale) / scale
    step, resampled = max(1, _BLOCK // count), []
    for start in range(0, RESAMPLES, step):
        draws = min(step, RESAMPLES - start)
        places = generator.integers(0, count, (draws, count)) + count * np.arange(draws)[:, None]
        times = np.bincount(places.ravel(), minlength=draws * count).reshape(draws, count)
        resampled.append(statistic(times.astype(np.float64) @ sums))
    ends = np.quantile(np.concatenate(resampled), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return list(zip(*ends.tolist(), strict=True))
