"""Tables of text: a header, then rows, however programs write them (:mod:`sumtoone.data.dialects`)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import cells, dialects, limits, precision, streams
from sumtoone.data.dialects import Dialect
from sumtoone.errors import DataError

# Of a file, at a time. A row must fit.
_BLOCK = 2**24

# The features (N, D), their names, the labels and, if there is one, the column ``split``: Arrow arrays of distinct
# values and codes.
Read = tuple[NDArray[Any], list[str], Any, Any]


def read(path: Path, label: str) -> Read:
    """Return what a table of text holds.

    Raises
    ------
    DataError
        As :func:`sumtoone.data.tables.read`.
    """
    with limits.foreign(path, "data-csv-broken"):
        dialect = dialects.find(path, label)
        features = cells.checked_columns(path, dialect.names, label)
        if dialect.empty:
            raise DataError("data-rows", name=path, part="train", count=0, limit=limits.MOST_ROWS)
        try:
            return _read(path, dialect, features, label, cells.POINT)
        except DataError as error:
            if not error.fields.get("comma"):
                raise
            mark = _mark(path, dialect, features, error)
        return _read(path, dialect, features, label, mark)


def _read(path: Path, dialect: Dialect, features: list[str], label: str, mark: str) -> Read:
    split = "split" in dialect.names and label != "split"
    for wide in (False, True):
        with _rows(path, dialect) as rows:
            read = _join(path, rows, features, label, split=split, wide=wide, mark=mark)
            if read is not None:
                return read
    raise AssertionError("a wide table loses nothing")


def _mark(path: Path, dialect: Dialect, features: list[str], refused: DataError) -> str:
    """Return how the numbers of a file are written in which commas were met; refuse where that is not certain."""
    found: set[str] = set()
    with _rows(path, dialect) as rows:
        for batch in rows:
            for name in features:
                found |= cells.marks_in(batch.column(name))
    if len(found) == 1 and cells.POINT not in found:
        return found.pop()
    raise DataError("data-table-mark", **{name: refused.fields[name] for name in ("path", "column", "row", "value")})


@contextmanager
def _rows(path: Path, dialect: Dialect) -> Iterator[Iterable[Any]]:
    """Give the rows of a file as Arrow's batches, all of them text; refuse a row with too many cells, or too few."""
    import pyarrow.csv

    ragged: list[Any] = []

    def stop(row: Any) -> str:
        ragged.append(row)
        return "error"

    names = ["", *dialect.names] if dialect.indexed else list(dialect.names)
    try:
        with streams.opened(path, dialect.encoding) as file:
            left = dialect.start
            while left:
                left -= len(file.read(min(left, _BLOCK)))
            yield pyarrow.csv.open_csv(
                pyarrow.PythonFile(file, mode="r"),
                read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK, use_threads=False, column_names=names),
                parse_options=pyarrow.csv.ParseOptions(
                    delimiter=dialect.delimiter, newlines_in_values=dialect.quoted, invalid_row_handler=stop
                ),
                # All as text: Arrow would guess types from the first block, and name no cell that it cannot read.
                convert_options=pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string())),
            )
    except (pyarrow.ArrowInvalid, DataError):
        if not ragged:
            raise
        row = ragged[0]
        counts = {"wanted": row.expected_columns, "count": row.actual_columns}
        raise DataError("data-table-ragged", path=path, row=row.number, **counts) from None


def _join(
    path: Path, rows: Iterable[Any], features: list[str], label: str, *, split: bool, wide: bool, mark: str
) -> Read | None:
    """Read block by block: a table as text takes several times the memory of its numbers.

    None where float32 takes digits that rows of a later block need, and the first blocks have lost them.
    """
    blocks: list[NDArray[Any]] = []
    labels: list[Any] = []
    parts: list[Any] = []
    before = 0
    for batch in rows:
        columns = np.stack([cells.numbers(path, name, before, batch.column(name), mark) for name in features], axis=1)
        far, narrow = precision.far_columns(columns), columns.astype(np.float32)
        precision.check_apart(columns, far, path, ", ".join(features), features)
        # A part of the rows may be all the same where the whole is not.
        far |= np.abs(narrow).min(axis=0, initial=np.inf) > precision.FAR * np.ptp(columns, axis=0)
        if not wide and (narrow[:, far] != columns[:, far]).any():
            if blocks:
                return None
            wide = True
        blocks.append(columns if wide else narrow)
        labels.append(cells.encoded(batch.column(label)))
        if split:
            parts.append(cells.encoded(batch.column("split")))
        before += batch.num_rows
    inputs = np.concatenate(blocks) if blocks else np.empty((0, len(features)), np.float32)
    del blocks
    if wide:
        far, narrow = precision.far_columns(inputs), inputs.astype(np.float32)
        precision.check_apart(inputs, far, path, ", ".join(features), features)
        if (narrow[:, far] == inputs[:, far]).all():
            inputs = narrow
    return inputs, features, cells.together(labels), cells.together(parts) if split else None
