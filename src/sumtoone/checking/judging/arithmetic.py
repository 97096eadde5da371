"""The judge's own reference, in NumPy and float64, and what it calls equal.

Shape suffixes: N rows, K classes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

Numbers = NDArray[np.float64]

# float32 keeps some seven digits; a formula with a few roundings more is still right.
_RELATIVE, _ABSOLUTE = 1e-4, 2e-6


def softmax(x: Numbers, axis: int | None = -1) -> Numbers:
    """Return SciPy's softmax: of rows where no axis is named, over everything for None."""
    return np.asarray(special.softmax(x, axis))


def log_softmax(x: Numbers, axis: int | None = -1) -> Numbers:
    """Return SciPy's log_softmax: of rows where no axis is named, over everything for None."""
    return np.asarray(special.log_softmax(x, axis))


def one_hot(labels: NDArray[Any], classes: int) -> Numbers:
    """Return (N, K) with a one at each label."""
    return np.asarray(np.eye(classes)[labels])


def close(
    got: NDArray[Any] | None, wanted: NDArray[Any], relative: float = _RELATIVE, absolute: float = _ABSOLUTE
) -> bool:
    """Whether values are of one shape, finite and equal but for rounding; NaN equals nothing."""
    if got is None or got.shape != wanted.shape or got.dtype.kind not in "fiu":
        return False
    if not (np.isfinite(got).all() and np.isfinite(wanted).all()):
        return False
    return bool(np.allclose(got.astype(np.float64), wanted, rtol=relative, atol=absolute))


def shape_of(values: NDArray[Any] | None) -> tuple[int, ...]:
    """Return the shape of values; ``()`` where there are none."""
    return () if values is None else values.shape


def differing(got: NDArray[Any], wanted: NDArray[Any]) -> int:
    """Return the first row in which values of one shape are not close."""
    rows = zip(got.reshape(len(got), -1), wanted.reshape(len(wanted), -1), strict=True)
    return next((row for row, (one, other) in enumerate(rows) if not close(one, other)), 0)


def shown(values: NDArray[Any] | None, most: int = 4) -> str:
    """Return a few numbers as a person reads them.

    >>> shown(np.array([0.25, 0.5, 0.125, 0.1, 0.025]))
    '[0.25, 0.5, 0.125, 0.1, …]'
    """
    if values is None:
        return ""
    flat = np.asarray(values).reshape(-1)
    near_zero = [0.0 if abs(value) < 1e-9 else float(value) for value in flat[:most]]
    parts = [f"{value:.3g}" for value in near_zero] + ["…"] * (flat.size > most)
    return parts[0] if np.ndim(values) == 0 else f"[{', '.join(parts)}]"
