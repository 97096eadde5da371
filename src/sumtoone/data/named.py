"""The data sets that have a name: found on this machine, or fetched."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sumtoone.data import cache
from sumtoone.data.sources import SOURCES, Source
from sumtoone.errors import DataError, UnavailableError

if TYPE_CHECKING:
    from sumtoone.data.dataset import Dataset

BUILT_IN = "digits"
SYSTEM_FOLDER = Path("/usr/share/datasets")

Place = Literal["folder", "system", "cache"]


def names() -> tuple[str, ...]:
    """Return every name that :func:`sumtoone.load` knows.

    >>> names()[:4]
    ('digits', 'mnist', 'fashion-mnist', 'kmnist')
    """
    return (BUILT_IN, *SOURCES)


def find(source: Source) -> tuple[Place, Path] | None:
    """Return the first folder that holds all files of ``source``, gzip or not, and what kind of place that is.

    In this order: each folder of ``SUMTOONE_DATA`` (a folder of the data set's name in it, or the folder
    itself if it has that name), the system's data sets, the cache. Nothing is downloaded.
    """
    return next((place for place in _places(source) if len(paths(source, place[1])) == len(source.files)), None)


def obtain(source: Source, *, timeout: float = 30.0, progress: bool = True) -> Path:
    """Return the folder that holds the files of ``source``, after a download into the cache if there is none yet.

    Raises
    ------
    UnavailableError
        If the files are not here and ``SUMTOONE_OFFLINE`` is set or no mirror gives them.
    DataError
        If what the mirrors gave is not the data set.
    """
    found = find(source)
    if found is not None:
        return found[1]
    from sumtoone.data import download

    home = cache.folder() / source.folders[0]
    archive = _archive_here(source)
    if archive is None:
        wanted = (source.archive,) if source.archive else source.files
        if os.environ.get("SUMTOONE_OFFLINE", "") not in ("", "0"):
            files = ", ".join(file.name for file in wanted)
            raise UnavailableError("source-offline", name=source.name, files=files, folder=home)
        download.fetch(wanted, source.mirrors, home, timeout=timeout, progress=progress)
    if source.archive:
        from sumtoone.data import limits

        archive = archive or home / source.archive.name
        with limits.reached(archive):
            download.verify(archive, source.archive)
        _unpack(archive, source, home)
    return home


def paths(source: Source, folder: Path) -> list[Path]:
    """Return the files of ``source`` that lie in ``folder``."""
    return [path for file in source.files if (path := _file_in(folder, file.name))]


def read(source: Source, *, progress: bool = True) -> Dataset:
    """Return the data set of ``source``, downloaded only if its files lie nowhere on this machine.

    Shape: inputs (N, 784), uint8; labels (N,), from 0 on. The errors are those of :func:`obtain` and of the
    reader of IDX files.
    """
    folder = obtain(source, progress=progress)
    from sumtoone.data import idx

    found = idx.read_folder(
        folder, name=source.name, classes=source.classes, prefix=source.prefix, transpose=source.transpose
    )
    return replace(found, handwriting=source.handwriting)


# --- places


def _places(source: Source) -> Iterator[tuple[Place, Path]]:
    for entry in filter(None, os.environ.get("SUMTOONE_DATA", "").split(os.pathsep)):
        folder = cache.expanded(entry).absolute()
        yield from (("folder", folder / name) for name in source.folders)
        if folder.name in source.folders:
            yield "folder", folder
    yield from (("system", SYSTEM_FOLDER / name) for name in source.folders)
    yield "cache", cache.folder() / source.folders[0]


def _file_in(folder: Path, name: str) -> Path | None:
    """Return the file of this name in ``folder``, or its decompressed twin, if there is one."""
    return next((path for path in (folder / name, folder / name.removesuffix(".gz")) if os.path.isfile(path)), None)  # noqa: PTH113 - answers for every path


def _archive_here(source: Source) -> Path | None:
    if source.archive is None:
        return None
    return next((found for _, folder in _places(source) if (found := _file_in(folder, source.archive.name))), None)


def _unpack(archive: Path, source: Source, home: Path) -> None:
    """Write the files of ``source`` out of a verified archive, one at a time, each to the name we know and no other."""
    import zipfile

    from sumtoone import storage

    member = source.member_folder + source.files[0].name
    try:
        home.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(archive) as zipped:
            for file in source.files:
                member = source.member_folder + file.name
                if zipped.getinfo(member).file_size > file.largest:
                    raise DataError("source-archive", path=archive, member=member)
                storage.write_atomically(home / file.name, zipped.read(member))
    except (zipfile.BadZipFile, KeyError):
        raise DataError("source-archive", path=archive, member=member) from None
    except OSError as error:
        raise UnavailableError("source-cache", given=f"{home}: {error.strerror or error}") from None
