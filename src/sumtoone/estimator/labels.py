"""Labels of any type: what a run calls them, and how a file gives them back as what they were."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.multiclass import check_classification_targets

from sumtoone.data.names import checked_classes, is_text
from sumtoone.errors import DataError, UsageError
from sumtoone.language.lines import listed

# Longer numbers than float64 are none that JSON holds exactly.
_WIDEST = 8


def numbered(targets: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Return the classes of labels (N,), sorted, and the place of each label among them.

    Raises
    ------
    DataError
        If there is but one class.
    """
    classes, codes = np.unique(targets, return_inverse=True)
    check_classes(classes)
    return classes, codes.astype(np.int64, copy=False)


def check_targets(targets: NDArray[Any]) -> None:
    """Raise ``ValueError`` unless these are labels of classes, as scikit-learn sees it, and have an order."""
    try:
        check_classification_targets(targets)
    except TypeError:
        kinds = sorted({type(label).__name__ for label in targets.tolist()})
        raise DataError("data-label-kind", where="y", kind=listed(kinds)) from None


def check_classes(classes: NDArray[Any]) -> None:
    """Raise :class:`DataError` unless there are classes to tell apart."""
    if len(classes) < 2:
        raise DataError("classifier-one-class", given=listed(classes.tolist()))


def numbers_among(targets: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the place of each label (N,) among classes that are known; :class:`DataError` for one that is none."""
    known = {label: place for place, label in enumerate(classes.tolist())}
    try:
        return np.fromiter((known[label] for label in targets.tolist()), np.int64, len(targets))
    except KeyError:
        unknown = sorted({label for label in targets.tolist() if label not in known}, key=str)
        raise DataError("classifier-classes", given=listed(unknown), known=listed(list(known))) from None


def weights_by_name(given: Any, classes: NDArray[Any], names: tuple[str, ...]) -> Any:
    """Return weights of classes by the names that a run has for them; what is no mapping, as it is.

    As in scikit-learn, weights of labels that are not there are left out where every class has one.

    Raises
    ------
    UsageError
        If there is a weight for a label that is none, and a class without one.
    """
    if not isinstance(given, Mapping):
        return given
    known = dict(zip(classes.tolist(), names, strict=True))
    unknown = [label for label in given if label not in known]
    if unknown and len(given) - len(unknown) < len(known):
        shown = listed(list(known))
        raise UsageError("training-class-unknown", given=listed(unknown), known=shown, hint=shown)
    return {known[label]: weight for label, weight in given.items() if label in known}


def names_of(labels: NDArray[Any]) -> tuple[str, ...]:
    """Return the names that a run has for sorted labels: their texts or, where one is no name, their numbers from 0.

    >>> names_of(np.array([1.5, 2.0])), names_of(np.array(["", "b"]))
    (('1.5', '2.0'), ('0', '1'))
    """
    try:
        return checked_classes([str(label) for label in labels.tolist()])
    except DataError:
        return tuple(map(str, range(len(labels))))


def described(labels: NDArray[Any]) -> dict[str, Any] | None:
    """Return labels as plain values that give them back, type and all; None where such values cannot.

    >>> described(np.array([True, False])), described(np.array(["2024-01-01"], "datetime64[D]"))
    ({'dtype': '|b1', 'values': [True, False]}, None)
    """
    kind, values = labels.dtype.kind, labels.tolist()
    whole = kind in "biu" or (kind == "f" and labels.dtype.itemsize <= _WIDEST) or (kind in "UO" and _are_texts(values))
    return {"dtype": labels.dtype.str, "values": values} if whole else None


def restored(document: Any, count: int) -> NDArray[Any]:
    """Return the ``count`` labels that :func:`described` wrote; ``ValueError`` where the document is none.

    >>> restored({"dtype": "<U3", "values": ["ant", "bee"]}, 2)
    array(['ant', 'bee'], dtype='<U3')
    """
    if not isinstance(document, Mapping) or not isinstance(document.get("dtype"), str):
        raise ValueError("no labels")
    try:
        dtype, values = np.dtype(document["dtype"]), document.get("values")
        kinds: dict[str, tuple[type, ...]] = {"b": (bool,), "i": (int,), "u": (int,), "f": (float, int)}
        if not isinstance(values, list) or not {*map(type, values)} <= {*kinds.get(dtype.kind, (str,))}:
            raise ValueError("labels of another type than they say")
        labels = np.array(values, dtype)
    except (TypeError, OverflowError):
        raise ValueError("labels of no type") from None
    if (
        described(labels) != {"dtype": document["dtype"], "values": values}
        or len({*values}) != len(values)
        or (len(values) != count)
    ):
        raise ValueError("labels that are not each a class")
    return labels


def _are_texts(values: list[Any]) -> bool:
    return all(isinstance(value, str) and is_text(value) for value in values)
