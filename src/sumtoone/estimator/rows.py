"""From an array of numbers to what the engines train on, with at most one copy of it.

Shape suffixes: N rows, M of them, D values in a row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split
from torch import Tensor

from sumtoone.data import Dataset, Preprocessing, Split, precision
from sumtoone.options import TrainingOptions

Rows = NDArray[np.intp]
Weights = NDArray[np.float64]

# Of the values of an array, standardised at a time: as many as stay in a core's cache.
_BLOCK = 2**16
# A single batch of so many values is put in order before it is trained on.
_MOST_ORDERED = 2**20
_PLAIN = {np.dtype(np.float32), np.dtype(np.float64)}


def numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as such: what is true is 1."""
    return values.astype(np.float32) if values.dtype.kind == "b" else values


def are_plain(values: object, features: int) -> bool:
    """Whether these are an array of finite rows (N, D), N > 0, of float32, float64 or whole numbers.

    A sum beyond the type's range counts as not finite.
    """
    if type(values) is not np.ndarray or values.ndim != 2 or values.shape[1] != features or not len(values):
        return False
    if values.dtype.kind in "iu":
        return True
    with np.errstate(over="ignore", invalid="ignore"):
        return values.dtype in _PLAIN and math.isfinite(values.sum())


class Arrays(Dataset):
    """The data set of arrays that nobody loads by a name: it is not hashed."""

    @cached_property
    def fingerprint(self) -> str:
        """Nothing: what is in memory cannot be found again."""
        return ""


@dataclass(frozen=True, eq=False)
class Given:
    """Rows, the place of each one's class, and which of them are trained on.

    Parameters
    ----------
    values
        (N, D) finite numbers.
    codes
        (N,) from 0.
    counts
        How much each row to train on counts, (N,) or (M,); None where all count alike.
    train, judged
        The rows to train on (M,), None for all, and those to judge by, None for none.
    """

    values: NDArray[Any]
    codes: NDArray[np.int64]
    counts: Weights | None = None
    train: Rows | None = None
    judged: Rows | None = None

    @property
    def features(self) -> int:
        """D."""
        return int(self.values.shape[1])

    @property
    def rows(self) -> int:
        """How many rows are trained on."""
        return len(self.values) if self.train is None else len(self.train)

    def parted(self, options: TrainingOptions, share: float) -> Given:
        """Return the same with a ``share`` of the rows that count to judge by, where training may stop early.

        Classes are in proportion where each has rows enough for both parts.
        """
        if options.early_stopping is None:
            return self
        places = np.arange(len(self.codes)) if self.counts is None else np.flatnonzero(self.counts)
        codes, held = self.codes[places], math.ceil(share * len(places))
        classes = np.unique(codes, return_counts=True)[1]
        alike = classes.min() > 1 and min(held, len(places) - held) >= len(classes)
        of_class = codes if alike else None
        parts = train_test_split(places, test_size=share, stratify=of_class, random_state=options.seed % 2**32)
        train, judged = map(np.sort, parts)
        return replace(self, train=train, judged=judged, counts=None if self.counts is None else self.counts[train])

    def in_order(self, batch: int) -> Given:
        """Return the rows of a single batch in an order of their own, equal ones once with the sum of their weights.

        So a row that counts twice is, to the bit, the row given twice, and one that counts nothing is not there. Of
        more rows than a batch all are taken as they are.
        """
        values, codes = self.values, self.codes
        if self.train is not None or len(values) > batch or values.size > _MOST_ORDERED:
            return self
        # A zero added takes the sign of another.
        keyed = np.ascontiguousarray(np.column_stack([values.astype(np.float64) + 0.0, codes.astype(np.float64)]))
        keys = keyed.view(np.dtype((np.void, keyed.itemsize * keyed.shape[1]))).ravel()
        _, first, place = np.unique(keys, return_index=True, return_inverse=True)
        counts = np.bincount(place, self.counts, len(first)).astype(np.float64)
        kept = counts > 0
        rows, counts = first[kept], counts[kept]
        return replace(self, train=rows, counts=None if (counts == counts[0]).all() else counts)

    def step(self) -> Preprocessing:
        """Return what gives each column mean 0 and deviation 1 over the rows to train on, each with its weight.

        Bytes are pixels: they share one mean and one deviation, so that a picture stays a picture.
        """
        if self.values.dtype != np.uint8:
            with np.errstate(over="ignore", invalid="ignore"):
                return Preprocessing.standardising(self.values, self.train, self.counts)
        means, deviations = precision.moments(self.values, self.train, self.counts)
        mean = float(means.mean())
        deviation = float(np.sqrt((deviations**2 + (means - mean) ** 2).mean()))
        return Preprocessing(self.features, mean=(mean,), std=(deviation or 1.0,))

    def dataset(
        self, step: Preprocessing, names: tuple[str, ...], columns: tuple[str, ...] | None
    ) -> tuple[Dataset, Preprocessing]:
        """Return the data set, without a test split, and the part of the step that is yet to be applied to it."""
        inputs, rest = _prepared(self.values, self.train, step)
        train = Split(inputs, self._labels(self.train), columns)
        none = Split(train.inputs[:0], train.labels[:0], columns)
        judged = none
        if self.judged is not None:
            judged = Split(_prepared(self.values, self.judged, step)[0], self._labels(self.judged), columns)
        return Arrays("arrays", train, judged, none, names), rest

    def _labels(self, rows: Rows | None) -> Tensor:
        return torch.from_numpy(self.codes if rows is None else self.codes[rows])


def _prepared(values_ND: NDArray[Any], rows: Rows | None, step: Preprocessing) -> tuple[Tensor, Preprocessing]:
    """Return rows (M, D) as an engine reads them, and the step that it has yet to apply.

    The array itself where it is float32 or bytes in one piece; else one new array of float32, standardised.
    """
    read = values_ND.dtype in (np.uint8, np.float32) and not step.far
    if read and rows is not None:
        return torch.from_numpy(values_ND[rows]), step
    if read and values_ND.flags.carray:
        return torch.from_numpy(values_ND), step
    count, features = len(values_ND) if rows is None else len(rows), step.features
    made, each = np.empty((count, features), np.float32), max(1, _BLOCK // features)
    mean, std = np.array(step.mean), np.array(step.std)
    for start in range(0, count, each):
        some = slice(start, start + each)
        part = values_ND[some if rows is None else rows[some]].astype(np.float64)
        part -= mean
        np.divide(part, std, out=made[some], casting="same_kind")
    return torch.from_numpy(made), Preprocessing(features)
