"""How far a number that was measured on some rows can be trusted: the bootstrap.

In shapes, U counts resampled units, M quantities, R resamples, S numbers that are made from them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from sumtoone.intervals import LEVEL, Interval

RESAMPLES = 1_000
# Of more rows, so many bags of rows, filled at random, are drawn in place of rows: the bootstrap of large samples.
MOST_UNITS = 2**14
# Of resamples x units: so many weights are in memory at a time.
_BLOCK = 2**20


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
