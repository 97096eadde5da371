"""Arrays that are in memory already: inputs and labels of any library, as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import conversion
from sumtoone.data.dataset import Dataset
from sumtoone.data.labels import match_labels, number_labels
from sumtoone.data.names import checked_classes
from sumtoone.data.splitting import Pair, assemble
from sumtoone.errors import DataError, UsageError
from sumtoone.memory import enough_memory


def read(
    x: object, y: object, *, validation: object, test: object, name: str, classes: Sequence[str] | None
) -> Dataset:
    """Return the data set of arrays, as :meth:`Dataset.from_arrays` says."""
    with enough_memory(name):
        columns = conversion.names(x)
        arrays, targets = {"x": conversion.plain(x)}, {}
        labels, names = _numbered(y, classes, f"{name}: y")
        for part, pair in (("validation", validation), ("test", test)):
            if pair is not None:
                other_x, other_y = _pair(part, pair)
                arrays[f"{part} x"] = other = conversion.plain(conversion.in_order(other_x, columns))
                if other.shape[1:] != arrays["x"].shape[1:]:
                    shapes = {"train": arrays["x"].shape[1:], "other": other.shape[1:]}
                    raise DataError("data-shapes", name=name, part=part, **shapes)
                where = f"{name}: {part} y"
                if classes is None:
                    targets[part] = match_labels(other_y, names, part=part, where=where)
                else:
                    targets[part] = _numbered(other_y, classes, where)[0]
        rows = conversion.rows(arrays, name)
        inputs, image_shape = rows.pop("x")
        for key, (values, _) in rows.items():
            if values.dtype != inputs.dtype:
                raise DataError("data-shapes", name=name, part=key[:-2], train=inputs.dtype, other=values.dtype)
        # Rows that nobody else can write to; what is cut from them is a copy.
        pairs: dict[str, Pair] = {"train": (inputs if len(targets) < 2 else _own(inputs, arrays["x"]), labels)}
        for part, numbers in targets.items():
            pairs[part] = _own(rows[f"{part} x"][0], arrays[f"{part} x"]), numbers
        return assemble(name, pairs, classes=names, image_shape=image_shape, columns=columns)


def _own(values: NDArray[Any], given: NDArray[Any]) -> NDArray[Any]:
    return np.array(values) if np.may_share_memory(values, given) else values


def _pair(part: str, pair: Any) -> tuple[object, object]:
    try:
        x, y = pair
    except (TypeError, ValueError):
        raise UsageError("array-pair", part=part, given=conversion.described(pair)) from None
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
            raise DataError("array-classes", where=where, label=label, count=len(names))
    return np.array([places[label] for label in met], np.int64)[labels], names
