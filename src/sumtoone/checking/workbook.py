"""A learner's folder of exercises: stubs are written into it, and what is there is found by file name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from sumtoone.checking import exercises
from sumtoone.checking.exercises import Exercise
from sumtoone.errors import DataError, UnavailableError

# More than anyone begins again; without an end, a folder that always claims to hold the next name would never let go.
_MOST_KEPT = 1_000


@dataclass(frozen=True)
class Written:
    """A stub that was written, and where the file that had its name is kept; None where there was none."""

    path: Path
    kept: Path | None = None


@dataclass(frozen=True)
class Progress:
    """What a folder holds of one exercise: its files by name, the file itself first; none where it is not begun."""

    exercise: Exercise
    files: tuple[Path, ...] = ()
    untouched: bool = False
    """Whether the only file there still is the stub."""


def write_stub(name: str, folder: str | Path = ".") -> Written:
    """Write the stub of an exercise into a folder; an older file of its name is kept as ``softmax.1.py``, and so on.

    Raises
    ------
    UsageError
        If there is no such exercise.
    UnavailableError
        If the folder cannot be written to.
    """
    exercise = exercises.find(name)
    path = Path(folder) / exercise.file_name
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        kept = _keep(path)
        with path.open("x", encoding="utf-8", newline="\n") as file:
            file.write(exercise.stub)
    except OSError as error:
        raise UnavailableError("workbook-write", path=path, error=error.strerror or type(error).__name__) from None
    return Written(path, kept)


def _keep(path: Path) -> Path | None:
    """Give what stands in the way the next free name; a link to it is made before it goes, so that nothing is lost."""
    if not path.is_symlink() and not path.exists():
        return None
    for number in range(1, _MOST_KEPT + 1):
        kept = path.with_name(f"{path.stem}.{number}{path.suffix}")
        try:
            # Only a link refuses to replace what has the name already; a rename would overwrite it.
            kept.hardlink_to(path)
        except FileExistsError:
            continue
        except (OSError, NotImplementedError):
            # A folder, or a disk without links.
            if kept.exists() or kept.is_symlink():
                continue
            path.rename(kept)
            return kept
        path.unlink()
        return kept
    raise FileExistsError(0, f"{path.stem}.1-{_MOST_KEPT}{path.suffix}")


def status(folder: str | Path = ".") -> tuple[Progress, ...]:
    """Return what a folder holds of every exercise, in the order in which they are taught.

    A file belongs to the exercise whose name its own begins with, ``softmax.py``, ``softmax_kim.ipynb`` or
    ``Softmax-2.py``, and to the longest such name. Files that :func:`write_stub` kept are left out.

    Raises
    ------
    DataError
        If the folder cannot be read.
    """
    found: dict[str, list[Path]] = {name: [] for name in exercises.names()}
    try:
        paths = sorted(path for path in Path(folder).iterdir() if path.suffix in {".py", ".ipynb"} and path.is_file())
    except OSError as error:
        raise DataError("workbook-read", path=folder, error=error.strerror or type(error).__name__) from None
    for path in paths:
        name = _exercise_of(path)
        if name:
            found[name].append(path)
    return tuple(_progress(exercises.find(name), files) for name, files in found.items())


def _exercise_of(path: Path) -> str | None:
    stem = path.stem
    if re.fullmatch(r"[a-z_]+\.\d+", stem):
        return None
    plain = re.sub(r"[^a-z0-9]+", "-", stem.lower())
    begins = [name for name in exercises.names() if plain == name or plain.startswith(f"{name}-")]
    return max(begins, key=len, default=None)


def _progress(exercise: Exercise, files: list[Path]) -> Progress:
    files.sort(key=lambda path: (path.name != exercise.file_name, path.name))
    return Progress(exercise, tuple(files), untouched=len(files) == 1 and _is_stub(files[0], exercise))


def _is_stub(path: Path, exercise: Exercise) -> bool:
    stub = exercise.stub.encode()
    try:
        # CRLF adds a byte a line; a file much longer is not read.
        return (
            path.stat().st_size <= 2 * len(stub) and path.read_bytes().replace(b"\r\n", b"\n").rstrip() == stub.rstrip()
        )
    except OSError:
        return False
