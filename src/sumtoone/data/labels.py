"""Labels as people write them, numbered from 0, and the names of the classes they are."""

from __future__ import annotations

import math
import re
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import conversion, limits
from sumtoone.data.names import is_name, is_piled
from sumtoone.errors import DataError, DtypeError, ShapeError

# A number as people write one; 007 and numbers beyond int64 are names.
_NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{0,17})?(e[+-]?[0-9]{1,3})?", re.IGNORECASE)


def number_labels(raw: object, *, where: object = "labels") -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return labels numbered from 0, shape (N,), and the name of each class.

    Numbers, and texts that are all numbers, are put in the order of their values; other texts in the
    order of their characters, after spaces around them are taken off. ``where`` is what an error
    calls the labels, such as a path.

    Raises
    ------
    DataError
        If a label is missing (None, NaN, an empty text), a fraction, no plain text, or neither number nor
        text, or if there are too many classes.

    Examples
    --------
    >>> number_labels(["cat", "ant", "cat"])
    (array([1, 0, 1]), ('ant', 'cat'))
    >>> number_labels([10.0, 9.0])
    (array([1, 0]), ('9', '10'))
    """
    return number_distinct(*_distinct(raw, where), where=where)


def number_distinct(
    values: list[Any], codes: NDArray[np.integer[Any]], *, where: object
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Return what :func:`number_labels` does, of the distinct labels and, for each row, the place of its own.

    >>> number_distinct(["cat", "ant"], np.array([0, 1, 0]), where="labels")
    (array([1, 0, 1]), ('ant', 'cat'))
    """
    if len(values) > limits.MOST_CLASSES:
        raise DataError("data-many-classes", where=where, count=len(values), limit=limits.MOST_CLASSES)
    cleaned = _numbers_from_text([_cleaned(value) for value in values])
    _refuse("data-label-missing", [value is None for value in cleaned], values, codes, where)
    if all(isinstance(value, str) for value in cleaned):
        _refuse("data-label-name", [not is_name(value) for value in cleaned], values, codes, where)
    elif any(isinstance(value, str) for value in cleaned):
        _refuse("data-label-mixed", [isinstance(value, str) for value in cleaned], values, codes, where)
    elif not all(isinstance(value, bool) for value in cleaned):
        _refuse("data-label-fraction", [value % 1 != 0 for value in cleaned], values, codes, where)
        cleaned = [int(value) for value in cleaned]
    ordered = sorted(set(cleaned))
    place = {value: number for number, value in enumerate(ordered)}
    return np.array([place[value] for value in cleaned], np.int64)[codes], tuple(map(str, ordered))


def match_labels(raw: object, classes: tuple[str, ...], *, part: str, where: object = "labels") -> NDArray[np.int64]:
    """Return the labels of another split, numbered as those of the training rows are.

    >>> match_labels(["cat", "cat"], ("ant", "cat"), part="test")
    array([1, 1])
    """
    labels, names = number_labels(raw, where=where)
    place = {label: number for number, label in enumerate(classes)}
    for label in names:
        if label not in place:
            raise DataError("data-label-unseen", name=where, part=part, label=label)
    return np.array([place[label] for label in names], np.int64)[labels]


def number_parts(
    raw: Mapping[str, tuple[object, object]], *, whole: bool = False
) -> tuple[dict[str, NDArray[np.int64]], tuple[str, ...]]:
    """Return the labels of several splits numbered alike, and the name of each class.

    Each is given with what an error calls it. The classes are those of the training rows or, with ``whole``, of all.
    """
    if not whole:
        labels, where = raw["train"]
        numbered, classes = number_labels(labels, where=where)
        rest = {
            part: match_labels(own, classes, part=part, where=name)
            for part, (own, name) in raw.items()
            if part != "train"
        }
        return {"train": numbered, **rest}, classes
    values: list[Any] = []
    codes: list[NDArray[np.int64]] = []
    for labels, where in raw.values():
        distinct, own = _distinct(labels, where)
        codes.append(own + len(values))
        values += distinct
    joined, classes = number_distinct(values, np.concatenate(codes), where=next(iter(raw.values()))[1])
    return dict(zip(raw, np.split(joined, np.cumsum([len(each) for each in codes])[:-1]), strict=True)), classes


def _distinct(raw: object, where: object) -> tuple[list[Any], NDArray[np.int64]]:
    """Return the distinct labels and, for each row, the place of its own among them."""
    try:
        array = conversion.one_for_each(conversion.plain(raw))
    except ShapeError:
        raise DataError("data-label-shape", where=where, shape="?") from None
    except DtypeError as error:
        raise DataError("data-label-kind", where=where, kind=error.fields["given"]) from None
    if array.ndim != 1:
        raise DataError("data-label-shape", where=where, shape=array.shape)
    if len(array) > limits.MOST_ROWS:
        raise DataError("data-rows", name=where, part="train", count=len(array), limit=limits.MOST_ROWS)
    if array.dtype.kind not in "biufOSU":
        raise DataError("data-label-kind", where=where, kind=array.dtype)
    if array.dtype.kind != "O":
        distinct, codes = np.unique(array, return_inverse=True)
        _refuse_beyond_unicode(distinct, codes, where)
        return distinct.tolist(), codes.astype(np.int64, copy=False)
    places: dict[object, int] = {}
    codes = np.empty(len(array), np.int64)
    for row, each in enumerate(array):
        value = each.item() if isinstance(each, np.generic) else each
        if not isinstance(value, str | bytes | int | float | None):
            raise DataError("data-label-kind", where=where, kind=type(value).__name__)
        codes[row] = places.setdefault(value, len(places))
    return list(places), codes


def _refuse_beyond_unicode(distinct: NDArray[Any], codes: NDArray[np.int64], where: object) -> None:
    """Refuse bytes in the place of characters, of which no text can be made, not even for an error."""
    if distinct.dtype.kind == "U" and distinct.size and distinct.itemsize:
        points = np.ascontiguousarray(distinct).view(np.uint32).reshape(len(distinct), -1).max(axis=1)
        _refuse("data-label-name", points > sys.maxunicode, [f"U+{point:X}" for point in points], codes, where)


def _cleaned(value: Any) -> Any:
    """Return a label without the spaces around it, None where it is missing."""
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, str):
        value = value.strip()
        # What is no name as it stands is refused as that, before it costs anything to normalise it.
        if len(value) > limits.LONGEST_NAME or is_piled(value):
            return value
        # macOS writes 한 as three characters in the names of folders, everyone else as one.
        return unicodedata.normalize("NFC", value).strip() or None
    return None if isinstance(value, float) and math.isnan(value) else value


def _numbers_from_text(values: list[Any]) -> list[Any]:
    """Return texts that are all numbers as numbers, "nan" among them as missing; else the values as they are."""
    texts = [value for value in values if isinstance(value, str)]
    known = [bool(_NUMBER.fullmatch(value)) for value in texts]
    if len(texts) < len(values) - values.count(None) or not any(known):
        return values
    if not all(number or value.lower() == "nan" for number, value in zip(known, texts, strict=True)):
        return values
    return [None if value is None or value.lower() == "nan" else _number(value) for value in values]


def _number(value: str) -> int | float:
    # int() first: a float holds no more than 53 bits.
    return int(value) if value.lstrip("-").isdigit() else float(value)


def _refuse(
    code: str, wrong: Sequence[bool], values: list[Any], codes: NDArray[np.integer[Any]], where: object
) -> None:
    """Raise for the first row whose distinct value is wrong."""
    if any(wrong):
        row = int(np.array(wrong)[codes].argmax())
        value = values[codes[row]]
        raise DataError(code, where=where, row=row + 1, value=value, limit=limits.LONGEST_NAME)
