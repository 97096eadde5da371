"""The frozen value every source of data becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from sumtoone.data import conversion
from sumtoone.data.digests import fingerprint_of, marks_of
from sumtoone.data.names import checked_classes, checked_shape, is_text
from sumtoone.data.split import Split, kind_of, label_error
from sumtoone.errors import DataError, DtypeError
from sumtoone.language import html, text
from sumtoone.language.lines import listed

# Classes that a table counts one by one, and letters of the name of one.
_MOST_SHOWN, _LONGEST_NAME = 20, 24


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
    handwriting
        Whether the images are digits or letters, cut out and centred as MNIST's are.
    weights, weight
        How much each row of ``train`` counts, (N,), and the name of the column that said so; see :meth:`weighted`.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple[str, ...]
    image_shape: tuple[int, ...] | None = None
    source: str = ""
    label: str = "label"
    handwriting: bool = False
    weights: Tensor | None = None
    weight: str | None = None

    def __post_init__(self) -> None:
        for what in ("name", "source", "label"):
            if not is_text(getattr(self, what)):
                raise DataError("dataset-text", what=what, value=repr(getattr(self, what)))
        object.__setattr__(self, "classes", checked_classes(self.classes))
        for part in ("train", "validation", "test"):
            self._check_split(part, getattr(self, part))
        if self.image_shape is not None:
            object.__setattr__(self, "image_shape", checked_shape(self.image_shape, self.features))

    def __repr__(self) -> str:
        return "\n  ".join(self._lines)

    def _repr_html_(self) -> str:
        head = [text("shown.split"), text("shown.rows")]
        rows = [[text(f"shown.{name}"), f"{len(split):,}"] for name, split in self._splits]
        if len(self.classes) <= _MOST_SHOWN:
            head += [listed([name], longest=_LONGEST_NAME) for name in self.classes]
            for row, (_, split) in zip(rows, self._splits, strict=True):
                row += [f"{count:,}" for count in split.labels.bincount(minlength=len(self.classes)).tolist()]
        return html.shown(self._lines, head, rows)

    @property
    def _splits(self) -> list[tuple[str, Split]]:
        return [("train", self.train), ("validation", self.validation), ("test", self.test)]

    @property
    def _lines(self) -> list[str]:
        sizes = {name: len(split) for name, split in self._splits}
        names = listed(self.classes, most=10, longest=_LONGEST_NAME)
        fields = {"features": self.features, "dtype": kind_of(self.train.inputs)}
        values = text("shown.values", **fields)
        if self.image_shape is not None:
            values = text("shown.pictures", shape=" x ".join(map(str, self.image_shape)), **fields)
        what = {"name": self.name, "rows": sum(sizes.values()), "classes": len(self.classes), "names": names}
        return [text("shown.dataset", **what), text("shown.splits", **sizes), values]

    def _check_split(self, part: str, split: object) -> None:
        if not isinstance(split, Split):
            raise DtypeError("dataset-tensor", given=f"{part}: {conversion.described(split)}")
        name, inputs = self.name, self.train.inputs
        if split.inputs.shape[1] != inputs.shape[1]:
            raise DataError("data-shapes", name=name, part=part, train=inputs.shape[1], other=split.inputs.shape[1])
        if split.inputs.dtype != inputs.dtype:
            raise DataError("data-shapes", name=name, part=part, train=inputs.dtype, other=split.inputs.dtype)
        if split.columns != self.train.columns:
            conversion.places(split.columns or (), self.train.columns or ())
            object.__setattr__(self, part, split.in_order(self.train.columns))
        if len(split) and int(split.labels.numpy().max()) >= len(self.classes):
            raise label_error(split.labels, split.labels >= len(self.classes), f"{part}.labels")

    @classmethod
    def from_arrays(
        cls,
        x: object,
        y: object,
        *,
        validation: tuple[object, object] | Split | None = None,
        test: tuple[object, object] | Split | None = None,
        name: str = "arrays",
        classes: Sequence[str] | None = None,
    ) -> Dataset:
        """Return the data set of arrays of any library and number type: NumPy, PyTorch, JAX, pandas, lists …

        A validation or test split that is not given is cut from the rows, as of files. The values are copied.

        Parameters
        ----------
        x
            (N, D), (N, H, W), or (N, H, W, C) with C 1 or 3. uint8 stays what it is, pixels; all else becomes
            float32, or float64 where float32 would take digits that tell the rows of a column apart, such as times.
        y
            (N,), a whole number or a text for each row.
        validation, test
            Pairs of such arrays.
        classes
            The name of each class. Then numbers in ``y`` count classes from 0, and texts are these names;
            else the classes are the labels met, in their order.

        Raises
        ------
        DtypeError, ShapeError, DataError
            If these are no numbers or no labels, or float32 cannot hold them.

        Examples
        --------
        >>> import numpy as np
        >>> data = Dataset.from_arrays(np.arange(40.0).reshape(20, 2), ["ant", "bee"] * 10)
        >>> len(data.train), len(data.validation), len(data.test), data.classes
        (14, 2, 4, ('ant', 'bee'))
        """
        from sumtoone.data import arrays

        return arrays.read(x, y, validation=validation, test=test, name=name, classes=classes)

    @property
    def columns(self) -> tuple[str, ...] | None:
        """The names of the D values of a row, None where they have none."""
        return self.train.columns

    def in_order(self, columns: Sequence[str] | None) -> Dataset:
        """Return the data set with the columns of its splits in the order of these names: :meth:`Split.in_order`."""
        if columns is None or self.columns is None or self.columns == tuple(columns):
            return self
        parts = (self.train, self.validation, self.test)
        train, validation, test = (part.in_order(columns) for part in parts)
        return replace(self, train=train, validation=validation, test=test)

    def weighted(self, column: str | None, *, needed: bool = True) -> Dataset:
        """Return the data set with a column that is no feature, but says how much each training row counts.

        Itself for None and, unless the column is ``needed``, where there is none of this name.

        Raises
        ------
        DataError
            If there is no such column, or no other.
        """
        held = self.columns or ()
        if column is None or (column not in held and not needed):
            return self
        kept = [place for place, name in enumerate(held) if name != column]
        if column not in held or not kept:
            raise DataError("data-weight", name=self.name, given=column, columns=listed(held))
        names = tuple(held[place] for place in kept)
        parts = (self.train, self.validation, self.test)
        train, validation, test = (Split(part.inputs[:, kept], part.labels, names) for part in parts)
        own = self.train.inputs[:, held.index(column)].double()
        return replace(self, train=train, validation=validation, test=test, weights=own, weight=column)

    def need(self, split: str, name: str) -> None:
        """Raise :class:`DataError` if there are no rows in the split that ``name`` cannot do without."""
        if not len(getattr(self, split)):
            raise DataError("split-needed", name=name, split=split, data=self.name, rows=len(self.train))

    def whole(self) -> Dataset:
        """Return the data set with every row in its test split, and none in the others."""
        filled = [part for part in (self.train, self.validation, self.test) if len(part)]
        every, none = filled[0], Split(self.train.inputs[:0], self.train.labels[:0], self.columns)
        if len(filled) > 1:
            labels = torch.cat([part.labels for part in filled])
            every = Split(torch.cat([part.inputs for part in filled]), labels, self.columns)
        return replace(self, train=none, validation=none, test=every, weights=None)

    @property
    def features(self) -> int:
        """D, the number of values in a row."""
        return int(self.train.inputs.shape[1])

    @cached_property
    def fingerprint(self) -> str:
        """The sha256 over all rows, labels and classes, in hexadecimal: equal exactly for equal data."""
        return fingerprint_of(self)

    @cached_property
    def marks(self) -> dict[str, dict[str, Any]]:
        """How many rows each split has, and a digest to know it by."""
        return marks_of(self)
