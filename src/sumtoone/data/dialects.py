"""How a table of text is written: packed or plain, in which encoding, with which delimiter, under which names.

Found from the file itself, and only where there is one way to read it; else the error says which there are.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sumtoone.data import limits, streams
from sumtoone.errors import DataError

# A header must fit.
_LONGEST_HEADER = 2**24
# So many rows tell which character stands between cells.
_ROWS = 100

DELIMITERS = (",", ";", "\t", "|", " ")
_OF_R = ("\t", " ")
# What Excel writes, and reads, above the header.
_SEP = re.compile(r"sep=(.)")


@dataclass(frozen=True)
class Dialect:
    """How one file is written.

    Parameters
    ----------
    encoding, delimiter
        Of its text.
    names
        The header's; with ``indexed`` rows begin with a cell more, their own name, as R writes them.
    start
        The bytes of UTF-8 that come before the first row.
    quoted
        Whether there are quotation marks, between which lines may break.
    empty
        Whether no row follows the header.
    """

    encoding: str
    delimiter: str
    names: tuple[str, ...]
    start: int
    quoted: bool
    indexed: bool
    empty: bool


def find(path: Path, label: str) -> Dialect:
    """Return how a table of text with a column ``label`` is written.

    Raises
    ------
    DataError
        If it is no text, its encoding or delimiter could be one or the other, or there is nothing in it.
    """
    encoding = streams.encoding_of(path)
    quoted, sample, whole = False, "", True
    with streams.opened(path, encoding) as file:
        while piece := file.read(streams.BLOCK):
            quoted = quoted or b'"' in piece
            if whole and len(sample) < _LONGEST_HEADER and not _holds_rows(sample):
                sample += piece.decode("utf-8", errors="ignore")
            else:
                whole = False
    lines = sample if whole else sample[: sample.rfind("\n") + 1] or sample
    skipped = len(lines) - len(lines.lstrip("\r\n"))
    told = _SEP.fullmatch(lines[skipped:].split("\n", 1)[0].strip("\r"))
    if told:
        skipped = lines.index("\n", skipped) + 1 if "\n" in lines[skipped:] else len(lines)
    header = lines[skipped:]
    delimiter = told[1] if told else _delimiter(path, header, label)
    names, rows, length = _cut(header, delimiter)
    if not names:
        raise DataError("data-rows", name=path, part="train", count=0, limit=limits.MOST_ROWS)
    start = len((lines[:skipped] + header[:length]).encode())
    return Dialect(
        encoding,
        delimiter,
        tuple(names),
        start,
        quoted,
        _is_indexed(names, rows, delimiter),
        whole and not header[length:].strip(),
    )


def _holds_rows(sample: str) -> bool:
    return sample.count("\n") > _ROWS


def _delimiter(path: Path, header: str, label: str) -> str:
    """Return what stands between the cells: what cuts all rows into as many as the header, the label among them."""
    fits: dict[str, Sequence[str]] = {}
    begins: dict[str, Sequence[str]] = {}
    for delimiter in DELIMITERS:
        names, rows, _ = _cut(header, delimiter)
        if len(names) < 2:
            continue
        begins[delimiter] = names
        if {len(row) for row in rows} == {len(names)} or _is_indexed(names, rows, delimiter):
            fits[delimiter] = names
    for found in (fits, begins):
        # A space stands between words too.
        right = [delimiter for delimiter, names in found.items() if label in [name.strip() for name in names]]
        right = right or list(found)
        right = [delimiter for delimiter in right if delimiter != " "] or right
        if len(right) > 1 and "," not in right:
            shown = ", ".join(map(repr, right))
            raise DataError("data-csv-delimiter", path=path, delimiters=shown)
        if right:
            return "," if "," in right else right[0]
    return ","


def _is_indexed(names: Sequence[str], rows: Sequence[Sequence[str]], delimiter: str) -> bool:
    """Whether rows begin with a cell that the header has no name for, as R writes them.

    Not with a delimiter too many at their end, nor between commas and the like: a decimal comma without quotation marks
    makes a cell too many as well.
    """
    if delimiter not in _OF_R or {len(row) for row in rows} != {len(names) + 1}:
        return False
    first = {row[0] for row in rows}
    return len(first) == len(rows) and "" not in first and all(row[-1] != "" for row in rows)


def _cut(header: str, delimiter: str) -> tuple[list[str], list[list[str]], int]:
    """Return the names, some rows, and how many characters the names take: they may go over several lines."""
    taken: list[int] = []

    def lines() -> Iterator[str]:
        for line in io.StringIO(header, newline=""):
            taken.append(len(line))
            yield line

    reader, rows = csv.reader(lines(), delimiter=delimiter), []
    names: list[str] = []
    length = 0
    with suppress(csv.Error):  # a cell longer than any is: it is cut by another delimiter, if by one
        names = next(reader, [])
        length = sum(taken)
        rows = [row for _, row in zip(range(_ROWS), reader, strict=False) if row]
    return names, rows, length
