"""How far a share that was counted can be trusted: Wilson's interval, and the one way in which texts show it."""

from __future__ import annotations

import math

from sumtoone.errors import UsageError
from sumtoone.language.display import quoted
from sumtoone.specification import plain_number
from sumtoone.storage import is_number

LEVEL = 0.95

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
    from statistics import NormalDist  # a tenth of what every command would import at its start

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
