"""The frozen value every source of data becomes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from sumtoone.data.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class Split:
    """Rows and their labels, each one array: a batch is a slice or an index.

    Shape: ``inputs`` (N, D), uint8 pixels or float32 rows; ``labels`` (N,), int64 from 0 to K - 1.
    """

    inputs: Tensor
    labels: Tensor

    def __post_init__(self) -> None:
        assert (self.inputs.ndim, self.labels.ndim) == (2, 1), "inputs (N, D), labels (N,)"
        assert len(self.inputs) == len(self.labels), "a label for every row"
        assert self.inputs.dtype in (torch.uint8, torch.float32)
        assert self.labels.dtype == torch.int64

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Tensor]:
        """Unpack as ``inputs, labels = split``."""
        return iter((self.inputs, self.labels))

    def loader(
        self, preprocessing: Preprocessing, *, batch_size: int = 64, shuffle: bool = False
    ) -> DataLoader[tuple[Tensor, Tensor]]:
        """Return a PyTorch ``DataLoader`` of (inputs (B, D) float32, labels (B,)) for a loop of your own.

        A batch is one indexing operation, not B of them: the loader's sampler hands whole lists of indices over.
        """
        from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

        sampler = RandomSampler(self) if shuffle else SequentialSampler(self)
        return DataLoader(
            _Rows(self, preprocessing),
            sampler=BatchSampler(sampler, batch_size=batch_size, drop_last=False),
            batch_size=None,
        )


class _Rows(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """What a ``DataLoader`` indexes with a list of rows."""

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        self.split = split
        self.preprocessing = preprocessing

    def __getitem__(self, rows: int | list[int]) -> tuple[Tensor, Tensor]:
        return self.preprocessing(self.split.inputs[rows]), self.split.labels[rows]

    def __len__(self) -> int:
        return len(self.split)


@dataclass(frozen=True, eq=False)
class Dataset:
    """A data set for classification: three splits, the names of the classes, and what a row looks like.

    Parameters
    ----------
    name
        What it was loaded by, such as ``"digits"``, or the last part of a path.
    train, validation, test
        Disjoint rows. ``validation`` chooses (early stopping, calibration), ``test`` is used once, at the end.
    classes
        The name of each label: ``classes[labels[i]]``.
    image_shape
        ``(height, width)`` or ``(height, width, channels)`` if a row is a picture, else None.
    source, label
        What :func:`sumtoone.load` was given, so that a run can be evaluated and resumed on the same rows.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    image_shape: tuple[int, ...] | None = None
    source: str = ""
    label: str = "label"

    @property
    def features(self) -> int:
        """D, the number of values in a row."""
        return int(self.train.inputs.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over all rows, labels and classes, in hexadecimal: equal exactly for equal data."""
        digest = hashlib.sha256(repr((self.classes, self.image_shape)).encode())
        for split in (self.train, self.validation, self.test):
            digest.update(repr((tuple(split.inputs.shape), split.inputs.dtype)).encode())
            digest.update(split.inputs.contiguous().numpy().data)
            digest.update(split.labels.numpy().data)
        return digest.hexdigest()
