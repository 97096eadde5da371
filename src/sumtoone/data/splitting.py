"""From arrays to a :class:`Dataset`: labels numbered, what is missing cut from the training rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from sumtoone.data import limits
from sumtoone.data.dataset import Dataset
from sumtoone.data.split import Split
from sumtoone.errors import DataError

# Rows (N, D) and their labels (N,).
Pair = tuple[NDArray[Any], NDArray[np.int64]]

PARTS = ("train", "validation", "test")
# What others call them.
_PARTS = {"training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test"}

TEST_PERCENT = 20
VALIDATION_PERCENT = 10
_SEED = 0


def assemble(
    name: str,
    parts: Mapping[str, Pair],
    *,
    classes: tuple[str, ...],
    image_shape: tuple[int, ...] | None,
    columns: tuple[str, ...] | None = None,
    whole: bool = False,
) -> Dataset:
    """Return the data set of these rows; a test or validation split that is not given is cut from those to train on.

    The cut is stratified and the same on every machine: 20 % of the rows for the test, 10 % of what
    remains for validation, in proportion to the classes, each of which keeps a training row.
    With ``whole`` nothing is cut: every row is a test row.

    Shape: ``parts`` has ``"train"`` and perhaps ``"validation"`` and ``"test"``, each rows (N, D) uint8, float32 or
    float64, and labels (N,) int64 from 0 to K - 1.

    Raises
    ------
    DataError
        If a split has no rows, there are no features or too many, or there is only one class; if rows and labels
        differ in number, or splits in features; if a label is met, but not in the training rows.

    Examples
    --------
    >>> rows = np.arange(40, dtype=np.uint8).reshape(20, 2)
    >>> data = assemble("twenty", {"train": (rows, np.arange(20) % 2)}, classes=("even", "odd"), image_shape=None)
    >>> len(data.train), len(data.validation), len(data.test)
    (14, 2, 4)
    """
    inputs, labels = parts["train"]
    for part, pair in parts.items():
        _check_rows(name, part, pair, inputs.shape[1])
    if not 1 <= inputs.shape[1] <= limits.MOST_FEATURES:
        raise DataError("data-features", name=name, count=inputs.shape[1], limit=limits.MOST_FEATURES)
    none = _split((np.empty((0, inputs.shape[1]), inputs.dtype), np.empty(0, np.int64)), columns)
    if whole:
        every = parts["train"] if len(parts) == 1 else _joined(list(parts.values()))
        return Dataset(name, none, none, _split(every, columns), classes, image_shape)
    for part, pair in parts.items():
        unseen = np.setdiff1d(pair[1], labels)
        if len(unseen):
            raise DataError("data-label-unseen", name=name, part=part, label=classes[unseen[0]])
    if len(classes) < 2:
        raise DataError("data-one-class", name=name, label=classes[0])
    random = np.random.PCG64(_SEED)
    # Which rows go where is settled first, so that they are copied once.
    stays = np.ones(len(labels), np.bool_)
    splits = dict.fromkeys(("train", "validation", "test"), none)
    for part, percent in (("test", TEST_PERCENT), ("validation", VALIDATION_PERCENT)):
        if part in parts:
            splits[part] = _split(parts[part], columns)
        else:
            goes = _drawn(labels, stays, percent, random)
            stays[goes] = False
            splits[part] = _split((inputs[goes], labels[goes]), columns)
    splits["train"] = _split((inputs, labels) if len(parts) == len(splits) else (inputs[stays], labels[stays]), columns)
    train, validation, test = (splits[part] for part in ("train", "validation", "test"))
    return Dataset(name, train, validation, test, classes, image_shape)


def _joined(pairs: Sequence[Pair]) -> Pair:
    return np.concatenate([rows for rows, _ in pairs]), np.concatenate([labels for _, labels in pairs])


def part_named(name: str) -> str:
    """Return the split that a word is for; a word for none as it is.

    >>> part_named("Val "), part_named("cats")
    ('validation', 'cats')
    """
    word = name.strip().lower()
    return word if word in PARTS else _PARTS.get(word, name)


def _check_rows(name: str, part: str, pair: Pair, features: int) -> None:
    inputs, labels = pair
    assert inputs.dtype in (np.uint8, np.float32, np.float64), "pixels or numbers"
    if len(inputs) != len(labels):
        raise DataError("data-rows-labels", name=name, part=part, rows=len(inputs), labels=len(labels))
    if not 1 <= len(labels) <= limits.MOST_ROWS:
        raise DataError("data-rows", name=name, part=part, count=len(labels), limit=limits.MOST_ROWS)
    if inputs.shape[1] != features:
        raise DataError("data-shapes", name=name, part=part, train=features, other=inputs.shape[1])


def _drawn(
    labels: NDArray[np.int64], stays: NDArray[np.bool_], percent: int, random: np.random.PCG64
) -> NDArray[np.intp]:
    """Return ``percent`` of the rows that are still there, in their order."""
    # 16 bits hold every class, and NumPy sorts them by counting: twenty million rows in a moment, and in little memory.
    own = labels.astype(np.uint16)[stays]
    counts = np.bincount(own)
    by_class = np.argsort(own, kind="stable").astype(np.int32)
    # Raw draws: NumPy promises the same ones for ever, as it does not for its permutations.
    draws = random.random_raw(len(own))
    goes = np.zeros(len(own), np.bool_)
    starts = np.cumsum(counts) - counts
    for start, count, share in zip(starts, counts, _shares(counts, percent), strict=True):
        if share:
            rows = by_class[start : start + count]
            drawn = draws[rows]
            last = np.partition(drawn, share - 1)[share - 1]
            goes[rows[drawn < last]] = True
            # Equal draws are as good as impossible; the first rows of them go.
            equal = rows[drawn == last]
            goes[equal[: share - np.count_nonzero(drawn < last)]] = True
    return np.flatnonzero(stays)[goes]


def _shares(counts: NDArray[np.int64], percent: int) -> NDArray[np.int64]:
    """Divide ``percent`` of all rows among classes by largest remainder; each class keeps a row.

    Whole numbers only, so that no machine rounds differently.
    """
    shares = counts * percent // 100
    wanted = (int(counts.sum()) * percent + 50) // 100
    order = np.argsort(-(counts * percent % 100), kind="stable")
    grows = order[shares[order] < counts[order] - 1]
    shares[grows[: wanted - int(shares.sum())]] += 1
    return shares


def _split(pair: Pair, columns: tuple[str, ...] | None) -> Split:
    inputs, labels = map(np.ascontiguousarray, pair)
    return Split(torch.from_numpy(inputs), torch.from_numpy(labels), columns)
