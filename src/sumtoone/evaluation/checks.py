"""What probabilities and labels must be, before anything is counted.

In shapes, N counts rows, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sumtoone.errors import DataError, DtypeError, ShapeError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# How far the probabilities of a row may sum from one: wide enough for half precision, far below any real mistake.
SUM_TOLERANCE = 1e-3
# Of rows x classes: so many probabilities are summed in float64 at a time.
SUMMED = 2**18


def as_numbers(values: Tensor | ArrayLike, kinds: str, code: str) -> NDArray[Any]:
    """Return values as an array of one of NumPy's ``kinds``; :class:`DtypeError` under ``code`` if they are none."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        # NumPy has no bfloat16.
        array = (values.double() if values.is_floating_point() and values.element_size() < 4 else values).numpy()
    else:
        array = np.asarray(values)
    # An empty list has NumPy's float type: what it lacks is rows, not a type.
    if array.size and array.dtype.kind not in kinds:
        raise DtypeError(code, given=array.dtype)
    return array


def check_shapes(table: NDArray[Any], truth: NDArray[Any], classes: int) -> None:
    """Raise unless probabilities (N, K) and labels (N,) fit each other and the number of classes."""
    if table.size == truth.size == 0:
        raise DataError("split-empty", given="probabilities")
    if table.ndim != 2 or truth.shape != table.shape[:1] or table.shape[1] != classes:
        raise ShapeError("evaluation-shape", probabilities=table.shape, labels=truth.shape, classes=classes)


def check_labels(labels: NDArray[Any], classes: int) -> None:
    """Raise :class:`DataError` if a label (N,) is not from 0 to ``classes - 1``."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        row = int(wrong[0])
        fields = {"row": row, "label": int(labels[row]), "count": len(wrong)}
        raise DataError("evaluation-label", last=classes - 1, classes=classes, **fields)


def check_probabilities(table: NDArray[Any], before: int = 0) -> None:
    """Raise :class:`DataError` if a row of the table (N, K) holds no probabilities that sum to one.

    ``before`` is the number of rows that came before these.
    """
    step = max(1, SUMMED // max(1, table.shape[1]))
    bad: list[tuple[int, int]] = []
    off: list[tuple[int, float]] = []
    counts = [0, 0]
    for start in range(0, len(table), step):
        block = table[start : start + step]
        wrong = np.argwhere(~(block >= 0) | np.isinf(block))
        sums = block.sum(axis=1, dtype=np.float64)
        far = np.flatnonzero(~(np.abs(sums - 1.0) <= SUM_TOLERANCE))
        bad += [(start + row, column) for row, column in wrong[:1].tolist()]
        off += [(start + row, float(sums[row])) for row in far[:1].tolist()]
        counts = [counts[0] + len(wrong), counts[1] + len(far)]
    if bad:
        row, column = bad[0]
        value = f"{table[row, column]:.6g}"
        raise DataError("evaluation-probability", row=before + row, column=column, value=value, count=counts[0])
    if off:
        fields = {"row": before + off[0][0], "sum": f"{off[0][1]:.6g}", "count": counts[1]}
        raise DataError("evaluation-sum", tolerance=SUM_TOLERANCE, rows=before + len(table), **fields)
