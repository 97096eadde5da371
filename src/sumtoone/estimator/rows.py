"""From an array of numbers to what the engines train on, with at most one copy of it.

Shape suffixes: N rows, M of them, D values in a row.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sumtoone.data import Dataset, Preprocessing, Split, precision

Rows = NDArray[np.intp]
Weights = NDArray[np.float64]

# Of the values of an array, standardised at a time.
_BLOCK = 2**20
# A single batch of so many values is put in order before it is trained on.
_MOST_ORDERED = 2**20


class Arrays(Dataset):
    """The data set of arrays that nobody loads by a name: it is not hashed."""

    @cached_property
    def fingerprint(self) -> str:
        """Nothing: what is in memory cannot be found again."""
        return ""


def step_for(values_ND: NDArray[Any], rows: Rows | None, weights: Weights | None) -> Preprocessing:
    """Return what gives each column mean 0 and deviation 1 over the training rows, each counted with its weight.

    Bytes are pixels: they share one mean and one deviation, so that a picture stays a picture.
    """
    features = values_ND.shape[1]
    if values_ND.dtype != np.uint8:
        with np.errstate(over="ignore", invalid="ignore"):
            return Preprocessing.standardising(values_ND, rows, weights)
    means, deviations = precision.moments(values_ND, rows, weights)
    mean = float(means.mean())
    deviation = float(np.sqrt((deviations**2 + (means - mean) ** 2).mean()))
    return Preprocessing(features, mean=(mean,), std=(deviation or 1.0,))


def prepared(values_ND: NDArray[Any], rows: Rows | None, step: Preprocessing) -> tuple[Tensor, Preprocessing]:
    """Return rows (M, D) as an engine reads them, and the step that it has yet to apply.

    The array itself where it is float32 or bytes in one piece; else one new array of float32, standardised.
    """
    read = values_ND.dtype in (np.uint8, np.float32) and not step.far
    if read and rows is not None:
        return torch.from_numpy(values_ND[rows]), step
    if read and values_ND.flags.carray:
        return torch.from_numpy(values_ND), step
    count, features = len(values_ND) if rows is None else len(rows), step.features
    made, each = torch.empty(count, features), max(1, _BLOCK // features)
    for start in range(0, count, each):
        some = slice(start, min(start + each, count))
        part = values_ND[some if rows is None else rows[some]].astype(np.float64)
        made[some] = step.applied(torch.from_numpy(part))
    return made, Preprocessing(features)


def in_order(
    values_ND: NDArray[Any], codes: NDArray[np.int64], weights: Weights | None, batch: int
) -> tuple[Rows | None, Weights | None]:
    """Return the rows of a single batch in an order of their own, equal ones once with the sum of their weights.

    So a row that counts twice is, to the bit, the row given twice, and one that counts nothing is not there. Of more
    rows than a batch all are taken as they are.
    """
    if len(values_ND) > batch or values_ND.size > _MOST_ORDERED:
        return None, weights
    # A zero added takes the sign of another.
    keyed = np.ascontiguousarray(np.column_stack([values_ND.astype(np.float64) + 0.0, codes.astype(np.float64)]))
    keys = keyed.view(np.dtype((np.void, keyed.itemsize * keyed.shape[1]))).ravel()
    _, first, place = np.unique(keys, return_index=True, return_inverse=True)
    counts = np.bincount(place, weights, len(first)).astype(np.float64)
    kept = counts > 0
    rows, counts = first[kept], counts[kept]
    return rows, None if (counts == counts[:1]).all() else counts


def dataset_of(
    train: tuple[Tensor, Tensor], validation: tuple[Tensor, Tensor] | None, names: tuple[str, ...], columns: Any
) -> Dataset:
    """Return the data set of such rows and their labels, without a test split."""
    inputs, labels = train
    first = Split(inputs, labels, columns)
    none = Split(inputs[:0], labels[:0], columns)
    second = none if validation is None else Split(*validation, columns)
    return Arrays("arrays", first, second, none, names)
