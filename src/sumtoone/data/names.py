"""What may be the name of a class, a column or a data set; and the shape of a picture."""

from __future__ import annotations

import math
import unicodedata

import numpy as np

from sumtoone.data import limits
from sumtoone.errors import DataError, DtypeError, ShapeError


def is_name(value: str) -> bool:
    """Whether a text can be the name of a class: short, and nothing in it that files and terminals cannot take."""
    if not 0 < len(value) <= limits.LONGEST_NAME or is_piled(value):
        return False
    hidden = any(unicodedata.category(character) in ("Cc", "Cs") for character in value)
    return not hidden and "\N{REPLACEMENT CHARACTER}" not in value


def is_piled(value: str) -> bool:
    """Whether more accents stand on one letter than the 30 of Unicode's stream-safe text: no script needs them.

    To normalise them costs the square of their number.
    """
    if value.isascii():
        return False
    number = 0
    for character in value:
        number = number + 1 if unicodedata.combining(character) else 0
        if number > 30:
            return True
    return False


def checked_classes(classes: object) -> tuple[str, ...]:
    """Return the names of classes as a tuple; :class:`DataError` if one is no name, or is there twice."""
    classes = classes.tolist() if hasattr(classes, "tolist") else classes
    if not isinstance(classes, list | tuple):
        raise DtypeError("dataset-classes", value=type(classes).__name__, place=0, limit=limits.LONGEST_NAME)
    seen: set[str] = set()
    for place, name in enumerate(classes):
        if not isinstance(name, str) or not is_name(name) or name in seen:
            shown = repr(name) if isinstance(name, str) else type(name).__name__
            raise DataError("dataset-classes", value=shown, place=place, limit=limits.LONGEST_NAME)
        seen.add(name)
    return tuple(map(str, classes))


def checked_columns(columns: object, features: int) -> tuple[str, ...]:
    """Return the names of columns as a tuple; :class:`DataError` if one is no text, or is there twice."""
    names = tuple(columns) if isinstance(columns, list | tuple) else ()
    if len(names) != features or not all(map(is_text, names)) or len(set(names)) < features:
        raise DataError("dataset-columns", count=len(names), features=features)
    return names


def checked_weight(name: object) -> str | None:
    """Return the name of a column of weights, or None; ``ValueError`` for what is neither."""
    if name is not None and not is_text(name):
        raise ValueError("a column of weights without a name")
    return None if name is None else str(name)


def is_text(value: object) -> bool:
    """Whether it can be written as UTF-8: what the system cannot name in it stands there as half a character."""
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def checked_shape(shape: object, features: int) -> tuple[int, ...]:
    """Return the shape of pictures as plain numbers; :class:`ShapeError` if it is none of so many values."""
    sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
    whole = all(isinstance(size, int | np.integer) and not isinstance(size, bool) and size > 0 for size in sizes)
    if len(sizes) not in (2, 3) or not whole or math.prod(map(int, sizes)) != features:
        given = sizes if whole and sizes else type(shape).__name__
        raise ShapeError("dataset-image-shape", given=given, features=features)
    return tuple(map(int, sizes))
