"""What a file may ask of this machine: caps, and the few ways to open and read that keep to them.

Every size a file claims is held against bytes that are really there before memory is set aside
for it, so that a small file costs little, whatever it says of itself.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, Concatenate, ParamSpec, TypeVar

import numpy as np

from sumtoone.errors import DataError, SumtooneError
from sumtoone.language import text
from sumtoone.memory import enough_memory
from sumtoone.specification import LARGEST_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

# A data set lives in memory and is copied once while it is cut into splits: 4 GiB of it fits a
# machine with 16 GiB, and is five million pictures of 28 x 28.
MOST_BYTES = 4 * 2**30
# DEFLATE's longest match is 258 bytes for a quarter of a byte: no stream expands beyond 1032:1.
# A file that claims more than this is lying; the margin is for headers.
MOST_RATIO = 1100
# 800 MB of int64 labels. While rows are numbered and cut, each takes up to 60 bytes more than its values.
MOST_ROWS = 100_000_000
# A network takes no more inputs than this.
MOST_FEATURES = LARGEST_SIZE
# A table's columns are objects of a kilobyte each while it is read; a row of 256 x 256 pixels fits.
MOST_COLUMNS = 65_536 + 2
MOST_CLASSES = 65_536
# 8192 x 8192: Pillow holds four bytes a pixel while one picture is decoded, 270 MB, and as rows it takes up to three
# more, 200 MB. Pictures whose decoders hold more than that may have fewer pixels: see images.py.
MOST_PIXELS = 2**26
# A class is a name, not an essay.
LONGEST_NAME = 1_000

_CHUNK = 2**20

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
# What systems put beside files.
_HIDDEN = ("desktop.ini", "thumbs.db", "__macosx", "icon\r")


@contextmanager
def foreign(path: Path, code: str) -> Iterator[None]:
    """Turn whatever a library raises about a file's bytes into ``DataError(code)``.

    For blocks that parse, and no more: what parsers raise on hostile bytes is open-ended. Warnings are not touched:
    their filters are the whole process's, other threads' too. No parser is called in a way that is known to warn.
    """
    try:
        yield
    except (SumtooneError, MemoryError):
        raise
    except Exception as error:
        what = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(code, given=f"{path}: {what}") from None


def within_memory(
    reader: Callable[Concatenate[Path, Parameters], Result],
) -> Callable[Concatenate[Path, Parameters], Result]:
    """Make a reader of a path raise ``UnavailableError`` where this machine's memory does not hold the data."""

    @wraps(reader)
    def guarded(path: Path, /, *arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
        with enough_memory(path):
            return reader(path, *arguments, **options)

    return guarded


@contextmanager
def open_regular(path: Path) -> Iterator[BinaryIO]:
    """Open a regular, non-empty file of at most ``MOST_BYTES`` for reading.

    Raises
    ------
    DataError
        If there is no such file, it may not be read, it is empty or too large, or it is a folder,
        pipe, socket or device: opening one of these could wait, or go on, forever.
    """
    with reached(path):
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise DataError("data-path-kind", wanted=text("data.kind.file"), given=f"{_kind(status.st_mode)}: {path}")
        if status.st_size == 0:
            raise DataError("data-empty-file", path=path)
        if status.st_size > MOST_BYTES:
            raise DataError("data-too-large", path=path, size=status.st_size, limit=MOST_BYTES)
        file = path.open("rb")
    with file:
        yield file


def entries(folder: Path) -> list[Path]:
    """Return what a folder holds in the order of names, hidden files left out; ``DataError`` if it is none."""
    with reached(folder):
        if not is_folder(folder):
            given = f"{_kind(folder.stat().st_mode)}: {folder}"
            raise DataError("data-path-kind", wanted=text("data.kind.folder"), given=given)
        found = [entry for entry in folder.iterdir() if not _is_hidden(entry.name)]
    return sorted(found, key=lambda entry: entry.name)


def is_folder(path: Path) -> bool:
    """Return whether a path leads to a folder; ``DataError`` where that may not be looked at."""
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except PermissionError:
        raise DataError("data-permission", given=path) from None
    except (OSError, ValueError):
        return False


def size_of(file: IO[bytes]) -> int:
    """Return the bytes an open file holds, and leave it at its start."""
    size = file.seek(0, 2)
    file.seek(0)
    return size


def check_ratio(path: Path, claimed: int, compressed: int) -> None:
    """Refuse a claim of more bytes than memory should hold, or than the compressed bytes can expand to."""
    if claimed > MOST_BYTES:
        raise DataError("data-too-large", path=path, size=claimed, limit=MOST_BYTES)
    if claimed > MOST_RATIO * compressed:
        raise DataError("data-ratio", path=path, claimed=claimed, compressed=compressed, limit=MOST_RATIO)


def read_claimed(path: Path, stream: IO[bytes], claimed: int) -> NDArray[np.uint8]:
    """Return the rest of a stream, which must be exactly ``claimed`` bytes, as an array (claimed,).

    Reads no further than the claim and one chunk, however long a compressed stream goes on.
    """
    content = np.empty(claimed, np.uint8)
    held = _fill(stream, content)
    if held == claimed:
        held += _fill(stream, np.empty(_CHUNK, np.uint8))
    if held != claimed:
        at_least = "≥ " if held >= claimed + _CHUNK else ""
        raise DataError("data-size", path=path, claimed=claimed, held=f"{at_least}{held}")
    return content


def _fill(stream: IO[bytes], content: NDArray[np.uint8]) -> int:
    held = 0
    try:
        while held < len(content):
            piece = stream.read(min(_CHUNK, len(content) - held))
            if not piece:
                break
            content[held : held + len(piece)] = np.frombuffer(piece, np.uint8)
            held += len(piece)
    except EOFError:
        # A compressed stream cut short: what came before the cut still counts.
        pass
    return held


@contextmanager
def reached(path: Path) -> Iterator[None]:
    """Name the ways in which a path cannot be reached."""
    try:
        yield
    except SumtooneError:
        raise
    except PermissionError:
        raise DataError("data-permission", given=path) from None
    except (OSError, ValueError) as error:
        raise missing(path, error) from None


def missing(path: object, error: OSError | ValueError) -> DataError:
    """Return the error for a path that leads nowhere: nothing there, too long a name, a loop of links, a zero byte."""
    return DataError("data-missing-path", given=f"{path}: {getattr(error, 'strerror', None) or error}")


def _is_hidden(name: str) -> bool:
    return name.startswith(".") or name.lower() in _HIDDEN


def _kind(mode: int) -> str:
    kinds = {stat.S_IFREG: "file", stat.S_IFDIR: "folder", stat.S_IFIFO: "pipe"}
    return text(f"data.kind.{kinds.get(stat.S_IFMT(mode), 'device')}")
