from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sklearn.preprocessing import LabelEncoder

from datafiles import refusal
from sumtoone.data import limits
from sumtoone.data.dataset import Dataset
from sumtoone.data.labels import match_labels, number_labels
from sumtoone.data.splitting import _shares, assemble
from sumtoone.errors import DataError

# Labels of 2 to 5 classes, each with at least one row.
labelings = st.lists(st.integers(0, 4), min_size=2, max_size=120).filter(lambda raw: len(set(raw)) > 1)


def assembled(labels: list[int] | np.ndarray, **pairs: Any) -> Dataset:
    """A data set whose rows hold their own number."""
    rows = np.arange(len(labels), dtype=np.float32)[:, None]
    numbered, classes = number_labels(labels)
    return assemble("counted", {"train": (rows, numbered), **pairs}, classes=classes, image_shape=None)


def numbers(split: Any) -> list[int]:
    return [int(value) for value in split.inputs[:, 0]]


@given(labelings)
def test_the_cut_is_a_partition_that_keeps_rows_labels_and_order(raw: list[int]) -> None:
    data = assembled(raw)
    found = [numbers(split) for split in (data.train, data.validation, data.test)]
    assert sorted(chain(*found)) == list(range(len(raw)))
    for split, rows in zip((data.train, data.validation, data.test), found, strict=True):
        assert rows == sorted(rows)
        assert [data.classes[label] for label in split.labels] == [str(raw[row]) for row in rows]


@given(labelings)
@example(raw=[0, 0, 0, 0, 0, 1, 2, 3])
@example(raw=[0, 1, 1, 1, 1, 1, 2, 3])
def test_every_class_gives_its_fifth_by_largest_remainder_and_keeps_a_row(raw: list[int]) -> None:
    data = assembled(raw)
    total, tested = Counter(map(str, raw)), Counter(data.classes[label] for label in data.test.labels)
    assert {data.classes[label] for label in data.train.labels} == set(total)
    one_more = {label for label, count in total.items() if tested[label] == count // 5 + 1}
    assert all(tested[label] == count // 5 for label, count in total.items() if label not in one_more)
    # A class that would lose its last row gives no more than the whole part of its fifth.
    able = {label for label, count in total.items() if count // 5 + 1 < count}
    assert one_more <= able
    assert all(total[less] % 5 <= total[more] % 5 for more in one_more for less in able - one_more)
    wanted = (len(raw) + 2) // 5 - sum(count // 5 for count in total.values())
    assert len(one_more) == min(wanted, len(able))


@given(labelings)
def test_given_splits_are_taken_as_they_are(raw: list[int]) -> None:
    labels, _ = number_labels(raw)
    pair = np.full((3, 1), -1, np.float32), labels[[0, 1, 0]]
    data = assembled(raw, test=pair, validation=pair)
    assert numbers(data.train) == list(range(len(raw)))
    for split in (data.test, data.validation):
        assert numbers(split) == [-1, -1, -1]
        assert split.labels.tolist() == pair[1].tolist()
    only_test = assembled(raw, test=pair)
    assert len(only_test.train) + len(only_test.validation) == len(raw)


def test_the_cut_is_the_same_on_every_machine() -> None:
    data = assembled(np.arange(40) % 3)
    assert numbers(data.test) == [1, 3, 11, 13, 15, 20, 21, 25]
    assert numbers(data.validation) == [10, 27, 29]


def sorted_cut(labels: np.ndarray) -> tuple[list[int], list[int]]:
    """The rows to test and to validate as a sort of all draws finds them: the oracle."""
    random, there, parts = np.random.PCG64(0), np.arange(len(labels)), []
    for percent in (20, 10):
        own = labels[there]
        order = np.lexsort((random.random_raw(len(own)), own))
        counts = np.bincount(own)
        goes = [
            order[start : start + share]
            for start, share in zip(np.cumsum(counts) - counts, _shares(counts, percent), strict=True)
        ]
        chosen = there[np.sort(np.concatenate(goes))]
        parts.append(chosen.tolist())
        there = np.setdiff1d(there, chosen)
    return parts[0], parts[1]


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(40, 3000), st.integers(0, 2**32 - 1))
def test_the_cut_is_that_of_a_sort(classes: int, rows: int, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, classes, rows)
    labels[:classes] = np.arange(classes)
    data = assembled(labels)
    assert (numbers(data.test), numbers(data.validation)) == sorted_cut(labels)


def test_the_cut_is_no_pattern_of_the_rows() -> None:
    rows = numbers(assembled(np.zeros(1000, int) + (np.arange(1000) < 500)).test)
    assert len(rows) == 200
    # 200 of 1000 at random: the mean of their places has a deviation of 18.
    assert abs(np.mean(rows) - 499.5) < 75
    assert len(set(np.diff(rows))) > 5


def test_classes_of_one_row_stay_to_train() -> None:
    data = assembled([7, 8, 9])
    assert (len(data.train), len(data.validation), len(data.test)) == (3, 0, 0)
    assert data.test.inputs.shape == (0, 1)
    assert data.classes == ("7", "8", "9")


def test_many_small_classes_still_give_test_rows() -> None:
    data = assembled([0, 0, 1, 1, 2, 2, 3, 3, 4, 4])
    assert (len(data.train), len(data.validation), len(data.test)) == (7, 1, 2)


def test_the_types_of_the_rows_are_kept() -> None:
    pixels = np.zeros((10, 4), np.uint8)
    data = assemble("p", {"train": (pixels, np.arange(10) % 2)}, classes=("a", "b"), image_shape=(2, 2))
    assert (data.train.inputs.dtype, data.train.labels.dtype, data.image_shape) == (torch.uint8, torch.int64, (2, 2))


@given(
    st.one_of(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1), st.lists(st.sampled_from("가나abZ"), min_size=1))
)
def test_numbering_is_that_of_scikit_learn(raw: list[Any]) -> None:
    labels, classes = number_labels(raw)
    encoder = LabelEncoder()
    assert labels.tolist() == encoder.fit_transform(np.array(raw)).tolist()
    assert classes == tuple(map(str, encoder.classes_.tolist()))
    assert labels.dtype == np.int64


@given(st.lists(st.integers(-50, 50), min_size=1))
def test_whole_numbers_are_one_whatever_holds_them(raw: list[int]) -> None:
    labels, classes = number_labels(raw)
    for twin in (
        np.array(raw, float),
        np.array(raw, np.int8),
        np.array(raw, object),
        [str(value) for value in raw],
        [f" {value}.0 " for value in raw],
        np.array([f"{value}" for value in raw], "S"),
    ):
        again, names = number_labels(twin)
        assert names == classes
        assert again.tolist() == labels.tolist()


@pytest.mark.parametrize(
    ("raw", "classes"),
    [
        ([True, False], ("False", "True")),
        (np.array([2**64 - 1, 3], np.uint64), ("3", "18446744073709551615")),
        (["10", "9"], ("9", "10")),
        (["10", "9", "a"], ("10", "9", "a")),
        (["01", "1"], ("01", "1")),
        (["nan", "naan"], ("naan", "nan")),
        (["nan"], ("nan",)),
        (["9223372036854775807", "9223372036854775806"], ("9223372036854775806", "9223372036854775807")),
        (["100000000000000001", "100000000000000000"], ("100000000000000000", "100000000000000001")),
        (["-0", "0"], ("0",)),
        ([b"cat", b"\xea\xb0\x9c"], ("cat", "개")),
        # 한 in three characters, as macOS writes it, and in one.
        (["\u1112\u1161\u11ab", "한"], ("한",)),
        (["a\u0323\u0301", "a\u0301\u0323"], ("ạ\u0301",)),
        ([], ()),
    ],
)
def test_the_names_of_classes(raw: Any, classes: tuple[str, ...]) -> None:
    assert number_labels(raw)[1] == classes


@pytest.mark.parametrize(
    ("raw", "code", "got"),
    [
        ([1.0, float("nan")], "data-label-missing", "none in row 2 of y"),
        (["a", None, None], "data-label-missing", "none in row 2 of y"),
        (["a", "b", " "], "data-label-missing", "none in row 3 of y"),
        (["1", "2.0", "NaN"], "data-label-missing", "none in row 3 of y"),
        ([1.0, 1.5], "data-label-fraction", "1.5 in row 2 of y"),
        ([1.0, float("inf")], "data-label-fraction", "inf in row 2 of y"),
        (["3", "0.25", "1"], "data-label-fraction", "0.25 in row 2 of y"),
        (["0.5", "1e999"], "data-label-fraction", "0.5 in row 1 of y"),
        (["a", "b\x1b[31m"], "data-label-name", r"b\x1b[31m in row 2 of y"),
        (["a", "\ud800"], "data-label-name", r"\ud800 in row 2 of y"),
        ([b"a", b"\xff"], "data-label-name", r"b'\xff' in row 2 of y"),
        # What costs the square of its length to normalise is refused before it is.
        (["b", "a" + "\u0301" * 40_000 + "\u0323" * 40_000], "data-label-name", None),
        (["b", "a" + "\u0301" * 20 + "\u0323" * 11], "data-label-name", None),
        (["b", "\u1112\u1161\u11ab" * 334], "data-label-name", None),
        # Beyond the last character that there is.
        (np.array([65, 0x110000, 65], "<u4").view("<U1"), "data-label-name", "U+110000 in row 2 of y"),
        (np.array([0x7FFFFFFF, 65], ">u4").view(">U1"), "data-label-name", "U+7FFFFFFF in row 1 of y"),
        (["a", "b" * 1001], "data-label-name", f"{'b' * 300}…{'b' * 299} in row 2 of y"),
        (np.array([1, "a"], object), "data-label-mixed", "the text a in row 2 of y"),
        (np.array([1, (2,)], object), "data-label-kind", "tuple in y"),
        (np.array(["2020-01-01"], "M8[D]"), "data-label-kind", "datetime64[D] in y"),
        ([[1, 1], [0, 1]], "data-label-shape", "shape (2, 2) in y"),
        (5, "data-label-shape", "shape () in y"),
        ([[1], [1, 2]], "data-label-shape", "shape ? in y"),
        (np.arange(70_000), "data-many-classes", "70000 in y"),
        (np.broadcast_to(np.uint8(0), limits.MOST_ROWS + 1), "data-rows", "100000001 rows in y"),
    ],
)
def test_labels_that_are_none(raw: Any, code: str, got: str | None) -> None:
    found, expected, said = refusal(lambda: number_labels(raw, where="y"))
    assert (found, said) == (code, got or said)
    assert expected


def test_a_missing_label_in_full() -> None:
    with pytest.raises(DataError) as caught:
        number_labels(["cat", ""], where="pets.csv: label")
    assert str(caught.value) == (
        "A label is missing [data-label-missing]\n"
        "  expected: a label for every row\n"
        "  got: none in row 2 of pets.csv: label\n"
        "  try: write the label, or leave the row out"
    )


def test_labels_of_another_split_are_matched_by_name() -> None:
    assert match_labels([9.0, 7.0], ("7", "8", "9"), part="test").tolist() == [2, 0]
    assert refusal(lambda: match_labels(["a", "z"], ("a", "b"), part="test", where="y_test")) == (
        "data-label-unseen",
        "labels that the rows to train have too",
        "'z' in the test rows of y_test",
    )


ROWS = np.zeros((4, 3), np.float32)
LABELS = np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"inputs": ROWS[:0], "labels": LABELS[:0]}, ("data-rows", "1 to 100000000 rows to train", "0 rows in n")),
        (
            {"labels": LABELS[:3]},
            ("data-rows-labels", "one label for each of the 4 rows to train", "3 labels in n"),
        ),
        ({"inputs": ROWS[:, :0]}, ("data-features", "1 to 10000000 values in a row", "0 in n")),
        (
            {"inputs": np.broadcast_to(np.uint8(0), (4, 10_000_001))},
            ("data-features", "1 to 10000000 values in a row", "10000001 in n"),
        ),
        ({"labels": LABELS * 0, "classes": ("a",)}, ("data-one-class", "two classes or more", "only 'a' in n")),
        ({"test": (ROWS[:0], LABELS[:0])}, ("data-rows", "1 to 100000000 rows to test", "0 rows in n")),
        (
            {"validation": (ROWS[:, :2], LABELS)},
            ("data-shapes", "3, as the rows to train have", "2 in the validation rows of n"),
        ),
        (
            {"labels": LABELS * 0, "test": (ROWS, LABELS)},
            ("data-label-unseen", "labels that the rows to train have too", "'b' in the test rows of n"),
        ),
    ],
)
def test_rows_that_make_no_data_set(arguments: dict[str, Any], expected: tuple[str, str, str]) -> None:
    values: dict[str, Any] = {"inputs": ROWS, "labels": LABELS, "classes": ("a", "b")} | arguments
    parts = {"train": (values["inputs"], values["labels"])}
    parts |= {part: values[part] for part in ("validation", "test") if part in values}
    assert refusal(lambda: assemble("n", parts, classes=values["classes"], image_shape=None)) == expected
