"""A run's folder on disk: one writer at a time, files that are whole, nothing of anybody else's touched.

Whoever writes holds the lock ``.lock`` in it, which goes when the writer goes, however it ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from sumtoone.errors import RunError, UsageError
from sumtoone.storage import json_from_bytes, read_regular

# More than any run's description or history needs: a million epochs, or five million columns of floats.
MOST_JSON = 2**28

_LOCK = ".lock"
# Among the digests: no file, for it stands in run.json itself, but the run's answers depend on it.
_CALIBRATION = "calibration"
# What a writer that was killed in the middle of a file may leave: see storage.write_atomically.
_PART = re.compile(r"\.(model\.safetensors|history\.jsonl|run\.json)\.[0-9a-f]{16}\.part")
_SECONDS_FOR_ANOTHER = 10.0

_Parsed = TypeVar("_Parsed")


def as_path(given: object) -> Path:
    """Return what a caller names a folder by as a path; :class:`UsageError` if it is none."""
    if isinstance(given, str) or (isinstance(given, os.PathLike) and isinstance(os.fspath(given), str)):
        return Path(given)
    what = {"function": "sumtoone", "name": "path", "wanted": "str | Path", "hint": "open_run('runs/first')"}
    raise UsageError("argument-type", **what, given=f"{given!r} ({type(given).__name__})")


@contextmanager
def new_folder(path: str | Path | None) -> Iterator[Path | None]:
    """Make an empty folder for a run and hold its lock inside the block; None stays None.

    If the block raises before anything is written, the folder that was made for it goes again.

    Raises
    ------
    RunError
        If something is there, another process or thread is writing there, or it cannot be made.
    """
    if path is None:
        yield None
        return
    folder = as_path(path)
    made = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        with held(folder):
            with told(folder):
                occupied = any(entry.name != _LOCK for entry in folder.iterdir())
            if occupied:
                raise RunError("run-exists", given=str(path))
            yield folder
    except BaseException:
        with suppress(OSError):
            for place in made:
                place.rmdir()
        raise


@contextmanager
def unique_folder(parent: Path, stem: str) -> Iterator[Path]:
    """Make ``parent/stem``, or ``stem-2`` and so on where it is taken; left empty by the block, it goes again."""
    for number in count(1):
        folder = parent / (stem if number == 1 else f"{stem}-{number}")
        with told(folder), suppress(FileExistsError):
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
            break
    try:
        yield folder
    finally:
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def held(folder: Path, *, wait: bool = False) -> Iterator[None]:
    """Hold the lock of a folder that exists; with ``wait``, another writer is given some seconds to end.

    Raises
    ------
    RunError
        If another process or thread holds it, or it cannot be written.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(folder / _LOCK, timeout=_SECONDS_FOR_ANOTHER if wait else 0.0)
    with told(folder):
        try:
            lock.acquire()
        except Timeout:
            raise RunError("run-in-use", given=str(folder)) from None
    try:
        yield
    finally:
        # While it is held: whoever has opened it meanwhile finds that it has no name any more, and looks again.
        with suppress(OSError):
            (folder / _LOCK).unlink()
        lock.release()


@contextmanager
def told(folder: Path) -> Iterator[None]:
    """Turn what the system says against writing a folder into our error."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise RunError("run-folder", given=f"{folder}: {why}") from None


def remove_parts(folder: Path) -> None:
    """Remove what writers that were killed left of the folder's own files."""
    for path in folder.iterdir():
        if _PART.fullmatch(path.name) and path.is_file() and not path.is_symlink():
            path.unlink()


def exists(path: Path) -> bool:
    """Return whether something is there; :class:`RunError` where the system does not let us know."""
    try:
        path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, ValueError) as error:
        raise RunError("run-unreadable", given=f"{path}: {getattr(error, 'strerror', None) or error}") from None
    return True


def read_file(path: Path, most: int, parse: Callable[[bytes], _Parsed], digest: str | None = None) -> _Parsed:
    """Return a file of at most ``most`` bytes, parsed; ``digest`` is its sha256, or None where it carries its own.

    Raises
    ------
    RunError
        If it is damaged, missing or may not be read.
    """
    try:
        content = read_regular(path, most)
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("digest does not match")
        return parse(content)
    except (OSError, ValueError) as error:
        raise unreadable(path, error) from None


def check_finished(folder: Path) -> None:
    """Refuse a folder without ``run.json``, which is written last: ``run-unfinished`` or ``run-missing``."""
    if not exists(folder / "run.json"):
        code = "run-unfinished" if exists(folder / "checkpoints") else "run-missing"
        raise RunError(code, given=str(folder))


def digests(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file of a finished run, by its name, as ``run.json`` has them; and of its calibration.

    Raises
    ------
    RunError
        If there is no run, it is unfinished, or it is damaged.
    """
    check_finished(folder)
    document: Any = read_file(folder / "run.json", MOST_JSON, json_from_bytes)
    found = document.get("digests") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        raise RunError("run-damaged", given=f"{folder / 'run.json'}: no digests")
    kept = {name: str(digest) for name, digest in found.items()}
    if document.get("calibration") is not None:
        kept[_CALIBRATION] = hashlib.sha256(json.dumps(document["calibration"], sort_keys=True).encode()).hexdigest()
    return kept


def fingerprint(digests: Mapping[str, str]) -> str:
    """Return what tells the answers of one run from those of another, of its digests; empty of none.

    It is the digest of its weights, and another one for each calibration of them.
    """
    weights, calibration = digests.get("model.safetensors", ""), digests.get(_CALIBRATION)
    return weights if calibration is None else hashlib.sha256(f"{weights} {calibration}".encode()).hexdigest()


def unreadable(path: Path, error: OSError | ValueError) -> RunError:
    """Return the error for a file that did not come: damage is one thing, a permission another."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | ValueError)
    why = getattr(error, "strerror", None) or str(error)
    return RunError("run-damaged" if missing else "run-unreadable", given=f"{path}: {why}")
