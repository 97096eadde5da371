"""Arrays in memory become data sets: of every library and type the same rows, or an error of ours."""

from __future__ import annotations

import array
import fractions
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import sumtoone as s1
from datafiles import refusal, write_npz
from sumtoone.data import Dataset, Split

X = np.arange(80).reshape(40, 2)
Y = np.arange(40) % 2
WANTED = Dataset.from_arrays(X.astype(np.float32), Y).fingerprint


class OnlyArray:
    """What a library that speaks ``__array__`` alone gives."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        return self.values


class OnlyDlpack:
    """What a library that speaks DLPack alone gives."""

    def __init__(self, values: np.ndarray) -> None:
        self.values = values

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


class Guarded(OnlyDlpack):
    """As CuPy: to NumPy it says no."""

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


# --- rows


@pytest.mark.parametrize(
    "kind", ["i1", ">i2", "<u2", ">u4", "i4", ">i8", "u8", "f2", ">f2", ">f4", "f4", "f8", ">f8", "g", "O"]
)
def test_numbers_of_every_type_and_order_are_the_same_rows(kind: str) -> None:
    rows = X.astype(kind)
    frozen = rows.copy()
    frozen.flags.writeable = False
    for twin in (
        rows,
        np.asfortranarray(rows),
        frozen,
        rows[::-1][::-1],
        np.repeat(rows, 2, axis=1)[:, ::2],
        rows.tolist(),
    ):
        assert Dataset.from_arrays(twin, Y).fingerprint == WANTED


@pytest.mark.parametrize(
    "rows",
    [
        torch.from_numpy(X),
        torch.from_numpy(X).double(),
        torch.from_numpy(X).half(),
        torch.from_numpy(X).bfloat16(),
        torch.from_numpy(X).to(torch.uint16),
        torch.from_numpy(X).float().requires_grad_(),
        torch.from_numpy(X).float().T.contiguous().T,
        torch.complex(torch.zeros(40, 2), -torch.from_numpy(X).float()).conj().imag,
        list(torch.from_numpy(X).float().requires_grad_()),
        pd.DataFrame(X, columns=["a", "b"]),
        pd.DataFrame(X, columns=["a", "a"]),
        pd.DataFrame({"a": X[:, 0].astype("u1"), "b": X[:, 1].astype("f8")}),
        pd.DataFrame({"a": pd.array(X[:, 0], "Int64"), "b": pd.array(X[:, 1], "Float32")}),
        pd.DataFrame(X).convert_dtypes(dtype_backend="pyarrow"),
        pa.table({"a": X[:, 0], "b": X[:, 1]}),
        memoryview(X),
        X.view(np.matrix),
        np.ma.array(X, mask=False),
        [array.array("i", row.tolist()) for row in X],
        [[Decimal(int(a)), fractions.Fraction(int(b))] for a, b in X],
        OnlyArray(X),
        OnlyDlpack(X),
        Guarded(X),
    ],
    ids=lambda rows: type(rows).__name__,
)
def test_rows_of_every_library_are_the_same(rows: Any) -> None:
    assert Dataset.from_arrays(rows, Y).fingerprint == WANTED


def test_truth_values_are_numbers() -> None:
    data = Dataset.from_arrays(X % 3 == 0, Y, test=(X, Y), validation=(X, Y))
    assert torch.equal(data.train.inputs, torch.from_numpy(X % 3 == 0).float())


def test_bytes_stay_pixels_and_images_keep_their_shape() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 4, 5, 3), dtype=np.uint8)
    for x, shape in (
        (pixels[..., 0, 0], None),
        (pixels[..., 0], (4, 5)),
        (pixels[..., :1], (4, 5)),
        (pixels, (4, 5, 3)),
    ):
        for twin in (x, torch.from_numpy(x.copy())):
            data = Dataset.from_arrays(twin, Y[:20], validation=(twin, Y[:20]), test=(twin, Y[:20]), name="p")
            assert (data.image_shape, data.train.inputs.dtype, data.name) == (shape, torch.uint8, "p")
            assert torch.equal(data.test.inputs, torch.from_numpy(x.reshape(20, -1).copy()))


@settings(deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=30).filter(lambda raw: len(set(raw)) > 1), st.booleans())
def test_it_is_what_a_file_of_the_arrays_is(
    tmp_path_factory: pytest.TempPathFactory, raw: list[int], cut: bool
) -> None:
    x, y = np.random.default_rng(0).normal(size=(len(raw), 3)), np.array(raw)
    path = tmp_path_factory.mktemp("same") / "a.npz"
    others = {} if cut else {"x_test": x[:1], "y_test": y[:1]}
    loaded = s1.load(write_npz(path, x=x, y=y, **others))
    assert Dataset.from_arrays(x, y, test=None if cut else (x[:1], y[:1])).fingerprint == loaded.fingerprint


def test_what_happens_to_the_arrays_afterwards_changes_nothing() -> None:
    for kind in (np.uint8, np.float32):
        x, y = X.astype(kind), Y.copy()
        data = Dataset.from_arrays(x, y, validation=(x, y), test=(x, y))
        before = data.train.inputs.clone(), data.train.labels.clone()
        x[:], y[:] = 1, 1
        assert torch.equal(data.train.inputs, before[0])
        assert torch.equal(data.train.labels, before[1])


# --- labels


LABELS = ["ant", "bee"] * 20


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        tuple(LABELS),
        np.array(LABELS),
        np.array(LABELS, "S"),
        np.array(LABELS, object),
        pd.Series(LABELS),
        pd.Series(LABELS, dtype="category"),
        pd.Series(LABELS, dtype="string"),
        pd.Series(LABELS, dtype=pd.ArrowDtype(pa.string())),
        pd.Index(LABELS),
        pd.Categorical(LABELS, categories=["bee", "cow", "ant"]),
        pa.array(LABELS),
        pa.chunked_array([LABELS]),
        np.array(LABELS, np.dtypes.StringDType()) if hasattr(np.dtypes, "StringDType") else LABELS,
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_texts_of_every_library(labels: Any) -> None:
    data = Dataset.from_arrays(X, labels)
    assert data.classes == ("ant", "bee")
    assert torch.equal(data.test.labels, (data.test.inputs[:, 0] / 2 % 2).long())
    swapped = Dataset.from_arrays(X, labels, classes=("bee", "ant"))
    assert torch.equal(swapped.test.labels, 1 - data.test.labels)


@pytest.mark.parametrize(
    "labels",
    [
        Y.astype(">i2"),
        Y.astype(bool),
        Y.astype(float),
        Y.tolist(),
        Y.astype(object),
        np.array([np.int64(value) for value in Y] + [None])[:-1],
        torch.from_numpy(Y),
        torch.from_numpy(Y).bfloat16(),
        torch.from_numpy(Y) > 0,
        list(torch.from_numpy(Y)),
        pd.Series(Y, dtype="Int8"),
        array.array("b", Y.tolist()),
        memoryview(Y),
        OnlyDlpack(Y),
    ],
    ids=lambda labels: type(labels).__name__,
)
def test_whole_numbers_of_every_library(labels: Any) -> None:
    data = Dataset.from_arrays(X, labels, classes=np.array(["even", "odd", "none"]))
    assert data.classes == ("even", "odd", "none")
    assert torch.equal(data.test.labels, (data.test.inputs[:, 0] / 2 % 2).long())
    names = {("False", "True"), ("0", "1")}
    assert Dataset.from_arrays(X, labels).classes in names


# --- what is refused


WHERE = "in x in arrays"
GROUPS = pd.DataFrame({"a": [1, 2], "b": ["x", "y"]})


@pytest.mark.parametrize(
    ("x", "code", "got"),
    [
        ([[1, 2], [3]], "array-ragged", "rows of different lengths in a list"),
        (X.astype(complex), "array-kind", "complex128 in x"),
        (X.astype("M8[s]"), "array-kind", "datetime64[s] in x"),
        (X.astype("m8[s]"), "array-kind", "timedelta64[s] in x"),
        (X.astype(str), "array-kind", "<U21 in x"),
        (X.astype("S"), "array-kind", "|S21 in x"),
        (np.zeros((2, 2), "i4, f4"), "array-kind", "[('f0', '<i4'), ('f1', '<f4')] in x"),
        (np.array([[1, "a"], [2, "b"]], object), "array-kind", "str in row 1, column 2 of x"),
        (np.array([[1, 1j], [2, 2]], object), "array-kind", "complex in row 1, column 2 of x"),
        (np.array([[1, (2,)], [2, None]], object), "array-kind", "tuple in row 1, column 2 of x"),
        (np.array([[1, 2], [2, None]], object), "data-finite", "None in row 2, column 2 of arrays: x"),
        (np.array([[1, 2], [2, 10**400]], object), "data-finite", None),
        (np.array([[1, Decimal("NaN")], [2, 3]], object), "data-finite", "nan in row 1, column 2 of arrays: x"),
        (GROUPS, "array-kind", "str in row 1, column 2 of x"),
        (GROUPS.astype({"b": "category"}), "array-kind", None),
        (
            pd.DataFrame({"a": pd.array([1, None], "Int64")}),
            "data-finite",
            "None in row 2, column 1 of arrays: x",
        ),
        (pd.DataFrame({"a": [1.0, None]}), "data-finite", "nan in row 2, column 1 of arrays: x"),
        (np.ma.array([[1, 2], [3, 4]], mask=[[0, 1], [0, 0]]), "array-masked", "1 masked values"),
        (torch.ones(2, 2).to_sparse(), "array-kind", "Tensor (torch.float32, sparse_coo, cpu)"),
        (torch.ones(2, 2, device="meta"), "array-kind", "Tensor (torch.float32, strided, meta)"),
        (torch.ones(2, 2, dtype=torch.complex64), "array-kind", "complex64 in x"),
        (object(), "data-npz-shape", "() for x in arrays"),
        (None, "data-npz-shape", "() for x in arrays"),
        ("digits", "data-npz-shape", "() for x in arrays"),
        (b"digits", "data-npz-shape", "() for x in arrays"),
        (X[:, 0], "data-npz-shape", "(40,) for x in arrays"),
        (np.zeros((2, 3, 4, 5)), "data-npz-shape", "(2, 3, 4, 5) for x in arrays"),
        ([[1.0, math.nan], [1.0, 2.0]], "data-finite", "nan in row 1, column 2 of arrays: x"),
        ([[1.0, 2.0], [1.0, -math.inf]], "data-finite", "-inf in row 2, column 2 of arrays: x"),
        ([[1.0, 2.0], [1.0, 1e39]], "data-finite", "1e+39 in row 2, column 2 of arrays: x"),
        (np.broadcast_to(np.uint8(0), (2**20, 5000)), "data-too-large", "5242880000 bytes in arrays"),
        (np.zeros((2, 0)), "data-features", "0 in arrays"),
        (np.zeros((0, 2)), "data-rows", None),
    ],
)
def test_inputs_that_are_none(x: Any, code: str, got: str | None) -> None:
    y = [0, 1] if not hasattr(x, "shape") or len(x) == 2 else np.arange(len(x)) % 2
    found, _, said = refusal(lambda: Dataset.from_arrays(x, y))
    assert (found, said) == (code, got or said)


def test_a_broken_library_is_named() -> None:
    class Broken:
        def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
            raise KeyError("whatever")

    assert refusal(lambda: Dataset.from_arrays(Broken(), Y))[::2] == ("array-kind", "Broken")
    assert refusal(lambda: Dataset.from_arrays(X, Broken()))[::2] == ("data-label-kind", "Broken in arrays: y")


FAR = {
    "whole seconds": 1_700_000_000 + np.arange(40),
    "quarters": 1_700_000_000 + np.arange(40) / 4,
    "milliseconds": 1_700_000_000_000 + np.arange(40),
    "int32": -(2**24) - np.arange(40, dtype=np.int32),
    "coordinates": 126.978 + np.arange(40) * 1e-6,
    "2^44": 2.0**44 + np.arange(40),
}


@pytest.mark.parametrize("column", FAR.values(), ids=FAR)
def test_columns_far_from_zero_keep_their_digits(column: np.ndarray) -> None:
    x = np.stack([np.zeros(40, column.dtype), column], axis=1)
    data = Dataset.from_arrays(x, Y)
    assert data.train.inputs.dtype == torch.float64
    given = Dataset.from_arrays(X, Y, validation=(x, Y), test=(X, Y)) if X.shape == x.shape else data
    assert {split.inputs.dtype for split in (given.train, given.validation, given.test)} == {torch.float64}
    step = s1.Preprocessing.fitted(data.train.inputs)
    exact = data.train.inputs.numpy()[:, 1]
    wanted = (exact - exact.mean()) / exact.std()
    np.testing.assert_allclose(step(data.train.inputs)[:, 1].numpy(), wanted, rtol=1e-6, atol=1e-6)
    assert len(np.unique(step(x)[:, 1].numpy())) == 40


@pytest.mark.parametrize("engine", ["fused", "plain"])
def test_training_on_times_is_training_on_what_they_differ_by(engine: str) -> None:
    random = np.random.default_rng(0)
    times = random.permutation(400)
    y, later = times >= 200, times + 1_700_000_000
    runs = [
        s1.fit(s1.Network("1-8-2"), Dataset.from_arrays(column[:, None], y), epochs=5, batch_size=16, engine=engine)
        for column in (times, later, later.astype(np.float64), later.astype("datetime64[s]").astype(np.uint64))
    ]
    answers = [
        run.probabilities(column[:, None]) for run, column in zip(runs, (times, later, later, later), strict=True)
    ]
    for answer in answers[1:]:
        torch.testing.assert_close(answer, answers[0], rtol=1e-4, atol=1e-5)
    report = s1.evaluate(runs[1], Dataset.from_arrays(later[:, None], y).test)
    assert report.accuracy > 0.9


@pytest.mark.parametrize("large", [2.0**24 + 2, 1e7 + 0.5])
def test_what_float32_holds_exactly_is_not_lost_when_its_mean_is_taken_off(large: float) -> None:
    rows = torch.tensor([[large], [large + 2], [large + 4], [large + 6]], dtype=torch.float32)
    found = s1.Preprocessing.fitted(rows)(rows)
    exact = rows.double()
    torch.testing.assert_close(found, ((exact - exact.mean()) / exact.std(correction=0)).float(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("column", "one", "other"),
    [
        (np.arange(40, dtype=np.uint64) + 2**63, "9223372036854775808", "9223372036854775809"),
        (np.array([0, *range(1_700_000_000, 1_700_000_039)]), "1700000000", "1700000001"),
        (np.arange(40) * 1e-60, "0.0", "1e-60"),
    ],
)
def test_values_that_become_one_in_float32_are_refused(column: np.ndarray, one: str, other: str) -> None:
    x = np.stack([np.zeros(40, column.dtype), column], axis=1)
    with pytest.raises(s1.DataError) as caught:
        Dataset.from_arrays(x, Y)
    assert str(caught.value) == (
        "Different values of a column become one number in float32, even after their mean is taken off "
        "[array-precision]\n"
        "  expected: values that differ by more than a ten-millionth of their spread\n"
        f"  got: {one} and {other} in column 2 of x in arrays\n"
        "  try: leave out values far from all others, or split the column into two, such as day and second"
    )


@pytest.mark.parametrize(
    "column",
    [
        np.full(40, 1_700_000_000),
        1_700_000_000 + 128 * np.arange(40),
        np.arange(40) * 1e30,
        np.zeros(40),
        np.arange(40) * 1e-30,
    ],
)
def test_large_values_that_stay_apart_are_taken(column: np.ndarray) -> None:
    data = Dataset.from_arrays(column[:, None], Y, validation=(X[:, :1], Y), test=(X[:, :1], Y))
    assert np.array_equal(data.train.inputs.numpy()[:, 0], column.astype(np.float32))


@pytest.mark.parametrize(
    ("y", "code", "got"),
    [
        (np.eye(40) * 2, "data-label-shape", "shape (40, 40) in arrays: y"),
        (np.eye(40) + np.eye(40)[::-1], "data-label-shape", "shape (40, 40) in arrays: y"),
        (Y + 0.5, "data-label-fraction", "0.5 in row 1 of arrays: y"),
        (Y[:39], "data-rows-labels", "39 labels in arrays"),
        (Y * 0, "data-one-class", "only '0' in arrays"),
        (None, "data-label-shape", "shape () in arrays: y"),
        ([None, *LABELS[1:]], "data-label-missing", "none in row 1 of arrays: y"),
        (pd.Series([None, *LABELS[1:]], dtype="string"), "data-label-missing", "none in row 1 of arrays: y"),
        (pd.Series([None, *LABELS[1:]], dtype="category"), "data-label-missing", "none in row 1 of arrays: y"),
        (pd.Series([None, *Y[1:]], dtype="Int64"), "data-label-missing", "none in row 1 of arrays: y"),
        (np.ma.array(Y, mask=Y > 0), "array-masked", "20 masked values"),
        (Y.astype(complex), "data-label-kind", "complex128 in arrays: y"),
        (Y.astype("M8[D]"), "data-label-kind", "datetime64[D] in arrays: y"),
        (torch.from_numpy(Y).to_sparse(), "data-label-kind", "Tensor (torch.int64, sparse_coo, cpu) in arrays: y"),
        (["\ud800", *LABELS[1:]], "data-label-name", r"\ud800 in row 1 of arrays: y"),
        (["a\x1b[2J", *LABELS[1:]], "data-label-name", r"a\x1b[2J in row 1 of arrays: y"),
    ],
)
def test_labels_that_are_none(y: Any, code: str, got: str) -> None:
    assert refusal(lambda: Dataset.from_arrays(X, y))[::2] == (code, got)


@pytest.mark.parametrize(
    ("options", "code", "got"),
    [
        ({"test": X}, "array-pair", "ndarray"),
        ({"test": 5}, "array-pair", "int"),
        ({"test": (X[:, :1], Y)}, "data-shapes", "(1,) in the test rows of arrays"),
        ({"validation": (X.astype(np.uint8), Y)}, "data-shapes", "uint8 in the validation rows of arrays"),
        ({"validation": (X, Y + 1)}, "data-label-unseen", "'2' in the validation rows of arrays: validation y"),
        ({"test": (np.full((40, 2), math.nan), Y)}, "data-finite", "nan in row 1, column 1 of arrays: test x"),
        ({"test": (X[:0], Y[:0])}, "data-rows", "0 rows in arrays"),
        ({"classes": ["a"]}, "array-classes", "1 in arrays: y"),
        ({"classes": "ab"}, "dataset-classes", "str in place 0"),
        ({"classes": ["a", "a"]}, "dataset-classes", "'a' in place 1"),
        ({"classes": ["a", 5]}, "dataset-classes", "int in place 1"),
        ({"name": "\udcff"}, "dataset-text", r"'\udcff' for name"),
        ({"name": 5}, "dataset-text", "5 for name"),
    ],
)
def test_options_that_do_not_fit(options: dict[str, Any], code: str, got: str) -> None:
    assert refusal(lambda: Dataset.from_arrays(X, Y, **options))[::2] == (code, got)


def test_labels_of_several_classes_a_row_in_full() -> None:
    with pytest.raises(s1.DataError) as caught:
        Dataset.from_arrays(X, np.ones((40, 2)))
    assert str(caught.value) == (
        "Labels stand in one row, one for each row of data [data-label-shape]\n"
        "  expected: shape (N,), or a single 1 in each row of shape (N, K)\n"
        "  got: shape (40, 2) in arrays: y\n"
        "  try: y.argmax(axis=1) for rows of shares: one class for each row"
    )


# --- splits and data sets by hand

ROWS, NUMBERS = torch.from_numpy(X).float(), torch.from_numpy(Y)


@pytest.mark.parametrize(
    ("inputs", "labels", "code", "got"),
    [
        (ROWS.half(), NUMBERS, "dataset-tensor", "inputs: Tensor (torch.float16, strided, cpu)"),
        (ROWS.long(), NUMBERS, "dataset-tensor", "inputs: Tensor (torch.int64, strided, cpu)"),
        (ROWS, NUMBERS.int(), "dataset-tensor", "labels: Tensor (torch.int32, strided, cpu)"),
        (X, NUMBERS, "dataset-tensor", "inputs: ndarray"),
        (ROWS, Y, "dataset-tensor", "labels: ndarray"),
        (ROWS.tolist(), NUMBERS, "dataset-tensor", "inputs: list"),
        (None, None, "dataset-tensor", "inputs: NoneType"),
        (ROWS.to_sparse(), NUMBERS, "dataset-tensor", "inputs: Tensor (torch.float32, sparse_coo, cpu)"),
        (ROWS.to("meta"), NUMBERS, "dataset-tensor", "inputs: Tensor (torch.float32, strided, meta)"),
        (ROWS[:, 0], NUMBERS, "dataset-shape", "inputs (40,), labels (40,)"),
        (ROWS[None], NUMBERS, "dataset-shape", "inputs (1, 40, 2), labels (40,)"),
        (ROWS, NUMBERS[:, None], "dataset-shape", "inputs (40, 2), labels (40, 1)"),
        (ROWS, NUMBERS[:39], "dataset-shape", "inputs (40, 2), labels (39,)"),
        (ROWS, NUMBERS - 1, "dataset-labels", "-1 in row 1 of labels"),
        (ROWS / 0, NUMBERS, "data-finite", "nan in row 1, column 1 of Split: inputs"),
        (ROWS.T.contiguous().T.log(), NUMBERS, "data-finite", "-inf in row 1, column 1 of Split: inputs"),
    ],
)
def test_what_makes_no_split(inputs: Any, labels: Any, code: str, got: str) -> None:
    assert refusal(lambda: Split(inputs, labels))[::2] == (code, got)


def test_a_wrong_type_in_full() -> None:
    with pytest.raises(s1.DtypeError) as caught:
        Split(X, Y)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "A data set does not take this [dataset-tensor]\n"
        "  expected: for inputs a tensor of uint8, float32 or float64, for labels one of int64, both on the CPU; "
        "a Split for each of train, validation and test\n"
        "  got: inputs: ndarray\n"
        "  try: sumtoone.Dataset.from_arrays(x, y) takes arrays of any library and type"
    )


SPLIT = Split(ROWS, NUMBERS)


@pytest.mark.parametrize(
    ("changed", "code", "got"),
    [
        ({"train": (ROWS, NUMBERS)}, "dataset-tensor", "train: tuple"),
        ({"test": None}, "dataset-tensor", "test: NoneType"),
        ({"test": Split(ROWS[:, :1], NUMBERS)}, "data-shapes", "1 in the test rows of d"),
        (
            {"validation": Split(ROWS.to(torch.uint8), NUMBERS)},
            "data-shapes",
            "torch.uint8 in the validation rows of d",
        ),
        ({"classes": ("a",)}, "dataset-labels", "1 in row 2 of train.labels"),
        ({"test": Split(ROWS, NUMBERS + 1)}, "dataset-labels", "2 in row 2 of test.labels"),
        ({"classes": "ab"}, "dataset-classes", "str in place 0"),
        ({"classes": ("a", "a")}, "dataset-classes", "'a' in place 1"),
        ({"classes": ("a", "")}, "dataset-classes", "'' in place 1"),
        ({"classes": ("a", "\ud800")}, "dataset-classes", r"'\ud800' in place 1"),
        ({"classes": ("a\n", "b")}, "dataset-classes", r"'a\n' in place 0"),
        ({"classes": (0, 1)}, "dataset-classes", "int in place 0"),
        ({"classes": None}, "dataset-classes", "NoneType in place 0"),
        ({"image_shape": (2, 2)}, "dataset-image-shape", "(2, 2)"),
        ({"image_shape": (2,)}, "dataset-image-shape", "(2,)"),
        ({"image_shape": (-1, -2)}, "dataset-image-shape", "tuple"),
        ({"image_shape": (1.0, 2.0)}, "dataset-image-shape", "tuple"),
        ({"image_shape": (True, 2)}, "dataset-image-shape", "tuple"),
        ({"image_shape": 2}, "dataset-image-shape", "int"),
        ({"name": None}, "dataset-text", "None for name"),
        ({"source": "a\udcff.csv"}, "dataset-text", r"'a\udcff.csv' for source"),
        ({"label": 3}, "dataset-text", "3 for label"),
    ],
)
def test_what_makes_no_data_set(changed: dict[str, Any], code: str, got: str) -> None:
    values: dict[str, Any] = {"name": "d", "train": SPLIT, "validation": SPLIT, "test": SPLIT, "classes": ("a", "b")}
    assert refusal(lambda: Dataset(**(values | changed)))[::2] == (code, got)


def test_what_a_data_set_keeps_is_a_plain_value() -> None:
    strided = Split(ROWS, torch.stack([NUMBERS, NUMBERS], 1)[:, 0])
    data = Dataset("d", SPLIT, strided, SPLIT, ["a", "b"], [np.int64(1), 2])  # type: ignore[arg-type]
    assert (data.classes, data.image_shape) == (("a", "b"), (1, 2))
    assert data.fingerprint == Dataset("d", SPLIT, SPLIT, SPLIT, ("a", "b"), (1, 2)).fingerprint


def test_tensors_made_for_inference_or_with_a_gradient_become_ordinary_ones() -> None:
    with torch.inference_mode():
        digits = s1.load("digits")
        data = Dataset.from_arrays(ROWS, NUMBERS)
        by_hand = Split(ROWS + 1, NUMBERS + 0)
    with_gradient = Split(torch.nn.Parameter(ROWS.clone()), NUMBERS)
    for split in (digits.train, data.train, data.validation, data.test, by_hand, with_gradient):
        assert not split.inputs.is_inference()
        assert not split.labels.is_inference()
        assert not split.inputs.requires_grad
        assert type(split.inputs) is torch.Tensor
    network = s1.Network("784-10")
    x = s1.Preprocessing.lesson()(digits.train.inputs[:64])
    torch.nn.functional.cross_entropy(network(x), digits.train.labels[:64]).backward()


def test_memory_of_a_split_is_shared_not_copied() -> None:
    with torch.inference_mode():
        made = torch.ones(1000, 10)
    assert Split(made, torch.zeros(1000).long()).inputs.data_ptr() == made.data_ptr()
    assert SPLIT.inputs is ROWS


def test_a_run_of_arrays_predicts_arrays() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)) + 3 * np.eye(3)[np.arange(200) % 3]
    data = Dataset.from_arrays(pd.DataFrame(x, columns=list("abc")), pd.Series(["a", "b", "c"] * 67)[:200])
    run = s1.fit(s1.Network("3-8-3"), data, epochs=60, seed=0)
    wanted = run.probabilities(x.astype(np.float32))
    for twin in (
        x.astype(">f4"),
        x.astype(np.float32).tolist(),
        pd.DataFrame(x.astype(np.float32)),
        x.astype(np.float32)[::-1][::-1],
    ):
        assert torch.equal(run.probabilities(twin), wanted)  # type: ignore[arg-type]
    assert (wanted.argmax(1).numpy() == np.arange(200) % 3).mean() > 0.9
