"""Rows and their labels: one of the three parts of a data set."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from sumtoone.data import conversion, precision
from sumtoone.data.names import checked_columns
from sumtoone.errors import DataError, DtypeError, ShapeError
from sumtoone.language import text

if TYPE_CHECKING:
    from torch.utils.data import DataLoader

    from sumtoone.data.preprocessing import Preprocessing


@dataclass(frozen=True, eq=False)
class Split:
    """Rows and their labels, each one array: a batch is a slice or an index.

    Shape: ``inputs`` (N, D), uint8 pixels or finite rows of float32, or of float64 where float32 would take digits
    that tell rows apart; ``labels`` (N,), int64 from 0 to K - 1. Both on the CPU; :meth:`Dataset.from_arrays` makes
    such tensors of everything else. ``columns`` are the names of the D values, where a table gives them names.

    Raises
    ------
    DtypeError, ShapeError, DataError
        If they are no such tensors.
    """

    inputs: Tensor
    labels: Tensor
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name, dtypes in (("inputs", (torch.uint8, torch.float32, torch.float64)), ("labels", (torch.int64,))):
            object.__setattr__(self, name, _normal(name, getattr(self, name), dtypes))
        shapes = tuple(self.inputs.shape), tuple(self.labels.shape)
        if (self.inputs.ndim, self.labels.ndim) != (2, 1) or len(self.inputs) != len(self.labels):
            raise ShapeError("dataset-shape", inputs=shapes[0], labels=shapes[1])
        # NumPy, as PyTorch would begin its threads, which a forked child cannot use.
        if len(self) and int(self.labels.numpy().min()) < 0:
            raise label_error(self.labels, self.labels < 0, "labels")
        found = precision.not_finite(self.inputs.numpy()) if self.inputs.is_floating_point() else None
        if found is not None:
            row, column = found
            where = {"path": "Split: inputs", "row": row + 1, "column": column + 1}
            raise DataError("data-finite", **where, value=float(self.inputs[found]))
        if self.columns is not None:
            object.__setattr__(self, "columns", checked_columns(self.columns, shapes[0][1]))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        rows, features = self.inputs.shape
        return text("shown.split-rows", rows=rows, features=features, dtype=kind_of(self.inputs))

    def __iter__(self) -> Iterator[Tensor]:
        """Unpack as ``inputs, labels = split``."""
        return iter((self.inputs, self.labels))

    def in_order(self, columns: Sequence[str] | None) -> Split:
        """Return the rows with their columns in the order of these names; itself where one of the two has no names.

        Raises
        ------
        DataError
            If a column is missing, or is there beside those named.
        """
        if columns is None or self.columns is None or self.columns == tuple(columns):
            return self
        places = conversion.places(self.columns, columns)
        return Split(self.inputs[:, torch.from_numpy(places)], self.labels, tuple(columns))

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


def kind_of(tensor: Tensor) -> str:
    """Return the name of a tensor's type, without its family's."""
    return str(tensor.dtype).removeprefix("torch.")


def _normal(name: str, tensor: object, dtypes: tuple[torch.dtype, ...]) -> Tensor:
    """Return the tensor itself or, of one made for inference or with a gradient, its values as any other tensor."""
    if not isinstance(tensor, Tensor) or tensor.device.type != "cpu" or tensor.layout != torch.strided:
        raise DtypeError("dataset-tensor", given=f"{name}: {conversion.described(tensor)}")
    if tensor.dtype not in dtypes:
        raise DtypeError("dataset-tensor", given=f"{name}: {conversion.described(tensor)}")
    if type(tensor) is Tensor and not (tensor.is_inference() or tensor.requires_grad or tensor.is_neg()):
        return tensor
    with torch.inference_mode(False):
        return torch.from_numpy(tensor.detach().resolve_neg().numpy())


def label_error(labels: Tensor, wrong: Tensor, where: str) -> DataError:
    """Return the error for the first of the labels that are wrong."""
    row = int(wrong.nonzero()[0])
    return DataError("dataset-labels", where=where, row=row + 1, value=int(labels[row]))


class _Rows(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """What a ``DataLoader`` indexes with a list of rows."""

    def __init__(self, split: Split, preprocessing: Preprocessing) -> None:
        self.inputs_ND, self.labels_N = preprocessing.rows(split.inputs), split.labels
        self.preprocessing = preprocessing

    def __getitem__(self, rows: int | list[int]) -> tuple[Tensor, Tensor]:
        return self.preprocessing.applied(self.inputs_ND[rows]), self.labels_N[rows]

    def __len__(self) -> int:
        return len(self.labels_N)
