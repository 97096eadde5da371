"""One affine step, fitted on training rows alone, the same wherever it is applied."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.preprocessing import StandardScaler

from sumtoone import Preprocessing
from sumtoone.errors import DtypeError, ShapeError

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
