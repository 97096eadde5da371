"""Rows that count more than others: the loss, the hits and the gradients are those of PyTorch's weighted loss."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight, compute_sample_weight
from torch.nn import functional as F

from engines import OPTIMIZERS, epoch_of, make_dataset, make_plan, weights
from sumtoone import Network, Split, TrainingOptions, fit, load, open_run, resume
from sumtoone.errors import DataError, DtypeError, RunError, UsageError
from sumtoone.native import kernels
from sumtoone.training.engines import Engine
from sumtoone.training.fused import FusedEngine
from sumtoone.training.plain import PlainEngine
from sumtoone.training.randomness import batch_order
from sumtoone.training.state import Plan, Progress

needs_kernels = pytest.mark.skipif(kernels() is None, reason="no compiled kernels here")
ENGINES = ["plain", pytest.param("fused", marks=needs_kernels)]
DATASET = make_dataset(90, 12, 3)
# Some rows do not count at all, and so a whole batch.
WEIGHTS = torch.tensor([0.0, 0.5, 1.0, 2.0, 3.5]).repeat(18)


def engine_of(kind: str, plan: Plan, threads: int = 1) -> Engine:
    return FusedEngine(plan, threads) if kind == "fused" else PlainEngine(plan)


def weighted(sizes: str = "12-8-3", row_weights: torch.Tensor = WEIGHTS, **options: object) -> Plan:
    return replace(make_plan(DATASET, sizes, "tanh", **options), weights=row_weights)  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ENGINES)
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_a_step_follows_the_slope_of_pytorchs_weighted_loss(kind: str, smoothing: float) -> None:
    options = {"batch_size": 90, "optimizer": "sgd", "momentum": 0.0, "lr": 0.5, "weight_decay": 0.0}
    plan = weighted(schedule="constant", label_smoothing=smoothing, **options)
    network = Network(plan.network.specification)
    x, labels = plan.preprocessing(DATASET.train.inputs), DATASET.train.labels
    logits = network(x)
    losses = F.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    loss = (losses * WEIGHTS).sum() / WEIGHTS.sum()
    loss.backward()
    engine = engine_of(kind, plan)
    steps = engine.train(0, 0, 1)
    engine.finish()
    assert steps.losses[0] / steps.weight == pytest.approx(float(loss.detach()), rel=1e-6)
    assert steps.hits == pytest.approx(float(WEIGHTS[logits.argmax(1) == labels].sum()))
    assert steps.weight == float(WEIGHTS.sum())
    for before, after in zip(network.parameters(), plan.network.parameters(), strict=True):
        assert before.grad is not None
        assert torch.allclose(after, before - 0.5 * before.grad, atol=1e-6)


@pytest.mark.parametrize("kind", ENGINES)
def test_weights_of_classes_are_those_of_pytorchs_loss(kind: str) -> None:
    of_class = torch.tensor([0.25, 1.0, 3.0])
    labels = DATASET.train.labels
    plan = weighted(row_weights=of_class[labels], batch_size=90)
    expected = F.cross_entropy(plan.network(plan.preprocessing(DATASET.train.inputs)), labels, weight=of_class)
    steps = engine_of(kind, plan).train(0, 0, 1)
    assert steps.losses[0] / steps.weight == pytest.approx(float(expected.detach()), rel=1e-6)


@needs_kernels
@pytest.mark.parametrize("options", OPTIMIZERS)
@pytest.mark.parametrize("batch", [4, 32])
def test_both_engines_go_the_same_way(options: dict[str, object], batch: int) -> None:
    plans = [weighted("12-16-8-3", batch_size=batch, epochs=3, **options) for _ in range(2)]
    engines: list[Engine] = [PlainEngine(plans[0]), FusedEngine(plans[1], threads=2)]
    found = []
    for engine in engines:
        progress = Progress()
        for _ in epoch_of(engine, progress):
            pass
        engine.finish()
        found.append((progress.loss_sum, progress.correct, progress.weight))
    assert found[0] == pytest.approx(found[1], rel=1e-5)
    for one, other in zip(plans[0].network.parameters(), plans[1].network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


@needs_kernels
@pytest.mark.parametrize("number", [1, 2, 3])
def test_weights_change_no_bit_with_the_threads(simd: str, number: int) -> None:
    found = []
    for threads in (1, number):
        plan = replace(
            make_plan(make_dataset(600, 200, 5), "200-300-5", batch_size=64), weights=torch.arange(600) % 3 + 0.5
        )
        engine = FusedEngine(plan, threads)
        engine.train(0, 0, 9)
        engine.finish()
        found.append(weights(plan.network))
    assert found[0] == found[1]


@pytest.mark.parametrize("kind", ENGINES)
def test_weights_of_one_are_none(kind: str) -> None:
    runs = [
        fit(Network("12-8-3"), DATASET, epochs=2, batch_size=7, engine=kind, weights=given)
        for given in (None, np.ones(90))
    ]
    assert runs[0].history["train_accuracy"] == runs[1].history["train_accuracy"]
    assert runs[0].history["train_loss"] == pytest.approx(runs[1].history["train_loss"], rel=1e-6)


@pytest.mark.parametrize("kind", ENGINES)
def test_rows_without_weight_are_as_if_they_were_not_there(kind: str) -> None:
    kept = torch.arange(90) % 3 != 0
    some = replace(DATASET, train=Split(DATASET.train.inputs[kept], DATASET.train.labels[kept]))
    preprocessing = make_plan(DATASET, "12-8-3").preprocessing
    options = {"epochs": 2, "optimizer": "sgd", "schedule": "constant", "engine": kind, "preprocessing": preprocessing}
    whole = fit(Network("12-8-3"), DATASET, batch_size=90, weights=kept.numpy(), **options)
    part = fit(Network("12-8-3"), some, batch_size=60, **options)
    for one, other in zip(whole.network.parameters(), part.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert whole.history["train_accuracy"] == pytest.approx(part.history["train_accuracy"])


@pytest.mark.parametrize("kind", ENGINES)
def test_a_batch_without_weight_changes_nothing_and_divides_by_nothing(kind: str) -> None:
    only = torch.zeros(90)
    only[0] = 1.0
    plan = weighted(row_weights=only, batch_size=1, optimizer="sgd", momentum=0.0, weight_decay=0.0)
    before = weights(plan.network)
    engine = engine_of(kind, plan)
    order = batch_order(plan.options.seed, 0, 90)
    first = int((order == 0).nonzero()[0])
    steps = engine.train(0, 0, first) if first else engine.train(0, 1, 89)
    engine.finish()
    assert (set(steps.losses), steps.hits, steps.weight) == ({0.0}, 0.0, 0.0)
    assert weights(plan.network) == before


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([1.0], "float64, shape (1,)"),
        (np.ones((90, 1)), "float64, shape (90, 1)"),
        (["a"] * 90, "<U1, shape (90,)"),
        (np.full(90, -1.0), "-1.0 … -1.0"),
        (np.zeros(90), "0.0 … 0.0"),
        (np.full(90, np.nan), "nan … nan"),
        (np.full(90, 1e300), "1e+300 … 1e+300"),
    ],
)
def test_what_are_no_weights(given: object, shown: str) -> None:
    with pytest.raises(DataError) as caught:
        fit(Network("12-8-3"), DATASET, weights=given)  # type: ignore[arg-type]
    assert str(caught.value) == (
        "The weights of the training rows are no such [training-weights]\n"
        "  expected: 90 finite numbers from 0 on, one for each row to train, not all of them 0\n"
        f"  got: {shown}\n"
        "  try: weights=None, or one number for each of data.train.labels"
    )


@pytest.mark.parametrize("row_weights", [None, WEIGHTS])
@pytest.mark.parametrize("options", [{"class_weight": "balanced"}, {"class_weight": {"c2": 3, "c0": 0.25}}])
def test_classes_count_as_scikit_learn_has_it(options: dict[str, Any], row_weights: torch.Tensor | None) -> None:
    few = torch.cat([torch.arange(30), torch.arange(30, 90, 3)])
    uneven = replace(DATASET, train=Split(DATASET.train.inputs[few], DATASET.train.labels[few]))
    labels = uneven.train.labels.numpy()
    own = None if row_weights is None else row_weights[few].numpy()
    named = options["class_weight"]
    expected = compute_sample_weight(named if named == "balanced" else {0: 0.25, 1: 1, 2: 3}, labels)
    if own is not None:
        expected = own * (compute_class_weight("balanced", classes=np.arange(3), y=labels, sample_weight=own)[labels]
                          if named == "balanced" else expected)  # fmt: skip
    run = fit(Network("12-8-3"), uneven, epochs=2, batch_size=7, weights=own, **options)
    same = fit(Network("12-8-3"), uneven, epochs=2, batch_size=7, weights=expected)
    for one, other in zip(run.network.parameters(), same.network.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)
    assert TrainingOptions.from_json(run.options.to_json()) == run.options


def test_a_class_without_rows_takes_no_part() -> None:
    none_of_it = replace(DATASET, classes=("c0", "c1", "c2", "c3"))
    run = fit(Network("12-8-4"), none_of_it, epochs=1, class_weight="balanced")
    same = fit(Network("12-8-4"), none_of_it, epochs=1, weights=np.ones(90))
    assert weights(run.network) == weights(same.network)


def test_names_of_no_class_have_no_weight() -> None:
    with pytest.raises(UsageError) as caught:
        fit(Network("12-8-3"), DATASET, class_weight={"c1": 2, "cat": 3})
    assert str(caught.value) == (
        "Weights are given to classes that the data does not have [training-class-unknown]\n"
        "  expected: c0, c1, c2\n"
        "  got: cat\n"
        "  try: choose one of c0, c1, c2"
    )
    with pytest.raises(DataError) as nothing:
        fit(Network("12-8-3"), DATASET, weights=DATASET.train.labels == 0, class_weight={"c0": 0, "c1": 1})
    assert nothing.value.code == "training-weights"


class Stop(Exception):
    pass


@pytest.mark.parametrize("kind", ENGINES)
def test_a_training_with_weights_goes_on_with_the_same_alone(tmp_path: Path, kind: str) -> None:
    options = {"epochs": 3, "batch_size": 8, "engine": kind, "weights": WEIGHTS, "class_weight": {"c1": 2}}
    whole = fit(Network("12-8-3", dropout=0.1), DATASET, **options)

    def stop(event: object) -> None:
        if event["event"] == "epoch":  # type: ignore[index]
            raise Stop

    with pytest.raises(Stop):
        fit(Network("12-8-3", dropout=0.1), DATASET, out=tmp_path / "run", on_event=stop, **options)
    for other in (None, WEIGHTS + 1):
        with pytest.raises(RunError) as caught:
            resume(tmp_path / "run", DATASET, weights=other)
        assert caught.value.code == "run-data-changed"
    again = resume(tmp_path / "run", DATASET, weights=WEIGHTS)
    assert weights(again.network) == weights(whole.network)
    assert again.history["train_loss"] == whole.history["train_loss"]


def test_seeds_share_the_weights() -> None:
    runs = fit(Network("12-8-3"), DATASET, epochs=1, seeds=[0, 1], weights=WEIGHTS)
    for run in runs:
        one = fit(Network("12-8-3", seed=run.options.seed), DATASET, epochs=1, seed=run.options.seed, weights=WEIGHTS)
        assert weights(run.network) == weights(one.network)


# --- a column of weights


def _table(folder: Path, rows: int = 90) -> Path:
    lines = [f"{row % 7 + row % 3},{row % 5},{row % 4},{'xyz'[row % 3]}" for row in range(rows)]
    path = folder / "table.csv"
    path.write_text("\n".join(["a,b,count,kind", *lines]) + "\n")
    return path


def test_a_column_of_weights_is_no_feature(tmp_path: Path) -> None:
    path = _table(tmp_path)
    plain, weighted = load(path, label="kind"), load(path, label="kind", weight="count")
    assert plain.columns == ("a", "b", "count")
    assert weighted.columns == ("a", "b")
    assert weighted.weights is not None
    assert torch.equal(weighted.weights, plain.train.inputs[:, 2].double())
    assert torch.equal(weighted.test.inputs, plain.test.inputs[:, :2])
    assert weighted.whole().weights is None
    run = fit(Network("2-4-3"), weighted, epochs=2, out=tmp_path / "run")
    same = fit(Network("2-4-3"), replace(weighted, weights=None), epochs=2, weights=weighted.weights)
    assert weights(run.network) == weights(same.network)
    again = open_run(tmp_path / "run")
    assert (again.weight, again.columns) == ("count", ("a", "b"))
    # Of a frame, the column is left out, as that of the labels is.
    frame = pd.read_csv(path)
    assert torch.equal(again.probabilities(frame), again.probabilities(frame[["b", "a"]]))


@pytest.mark.parametrize(("given", "label"), [("weights", "kind"), ("count", "count"), ("kind", "kind")])
def test_a_column_of_weights_must_be_there(tmp_path: Path, given: str, label: str) -> None:
    path = _table(tmp_path)
    path.write_text(
        "\n".join(line.rpartition(",")[0] for line in path.read_text().splitlines())
        if label == "count"
        else path.read_text()
    )
    with pytest.raises(DataError) as caught:
        load(path, label=label, weight=given)
    assert caught.value.code == "data-weight"
    with pytest.raises(DataError) as pictures:
        load("digits", weight="count")
    assert str(pictures.value) == (
        "There is no such column of weights in digits, or no column besides [data-weight]\n"
        "  expected: a table with this column and others; -\n"
        "  got: count\n"
        "  try: the name of a column of numbers from 0 on, or leave the weights out"
    )
    with pytest.raises(DtypeError):
        load(path, weight=3)  # type: ignore[arg-type]


def test_a_training_with_a_column_of_weights_goes_on_by_itself(tmp_path: Path) -> None:
    dataset = load(_table(tmp_path), label="kind", weight="count")
    whole = fit(Network("2-4-3"), dataset, epochs=3, class_weight="balanced")

    def stop(event: object) -> None:
        if event["event"] == "epoch":  # type: ignore[index]
            raise Stop

    with pytest.raises(Stop):
        fit(Network("2-4-3"), dataset, epochs=3, class_weight="balanced", out=tmp_path / "run", on_event=stop)
    again = resume(tmp_path / "run")
    assert weights(again.network) == weights(whole.network)
    assert again.weight == "count"
