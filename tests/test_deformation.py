"""Deformed pictures and noise: the identity, SciPy as the judge of every look-up, laws of what is drawn, one source."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage, stats
from torch import Tensor

from engines import make_dataset, make_plan, stopping_after, train, weights
from sumtoone import Dataset, Network, Preprocessing, Split, TrainingOptions, fit, load, resume
from sumtoone.cli import main
from sumtoone.deformation import Deformation
from sumtoone.errors import SeveralErrors, UsageError
from sumtoone.native import status
from sumtoone.training.deforming import Deformer
from sumtoone.training.engines import Engine
from sumtoone.training.fused import FusedEngine
from sumtoone.training.plain import PlainEngine
from sumtoone.training.rows import Source

CPU = torch.device("cpu")
EVERY = "shift=1.5, rotation=12, scaling=0.2, shear=0.1, elastic=1, smoothness=3"
SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40)) | st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))
DRAWN: list[dict[str, Any]] = [{"deformation": EVERY}, {"noise": 0.5}, {"deformation": EVERY, "noise": 0.5}]
ENGINES = ["plain", pytest.param("fused", marks=pytest.mark.skipif(status().path == "pytorch", reason="no kernels"))]


def deformer(text: str, shape: tuple[int, ...]) -> Deformer:
    return Deformer(Deformation.parse(text), shape, CPU)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(shape: tuple[int, ...], dtype: torch.dtype, count: int = 3) -> Tensor:
    values = torch.rand(count, math.prod(shape), generator=seeded(1), dtype=torch.float64) * 255
    return values.to(dtype)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    whole = load("digits")
    return replace(whole, train=Split(whole.train.inputs[:700], whole.train.labels[:700]))


# --- the look-up


@given(SHAPES, st.sampled_from([torch.uint8, torch.float32, torch.float64]))
def test_no_displacement_is_the_identity_to_the_bit(shape: tuple[int, ...], dtype: torch.dtype) -> None:
    rows, deform = pictures(shape, dtype), deformer(EVERY, shape)
    nothing = torch.zeros_like(deform.draw(3, seeded()))
    found = deform.deformed(rows, nothing)
    assert found.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert torch.equal(found, rows.to(found.dtype))


@given(SHAPES, st.integers(0, 99))
def test_scipy_finds_the_same_values_at_the_same_places(shape: tuple[int, ...], seed: int) -> None:
    deform, rows = deformer(EVERY, shape), pictures(shape, torch.float64)
    drawn = deform.draw(3, seeded(seed))
    found = deform.deformed(rows, drawn).view(3, *shape, *([1] * (3 - len(shape)))).numpy()
    places = np.indices(shape[:2]).astype(float)
    for picture, field, ours in zip(
        rows.view(found.shape).numpy(), deform.displacements(drawn).numpy(), found, strict=True
    ):
        for channel in range(ours.shape[2]):
            theirs = ndimage.map_coordinates(picture[..., channel], places + field[::-1], order=1, mode="nearest")
            # A place is a float32 of pixels here: the slope of a pixel is up to 255.
            np.testing.assert_allclose(ours[..., channel], theirs, atol=255 * 2e-5)


@given(st.integers(0, 99))
def test_without_elastic_it_is_scipys_affine_transform(seed: int) -> None:
    height, width = 9, 14
    deform, rows = (
        deformer("shift=2, rotation=40, scaling=0.3, shear=0.4", (height, width)),
        pictures((9, 14), torch.float64),
    )
    drawn = deform.draw(3, seeded(seed))
    across, down, turn, wide, high, slant = (2 * torch.rand(6, 3, generator=seeded(seed)) - 1).double().numpy()
    middle = np.array([(height - 1) / 2, (width - 1) / 2])
    for place, found in enumerate(deform.deformed(rows, drawn).view(3, height, width).numpy()):
        angle = math.radians(40 * turn[place])
        rotation = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        shearing = np.array([[1, 0.4 * slant[place]], [0, 1]])
        scaling = np.diag([1 + 0.3 * wide[place], 1 + 0.3 * high[place]])
        # Ours counts (x, y), SciPy (row, column).
        matrix = (rotation @ shearing @ np.linalg.inv(scaling))[::-1, ::-1]
        offset = middle - matrix @ middle + 2 * np.array([down[place], across[place]])
        picture = rows[place].view(height, width).numpy()
        theirs = ndimage.affine_transform(picture, matrix, offset, order=1, mode="nearest")
        np.testing.assert_allclose(found, theirs, atol=255 * 2e-5)


def test_the_background_goes_on_beyond_the_border() -> None:
    white = torch.full((2, 49), 255, dtype=torch.uint8)
    deform = deformer("shift=30, rotation=180", (7, 7))
    assert torch.equal(deform.deformed(white, deform.draw(2, seeded())), white.float())


def test_pixels_stay_between_the_least_and_the_most() -> None:
    rows, deform = pictures((28, 28), torch.uint8, 600), deformer(EVERY, (28, 28))
    found = deform.deformed(rows, deform.draw(600, seeded()))
    assert 0 <= float(found.min()) < float(found.max()) <= 255


# --- the draws


def test_an_elastic_field_has_its_deviation_and_its_smoothness() -> None:
    deform = deformer("elastic=2, smoothness=4", (28, 28))
    fields = deform.displacements(deform.draw(4000, seeded())).double()
    assert float(fields.std()) == pytest.approx(2, rel=0.03)
    assert float(fields.mean()) == pytest.approx(0, abs=0.05)
    # White noise smoothed by a Gaussian of sigma: its correlation is a Gaussian of sigma times the root of two.
    for lag in (1, 4, 8, 16):
        expected = 4 * math.exp(-(lag**2) / (4 * 4**2))
        along_x = float((fields[..., lag:] * fields[..., :-lag]).mean())
        along_y = float((fields[..., lag:, :] * fields[..., :-lag, :]).mean())
        assert (along_x, along_y) == pytest.approx((expected, expected), abs=0.12)
    assert float((fields[:, 0] * fields[:, 1]).mean()) == pytest.approx(0, abs=0.1)


@pytest.mark.parametrize(
    ("text", "most"), [("shift=3", 3), ("rotation=30", 30), ("scaling=0.5", 0.5), ("shear=0.3", 0.3)]
)
def test_an_amount_is_the_most_that_is_drawn_and_nothing_else_happens(text: str, most: float) -> None:
    drawn = deformer(text, (11, 11)).draw(5000, seeded()).double()
    assert drawn.shape == (5000, 2, 2, 2)
    matrices = torch.eye(2) + torch.stack([drawn[:, :, 0, 1], drawn[:, :, 1, 0]], dim=2)
    shifts, still = drawn[:, :, 0, 0], torch.zeros(5000, 2, dtype=torch.float64)
    if text.startswith("shift"):
        amounts = shifts
        assert torch.equal(matrices, torch.eye(2).double().expand(5000, 2, 2))
    else:
        assert torch.equal(shifts, still)
    if text.startswith("rotation"):
        amounts = torch.atan2(matrices[:, 1, 0], matrices[:, 0, 0]).rad2deg()
        assert torch.allclose(matrices @ matrices.mT, torch.eye(2).double(), atol=1e-6)
    elif text.startswith("scaling"):
        amounts = 1 / matrices.diagonal(dim1=1, dim2=2) - 1
        assert torch.equal(matrices - torch.diag_embed(matrices.diagonal(dim1=1, dim2=2)), 0 * matrices)
    elif text.startswith("shear"):
        amounts = matrices[:, 0, 1]
    assert most * 0.99 < float(amounts.max()) <= most * 1.000001
    assert -most * 1.000001 <= float(amounts.min()) < -most * 0.99
    # Uniform: its deviation is the most through the root of three.
    assert float(amounts.std()) == pytest.approx(most / math.sqrt(3), rel=0.03)


# --- the source of rows


def source(data: Dataset, weights: Tensor | None = None, **options: Any) -> Source:
    plan = make_plan(data, f"{data.features}-8-{len(data.classes)}", **options)
    return Source(replace(plan, weights=weights))


def asked(rows: Source, epoch: int, counts: list[int]) -> Tensor:
    parts, first = [], 0
    for count in counts:
        got = list(rows.of(epoch, first, count))
        assert sum(part.steps for part in got) == count
        parts += [part.inputs[part.order] for part in got]
        first += count
    return torch.cat(parts)


@pytest.mark.parametrize("drawn", DRAWN, ids=str)
def test_rows_do_not_depend_on_how_the_steps_are_asked_for(digits: Dataset, drawn: dict[str, Any]) -> None:
    whole = asked(source(digits, **drawn), 1, [11])
    assert whole.shape == (700, 784)
    assert torch.equal(asked(source(digits, **drawn), 1, [1] * 11), whole)
    assert torch.equal(asked(source(digits, **drawn), 1, [3, 7, 1]), whole)
    assert not torch.equal(asked(source(digits, **drawn), 0, [11]), whole)
    assert not torch.equal(asked(source(digits, **drawn, seed=1), 1, [11]), whole)


@pytest.mark.parametrize("kind", ["pixels", "table", "far"])
@pytest.mark.parametrize("deformation", [None, "shift=1"])
def test_noise_is_normal_around_what_the_network_would_see(kind: str, deformation: str | None) -> None:
    inputs = torch.rand(600, 36, generator=seeded(), dtype=torch.float64) * torch.linspace(1, 50, 36) + 3
    rows = {"pixels": inputs.to(torch.uint8), "table": inputs.float(), "far": inputs + 1e6}[kind]
    split = Split(rows, torch.arange(600) % 2)
    data = Dataset(kind, split, split, split, ("a", "b"), image_shape=(6, 6), source=kind)
    without, noisy = source(data, deformation=deformation), source(data, deformation=deformation, noise=0.3)
    added = []
    for epoch in range(2):
        standard = asked(without, epoch, [10]) * without.scale + without.shift
        added.append(asked(noisy, epoch, [10]) * noisy.scale + noisy.shift - standard)
    noise = torch.stack(added).double().numpy() / 0.3
    assert stats.kstest(noise.ravel(), "norm").pvalue > 0.01
    assert stats.kstest(noise[0, :, 5], "norm").pvalue > 0.01
    # No two inputs, rows or epochs share any of it.
    assert abs(np.corrcoef(noise.reshape(1200, 36).T) - np.eye(36)).max() < 5 / math.sqrt(1200)
    assert abs(np.corrcoef(noise.reshape(2, -1))[0, 1]) < 5 / math.sqrt(noise[0].size)
    assert abs(np.corrcoef(noise[0].ravel()[36:], noise[0].ravel()[:-36])[0, 1]) < 5 / math.sqrt(noise[0].size)


def test_labels_and_weights_go_with_their_rows() -> None:
    # Each picture is one grey, which no deformation changes, and which is its label and its weight.
    labels = torch.arange(90) % 7
    split = Split(labels.to(torch.uint8)[:, None].expand(90, 25).contiguous() * 30, labels)
    greys = Dataset("greys", split, split, split, tuple("abcdefg"), image_shape=(5, 5), source="greys")
    rows = source(greys, weights=labels.float() + 1, batch_size=8, deformation=EVERY)
    for part in rows.of(0, 0, 12):
        assert part.weights is not None
        greys_N = (part.labels[part.order] * 30.0)[:, None].expand(-1, 25)
        torch.testing.assert_close(part.inputs[part.order], greys_N)
        assert torch.equal(part.weights, part.labels + 1.0)


def test_the_preprocessing_is_that_of_the_rows_as_they_are(digits: Dataset) -> None:
    run = fit(Network("784-8-10"), digits, epochs=1, deformation=EVERY)
    assert run.preprocessing == Preprocessing.fitted(digits.train.inputs)


@pytest.mark.parametrize("channels", [1, 3])
def test_deformed_pictures_of_floats_are_prepared_as_pictures(channels: int) -> None:
    generator = seeded()
    inputs = torch.rand(60, 9, 9, channels, generator=generator) * torch.tensor([1.0, 1000.0, 1e-3][:channels])
    # One row of sixty has ink in a corner: by itself that pixel would be eight deviations from its mean.
    inputs[:, 0, 0] = 0
    inputs[7, 0, 0] = inputs[7, 4, 4]
    image = (9, 9) if channels == 1 else (9, 9, channels)
    split = Split(inputs.reshape(60, -1), torch.arange(60) % 2)
    data = Dataset("floats", split, split, split, ("a", "b"), image_shape=image, source="floats")
    run = fit(Network(f"{data.features}-4-2"), data, epochs=1, deformation="shift=3")
    of_channel = inputs.double().flatten(0, 2)
    pixels = 1 if channels == 1 else 81
    assert run.preprocessing.mean == pytest.approx(of_channel.mean(0).tolist() * pixels, rel=1e-6)
    assert run.preprocessing.std == pytest.approx(of_channel.std(0, correction=0).tolist() * pixels, rel=1e-6)
    (part,) = Source(replace(make_plan(data, str(run.network.specification), deformation="shift=3", batch_size=60),
                             preprocessing=run.preprocessing)).of(0, 0, 1)  # fmt: skip
    prepared = part.inputs * run.preprocessing.step[0] + run.preprocessing.step[1]
    assert float(prepared.abs().max()) < 4
    # Without deformations, and of rows with a preprocessing of their own, all stays as it was.
    assert fit(Network(f"{data.features}-4-2"), data, epochs=1).preprocessing == Preprocessing.fitted(split.inputs)


def test_pictures_far_from_zero_are_deformed_before_they_are_prepared() -> None:
    generator = seeded()
    far = 1e6 + torch.rand(60, 36, generator=generator, dtype=torch.float64)
    split = Split(far, torch.arange(60) % 2)
    data = Dataset("far", split, split, split, ("a", "b"), image_shape=(6, 6), source="far")
    plan = make_plan(data, "36-4-2", deformation="shift=1")
    (part,) = Source(plan).of(0, 0, 1)
    assert (plan.preprocessing.far, part.inputs.dtype) == (True, torch.float32)
    # Of neighbours, each standardised by itself, a mixture is as large as they are.
    assert 0.3 < float(part.inputs.std()) < 1.2


@pytest.mark.parametrize("kind", ENGINES)
def test_rows_of_float64_near_zero_are_read_as_such(kind: str) -> None:
    inputs = torch.randn(200, 6, generator=seeded())
    losses = []
    for rows in (inputs, inputs.double()):
        split = Split(rows, (inputs[:, 0] > 0).long())
        data = Dataset("plane", split, split, split, ("a", "b"), source="plane")
        losses.append(fit(Network("6-8-2"), data, epochs=2, engine=kind).history["train_loss"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-5)


# --- engines


def engine_of(kind: str, plan: Any) -> Engine:
    return FusedEngine(plan, 1) if kind == "fused" else PlainEngine(plan)


@pytest.mark.skipif(status().path == "pytorch", reason="needs the compiled kernels")
@pytest.mark.parametrize("drawn", DRAWN, ids=str)
def test_both_engines_learn_from_the_same_rows(digits: Dataset, drawn: dict[str, Any]) -> None:
    options: dict[str, Any] = {"batch_size": 32, "optimizer": "sgd", "lr": 0.01, **drawn}
    plain, fused = (make_plan(digits, "784-16-10", **options) for _ in range(2))
    assert train(FusedEngine(fused, 2), 2) == pytest.approx(train(PlainEngine(plain), 2), rel=1e-5)
    for ours, theirs in zip(fused.network.parameters(), plain.network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("drawn", DRAWN[:2], ids=str)
@pytest.mark.parametrize("kind", ENGINES)
def test_resuming_draws_the_same_rows_to_the_bit(
    digits: Dataset, tmp_path: Path, kind: str, drawn: dict[str, Any]
) -> None:
    options: dict[str, Any] = {"epochs": 2, "batch_size": 3, "engine": kind, "threads": 1, **drawn}
    whole = fit(Network("784-8-10"), digits, **options)
    with pytest.raises(KeyboardInterrupt):
        fit(Network("784-8-10"), digits, **options, out=tmp_path / "run", on_event=stopping_after(7))
    run = resume(tmp_path / "run", digits)
    assert weights(run.network) == weights(whole.network)
    assert run.history["train_loss"] == whole.history["train_loss"]


@pytest.mark.skipif(status().path == "pytorch", reason="needs the compiled kernels")
@pytest.mark.parametrize("drawn", DRAWN[:2], ids=str)
def test_threads_change_no_bit_of_a_training_whose_rows_are_drawn(digits: Dataset, drawn: dict[str, Any]) -> None:
    found, before = [], torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            run = fit(Network("784-8-10"), digits, epochs=1, threads=threads, engine="fused", **drawn)
            found.append(weights(run.network))
    finally:
        torch.set_num_threads(before)
    assert found[0] == found[1]


@pytest.mark.parametrize("seeds", [None, [0, 1]])
@pytest.mark.parametrize("kind", ENGINES)
def test_it_computes_with_no_more_threads_than_the_training_has(
    digits: Dataset, kind: str, seeds: list[int] | None
) -> None:
    seen, before = set(), torch.get_num_threads()
    threads = 2 if seeds and kind == "fused" else 1

    def listen(event: Any) -> None:
        seen.add(torch.get_num_threads())
        with ThreadPoolExecutor(1) as pool:
            of_others.add(pool.submit(torch.get_num_threads).result())

    of_others: set[int] = set()
    try:
        torch.set_num_threads(3)
        options: dict[str, Any] = {"epochs": 1, "deformation": EVERY, "engine": kind, "threads": threads}
        fit(Network("784-8-10"), digits, **options, seeds=seeds, on_event=listen)
        assert (seen, of_others, torch.get_num_threads()) == ({1}, {3}, 3)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", ENGINES)
def test_it_is_refused_for_rows_that_are_no_pictures(kind: str) -> None:
    with pytest.raises(UsageError) as caught:
        fit(Network("4-2"), make_dataset(30, 4, 2), epochs=1, deformation="shift=1", engine=kind)
    assert str(caught.value) == (
        "Only pictures can be deformed, and these rows are none [training-deformation]\n"
        "  expected: a data set with an image_shape, such as mnist\n"
        "  got: deformation shift=1 for clouds\n"
        "  try: leave the deformation out"
    )


# --- the text


@given(
    st.fixed_dictionaries(
        {"shift": st.floats(0.1, 1000)},
        optional={
            "rotation": st.floats(0, 180),
            "scaling": st.floats(0, 0.9),
            "shear": st.floats(0, 1),
            "elastic": st.floats(0, 1000),
        },
    )
)
def test_a_text_is_its_amounts(amounts: dict[str, float]) -> None:
    text = " , ".join(f"{name} = {amount!r}" for name, amount in amounts.items())
    assert Deformation.parse(text) == Deformation(**amounts) == TrainingOptions(deformation=text).deformations
    assert TrainingOptions().deformations is None


_PART = "shift=1,rotation=10,scaling=0.1,elastic=1; "
_ALL = _PART + "choose one of shift, rotation, scaling, shear, elastic, smoothness"
_NOTHING = "shift=1,rotation=10,elastic=1, or leave the deformation out"


@pytest.mark.parametrize(
    ("given", "code", "got", "hint"),
    [
        ("", "deformation-part", "''", _ALL),
        ("shift", "deformation-part", "'shift'", _ALL),
        ("shift=", "deformation-part", "'shift='", _ALL),
        ("shift=one", "deformation-part", "'shift=one'", _ALL),
        ("shift=1,", "deformation-part", "''", _ALL),
        ("shift=1,shift=2", "deformation-part", "'shift=2'", _ALL),
        ("rotate=1", "deformation-part", "'rotate=1'", _PART + "did you mean rotation?"),
        ("shift=1;rotation=2", "deformation-part", "'shift=1;rotation=2'", _ALL),
        (3, "deformation-part", "3", _ALL),
        (True, "deformation-part", "True", _ALL),
        ("shift=-1", "number-range", "-1.0", "shift=1, or leave it out"),
        ("shift=nan", "number-range", "nan", "shift=1, or leave it out"),
        ("rotation=181", "number-range", "181.0", "rotation=10, or leave it out"),
        ("scaling=inf", "number-range", "inf", "scaling=0.1, or leave it out"),
        ("elastic=1,smoothness=0.4", "number-range", "0.4", "smoothness=4, or leave it out"),
        ("shift=0,rotation=0", "deformation-nothing", "shift=0, rotation=0, scaling=0, shear=0, elastic=0", _NOTHING),
        ("shift=1,smoothness=2", "deformation-nothing", "shift=1,smoothness=2", _NOTHING),
    ],
)
def test_each_wrong_text_has_its_message(given: object, code: str, got: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions(deformation=given)  # type: ignore[arg-type]
    assert (caught.value.code, caught.value.got, caught.value.try_) == (code, got, hint)


def test_a_million_commas_are_one_complaint_each_and_all_come_with_the_other_options() -> None:
    with pytest.raises(SeveralErrors) as caught:
        TrainingOptions(epochs=0, deformation="," * 1_000_000)
    assert [problem.code for problem in caught.value.problems] == ["training-count"] + ["deformation-part"] * 7


@pytest.mark.parametrize("amount", [True, "1", None])
def test_amounts_are_numbers(amount: object) -> None:
    with pytest.raises(UsageError) as caught:
        Deformation(shift=amount)  # type: ignore[arg-type]
    assert caught.value.code == "number-range"


def test_the_command_line_takes_it_and_says_what_is_wrong(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    words = ["train", "digits", "--network", "784-8-10", "--epochs", "1", "--deformation"]
    assert main([*words, "shift=1,elastic=1", "--out", str(tmp_path / "run")]) == 0
    capsys.readouterr()
    assert main([*words, "sift=1", "--lang", "ko"]) == 2
    assert capsys.readouterr().err.startswith("sumtoone: 변형을 나타내는 말이 아닙니다 [deformation-part]\n")
