"""Parquet tables, a column at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import cells, limits, precision
from sumtoone.errors import DataError


def read(path: Path, label: str) -> tuple[NDArray[Any], list[str], Any, Any]:
    """Return the features (N, D), their names, the labels and, if there is one, the column ``split``.

    Raises
    ------
    DataError
        As :func:`sumtoone.data.tables.read`.
    """
    import pyarrow
    from pyarrow import parquet

    with limits.open_regular(path) as file, limits.foreign(path, "data-parquet-broken"):
        source = pyarrow.PythonFile(file, mode="r")
        metadata = parquet.ParquetFile(source, thrift_container_size_limit=2 * limits.MOST_COLUMNS).metadata
        schema = metadata.schema.to_arrow_schema()
        index = _index_columns(schema.metadata) - {label, "split"}
        rows, names = metadata.num_rows, [name for name in schema.names if name not in index]
        features = cells.checked_columns(path, names, label)
        if not 1 <= rows <= limits.MOST_ROWS:
            raise DataError("data-rows", name=path, part="train", count=rows, limit=limits.MOST_ROWS)
        size = 4 * rows * len(features)
        if size > limits.MOST_BYTES:
            raise DataError("data-too-large", path=path, size=size, limit=limits.MOST_BYTES)
        # A text that repeats is then held once, however many rows a few bytes claim.
        texts = [name for name in (label, "split") if name in names]
        table = parquet.ParquetFile(source, metadata=metadata, read_dictionary=texts)
        labels = cells.encoded(_column(path, table, label, text=True))
        parts = (
            cells.encoded(_column(path, table, "split", text=True)) if "split" in names and label != "split" else None
        )
        inputs: NDArray[Any] = np.empty((rows, len(features)), np.float32)
        # One column at a time: each may need a page of up to 2 GiB, whatever the file's size.
        for place, name in enumerate(features):
            column = _column(path, table, name)
            values = cells.numbers(path, name, 0, column)[:, None]
            exact = column.to_numpy()[:, None] if pyarrow.types.is_integer(column.type) else values
            far = precision.far_columns(values)
            precision.check_apart(exact, far, path, "x", [name])
            if far.any() and (values.astype(np.float32) != values).any():
                inputs = inputs.astype(np.float64, copy=False)
            inputs[:, place] = values[:, 0]
        pyarrow.default_memory_pool().release_unused()
        return inputs, features, labels, parts


def _index_columns(metadata: dict[bytes, bytes] | None) -> set[str]:
    """Return the columns that the file itself, in what pandas wrote into it, calls an index: no features."""
    try:
        declared = json.loads((metadata or {}).get(b"pandas", b"{}"))["index_columns"]
        # A range is told by a dictionary, and has no column.
        return {name for name in declared if isinstance(name, str)}
    except (ValueError, KeyError, TypeError, RecursionError):
        return set()


def _column(path: Path, table: Any, name: str, *, text: bool = False) -> Any:
    """Return a column of a Parquet file as one array: numbers or, where it may be, text."""
    from pyarrow import types

    kind = table.schema_arrow.field(name).type
    kind = kind.value_type if types.is_dictionary(kind) else kind
    where = {"path": path, "column": name}
    if types.is_string(kind) or types.is_large_string(kind):
        if not text:
            first = next(table.iter_batches(batch_size=1, columns=[name])).column(name)[0].as_py()
            raise DataError("data-table-type", **where, row=1, value=repr(first))
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise DataError("data-table-type", **where, row=1, value=kind)
    column = table.read(columns=[name], use_threads=False).column(name).combine_chunks()
    if len(column) != table.metadata.num_rows:
        raise DataError("data-parquet-broken", given=f"{path}: {len(column)} != {table.metadata.num_rows}")
    return column
