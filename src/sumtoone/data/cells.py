"""Cells of a table into numbers and codes: what readers of tables share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import limits
from sumtoone.errors import DataError
from sumtoone.specification import did_you_mean

# What pandas and other tools write, or read, where there is no value.
MISSING = frozenset(
    [
        "",
        "#N/A",
        "#NA",
        "<NA>",
        "N/A",
        "NA",
        "NULL",
        "NaN",
        "None",
        "n/a",
        "nan",
        "null",
        "-NaN",
        "-nan",
        "?",
        ".",
        "-",
        "\\N",
    ]
)

# What pandas calls an index that it wrote without a name.
_UNNAMED = re.compile(r"\s*|Unnamed: \d+(\.\d+)*|__index_level_\d+__")

# From here on float64 holds no longer every whole number.
_WHOLE = 2.0**53

# How numbers are written: with a point; with a comma, and points between thousands; with commas between thousands.
POINT, COMMA, THOUSANDS = ".", ",", "1,000."

_SIGN, _END = r"^\s*[-+]?", r"([eE][-+]?\d+)?\s*$"
_WRITTEN = {
    COMMA: rf"{_SIGN}(\d+|\d{{1,3}}(\.\d{{3}})+)?(,\d*)?{_END}",
    THOUSANDS: rf"{_SIGN}(\d+|\d{{1,3}}(,\d{{3}})+)?(\.\d*)?{_END}",
}
# What is written in one way alone: 1,5 and 0,125 and 1.234,5; or 1,234.5 and 1,234,567.
_ONLY = {
    POINT: rf"{_SIGN}\d*\.(\d{{1,2}}|\d{{4,}}){_END}",
    COMMA: (
        rf"{_SIGN}(\d*,(\d{{1,2}}|\d{{4,}})|0+,\d+|\d{{4,}},\d+|\d{{1,3}}(\.\d{{3}})+,\d+|\d{{1,3}}(\.\d{{3}}){{2,}})"
        rf"{_END}"
    ),
    THOUSANDS: rf"{_SIGN}(\d{{1,3}}(,\d{{3}})+\.\d*|\d{{1,3}}(,\d{{3}}){{2,}}){_END}",
}
_WITH_COMMA = re.compile(rf"{_SIGN}[\d.,]*,[\d.,]*{_END}")


def checked_columns(path: Path, names: Sequence[str], label: str) -> list[str]:
    """Return the names of the feature columns."""
    if len(names) > limits.MOST_COLUMNS:
        raise DataError("data-table-wide", path=path, count=len(names), limit=limits.MOST_COLUMNS)
    counts: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if _UNNAMED.fullmatch(name):
            raise DataError("data-table-unnamed", path=path, column=number)
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > 1:
            raise DataError("data-table-twice", path=path, column=name)
    if label not in counts:
        hint = did_you_mean(label, names[:1000])
        raise DataError("data-table-label", path=path, label=label, columns=", ".join(names), hint=hint)
    features = [name for name in names if name not in (label, "split")]
    if not features:
        raise DataError("data-table-features", path=path, columns=", ".join(names))
    return features


def encoded(column: Any) -> Any:
    """Return an Arrow array as its distinct values and a code for each row, so that a value is one object."""
    return column if hasattr(column, "dictionary") else column.dictionary_encode()


def together(columns: list[Any]) -> Any:
    """Return the codes of several pieces as one, over the distinct values of them all."""
    import pyarrow

    return pyarrow.chunked_array(columns, pyarrow.dictionary(pyarrow.int32(), pyarrow.string())).combine_chunks()


def numbers(path: Path, name: str, before: int, column: Any, mark: str = POINT) -> NDArray[np.float64]:
    """Return a column as float64, all of it in float32's range; ``before`` is the number of rows above it.

    Texts are numbers with their decimal mark as ``mark`` says, or all True or False: 1 and 0.
    """
    import pyarrow
    from pyarrow import compute

    def refuse(code: str, place: int) -> DataError:
        value = repr(column[place].as_py())
        return DataError(code, path=path, column=name, row=before + place + 1, value=value)

    if column.null_count:
        raise refuse("data-table-missing", column.is_null().index(True).as_py())
    try:
        plain = column if mark == POINT else _with_points(column, mark)
        found = plain.cast(pyarrow.float64(), safe=False)
    except pyarrow.ArrowInvalid:
        truths = compute.match_substring_regex(column, "^ *(true|false) *$", ignore_case=True)
        if compute.all(truths).as_py():
            lowered = compute.utf8_lower(_trimmed(column))
            found = compute.equal(lowered, "true").cast(pyarrow.float64())
        else:
            place = _first_unread(column, mark)
            if place is not None:
                value = column[place].as_py()
                error = refuse("data-table-missing" if value.strip() in MISSING else "data-table-type", place)
                # How all of the file is written must then be found first.
                error.fields["comma"] = mark == POINT and bool(_WITH_COMMA.match(value))
                raise error from None
            found = _trimmed(plain).cast(pyarrow.float64())
    values: NDArray[np.float64] = found.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        # What float32 cannot hold becomes infinite, and is then found.
        finite = np.isfinite(values.astype(np.float32))
    if not finite.all():
        raise refuse("data-finite", int(finite.argmin()))
    if pyarrow.types.is_string(column.type) and np.abs(values).max(initial=0) >= _WHOLE:
        _check_identifiers(path, name, column, values)
    return values


def _check_identifiers(path: Path, name: str, column: Any, values: NDArray[np.float64]) -> None:
    """Refuse whole numbers so large that different ones are the same in float64."""
    import pyarrow

    large = np.flatnonzero(np.abs(values) >= _WHOLE)
    texts = _trimmed(column.take(pyarrow.array(large))).unique().to_pylist()
    seen: dict[float, str] = {}
    for written in texts:
        if not written.lstrip("+-").isdigit():
            continue
        other = seen.setdefault(float(written), written)
        if int(other) != int(written):
            where = {"path": path, "key": name, "column": name}
            raise DataError("array-precision", **where, one=other, other=written)


def marks_in(column: Any) -> set[str]:
    """Return the ways in which some numbers of a column of texts are written, and in no other way."""
    from pyarrow import compute

    def some(pattern: str) -> bool:
        return bool(compute.any(compute.match_substring_regex(column, pattern)).as_py())

    return {mark for mark, pattern in _ONLY.items() if some(pattern)}


def _with_points(column: Any, mark: str) -> Any:
    """Return texts with a decimal point and nothing between thousands; ``ArrowInvalid`` if one is written otherwise."""
    import pyarrow
    from pyarrow import compute

    if not compute.all(compute.match_substring_regex(column, _WRITTEN[mark])).as_py():
        raise pyarrow.ArrowInvalid
    if mark == THOUSANDS:
        return compute.replace_substring(column, ",", "")
    return compute.replace_substring(compute.replace_substring(column, ".", ""), ",", ".")


def _first_unread(column: Any, mark: str) -> int | None:
    """Return the place of the first text that is not read as a number, by halving."""
    import pyarrow

    def reads(start: int, length: int) -> bool:
        try:
            part = _trimmed(column.slice(start, length))
            (part if mark == POINT else _with_points(part, mark)).cast(pyarrow.float64())
        except pyarrow.ArrowInvalid:
            return False
        return True

    start, length = 0, len(column)
    if reads(start, length):
        return None
    while length > 1:
        half = length // 2
        if reads(start, half):
            start, length = start + half, length - half
        else:
            length = half
    return start


def _trimmed(column: Any) -> Any:
    from pyarrow import compute

    return compute.utf8_trim_whitespace(column)
