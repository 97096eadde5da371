"""Tables, ``.csv`` and ``.parquet``: a label column, numbers in all others, perhaps a column ``split``."""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import conversion, limits
from sumtoone.data.dataset import Dataset
from sumtoone.data.splitting import Pair, assemble, number_distinct
from sumtoone.errors import DataError
from sumtoone.specification import did_you_mean

PARTS = ("train", "validation", "test")

# Of a CSV file, at a time. A row must fit.
_BLOCK = 2**24

# So many spellings of three names there may be in a column ``split``.
_MOST_PARTS = 1000

# What pandas and other tools write, or read, where there is no value.
_MISSING = frozenset(
    ["", "#N/A", "#NA", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "-NaN", "-nan", "?", ".", "-"]
)

# What pandas calls an index that it wrote without a name.
_UNNAMED = re.compile(r"\s*|Unnamed: \d+(\.\d+)*|__index_level_\d+__")

# The features (N, D), their names, the labels and, if there is one, the column ``split``: Arrow arrays of distinct
# values and codes.
_Read = tuple[NDArray[Any], list[str], Any, Any]


@limits.within_memory
def read(path: Path, label: str = "label", *, whole: bool = False) -> Dataset:
    """Return the data set in a table whose column ``label`` holds whole numbers or text and the others numbers.

    A column ``split`` of ``train``, ``validation`` and ``test`` is respected; else both are cut from the rows. With
    ``whole`` every row is a test row, whatever stands there.
    Features become float32 or, where that takes digits that tell rows apart, float64. A CSV file is UTF-8 with commas
    and a header.

    Raises
    ------
    DataError
        If the file cannot be read as a table, a column is missing, unnamed or there twice, or a cell is
        missing, infinite or no number: then with its row, counted from 1 under the header, and its column.
    """
    readers = {".csv": _read_csv, ".parquet": _read_parquet}
    if path.suffix.lower() not in readers:
        raise DataError("data-table-kind", path=limits.shown(path), kinds=", ".join(readers))
    inputs, columns, raw, parts = readers[path.suffix.lower()](path, label)
    where = f"{path}: {label}"
    if len(raw.dictionary) > limits.MOST_CLASSES:
        count = {"count": len(raw.dictionary), "limit": limits.MOST_CLASSES}
        raise DataError("data-many-classes", where=limits.shown(where), **count)
    # Arrow hands texts on that it has not decoded: what is no UTF-8 shows here.
    with limits.foreign(path, f"data-{path.suffix.lower()[1:]}-broken"):
        named = raw.dictionary.to_pylist()
        part_of = None if parts is None or whole else _checked_parts(path, parts)
    _check_labels(raw, named, where)
    labels, classes = number_distinct(*_coded(raw, named), where=where)
    del raw
    pairs: dict[str, Pair] = {"train": (inputs, labels)}
    if part_of is not None:
        pairs = {
            part: (inputs[part_of == number], labels[part_of == number])
            for number, part in enumerate(PARTS)
            if part == "train" or (part_of == number).any()
        }
    del inputs, labels
    return assemble(path.name, pairs, classes=classes, image_shape=None, columns=tuple(columns), whole=whole)


def _check_labels(raw: Any, named: list[Any], where: str) -> None:
    """Refuse labels that say that there is none: they would become a class of their own."""
    # Beside a "+", a "-" is a class.
    meaning = {""} | ({"-"} if "+" in named else set())
    marks = [place for place, name in enumerate(named) if str(name).strip() in _MISSING - meaning and name is not None]
    if not marks:
        return
    codes = raw.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(np.isin(codes, marks))
    if len(rows):
        first = ", ".join(str(row + 1) for row in rows[:5].tolist())
        value = limits.shown(repr(named[codes[rows[0]]]))
        raise DataError("data-table-label-mark", where=limits.shown(where), count=len(rows), rows=first, value=value)


def _checked_parts(path: Path, parts: Any) -> NDArray[np.int8]:
    """Return for each row the place of its split in ``PARTS``."""
    names = parts.dictionary.slice(0, _MOST_PARTS).to_pylist()
    names += [""] * (len(parts.dictionary) - len(names))
    values, codes = _coded(parts, names)
    places = {part: place for place, part in enumerate(PARTS)}
    found: NDArray[np.int8] = np.array([places.get(str(value).strip(), -1) for value in values], np.int8)[codes]
    if found.min(initial=0) < 0:
        row = int(found.argmin())
        value = limits.shown(repr(parts[row].as_py()))
        raise DataError("data-table-split", path=limits.shown(path), row=row + 1, value=value, parts=", ".join(PARTS))
    return found


def _checked_columns(path: Path, names: Sequence[str], label: str) -> list[str]:
    """Return the names of the feature columns."""
    place = limits.shown(path)
    if len(names) > limits.MOST_COLUMNS:
        raise DataError("data-table-wide", path=place, count=len(names), limit=limits.MOST_COLUMNS)
    counts: dict[str, int] = {}
    for number, name in enumerate(names, start=1):
        if _UNNAMED.fullmatch(name):
            raise DataError("data-table-unnamed", path=place, column=number)
        counts[name] = counts.get(name, 0) + 1
        if counts[name] > 1:
            raise DataError("data-table-twice", path=place, column=limits.shown(name))
    shown = [limits.shown(name) for name in names]
    if label not in counts:
        listed, hint = limits.shown(", ".join(shown)), did_you_mean(label, shown[:1000])
        raise DataError("data-table-label", path=place, label=limits.shown(label), columns=listed, hint=hint)
    features = [name for name in names if name not in (label, "split")]
    if not features:
        raise DataError("data-table-features", path=place, columns=", ".join(shown))
    return features


def _read_csv(path: Path, label: str) -> _Read:
    import pyarrow.csv

    ragged: list[Any] = []

    def stop(row: Any) -> str:
        ragged.append(row)
        return "error"

    with limits.open_regular(path) as file, limits.foreign(path, "data-csv-broken"):
        _check_text(path, file)
        names = _header(path, file)
        features = _checked_columns(path, names, label)
        options = {
            "read_options": pyarrow.csv.ReadOptions(block_size=_BLOCK, use_threads=False),
            "parse_options": pyarrow.csv.ParseOptions(invalid_row_handler=stop),
            # All as text: Arrow would guess types from the first block, and name no cell that it cannot read.
            "convert_options": pyarrow.csv.ConvertOptions(column_types=dict.fromkeys(names, pyarrow.string())),
        }
        split = "split" in names and label != "split"
        try:
            for wide in (False, True):
                file.seek(0)
                reader = pyarrow.csv.open_csv(pyarrow.PythonFile(file, mode="r"), **options)
                if reader.schema.names != names:
                    raise DataError("data-csv-broken", path=limits.shown(path), what=limits.shown(reader.schema.names))
                read = _join(path, reader, features, label, split=split, wide=wide)
                if read is not None:
                    return read
            raise AssertionError("a wide table loses nothing")
        except pyarrow.ArrowInvalid:
            if not ragged:
                raise
            row, counts = ragged[0].number, {"wanted": ragged[0].expected_columns, "count": ragged[0].actual_columns}
            # Arrow counts the header as a row.
            raise DataError("data-table-ragged", path=limits.shown(path), row=row - 1, **counts) from None


def _join(path: Path, reader: Any, features: list[str], label: str, *, split: bool, wide: bool) -> _Read | None:
    """Read block by block: a table as text takes several times the memory of its numbers.

    None where float32 takes digits that rows of a later block need, and the first blocks have lost them.
    """
    blocks: list[NDArray[Any]] = []
    labels: list[Any] = []
    parts: list[Any] = []
    rows = 0
    for batch in reader:
        columns = np.stack([_numbers(path, name, rows, batch.column(name)) for name in features], axis=1)
        far, narrow = conversion.far_columns(columns), columns.astype(np.float32)
        conversion.check_apart(columns, far, limits.shown(path), limits.shown(", ".join(features)), features)
        # A part of the rows may be all the same where the whole is not.
        far |= np.abs(narrow).min(axis=0, initial=np.inf) > conversion.FAR * np.ptp(columns, axis=0)
        if not wide and (narrow[:, far] != columns[:, far]).any():
            if blocks:
                return None
            wide = True
        blocks.append(columns if wide else narrow)
        labels.append(_encoded(batch.column(label)))
        if split:
            parts.append(_encoded(batch.column("split")))
        rows += batch.num_rows
    inputs = np.concatenate(blocks) if blocks else np.empty((0, len(features)), np.float32)
    del blocks
    if wide:
        far, narrow = conversion.far_columns(inputs), inputs.astype(np.float32)
        conversion.check_apart(inputs, far, limits.shown(path), limits.shown(", ".join(features)), features)
        if (narrow[:, far] == inputs[:, far]).all():
            inputs = narrow
    return inputs, features, _together(labels), _together(parts) if split else None


def _check_text(path: Path, file: BinaryIO) -> None:
    """Refuse a file that is not UTF-8, by the line where it is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    lines, piece = 1, b"-"
    while piece:
        piece = file.read(_BLOCK)
        try:
            decoder.decode(piece, final=not piece)
        except UnicodeDecodeError as error:
            lines += error.object[: error.start].count(b"\n")
            raise DataError("data-csv-encoding", path=limits.shown(path), line=lines) from None
        lines += piece.count(b"\n")
    file.seek(0)


def _header(path: Path, file: BinaryIO) -> list[str]:
    """Return the names in the first line that is not blank."""
    start = file.read(_BLOCK).decode("utf-8-sig", errors="ignore").lstrip("\r\n")
    file.seek(0)
    line = start.splitlines()[0] if start else ""
    if len(start) == len(line):
        raise DataError("data-rows", name=limits.shown(path), part="train", count=0, limit=limits.MOST_ROWS)
    return next(csv.reader([line]))


def _read_parquet(path: Path, label: str) -> _Read:
    import pyarrow
    from pyarrow import parquet

    with limits.open_regular(path) as file, limits.foreign(path, "data-parquet-broken"):
        source = pyarrow.PythonFile(file, mode="r")
        metadata = parquet.ParquetFile(source, thrift_container_size_limit=2 * limits.MOST_COLUMNS).metadata
        schema = metadata.schema.to_arrow_schema()
        index = _index_columns(schema.metadata) - {label, "split"}
        rows, names = metadata.num_rows, [name for name in schema.names if name not in index]
        features = _checked_columns(path, names, label)
        if not 1 <= rows <= limits.MOST_ROWS:
            raise DataError("data-rows", name=limits.shown(path), part="train", count=rows, limit=limits.MOST_ROWS)
        size = 4 * rows * len(features)
        if size > limits.MOST_BYTES:
            raise DataError("data-too-large", path=limits.shown(path), size=size, limit=limits.MOST_BYTES)
        # A text that repeats is then held once, however many rows a few bytes claim.
        texts = [name for name in (label, "split") if name in names]
        table = parquet.ParquetFile(source, metadata=metadata, read_dictionary=texts)
        labels = _encoded(_column(path, table, label, text=True))
        parts = _encoded(_column(path, table, "split", text=True)) if "split" in names and label != "split" else None
        inputs: NDArray[Any] = np.empty((rows, len(features)), np.float32)
        # One column at a time: each may need a page of up to 2 GiB, whatever the file's size.
        for place, name in enumerate(features):
            column = _column(path, table, name)
            values = _numbers(path, name, 0, column)[:, None]
            exact = column.to_numpy()[:, None] if pyarrow.types.is_integer(column.type) else values
            far = conversion.far_columns(values)
            conversion.check_apart(exact, far, limits.shown(path), "x", [limits.shown(name)])
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
    where = {"path": limits.shown(path), "column": limits.shown(name)}
    if types.is_string(kind) or types.is_large_string(kind):
        if not text:
            first = next(table.iter_batches(batch_size=1, columns=[name])).column(name)[0].as_py()
            raise DataError("data-table-text", **where, row=1, value=limits.shown(repr(first)))
    elif not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
        raise DataError("data-table-type", **where, kind=limits.shown(kind))
    column = table.read(columns=[name], use_threads=False).column(name).combine_chunks()
    if len(column) != table.metadata.num_rows:
        what = f"{len(column)} != {table.metadata.num_rows}"
        raise DataError("data-parquet-broken", path=limits.shown(path), what=what)
    return column


def _encoded(column: Any) -> Any:
    """Return an Arrow array as its distinct values and a code for each row, so that a value is one object."""
    return column if hasattr(column, "dictionary") else column.dictionary_encode()


def _together(columns: list[Any]) -> Any:
    """Return the codes of several pieces as one, over the distinct values of them all."""
    import pyarrow

    return pyarrow.chunked_array(columns, pyarrow.dictionary(pyarrow.int32(), pyarrow.string())).combine_chunks()


def _coded(column: Any, values: list[Any]) -> tuple[list[Any], NDArray[np.integer[Any]]]:
    """Return the values that rows have, None where one is missing, and for each row the place of its own."""
    codes: NDArray[np.integer[Any]] = column.indices.to_numpy(zero_copy_only=False)
    if column.null_count:
        # The last place, which -1 means too, is for what is missing.
        codes = column.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    # A dictionary may hold what no row has.
    used = np.zeros(len(values) + 1, np.bool_)
    used[codes] = True
    kept = [value for value, met in zip([*values, None], used.tolist(), strict=True) if met]
    return kept, (np.cumsum(used) - 1).astype(np.int32)[codes]


def _numbers(path: Path, name: str, before: int, column: Any) -> NDArray[np.float64]:
    """Return a column as float64, all of it in float32's range; ``before`` is the number of rows above it."""
    import pyarrow

    def refuse(code: str, place: int) -> DataError:
        value = limits.shown(repr(column[place].as_py()))
        return DataError(code, path=limits.shown(path), column=limits.shown(name), row=before + place + 1, value=value)

    if column.null_count:
        raise refuse("data-table-missing", column.is_null().index(True).as_py())
    try:
        numbers = column.cast(pyarrow.float64(), safe=False)
    except pyarrow.ArrowInvalid:
        place = _first_unread(column)
        if place is not None:
            missing = column[place].as_py().strip() in _MISSING
            raise refuse("data-table-missing" if missing else "data-table-text", place) from None
        numbers = _trimmed(column).cast(pyarrow.float64())
    values: NDArray[np.float64] = numbers.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):
        # What float32 cannot hold becomes infinite, and is then found.
        finite = np.isfinite(values.astype(np.float32))
    if not finite.all():
        raise refuse("data-table-finite", int(finite.argmin()))
    return values


def _first_unread(column: Any) -> int | None:
    """Return the place of the first text that Arrow does not read as a number, by halving."""
    import pyarrow

    def reads(start: int, length: int) -> bool:
        try:
            _trimmed(column.slice(start, length)).cast(pyarrow.float64())
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
