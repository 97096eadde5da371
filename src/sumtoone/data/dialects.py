"""How a table of text is written: packed or plain, in which encoding, with which delimiter, under which names.

Found from the file itself, and only where there is one way to read it; else the error says which there are.
"""

from __future__ import annotations

import bz2
import codecs
import csv
import gzip
import io
import lzma
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from sumtoone.data import limits
from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.language.display import printable

# Of text, at a time; a header must fit.
_BLOCK = 2**20
_LONGEST_HEADER = 2**24
# So many rows tell which character stands between cells.
_ROWS = 100

DELIMITERS = (",", ";", "\t", "|", " ")
_OF_R = ("\t", " ")
# What Excel writes, and reads, above the header.
_SEP = re.compile(r"sep=(.)")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# What programs write that do not write UTF-8: the code pages of Windows, and the Mac's of old.
_CODE_PAGES = (
    *("cp1250", "cp1251", "cp1252", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "cp874"),
    *("cp932", "cp949", "gb18030", "big5", "euc_jp", "koi8_r"),
)
# Readings that the guesser finds nearly as good as the best.
_NEAR = 0.05
_SAMPLED = 2**17
# A packed file of fewer bytes may hold as much as one of so many.
_SMALLEST = 2**16


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
    encoding = _encoding(path)
    quoted, sample, whole = False, "", True
    with opened(path, encoding) as file:
        while piece := file.read(_BLOCK):
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


@contextmanager
def opened(path: Path, encoding: str) -> Iterator[BinaryIO]:
    """Open a table of text, packed or not, as a stream of UTF-8 without a mark at its start.

    Raises
    ------
    DataError
        If it cannot be opened or unpacked, or holds what the encoding does not know.
    """
    with limits.open_regular(path) as raw, ExitStack() as stack, limits.foreign(path, "data-csv-broken"):
        stream = stack.enter_context(_unpacked(path, raw))
        yield cast("BinaryIO", io.BufferedReader(_Pieces(_recoded(path, stream, encoding)), _BLOCK))


class _Pieces(io.RawIOBase):
    """A stream of what an iterator yields."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._held = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._held:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._held = memoryview(piece)
        count = min(len(buffer), len(self._held))
        buffer[:count], self._held = self._held[:count], self._held[count:]
        return count


def _recoded(path: Path, stream: IO[bytes], encoding: str) -> Iterator[bytes]:
    """Yield the text of a stream as UTF-8, a piece at a time; refuse what is none, by its line."""
    decoder = codecs.getincrementaldecoder(encoding)()
    plain, lines, piece = encoding == "utf-8", 1, b"-"
    while piece:
        piece = stream.read(_BLOCK)
        try:
            decoded = decoder.decode(piece, final=not piece)
        except UnicodeError as error:
            if isinstance(error, UnicodeDecodeError):
                lines += error.object[: error.start].count(b"\n")
            raise DataError("data-csv-encoding", path=path, line=lines, readings="-") from None
        lines += piece.count(b"\n")
        if plain and piece:
            yield piece
        elif decoded:
            yield decoded.encode("utf-8", errors="replace")


@contextmanager
def _unpacked(path: Path, raw: BinaryIO) -> Iterator[IO[bytes]]:
    """Give what a compressed file holds: known by its first bytes, bounded by what is there to expand."""
    size, start = limits.size_of(raw), raw.read(6)
    raw.seek(0)
    with ExitStack() as stack:
        if start.startswith(b"\x1f\x8b"):
            stream: IO[bytes] = cast("IO[bytes]", stack.enter_context(gzip.GzipFile(fileobj=raw)))
        elif start.startswith(b"BZh"):
            stream = cast("IO[bytes]", stack.enter_context(bz2.BZ2File(raw)))
        elif start.startswith(b"\xfd7zXZ\x00"):
            stream = stack.enter_context(lzma.LZMAFile(raw))
        elif start.startswith(b"\x28\xb5\x2f\xfd"):
            import pyarrow

            stream = stack.enter_context(pyarrow.CompressedInputStream(pyarrow.PythonFile(raw, mode="r"), "zstd"))
        elif start.startswith(b"PK\3\4"):
            archive = stack.enter_context(zipfile.ZipFile(raw))
            inside = [member for member in archive.infolist() if not _is_litter(member)]
            if len(inside) != 1:
                raise DataError("data-csv-archive", path=path, count=len(inside))
            stream = stack.enter_context(archive.open(inside[0]))
        else:
            yield raw
            return
        yield cast("IO[bytes]", _Bounded(path, stream, size))


def _is_litter(member: zipfile.ZipInfo) -> bool:
    """Whether something in an archive is a folder, or what macOS puts beside a file."""
    return member.is_dir() or member.filename.startswith("__MACOSX/") or Path(member.filename).name.startswith(".")


class _Bounded:
    """What a compressed stream holds, as long as that is believable."""

    def __init__(self, path: Path, stream: IO[bytes], compressed: int) -> None:
        self._path, self._stream, self._compressed, self._read = path, stream, compressed, 0

    def read(self, size: int) -> bytes:
        piece = self._stream.read(size)
        self._read += len(piece)
        limits.check_ratio(self._path, self._read, max(self._compressed, _SMALLEST))
        return piece


def _encoding(path: Path) -> str:
    """Return the encoding of a file, from its mark or from all of its bytes."""
    with limits.open_regular(path) as raw, limits.foreign(path, "data-csv-broken"), _unpacked(path, raw) as stream:
        start = stream.read(_BLOCK)
        for mark, name in _MARKS:
            if start.startswith(mark):
                return name
        zeros = [start[place : 2**12 : 2].count(0) for place in (0, 1)]
        if max(zeros) > len(start[: 2**12]) // 8:
            return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
        decoder = codecs.getincrementaldecoder("utf-8")()
        lines, other, piece = 1, b"", start
        while True:
            try:
                decoder.decode(piece, final=not piece)
            except UnicodeDecodeError as error:
                # The lines around it tell more than the numbers of the other ones.
                first = error.object[: error.start].count(b"\n") + lines
                begins = error.object.rfind(b"\n", 0, error.start) + 1
                other = error.object[begins:][:_SAMPLED] + stream.read(_SAMPLED)
                break
            lines += piece.count(b"\n")
            if not piece:
                return "utf-8"
            piece = stream.read(_BLOCK)
    return _guessed(path, other, first)


def _guessed(path: Path, sample: bytes, line: int) -> str:
    """Return the one code page that a sample can be in, with a warning; refuse where several would do."""
    from charset_normalizer import from_bytes

    # What is written in ASCII alone is the same in all of them.
    telling = b"\n".join([each for each in sample.split(b"\n") if not each.isascii()][:2000])
    found = list(from_bytes(telling, cp_isolation=list(_CODE_PAGES), threshold=0.4))
    best = min((match.chaos for match in found), default=0.0)
    readings = {str(match): match.encoding for match in found if match.chaos <= best + _NEAR}
    if len(readings) != 1:
        shown = [f"{name}: {printable(each.split(chr(10))[0][:40])}" for each, name in list(readings.items())[:4]]
        raise DataError("data-csv-encoding", path=path, line=line, readings="; ".join(shown) or "-")
    encoding = next(iter(readings.values()))
    warnings.warn(text("source.encoding-guessed", path=path, encoding=encoding), stacklevel=2)
    return encoding


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
