"""Numbers of every type as float32, or float64 where float32 would take digits that tell rows apart."""

from __future__ import annotations

import decimal
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.errors import DataError, DtypeError

# From here on float32 holds no longer every whole number, below the other one no longer every digit.
_WHOLE = 2**24
_SMALLEST = float(np.finfo(np.float32).tiny)
# So many deviations from zero, the mean of a column takes six of the bits of float32 that tell its values apart.
FAR = 64
# Of values, checked at a time: the checks then cost no copy of the data.
_BLOCK = 2**20


def not_finite(values: NDArray[Any]) -> tuple[int, int] | None:
    """Return the row and the column of the first value in (N, D) that is NaN or infinite, None where all are finite."""
    step = max(1, _BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        finite = np.isfinite(values[start : start + step])
        if not finite.all():
            row, column = divmod(int(finite.argmin()), values.shape[1])
            return start + row, column
    return None


def as_float(values: NDArray[Any], place: object, key: str, *, wide: bool) -> NDArray[Any]:
    """Return values as uint8, float32 or float64; with ``wide`` what is no pixel as float64."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind == "O":
        values = _from_objects(values, place, key)
    if values.dtype.kind not in "biuf":
        raise DtypeError("array-kind", given=f"{values.dtype} in {key}")
    with np.errstate(over="ignore", under="ignore"):
        # What float32 cannot hold becomes infinite, and is then found.
        converted: NDArray[np.float32] = values.astype(np.float32, copy=False)
    found = not_finite(converted)
    if found is not None:
        row, column = found
        raise DataError("data-finite", path=f"{place}: {key}", row=row + 1, column=column + 1, value=values[found])
    if holds(values.dtype):
        return converted.astype(np.float64) if wide else converted
    far = far_columns(values)
    check_apart(values, far, place, key)
    if not wide and (converted[:, far] == values[:, far]).all():
        return converted
    return values.astype(np.float64)


def holds(dtype: np.dtype[Any]) -> bool:
    """Whether float32 holds every value of a type."""
    return dtype == np.float32 or dtype.itemsize < 4


def far_columns(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Return for each column of (N, D) whether its mean is so far from zero that float32 takes what tells rows apart.

    Such as times in seconds. A column that never changes is not.
    """
    if not len(values):
        return np.zeros(values.shape[1], np.bool_)
    means, deviations = moments(values)
    far: NDArray[np.bool_] = (np.abs(means) > FAR * deviations) & (values.max(axis=0) > values.min(axis=0))
    return far


def check_apart(
    values: NDArray[Any], far: NDArray[np.bool_], place: object, key: str, names: Sequence[str] = ()
) -> None:
    """Refuse a column (N, D) where different values, large or tiny, are one in float32.

    Of ``far`` columns after their mean is taken off in float64.
    """
    if not len(values):
        return
    most = np.maximum(values.max(axis=0).astype(np.float64), -values.min(axis=0).astype(np.float64))
    for column in np.flatnonzero((most >= _WHOLE) | (most < _SMALLEST)):
        ordered = np.sort(values[:, column])
        exact = ordered.astype(np.float64)
        with np.errstate(under="ignore"):
            rounded = ((exact - exact.mean()) / (exact.std() or 1.0) if far[column] else exact).astype(np.float32)
        large = (np.abs(exact[1:]) >= _WHOLE) | (most[column] < _SMALLEST)
        merged = (ordered[1:] != ordered[:-1]) & (rounded[1:] == rounded[:-1]) & large
        if merged.any():
            first = int(merged.argmax())
            one, other = ordered[first : first + 2].tolist()
            shown = names[int(column)] if names else int(column) + 1
            raise DataError("array-precision", path=place, key=key, column=shown, one=one, other=other)


def byte_counts(values: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return how often each of the 256 bytes stands in (N, D): whatever is made of that is exact, without a copy."""
    counts, step = np.zeros(256), max(1, _BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        counts += np.bincount(values[start : start + step].ravel(), minlength=256)
    return counts


def moments(
    values: NDArray[Any], rows: NDArray[np.intp] | None = None, weights: NDArray[np.float64] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each column of (N, D), N > 0, in float64 and a few rows at a time.

    Of some ``rows`` (M,), where they are named, each as often as its weight (M,) says.
    """
    count, step = len(values) if rows is None else len(rows), max(1, _BLOCK // max(1, values.shape[1]))
    total = count if weights is None else float(weights.sum())

    def parts() -> Iterator[tuple[NDArray[Any], NDArray[np.float64] | None]]:
        for start in range(0, count, step):
            some = slice(start, start + step)
            yield values[some if rows is None else rows[some]], None if weights is None else weights[some]

    def summed(part: NDArray[Any], counts: NDArray[np.float64] | None) -> NDArray[np.float64]:
        return np.asarray(part.sum(axis=0, dtype=np.float64) if counts is None else counts @ part.astype(np.float64))

    means = np.zeros(values.shape[1])
    for part, counts in parts():
        means += summed(part, counts)
    means /= total
    first, second = np.zeros_like(means), np.zeros_like(means)
    for part, counts in parts():
        apart = part.astype(np.float64) - means
        first += summed(apart, counts)
        second += summed(np.square(apart, out=apart), counts)
    rest = first / total
    return means + rest, np.sqrt(np.maximum(second / total - rest**2, 0.0))


def _from_objects(values: NDArray[Any], place: object, key: str) -> NDArray[Any]:
    """Return Python's numbers as float64, or refuse the first object that is none."""
    flat = np.empty(values.size, np.float64)
    for number, value in enumerate(values.flat):
        row, column = divmod(number, values.shape[1])
        if not isinstance(value, numbers.Real | decimal.Decimal | None):
            kind = f"{type(value).__name__} in row {row + 1}, column {column + 1} of {key}"
            raise DtypeError("array-kind", given=kind)
        try:
            flat[number] = float(value)  # type: ignore[arg-type]
        except (OverflowError, TypeError, ValueError):
            where = {"path": f"{place}: {key}", "row": row + 1, "column": column + 1}
            raise DataError("data-finite", **where, value=value) from None
    return flat.reshape(values.shape)
