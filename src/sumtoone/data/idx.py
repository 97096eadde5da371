"""IDX, the format of MNIST and its kin: a short header, then bytes; plain or compressed by gzip.

Format: two zero bytes, the type of the values (8: unsigned byte), the number of dimensions, then each
dimension as a big-endian 32-bit number, then the values, last dimension fastest. Described by
Y. LeCun, C. Cortes and C. J. C. Burges with "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import hashlib
import math
import re
import struct
from collections.abc import Collection
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from sumtoone.data import limits
from sumtoone.data.dataset import Dataset
from sumtoone.data.labels import match_labels, number_labels
from sumtoone.data.splitting import Pair, assemble
from sumtoone.errors import DataError

_IDX = re.compile(r"[-.]idx[13]-ubyte")
_UNSIGNED_BYTE = 8
_GZIP = b"\x1f\x8b"


def home(path: Path) -> Path | None:
    """Return the folder in or under ``path`` that holds IDX files, None if none does.

    torchvision keeps them in ``MNIST/raw``, and some archives put each into a folder of its own name.
    """
    for folder in (path, path / "raw", *(entry / "raw" for entry in limits.entries(path))):
        # What may not be looked into is named by who reads it.
        with suppress(DataError):
            if limits.is_folder(folder) and any(_IDX.search(entry.name) for entry in limits.entries(folder)):
                return folder
    return None


@limits.within_memory
def read_array(path: Path) -> NDArray[np.uint8]:
    """Return the labels (N,) or images (N, H, W) in an IDX file, plain or gzip, told apart by content.

    Raises
    ------
    DataError
        If the file cannot be read, is no IDX file of unsigned bytes with one or three dimensions, or
        does not hold exactly the values that its header announces.
    """
    with limits.open_regular(path) as file:
        size = limits.size_of(file)
        compressed = file.read(2) == _GZIP
        file.seek(0)
        with limits.foreign(path, "data-idx-broken"):
            stream: IO[bytes] = gzip.GzipFile(fileobj=file) if compressed else file  # type: ignore[assignment]
            shape = _read_shape(path, stream)
            header, claimed = 4 + 4 * len(shape), math.prod(shape)
            if compressed:
                limits.check_ratio(path, claimed, size)
            elif header + claimed != size:
                raise DataError("data-size", path=path, claimed=claimed, held=size - header)
            return limits.read_claimed(path, stream, claimed).reshape(shape)


@limits.within_memory
def read_folder(
    path: Path,
    *,
    name: str | None = None,
    classes: tuple[str, ...] | None = None,
    transpose: bool = False,
    prefix: str = "",
    handwriting: Collection[str] = (),
) -> Dataset:
    """Return the data set of a folder with ``train-images-idx3-ubyte`` and its three siblings, each plain or ``.gz``.

    Parameters
    ----------
    path
        The folder. Without the two ``t10k-`` (or ``test-``) files, the test rows are cut from the training rows.
    name
        What the data set is called; else the name of the folder.
    classes
        A name for each label met in the training rows, in the order of the labels; else the labels themselves.
    transpose
        Whether the images lie on their side, as those of EMNIST do.
    prefix
        What stands before the names of the files, such as ``emnist-letters``.
    handwriting
        The sha256 of files of images, unpacked, that hold handwriting.

    Raises
    ------
    DataError
        If a file is missing or is not what its name says, or the rows make no data set.
    """
    stem = f"{prefix.rstrip('-')}-" if prefix else ""
    # Some copies write train-images.idx3-ubyte.
    files = {entry.name.replace(".idx", "-idx"): _inner(entry) for entry in limits.entries(path)}
    images, raw, where = _read_pair(path, files, f"{stem}train")
    labels, numbers = number_labels(raw, where=where)
    if classes is not None and len(classes) != len(numbers):
        raise DataError("data-class-names", path=where, names=len(classes), labels=len(numbers))
    pairs: dict[str, Pair] = {"train": (_rows(images, transpose), labels)}
    for part in (f"{stem}t10k", f"{stem}test"):
        if "test" not in pairs and any(file.startswith(f"{part}-") for file in files):
            others, raw, where = _read_pair(path, files, part)
            if others.shape[1:] != images.shape[1:]:
                raise DataError("data-shapes", name=path, part="test", train=images.shape[1:], other=others.shape[1:])
            pairs["test"] = _rows(others, transpose), match_labels(raw, numbers, part="test", where=where)
    height, width = images.shape[1:]
    written = bool(handwriting) and _digest(images) in handwriting
    found = assemble(
        name or path.name or path.resolve().name,
        pairs,
        classes=classes or numbers,
        image_shape=(width, height) if transpose else (height, width),
    )
    return replace(found, handwriting=written)


def _digest(images: NDArray[np.uint8]) -> str:
    """Return the sha256 of the file, unpacked, that these images were read from."""
    header = struct.pack(">4B3I", 0, 0, _UNSIGNED_BYTE, 3, *images.shape)
    digest = hashlib.sha256(header)
    digest.update(images.data)
    return digest.hexdigest()


def _inner(entry: Path) -> Path:
    """Return the file in a folder that is called as itself, else what was given."""
    if not limits.is_folder(entry):
        return entry
    inside = [file for file in limits.entries(entry) if file.name.replace(".idx", "-idx").startswith(entry.name)]
    return inside[0] if len(inside) == 1 else entry


def _read_shape(path: Path, stream: IO[bytes]) -> tuple[int, ...]:
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0":
        raise DataError("data-idx-broken", given=f"{path}: {magic.hex(' ') or '-'}")
    kind, dimensions = magic[2], magic[3]
    if kind != _UNSIGNED_BYTE:
        raise DataError("data-idx-type", path=path, kind=f"0x{kind:02x}")
    if dimensions not in (1, 3):
        raise DataError("data-idx-dimensions", path=path, wanted="1, 3", count=dimensions)
    sizes = stream.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise DataError("data-size", path=path, claimed=4 * dimensions, held=len(sizes))
    shape = tuple(np.frombuffer(sizes, ">u4").tolist())
    if 0 in shape:
        raise DataError("data-idx-shape", path=path, shape=shape)
    return shape


def _read_pair(folder: Path, files: dict[str, Path], part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8], Path]:
    """Return the images, the labels, and the path of the labels."""
    images, _ = _read_one(folder, files, f"{part}-images-idx3-ubyte", dimensions=3)
    labels, where = _read_one(folder, files, f"{part}-labels-idx1-ubyte", dimensions=1)
    return images, labels, where


def _read_one(folder: Path, files: dict[str, Path], name: str, *, dimensions: int) -> tuple[NDArray[np.uint8], Path]:
    path = files.get(name) or files.get(f"{name}.gz")
    if path is None:
        raise DataError("data-idx-missing", folder=folder, file=name)
    array = read_array(path)
    if array.ndim != dimensions:
        raise DataError("data-idx-dimensions", path=path, wanted=dimensions, count=array.ndim)
    return array, path


def _rows(images_NHW: NDArray[np.uint8], transpose: bool) -> NDArray[np.uint8]:
    upright = images_NHW.transpose(0, 2, 1) if transpose else images_NHW
    return upright.reshape(len(upright), -1)
