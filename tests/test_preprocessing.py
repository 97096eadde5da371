"""One affine step, fitted on training rows alone, the same wherever it is applied."""

from __future__ import annotations

import array
import json
import math
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler
from torch import nn

from datafiles import refusal
from engines import weights
from sumtoone import Dataset, Network, Preprocessing, Split, evaluate, fit
from sumtoone.errors import DataError, DtypeError, ShapeError

ROWS = arrays(np.float32, st.tuples(st.integers(2, 30), st.integers(1, 6)), elements=st.floats(-1000, 1000, width=32))


@settings(deadline=None)
@given(ROWS)
def test_float_rows_are_standardised_as_scikit_learn_does(rows: np.ndarray) -> None:
    ours = Preprocessing.fitted(torch.from_numpy(rows))(rows).numpy()
    scaler = StandardScaler().fit(rows.astype(np.float64))
    still = scaler.scale_ <= 1e-6 * np.maximum(np.abs(scaler.mean_), 1e-30)
    theirs = scaler.transform(rows.astype(np.float64))
    magnitude = np.maximum(np.abs(rows).max(axis=0), 1.0) / scaler.scale_
    moving = ~still & (scaler.var_ > 0)
    assert (np.abs(ours - theirs)[:, moving] <= 1e-5 * np.maximum(magnitude, 1)[moving]).all()
    assert np.isfinite(ours).all()


@settings(deadline=None)
@given(arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_pixels_share_one_mean_and_deviation(pixels: np.ndarray) -> None:
    fitted = Preprocessing.fitted(torch.from_numpy(pixels))
    scaled = pixels / 255
    deviation = scaled.std() if pixels.min() < pixels.max() else 1.0
    assert fitted.mean == pytest.approx((scaled.mean(),))
    assert fitted.std == pytest.approx((deviation,))
    expected = (scaled - scaled.mean()) / deviation
    np.testing.assert_allclose(fitted(pixels).numpy(), expected, atol=1e-4, rtol=1e-4)


def test_no_rows_leave_numbers_as_they_are() -> None:
    assert Preprocessing.fitted(torch.zeros(0, 3)) == Preprocessing(3)
    assert Preprocessing.fitted(torch.zeros(0, 3, dtype=torch.uint8)).std == (1.0,)


def test_the_lessons_transform_takes_pixels_to_minus_one_and_one() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).reshape(1, 256)
    lesson = Preprocessing.lesson(256)
    torch.testing.assert_close(lesson(pixels), (pixels.float() / 255 - 0.5) / 0.5)
    scale, shift = lesson.scale_and_shift()
    assert (scale.shape, shift.shape) == ((1,), (1,))


@pytest.mark.parametrize("shape", [(6,), (1, 6), (2, 3), (5, 6), (5, 2, 3), (5, 1, 2, 3), (2, 5, 6), (0, 6)])
def test_any_leading_shape_becomes_rows(shape: tuple[int, ...]) -> None:
    values = torch.arange(float(np.prod(shape))).reshape(shape)
    assert torch.equal(Preprocessing(6)(values), values.reshape(-1, 6))


@pytest.mark.parametrize("shape", [(), (5,), (12,), (3, 4), (6, 5), (5, 12)])
def test_rows_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError) as caught:
        Preprocessing(6)(torch.zeros(shape))
    assert caught.value.got == f"shape {shape}"


def test_single_values_are_rows_of_one() -> None:
    assert Preprocessing(1)(torch.zeros(5)).shape == (5, 1)


@pytest.mark.parametrize("values", [np.zeros(6, bool), np.zeros(6, complex), np.array(["a"] * 6), torch.zeros(6) > 0])
def test_what_is_no_number_is_refused(values: object) -> None:
    with pytest.raises(DtypeError) as caught:
        Preprocessing(6)(values)  # type: ignore[arg-type]
    assert caught.value.message == "The preprocessing takes numbers"


def test_it_round_trips_through_json() -> None:
    fitted = Preprocessing.fitted(torch.randn(10, 3))
    assert Preprocessing.from_json(json.loads(json.dumps(fitted.to_json()))) == fitted


def test_a_loader_gives_the_same_batches() -> None:
    from sumtoone import load

    train = load("digits").train
    preprocessing = Preprocessing.lesson()
    batches = list(train.loader(preprocessing, batch_size=1000))
    assert [len(labels) for _, labels in batches] == [1000, 1000, 1000, 500]
    assert torch.equal(torch.cat([inputs for inputs, _ in batches]), preprocessing(train.inputs))
    torch.manual_seed(0)
    shuffled = torch.cat([labels for _, labels in train.loader(preprocessing, shuffle=True)])
    assert not torch.equal(shuffled, train.labels)
    assert torch.equal(shuffled.bincount(), train.labels.bincount())
    inputs, labels = train
    assert inputs is train.inputs
    assert labels is train.labels


# --- what it is given


@pytest.mark.parametrize(
    ("arguments", "expected", "got"),
    [
        ((0,), "features: 1 … 10000000", "0"),
        ((3.0,), "features: 1 … 10000000", "3.0"),
        ((-5,), "features: 1 … 10000000", "-5"),
        ((10_000_001,), "features: 1 … 10000000", "10000001"),
        ((True,), "features: 1 … 10000000", "True"),
        (("3",), "features: 1 … 10000000", "str"),
        ((10**5000,), "features: 1 … 10000000", "<int of 16610 bits>"),
        ((3, "255"), "divisor: float", "str"),
        ((3, True), "divisor: float", "bool"),
        ((3, 10**400), "divisor: float", "inf"),
        ((3, math.nan), "divisor: float", "nan"),
        ((3, 0.0), "divisor, std: > 0", "0.0, 1.0 … 1.0"),
        ((3, -1.0), "divisor, std: > 0", "-1.0, 1.0 … 1.0"),
        ((3, 1.0, (0.0, 0.0)), "mean: (…), 1 | 3", "2"),
        ((3, 1.0, 0.5), "mean: (…), 1 | 3", "float"),
        ((3, 1.0, ("a",)), "mean: float", "str"),
        ((3, 1.0, (None, 0.0, 0.0)), "mean: float", "NoneType"),
        ((3, 1.0, (math.inf,)), "mean: float", "inf"),
        ((3, 1.0, (-(10**400),)), "mean: float", "inf"),
        ((3, 1.0, (0.0,), (0.0,)), "divisor, std: > 0", "1.0, 0.0 … 0.0"),
        ((3, 1.0, (0.0,), (1.0, 2.0, -1.0)), "divisor, std: > 0", "1.0, -1.0 … 2.0"),
        ((3, 1.0, (0.0,), (math.nan,)), "std: float", "nan"),
        # Positive, and yet 1 / std is no number in float32, or is 0.
        ((3, 1.0, (0.0,), (1e-50,)), "divisor, std: > 0", "1.0, 1e-50 … 1e-50"),
        ((3, 1.0, (0.0,), (1e50,)), "divisor, std: > 0", "1.0, 1e+50 … 1e+50"),
        ((3, 1.0, (1e300,), (1.0,)), "mean / std: float32", "1e+300 … 1e+300"),
    ],
)
def test_what_is_no_preprocessing(arguments: tuple[Any, ...], expected: str, got: str) -> None:
    assert refusal(lambda: Preprocessing(*arguments)) == ("preprocessing-value", expected, got)


def test_numbers_of_any_kind_are_kept_as_floats() -> None:
    made = Preprocessing(2, np.int64(255), [np.float32(0.5), 1], (np.longdouble(2), np.float64(3)))  # type: ignore[arg-type]
    assert made == Preprocessing(2, 255.0, (0.5, 1.0), (2.0, 3.0))
    assert {type(value) for value in (made.divisor, *made.mean, *made.std)} == {float}


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["\ud800", 10**400]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
GOOD = {"features": 2, "divisor": 1.0, "mean": [0.0], "std": [1.0]}


@given(VALUES | st.tuples(st.sampled_from(sorted(GOOD)), VALUES).map(lambda pair: GOOD | dict([pair])))
def test_a_document_is_read_or_a_value_error(document: Any) -> None:
    try:
        read = Preprocessing.from_json(document)
    except ValueError as error:
        assert str(error)
    else:
        assert read(torch.ones(1, read.features)).isfinite().all()


@pytest.mark.parametrize("name", sorted(GOOD))
@pytest.mark.parametrize(
    "value", [nested(100_000), {"a": nested(100_000)}, 10**400, -(10**400), [10**400], [nested(9)]]
)
def test_documents_made_to_hurt_are_value_errors(name: str, value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is the promise
        Preprocessing.from_json(GOOD | {name: value})


def test_it_is_not_fitted_on_what_makes_no_rows() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, math.nan]])
    assert refusal(lambda: Preprocessing.fitted(rows)) == (
        "data-finite",
        "finite numbers",
        "nan in row 2, column 2 of Preprocessing.fitted: inputs",
    )
    assert refusal(lambda: Preprocessing.fitted(torch.zeros(3)))[2] == "(3,)"
    assert refusal(lambda: Preprocessing.fitted(torch.zeros(3, 0)))[2] == "0"
    assert refusal(lambda: Preprocessing.fitted("rows"))[0] == "preprocessing-dtype"


def test_the_checks_hold_where_assertions_do_not() -> None:
    program = (
        "import torch\nfrom sumtoone import Dataset, Preprocessing, SumtooneError\nfrom sumtoone.data import Split\n"
        "rows, labels = torch.ones(4, 2), torch.tensor([0, 1, 0, 1])\nsplit = Split(rows, labels)\n"
        "for make in (lambda: Preprocessing(2, std=(0.0,)), lambda: Preprocessing.from_json({'features': -1}),\n"
        "    lambda: Split(rows.half(), labels), lambda: Split(rows, labels[:3]), lambda: Split(rows, labels - 1),\n"
        "    lambda: Split(rows / 0, labels), lambda: Dataset('d', split, split, split, ('a',))):\n"
        "    try:\n        make()\n        print('nothing refused')\n"
        "    except SumtooneError as error:\n        print(error.code)\n"
        "    except ValueError:\n        print('ValueError')\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "preprocessing-value",
        "ValueError",
        "dataset-tensor",
        "dataset-shape",
        "dataset-labels",
        "data-finite",
        "dataset-labels",
    ]


# --- rows of every library


NUMBERS = ["u1", "i1", ">i2", "<u2", ">u4", "i4", ">i8", "u8", "f2", ">f2", ">f4", "f4", "f8", ">f8", "g"]


@pytest.mark.parametrize("kind", NUMBERS)
def test_rows_of_every_type_of_number(kind: str) -> None:
    values = np.arange(12).reshape(3, 4)
    step = Preprocessing(4, 2.0, (1.0,), (4.0,))
    wanted = (torch.from_numpy(values) / 2 - 1) / 4
    rows = values.astype(kind)
    frozen = rows.copy()
    frozen.flags.writeable = False
    for twin in (rows, np.asfortranarray(rows), frozen, rows.tolist(), rows.reshape(3, 2, 2)):
        assert torch.equal(step(twin), wanted)
    assert torch.equal(step(rows[::-1, ::-1]), wanted.flip(0, 1))


@pytest.mark.parametrize(
    "kind",
    ["uint8", "int8", "int16", "int32", "int64", "uint16", "uint32", "uint64", "half", "bfloat16", "float", "double"],
)
def test_rows_of_every_type_of_tensor(kind: str) -> None:
    values = torch.arange(12).reshape(3, 4)
    step = Preprocessing(4, 2.0, (1.0,), (4.0,))
    assert torch.equal(step(values.to(getattr(torch, kind))), (values / 2 - 1) / 4)


def test_rows_of_other_libraries() -> None:
    step = Preprocessing(2)
    wanted = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    frame = pd.DataFrame({"a": pd.array([1, 3], "Int64"), "b": [2.0, 4.0]})
    for rows in (frame, memoryview(np.array([[1, 2], [3, 4]])), [wanted[0], wanted[1]]):
        assert torch.equal(step(rows), wanted)  # type: ignore[arg-type]
    assert torch.equal(step(array.array("d", [1, 2])), wanted[:1])
    assert torch.equal(step(torch.complex(wanted, -wanted).conj().imag), wanted)
    assert step([[math.nan, math.inf]]).isnan().tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("rows", "error", "code"),
    [
        ([[1, 2], [3]], ShapeError, "array-ragged"),
        (None, DtypeError, "preprocessing-dtype"),
        ("ab", DtypeError, "preprocessing-dtype"),
        ([[1, None]], DtypeError, "preprocessing-dtype"),
        (np.array([[1, 2]], object), DtypeError, "preprocessing-dtype"),
        (np.array([["1", "2"]]), DtypeError, "preprocessing-dtype"),
        (np.array([["2020-01-01", "2020-01-02"]], "M8[D]"), DtypeError, "preprocessing-dtype"),
        (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), DataError, "array-masked"),
        (np.zeros(2, "i4, f4"), DtypeError, "preprocessing-dtype"),
        (torch.ones(1, 2).to_sparse(), DtypeError, "preprocessing-dtype"),
        (torch.ones(1, 2, device="meta"), DtypeError, "preprocessing-dtype"),
        (object(), DtypeError, "preprocessing-dtype"),
        ({1: 2}, DtypeError, "preprocessing-dtype"),
    ],
)
def test_what_holds_no_rows(rows: Any, error: type[Exception], code: str) -> None:
    with pytest.raises(error) as caught:
        Preprocessing(2)(rows)
    assert caught.value.code == code  # type: ignore[attr-defined]


def test_its_results_are_ordinary_tensors_wherever_they_are_made() -> None:
    step = Preprocessing(2)
    with torch.inference_mode():
        made = torch.ones(3, 2)
        results = [step(made), step(np.ones((3, 2))), step(torch.ones(3, 2, dtype=torch.uint8))]
    assert made.is_inference()
    for result in (*results, step(made)):
        assert not result.is_inference()
        assert not result.requires_grad
        (result @ torch.ones(2, 1, requires_grad=True)).sum().backward()


# --- pixels


@pytest.mark.parametrize(
    "scaled",
    [
        lambda pixels: pixels / 255,
        lambda pixels: pixels.double() / 255,
        lambda pixels: (pixels / 255).numpy(),
        lambda pixels: (pixels / 255).tolist(),
        lambda pixels: (pixels / 255).half(),
        lambda pixels: pixels / 127.5 - 1,
        lambda pixels: (pixels / 255 - 0.1307) / 0.3081,
        lambda pixels: (pixels > 100).float(),
        lambda pixels: (pixels > 100).long(),
    ],
)
def test_pixels_that_were_scaled_before_are_refused(scaled: Any) -> None:
    pixels = torch.arange(256).repeat(2, 1)
    with pytest.raises(DtypeError) as caught:
        Preprocessing.lesson(256)(scaled(pixels))
    assert caught.value.code == "preprocessing-pixels"


def test_scaled_pixels_in_full() -> None:
    with pytest.raises(DtypeError) as caught:
        Preprocessing.lesson(256)(torch.arange(256) / 255)
    assert str(caught.value) == (
        "The values are not those of pixels, which this preprocessing takes [preprocessing-pixels]\n"
        "  expected: values from 0 to 255\n"
        "  got: 256 values from 0 to 1\n"
        "  try: give uint8 pixels as they are, or multiply: x * 255 for values from 0 to 1"
    )


@pytest.mark.parametrize(
    "pixels",
    [
        torch.zeros(2, 256),
        torch.zeros(2, 256, dtype=torch.float64),
        torch.arange(256).repeat(2, 1),
        torch.arange(256).repeat(2, 1).float(),
        torch.ones(2, 256, dtype=torch.uint8),
        torch.arange(256) - 20.0,
        torch.full((256,), math.nan),
    ],
)
def test_pixels_of_any_type_are_taken(pixels: torch.Tensor) -> None:
    wanted = (pixels.reshape(-1, 256) / 255 - 0.5) / 0.5
    torch.testing.assert_close(Preprocessing.lesson(256)(pixels), wanted.float(), equal_nan=True)


def test_numbers_may_lie_between_0_and_1_where_no_pixels_are_wanted() -> None:
    rows = torch.arange(256) / 255
    assert torch.equal(Preprocessing(256)(rows), rows[None])


# --- whether values are pixels is seen in all rows together, whoever looks at a part of them

_LABELS = torch.arange(80) % 2
_PIXELS = torch.randint(2, 256, (80, 16), generator=torch.Generator().manual_seed(0)).float()
_DARK = torch.cat([_PIXELS[:79], _PIXELS[79:] / 255])


def _data(train: torch.Tensor, validation: torch.Tensor) -> Dataset:
    first, second = Split(train, _LABELS), Split(validation, _LABELS)
    return Dataset("pixels", first, second, second, classes=("even", "odd"))


def _module() -> nn.Module:
    return nn.Sequential(nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 2))


@pytest.mark.parametrize("engine", ["plain", "fused"])
@pytest.mark.parametrize("seeds", [None, [1, 2]])
@pytest.mark.parametrize(
    ("train", "validation"),
    [
        (_PIXELS / 255, _PIXELS),
        (_PIXELS, _PIXELS / 255),
        (_PIXELS / 127.5 - 1, _PIXELS),
        # Its first rows are blank.
        (torch.cat([torch.zeros(70, 16), _PIXELS[70:] / 255]), _PIXELS),
    ],
)
def test_no_engine_trains_on_pixels_that_were_scaled_before(
    train: torch.Tensor, validation: torch.Tensor, engine: str, seeds: list[int] | None
) -> None:
    network, heard = Network("16-8-2"), []
    before = weights(network)
    with pytest.raises(DtypeError) as caught:
        fit(
            network, _data(train, validation), epochs=1, engine=engine, seeds=seeds,
            preprocessing=Preprocessing.lesson(16), on_event=heard.append,
        )  # fmt: skip
    assert (caught.value.code, heard) == ("preprocessing-pixels", [])
    assert weights(network) == before


@pytest.mark.parametrize("build", [lambda: Network("16-8-2"), _module], ids=["network", "module"])
def test_a_dark_row_among_pixels_is_one_of_them(build: Callable[[], nn.Module]) -> None:
    # Twice 4,097 rows: modules are given 4,096 at once.
    rows, labels = torch.cat([_PIXELS[:1].expand(4096, 16), _DARK[79:]]), torch.arange(4097) % 2
    run = fit(build(), _data(_DARK.flip(0), _DARK.flip(0)), epochs=1, preprocessing=Preprocessing.lesson(16))
    found = {size: evaluate(run, Split(rows, labels), batch_size=size).to_json() for size in (1, 64, 4096, 5000)}
    assert all(one["confusion"] == found[1]["confusion"] for one in found.values())
    assert run.probabilities(rows).shape == (4097, 2)
    assert len(list(Split(rows, labels).loader(run.preprocessing, batch_size=1))) == 4097


@pytest.mark.parametrize("size", [1, 3, 4096])
def test_scaled_pixels_are_refused_however_few_are_looked_at(size: int) -> None:
    run = fit(Network("16-2"), _data(_PIXELS.byte(), _PIXELS.byte()), epochs=1)
    # Fewer than 16 values in each part.
    narrow = replace(run, network=Network("4-2").eval(), preprocessing=Preprocessing.lesson(4))
    split = Split(_PIXELS[:, :4] / 255, _LABELS)
    for look in (
        lambda: evaluate(narrow, split, batch_size=size),
        lambda: split.loader(narrow.preprocessing, batch_size=size),
        lambda: narrow.probabilities(split.inputs),
    ):
        with pytest.raises(DtypeError) as caught:
            look()
        assert caught.value.code == "preprocessing-pixels"


@pytest.mark.parametrize("divisor", [1.0, 255.0])
@pytest.mark.parametrize("shared", [True, False])
def test_folded_into_a_first_layer_nothing_changes(divisor: float, shared: bool) -> None:
    generator = torch.Generator().manual_seed(1)
    count = 1 if shared else 12
    mean, std = (tuple((torch.rand(count, generator=generator) + 0.1).tolist()) for _ in range(2))
    step = Preprocessing(12, divisor, mean, std)
    layer = torch.nn.Linear(12, 5).double()
    rows = torch.randint(0, 256, (20, 12), generator=generator, dtype=torch.uint8)
    weight, bias = step.folded(layer.weight.detach(), layer.bias.detach())
    exact = (rows.double() / divisor - torch.tensor(mean).double()) / torch.tensor(std).double()
    assert (weight.dtype, weight.shape, bias.shape) == (torch.float64, (5, 12), (5,))
    assert torch.allclose(rows.double() @ weight.T + bias, layer(exact), atol=1e-9)


def test_folded_in_float64_far_means_keep_their_digits() -> None:
    times = 1.7e9 + torch.arange(50.0, dtype=torch.float64)[:, None]
    step = Preprocessing.fitted(times)
    layer = torch.nn.Linear(1, 2)
    weight, bias = step.folded(layer.weight.detach(), layer.bias.detach())
    assert torch.allclose(times @ weight.T + bias, layer(step(times)).double(), atol=1e-5)
