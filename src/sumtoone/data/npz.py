"""NumPy archives: ``x`` and ``y``, optionally ``x_test``, ``y_test``, ``x_validation``, ``y_validation``.

Names that other libraries give these arrays (``x_train``, ``train_images``) are read as what they mean.
The archive is opened as what it is, a zip file of ``.npy`` members, so that each size can be held
against the bytes that are there before NumPy sets memory aside; nothing is ever unpickled.
"""

from __future__ import annotations

import io
import json
import math
import re
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import conversion, limits
from sumtoone.data.dataset import Dataset
from sumtoone.data.labels import number_parts
from sumtoone.data.splitting import Pair, assemble
from sumtoone.errors import DataError
from sumtoone.language import text
from sumtoone.specification import did_you_mean

KEYS = ("x", "y", "x_test", "y_test", "x_validation", "y_validation")

# What Keras, scikit-learn, MedMNIST and NumPy itself call the same arrays.
_INPUTS = ("x", "X", "arr_0", "data", "images", "features", "x_train", "X_train", "train_images", "train_x")
_LABELS = ("y", "arr_1", "target", "labels", "y_train", "train_labels", "train_y")
_MEANT = (
    dict.fromkeys(_INPUTS, "x")
    | dict.fromkeys(_LABELS, "y")
    | dict.fromkeys(("x_test", "X_test", "test_images"), "x_test")
    | dict.fromkeys(("y_test", "test_labels"), "y_test")
    | dict.fromkeys(("x_validation", "x_val", "X_val", "X_validation", "val_images"), "x_validation")
    | dict.fromkeys(("y_validation", "y_val", "val_labels"), "y_validation")
)

_LARGEST_DIRECTORY = 2**20
_LARGEST_HEADER = 10_000
# The types that NumPy makes a dtype of without another word.
_PLAIN_TYPE = re.compile(r"[<>|=]?([biufcSUVO?]\d{0,9}|[mM]8\[[a-zA-Z]{1,2}\])", re.ASCII)


@limits.within_memory
def read(path: Path, *, whole: bool = False) -> Dataset:
    """Return the data set in a ``.npz`` file; with ``whole`` every row is a test row.

    ``x`` holds uint8 pixels or other numbers, (N, D), (N, H, W) or (N, H, W, C) with C 1 or 3;
    ``y`` one whole number or text for each row. A test or validation pair that is not there is cut from them.

    Raises
    ------
    DataError
        If the file cannot be read as such an archive, or the arrays make no data set.
    """
    arrays = _read_arrays(path)
    parts = [part for part in ("test", "validation") if f"x_{part}" in arrays or f"y_{part}" in arrays]
    for part in parts:
        x = f"x_{part}"
        for key in (x, f"y_{part}"):
            if key not in arrays:
                raise DataError("data-npz-missing", path=path, key=key, keys=", ".join(arrays))
        if arrays[x].shape[1:] != arrays["x"].shape[1:]:
            raise DataError("data-shapes", name=path, part=part, train=arrays["x"].shape[1:], other=arrays[x].shape[1:])
    # Each goes when its rows are made of it.
    raw = {key: conversion.plain(arrays.pop(key)) for key in ("x", *(f"x_{part}" for part in parts))}
    for key, array in raw.items():
        if array.dtype.kind not in "biuf":
            raise DataError("data-npz-type", path=path, key=key, kind=array.dtype)
    rows = conversion.rows(raw, path)
    del raw
    inputs, image_shape = rows.pop("x")
    for key, (values, _) in rows.items():
        if values.dtype != inputs.dtype:
            raise DataError("data-shapes", name=path, part=key[2:], train=inputs.dtype, other=values.dtype)
    raw_labels = {"train": (arrays["y"], f"{path}: y")}
    raw_labels |= {part: (arrays[f"y_{part}"], f"{path}: y_{part}") for part in parts}
    labels, classes = number_parts(raw_labels, whole=whole)
    pairs: dict[str, Pair] = {"train": (inputs, labels["train"])}
    pairs |= {part: (rows[f"x_{part}"][0], labels[part]) for part in parts}
    del inputs, rows
    return assemble(path.name, pairs, classes=classes, image_shape=image_shape, whole=whole)


def _read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    with limits.open_regular(path) as file, limits.foreign(path, "data-npz-broken"):
        _check_directory(path, file)
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            for member in members:
                _check_member(path, member, [other.filename for other in members])
            limits.check_ratio(path, sum(member.file_size for member in members), limits.size_of(file))
            for member in members:
                with archive.open(member) as stream:
                    key = _MEANT[member.filename.removesuffix(".npy")]
                    array = _read_member(path, key, stream, member.file_size)
                    arrays[key] = conversion.one_for_each(array) if key.startswith("y") else array
    for key in ("x", "y"):
        if key not in arrays:
            raise DataError("data-npz-missing", path=path, key=key, keys=", ".join(arrays) or "-")
    return arrays


def _check_directory(path: Path, file: IO[bytes]) -> None:
    """Refuse an archive whose list of members alone would fill the memory: it is read whole on opening."""
    size = limits.size_of(file)
    file.seek(max(0, size - 2**16 - 64))
    tail = file.read()
    file.seek(0)
    end = tail.rfind(b"PK\5\6")
    large = int.from_bytes(tail[end + 12 : end + 16], "little") > _LARGEST_DIRECTORY
    # The 64-bit form of the list is for archives beyond our limits.
    if end >= 0 and (large or tail[max(0, end - 20) : end].startswith(b"PK\6\7")):
        raise _broken(path, "directory", limit=_LARGEST_DIRECTORY)


def _check_member(path: Path, member: zipfile.ZipInfo, names: list[str]) -> None:
    name = member.filename
    meant = _MEANT.get(member.filename.removesuffix(".npy"))
    if meant is None or not member.filename.endswith(".npy"):
        hint = did_you_mean(member.filename[:60].removesuffix(".npy"), KEYS)
        raise DataError("data-npz-key", path=path, key=name, keys=", ".join(KEYS), hint=hint)
    # Two names of one array: to take either would be a guess.
    count = sum(_MEANT.get(other.removesuffix(".npy")) == meant for other in names)
    if count > 1:
        raise _broken(path, "duplicate", key=name, count=count)
    if member.flag_bits & 1:
        raise _broken(path, "encrypted", key=name)
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise _broken(path, "compression", key=name, method=member.compress_type)


def _broken(path: Path, what: str, **fields: object) -> DataError:
    return DataError("data-npz-broken", given=f"{path}: {text(f'data.npz.{what}', **fields)}")


def _read_member(path: Path, key: str, stream: IO[bytes], size: int) -> NDArray[Any]:
    # A header may claim to be gigabytes long, and NumPy would read them before it objects.
    start = io.BytesIO(stream.read(_LARGEST_HEADER + 64))
    version = np.lib.format.read_magic(start)
    if version not in ((1, 0), (2, 0)):
        raise _broken(path, "version", key=key, version=".".join(map(str, version)))
    length = int.from_bytes(start.read(2 if version == (1, 0) else 4), "little")
    if length > _LARGEST_HEADER:
        raise ValueError(f"{length} > {_LARGEST_HEADER}")
    shape, fortran, descr = _parsed(start.read(length).decode("latin1"))
    dtype = np.dtype(descr) if _PLAIN_TYPE.fullmatch(descr) else None
    if dtype is None or dtype.kind not in "biufSU" or dtype.itemsize == 0:
        raise DataError("data-npz-type", path=path, key=key, kind=dtype or descr)
    claimed, held = math.prod(shape) * dtype.itemsize, size - start.tell()
    if claimed != held or min(shape, default=0) < 0:
        raise DataError("data-size", path=f"{path}: {key}", claimed=claimed, held=held)
    stream.seek(start.tell())
    content = limits.read_claimed(path, stream, claimed)
    return content.view(dtype).reshape(shape, order="F" if fortran else "C")


def _parsed(header: str) -> tuple[tuple[int, ...], bool, str]:
    """Return shape, order and type out of ``{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }``, a header.

    NumPy reads it as Python, which warns of much that a hostile file may hold. Written a little otherwise it is JSON.
    """
    for python, other in (("'", '"'), ("(", "["), (")", "]"), ("True", "true"), ("False", "false")):
        header = header.replace(python, other)
    found = json.loads(re.sub(r",\s*([\]}])", r"\1", header))
    shape, fortran, descr = found["shape"], found["fortran_order"], found["descr"]
    if len(found) != 3 or type(fortran) is not bool or type(shape) is not list or {*map(type, shape)} - {int}:
        raise ValueError(header.strip())
    return tuple(shape), fortran, descr if isinstance(descr, str) else str(descr)
