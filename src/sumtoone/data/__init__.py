"""Data sets: one reader for each kind of source, every one returning the same frozen ``Dataset``.

Importing this package loads nothing heavy: the names below bring torch with them on first use.
"""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from sumtoone.data import cache, named, sources
from sumtoone.errors import DataError, DtypeError
from sumtoone.specification import did_you_mean

if TYPE_CHECKING:
    from sumtoone.data.dataset import Dataset as Dataset
    from sumtoone.data.preprocessing import Preprocessing as Preprocessing
    from sumtoone.data.split import Split as Split

_HOMES = {
    "Dataset": "sumtoone.data.dataset",
    "Preprocessing": "sumtoone.data.preprocessing",
    "Split": "sumtoone.data.split",
}

__all__ = ["Dataset", "Preprocessing", "Split", "load"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'sumtoone.data' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def load(
    name_or_path: str | os.PathLike[str], *, label: str = "label", weight: str | None = None, whole: bool = False
) -> Dataset:
    """Return the data set of a name or a path, in three splits.

    Parameters
    ----------
    name_or_path
        A name that ``sumtoone data list`` shows: ``digits`` comes with sumtoone, the others are searched in
        the folders of ``SUMTOONE_DATA``, among the system's data sets and in the cache, and downloaded only
        if they are in none. Otherwise a path: a folder of IDX files, a folder of class folders of images, a
        ``.npz``, ``.csv`` or ``.parquet`` file. A name wins over a file of the same spelling: ``"digits"`` is
        the name, ``"./digits"`` and ``Path("digits")`` are the path. What is known of folders, archives and tables
        stands in ``docs/data.md``.
    label
        The column of a table that holds the labels.
    weight
        The column of a table that says how much each training row counts, and is no feature: numbers from 0 on.
    whole
        Every row is a test row: for judging a run on a file of its own, which may hold rows of one class alone.

    Raises
    ------
    DataError
        If there is no such name or path, or what lies there cannot be read as a data set.
    DtypeError
        If what is given is neither; arrays and frames go through :meth:`Dataset.from_arrays`.
    UnavailableError
        If a named data set is not on this machine and cannot be downloaded, or memory does not hold the data.

    Examples
    --------
    >>> digits = load("digits")
    >>> len(digits.train), len(digits.validation), len(digits.test)
    (3500, 500, 1000)
    >>> digits.train.inputs.shape, digits.train.inputs.dtype, digits.classes[:3]
    (torch.Size([3500, 784]), torch.uint8, ('0', '1', '2'))
    """
    for name, given, kinds, example in (("label", label, str, "species"), ("weight", weight, str | None, "count")):
        if not isinstance(given, kinds):
            what = {"function": "load", "name": name, "wanted": "str", "given": type(given).__name__}
            raise DtypeError("argument-type", **what, hint=f"load('flowers.csv', {name}='{example}')")
    if isinstance(name_or_path, str) and name_or_path in named.names():
        read = replace(_read_name(name_or_path), source=name_or_path, label=label)
        return (read.whole() if whole else read).weighted(weight)
    path = _path(name_or_path)
    read = replace(_read_path(name_or_path, path, label, whole), source=str(path.absolute()), label=label)
    return read.weighted(weight)


def _read_name(name: str) -> Dataset:
    if name == named.BUILT_IN:
        from sumtoone.data import digits

        return digits.read()
    return named.read(sources.SOURCES[name])


def _path(given: object) -> Path:
    try:
        path = os.fspath(given)  # type: ignore[call-overload]
    except TypeError:
        path = None
    if not isinstance(path, str):
        what = {"function": "load", "name": "name_or_path", "wanted": "str | Path", "given": type(given).__name__}
        raise DtypeError("argument-type", **what, hint="Dataset.from_arrays(x, y), load(str(path))")
    return cache.expanded(path)


def _read_path(given: str | os.PathLike[str], path: Path, label: str, whole: bool) -> Dataset:
    from sumtoone.data import folders, idx, npz, tables

    try:
        if not os.fspath(given):
            # pathlib takes nothing for the folder one is in.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        path.stat()
    except PermissionError:
        raise DataError("data-permission", given=path) from None
    except (OSError, ValueError) as error:
        raise _nothing_there(given, error) from None
    if path.is_dir():
        home = idx.home(path)
        if home is None:
            return folders.read(path, whole=whole)
        read = idx.read_folder(home, name=path.name or path.resolve().name, handwriting=sources.HANDWRITING)
        return read.whole() if whole else read
    if path.suffix.lower() == ".npz":
        return npz.read(path, whole=whole)
    if tables.is_table(path):
        return tables.read(path, label=label, whole=whole)
    raise DataError("source-kind", given=path)


def _nothing_there(given: str | os.PathLike[str], error: OSError | ValueError) -> DataError:
    """Return the error for a path that leads nowhere; a bare word was more likely meant as a name."""
    word = str(given)
    if isinstance(given, str) and word and Path(word).name == word and not Path(word).suffix:
        return DataError("source-unknown", given=word, hint=did_you_mean(word[:60], named.names()))
    from sumtoone.data import limits

    return limits.missing(word, error)
