"""Files and folders that are whole or absent, and never in the place of something else."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from sumtoone.errors import UsageError
from sumtoone.storage import write_atomically


def check_free(target: Path) -> None:
    """Raise :class:`UsageError` if something is at a path."""
    if os.path.lexists(target):
        raise UsageError("export-exists", given=str(target))


def put_file(target: Path, content: bytes) -> None:
    """Write a file at a path where nothing is; folders above it are made.

    Raises
    ------
    UsageError
        If something is there, or it cannot be written.
    """
    check_free(target)
    with _folders_above(target), _told(target):
        write_atomically(target, content)


@contextmanager
def new_folder(target: Path, files: Mapping[str, bytes]) -> Iterator[Path]:
    """Write files into a folder beside a path where nothing is; it takes the path when the block has ended well.

    The names of ``files`` may have folders in them. Raises as :func:`put_file`.
    """
    check_free(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    with _folders_above(target):
        try:
            with _told(target):
                for name, content in files.items():
                    path = temporary / name
                    path.parent.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, content)
            yield temporary
            check_free(target)
            with _told(target):
                temporary.rename(target)
        finally:
            # From Python 3.13 on it ignores no path that cannot be one.
            with suppress(ValueError):
                shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _folders_above(target: Path) -> Iterator[None]:
    """Make the folders above a path; if the block raises, those that were made for it go again."""
    made = [place for place in target.parents if not os.path.lexists(place)]
    try:
        with _told(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        with suppress(OSError, ValueError):
            for place in made:
                place.rmdir()
        raise


@contextmanager
def _told(target: Path) -> Iterator[None]:
    """Turn what the system says against writing at a path into our error."""
    try:
        yield
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise UsageError("export-unwritable", given=f"{target}: {why}") from None
