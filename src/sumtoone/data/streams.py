"""A table of text as a stream of UTF-8, however it is packed and encoded.

Found from the file itself, and only where there is one way to read it; else the error says which there are.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast

from sumtoone.data import limits
from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.language.display import printable

# Of text, at a time.
BLOCK = 2**20

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
        yield cast("BinaryIO", io.BufferedReader(_Pieces(_recoded(path, stream, encoding)), BLOCK))


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
        piece = stream.read(BLOCK)
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


def encoding_of(path: Path) -> str:
    """Return the encoding of a file, from its mark or from all of its bytes."""
    with limits.open_regular(path) as raw, limits.foreign(path, "data-csv-broken"), _unpacked(path, raw) as stream:
        start = stream.read(BLOCK)
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
            piece = stream.read(BLOCK)
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
