"""Tables, text and Parquet: a label column, numbers in all others, perhaps a column ``split``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import delimited, limits, parquet
from sumtoone.data.cells import MISSING
from sumtoone.data.dataset import Dataset
from sumtoone.data.labels import number_distinct
from sumtoone.data.splitting import PARTS, Pair, assemble, part_named
from sumtoone.errors import DataError

# What tables of text are called, and what stands behind that where they are packed.
_TEXTS = (".csv", ".tsv", ".txt", ".tab", ".dat", ".data", ".psv")
_PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip")
KINDS = (*_TEXTS, ".parquet")

# So many spellings of three names there may be in a column ``split``.
_MOST_PARTS = 1000


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name, packed or not."""
    return _suffix(path) in KINDS


def _suffix(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    packed = len(suffixes) == 2 and suffixes[1] in _PACKED and suffixes[0] in _TEXTS
    return suffixes[0] if packed else path.suffix.lower()


@limits.within_memory
def read(path: Path, label: str = "label", *, whole: bool = False) -> Dataset:
    """Return the data set in a table whose column ``label`` holds whole numbers or text and the others numbers.

    A column ``split`` of ``train``, ``validation`` and ``test`` is respected; else both are cut from the rows. With
    ``whole`` every row is a test row, whatever stands there.
    Features become float32 or, where that takes digits that tell rows apart, float64. Text has a header; how it is
    packed, encoded, delimited and what its decimal mark is, is found where there is one way to read it.

    Raises
    ------
    DataError
        If the file cannot be read as a table, a column is missing, unnamed or there twice, or a cell is
        missing, infinite or no number: then with its row, counted from 1 under the header, and its column.
    """
    if not is_table(path):
        raise DataError("data-table-kind", given=path, kinds=", ".join(KINDS))
    kind, reader = ("parquet", parquet.read) if _suffix(path) == ".parquet" else ("csv", delimited.read)
    inputs, columns, raw, parts = reader(path, label)
    where = f"{path}: {label}"
    if len(raw.dictionary) > limits.MOST_CLASSES:
        raise DataError("data-many-classes", where=where, count=len(raw.dictionary), limit=limits.MOST_CLASSES)
    # Arrow hands texts on that it has not decoded: what is no UTF-8 shows here.
    with limits.foreign(path, f"data-{kind}-broken"):
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
    marks = [place for place, name in enumerate(named) if str(name).strip() in MISSING - meaning and name is not None]
    if not marks:
        return
    codes = raw.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(np.isin(codes, marks))
    if len(rows):
        first = ", ".join(str(row + 1) for row in rows[:5].tolist())
        value = repr(named[codes[rows[0]]])
        raise DataError("data-table-label-mark", where=where, count=len(rows), rows=first, value=value)


def _checked_parts(path: Path, parts: Any) -> NDArray[np.int8]:
    """Return for each row the place of its split in ``PARTS``."""
    names = parts.dictionary.slice(0, _MOST_PARTS).to_pylist()
    names += [""] * (len(parts.dictionary) - len(names))
    values, codes = _coded(parts, names)
    places = {part: place for place, part in enumerate(PARTS)}
    found: NDArray[np.int8] = np.array([places.get(part_named(str(value)), -1) for value in values], np.int8)[codes]
    if found.min(initial=0) < 0:
        row = int(found.argmin())
        value = repr(parts[row].as_py())
        raise DataError("data-table-split", path=path, row=row + 1, value=value, parts=", ".join(PARTS))
    return found


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
