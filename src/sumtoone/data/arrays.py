"""Arrays that are in memory already: inputs and labels of any library, as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import conversion, limits
from sumtoone.data.dataset import Dataset, checked_classes
from sumtoone.data.splitting import Pair, assemble, match_labels, number_labels
from sumtoone.errors import DataError, UsageError


def read(
    x: object, y: object, *, validation: object, test: object, name: str, classes: Sequence[str] | None
) -> Dataset:
    """Return the data set of arrays, as :meth:`Dataset.from_arrays` says."""
    shown = limits.shown(name)
    try:
        array = conversion.plain(x)
        inputs, image_shape = _own(array, shown, "x")
        labels, names = _numbered(y, classes, f"{shown}: y")
        others: dict[str, Pair] = {}
        for part, pair in (("validation", validation), ("test", test)):
            if pair is not None:
                other_x, other_y = _pair(part, pair)
                other = conversion.plain(other_x)
                if other.shape[1:] != array.shape[1:]:
                    shapes = {"train": array.shape[1:], "other": other.shape[1:]}
                    raise DataError("data-shapes", name=shown, part=part, **shapes)
                values, _ = _own(other, shown, f"{part} x")
                if values.dtype != inputs.dtype:
                    kinds = {"kind": values.dtype, "train": inputs.dtype}
                    raise DataError("data-npz-types", path=shown, key=f"{part} x", **kinds)
                where = f"{shown}: {part} y"
                if classes is None:
                    others[part] = values, match_labels(other_y, names, part=part, where=where)
                else:
                    others[part] = values, _numbered(other_y, classes, where)[0]
        return assemble(name, inputs, labels, classes=names, image_shape=image_shape, **others)
    except MemoryError:
        raise DataError("data-memory", path=shown) from None


def _own(array: NDArray[Any], name: str, key: str) -> tuple[NDArray[Any], tuple[int, ...] | None]:
    """Return rows that nobody else can write to, and the shape of a picture."""
    values, image_shape = conversion.rows(array, name, key)
    return np.array(values) if values.dtype == np.uint8 else values, image_shape


def _pair(part: str, pair: Any) -> tuple[object, object]:
    try:
        x, y = pair
    except (TypeError, ValueError):
        raise UsageError("array-pair", part=part, kind=conversion.described(pair)) from None
    return x, y


def _numbered(y: object, classes: Sequence[str] | None, where: str) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels as numbers, and the names of the classes: those given, or those met."""
    labels, met = number_labels(y, where=where)
    if classes is None:
        return labels, met
    raw, names = conversion.plain(y), checked_classes(classes)
    if raw.dtype.kind in "SU" or (raw.dtype.kind == "O" and any(isinstance(label, str | bytes) for label in raw[:1])):
        places = {label: place for place, label in enumerate(names)}
    else:
        places = {str(place): place for place in range(len(names))} | {"False": 0, "True": 1}
    for label in met:
        if places.get(label, len(names)) >= len(names):
            raise DataError("array-classes", where=where, label=limits.shown(label), count=len(names))
    return np.array([places[label] for label in met], np.int64)[labels], names
