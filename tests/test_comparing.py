"""Comparisons: trainings that equal a lone fit, choices that brute force makes too, sentences that SciPy bears out."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from engines import make_dataset, weights
from sumtoone import Comparison, Dataset, Network, Split, compare, fit, open_run
from sumtoone.comparing import grid, listing
from sumtoone.comparing.comparison import row_of
from sumtoone.comparing.grid import Contender, Training, contenders
from sumtoone.errors import DataError, DtypeError, RunError, ShapeError, SumtooneError, UsageError
from sumtoone.language import speaking
from sumtoone.native import kernels
from sumtoone.options import TrainingOptions
from sumtoone.specification import Specification
from sumtoone.training.randomness import batch_order

DATASET = make_dataset(240, 12, 3)
ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky-relu", "gelu", "identity"]
AXES: dict[str, Any] = {
    "networks": ["12-8-3"],
    "activations": ["relu"],
    "optimizers": ["adamw"],
    "lrs": "auto",
    "batch_sizes": [64],
}


def compared(*, dataset: Dataset = DATASET, **given: Any) -> Comparison:
    options = {"networks": "12-8-3", "activations": ["relu", "tanh"], "lrs": 0.01, "seeds": 3, "epochs": 3}
    return compare(dataset, **{**options, "reach": 0.8, **given})


def without_seconds(rows: tuple[Mapping[str, Any], ...]) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


# --- the same trainings as alone


def test_rows_and_classes_count_as_much_as_in_a_lone_fit(tmp_path: Path) -> None:
    dataset = replace(DATASET, weights=torch.arange(len(DATASET.train)) % 3)
    options: dict[str, Any] = {"epochs": 2, "lr": 0.01, "class_weight": "balanced"}
    compared(dataset=dataset, epochs=2, class_weight="balanced", seeds=1, activations="relu", out=tmp_path)
    compared(epochs=2, class_weight="balanced", seeds=1, activations="relu", out=tmp_path)
    kept = {weights(open_run(folder).network) for folder in tmp_path.iterdir() if folder.is_dir()}
    alone = [fit(Network("12-8-3", seed=0), each, **options, threads=1).network for each in (dataset, DATASET)]
    assert kept == {weights(network) for network in alone}
    assert len(kept) == 2


@pytest.mark.parametrize("engine", ["auto", "plain"])
def test_every_run_is_a_lone_fit_of_its_seed_to_the_bit(engine: str, tmp_path: Path) -> None:
    found = compared(engine=engine, out=tmp_path, workers=2, backend="threading", dropout=0.2)
    for contender in found.contenders:
        for row in (row for row in found.rows if row["contender"] == contender.name):
            run = open_run(tmp_path / row["key"])
            network = Network(contender.specification, seed=row["seed"])
            options = {"epochs": 3, "lr": 0.01, "seed": row["seed"], "engine": engine, "threads": 1}
            alone = fit(network, DATASET, **options)
            assert weights(run.network) == weights(alone.network)
            assert tuple(row["validation_accuracy"]) == alone.history["validation_accuracy"]
            assert (run.fingerprint, run.classes, run.splits) == (alone.fingerprint, alone.classes, alone.splits)


def test_one_seed_gives_all_the_same_order_and_the_same_numbers_to_start_from() -> None:
    start = {name: Network("12-8-3", name, seed=5) for name in ACTIVATIONS[:-1]}
    first = start["relu"].layers[0].weight
    for network in start.values():
        ratios = network.layers[0].weight / first
        assert torch.allclose(ratios, ratios[0, 0].expand_as(ratios), atol=1e-4)
        # The last layer has no activation behind it.
        assert torch.equal(network.layers[1].weight, start["relu"].layers[1].weight)
    assert not torch.equal(first, Network("12-8-3", "relu", seed=6).layers[0].weight)
    # Nothing but the seed and the rows decides the order.
    assert batch_order(5, 2, 240).tolist() != batch_order(6, 2, 240).tolist()


def test_nothing_is_written_where_nothing_is_to_be_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept, loose = compared(out="kept"), compared()
    assert without_seconds(kept.rows) == without_seconds(loose.rows)
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    lines = (tmp_path / "kept" / "rows.jsonl").read_text().splitlines()
    assert list(map(json.loads, lines)) == list(kept.rows)
    assert loose.out is None


def test_test_rows_do_not_travel() -> None:
    seen = []
    dataset = replace(DATASET, test=Split(torch.randn(7, 12), torch.zeros(7, dtype=torch.int64)))
    assert dataset.fingerprint != DATASET.fingerprint
    found = compared(dataset=dataset, on_event=seen.append)
    other = compared()
    assert [row["train_loss"] for row in found.rows] == [row["train_loss"] for row in other.rows]
    assert {row["key"] for row in found.rows}.isdisjoint(row["key"] for row in other.rows)


def test_processes_from_before_follow_into_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        found = compared(out="c", backend="loky", workers=2, activations="relu", seeds=2)
        assert {path.name for path in (tmp_path / name / "c").iterdir()} == {row["key"] for row in found.rows} | {
            "rows.jsonl"
        }


# --- keys


def one(**given: Any) -> Contender:
    axes, rest = {**AXES, "lrs": [0.01]}, {}
    for name, value in given.items():
        (axes if name in axes else rest)[name] = value
    return contenders("12-8-3", axes, rest)[0]


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "networks": st.sampled_from(["12-8-3", "12-9-3", "12-8-8-3"]),
            "activations": st.sampled_from(["relu", "tanh"]),
            "lrs": st.sampled_from([0.01, 0.02]),
            "batch_sizes": st.sampled_from([32, 64]),
            "epochs": st.sampled_from([3, 4]),
            "dropout": st.sampled_from([0.0, 0.5]),
            "weight_decay": st.sampled_from([0.1, 0.2]),
        },
    ),
    st.integers(0, 2),
    st.sampled_from(["a", "b"]),
)
def test_a_key_is_its_content_and_nothing_else(given_: dict[str, Any], seed: int, fingerprint: str) -> None:
    key = Training(one(**given_), seed).key(fingerprint)
    assert key == Training(one(**given_), seed, tuning=True).key(fingerprint)
    assert len(key) == 16
    changed = [
        *(Training(one(**{**given_, **other}), seed).key(fingerprint) for other in ({"epochs": 9}, {"lrs": [0.5]})),
        Training(one(**given_), seed + 1).key(fingerprint),
        Training(one(**given_), seed).key(fingerprint + "c"),
    ]
    assert len({key, *changed}) == 5


def test_what_is_left_to_the_default_has_the_key_of_what_names_it() -> None:
    named = Training(one(weight_decay=0.3, networks=[[12, 8, 3]]), 0).key("a")
    assert named == Training(one(), 0).key("a")


@pytest.mark.parametrize(
    "name", ["momentum", "weight_decay", "label_smoothing", "noise", "dropout", "lrs", "class_weight"]
)
def test_equal_numbers_have_one_key_however_they_are_written(name: str) -> None:
    whole, real = ([1], [1.0]) if name == "lrs" else ({"0": 2}, {"0": 2.0}) if name == "class_weight" else (0, 0.0)
    keys = {Training(one(optimizers=["sgd"], **{name: value}), 0).key("a") for value in (whole, real)}
    assert len(keys) == 1


def test_a_choice_of_learning_rate_has_the_key_of_what_names_it() -> None:
    tuned = contenders("12-8-3", AXES, {})[0]
    assert tuned.tried == (0.00125, 0.0025, 0.005, 0.01, 0.02)
    assert Training(tuned.at(0.01), 0).key("a") == Training(one(), 0).key("a")


# --- once and never again


def test_what_is_there_is_not_trained_again(tmp_path: Path) -> None:
    first = compared(out=tmp_path)
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/run.json")}
    assert len(written) == 6
    events: list[Mapping[str, Any]] = []
    again = compared(out=tmp_path, seeds=[2, 0, 1, 4], on_event=events.append)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    assert sorted(event["seed"] for event in events if not event["kept"]) == [4, 4]
    assert [event["done"] for event in events] == list(range(1, 9))
    old = {row["key"]: row for row in first.rows}
    assert {row["key"]: row for row in again.rows if row["key"] in old} == old


def test_a_training_that_diverged_is_told_and_not_begun_again(tmp_path: Path) -> None:
    wild: dict[str, Any] = {"lrs": [0.01, 1e30], "optimizers": "sgd", "activations": "relu", "out": tmp_path}
    found = compared(**wild)
    assert [row["diverged"] for row in found.rows] == [False] * 3 + [True] * 3
    note = "note: lr 1e+30: 3 of 3 seeds diverged"
    assert found.notes == (note,)
    assert [statement.contenders for statement in found.statements if "lr 1e+30" in statement.contenders] == [
        ("lr 1e+30",)
    ]
    assert found.table[1][1][2:] == ["0/3", "–", "–", "–"]
    events: list[Mapping[str, Any]] = []
    assert without_seconds(compared(**wild, on_event=events.append).rows) == without_seconds(found.rows)
    assert {event["kept"] for event in events} == {True}
    states = [run.state for run in listing.list_runs(tmp_path)]
    assert states == ["finished"] * 3 + ["diverged"] * 3
    # The picture says of how many seeds it is.
    labels = [words.get_text() for words in compared(**wild).figure().legends[0].get_texts()]
    assert labels == ["lr 0.01"]


def test_a_folder_with_another_run_is_refused(tmp_path: Path) -> None:
    found = compared(out=tmp_path, seeds=1, activations="relu")
    key = found.rows[0]["key"]
    (tmp_path / key).rename(tmp_path / "aside")
    fit(Network("12-8-3"), DATASET, epochs=1, out=tmp_path / key)
    with pytest.raises(RunError) as caught:
        compared(out=tmp_path, seeds=1, activations="relu")
    assert (caught.value.code, caught.value.got) == ("run-damaged", f"{tmp_path / key}: another training's")


@pytest.mark.parametrize("name", ["run.json", "history.jsonl"])
def test_a_damaged_run_stops_the_comparison_and_is_named(tmp_path: Path, name: str) -> None:
    found = compared(out=tmp_path, seeds=1, activations="relu")
    path = tmp_path / found.rows[0]["key"] / name
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(RunError) as caught:
        compared(out=tmp_path, seeds=1, activations="relu")
    assert caught.value.code == "run-damaged"
    assert str(path) in caught.value.got


def test_one_comparison_at_a_time_writes_a_folder(tmp_path: Path) -> None:
    codes: list[str] = []

    def begin_another(event: Mapping[str, Any]) -> None:
        with pytest.raises(RunError) as caught:
            compared(out=tmp_path)
        codes.append(caught.value.code)

    compared(out=tmp_path, seeds=1, activations="relu", on_event=begin_another)
    assert codes == ["run-in-use"]


# --- learning rates


def test_the_learning_rate_is_that_which_brute_force_finds() -> None:
    found = compared(lrs="auto", activations=["relu", "sigmoid"], optimizers=["sgd", "adam"], seeds=2)
    assert len(found.rows) == 4 * (5 + 2)
    for contender in found.contenders:
        merits = []
        for lr in contender.tried:
            network = Network(contender.specification, seed=grid.TUNING_SEED)
            options = replace(contender.options, lr=lr, seed=grid.TUNING_SEED, threads=1)
            last = fit(network, DATASET, options).history.rows[-1]
            merits.append((last["validation_accuracy"], -last["validation_loss"]))
        assert contender.options.lr == contender.tried[merits.index(max(merits))]
        tuned = [row for row in found.rows if row["contender"] == contender.name and row["tuning"]]
        assert [(row["lr"], row["seed"]) for row in tuned] == [(lr, grid.TUNING_SEED) for lr in contender.tried]


@pytest.mark.parametrize(("tried", "told"), [((0.01, 0.02), True), ((0.005, 0.01), True), ((0.005, 0.01, 0.02), False)])
def test_a_choice_at_the_edge_is_told(tried: tuple[float, ...], told: bool) -> None:
    found = made({"relu": FAST}, tried=tried)
    note = (
        f"note: relu: the best learning rate, 0.01, is at the edge of those tried ({', '.join(map(str, tried))}); "
        "one beyond may be better"
    )
    assert found.notes == ((note,) if told else ())


def test_the_tuning_seed_is_none_of_those_compared() -> None:
    assert grid.tuning_seed(range(1000)) == grid.TUNING_SEED
    assert grid.tuning_seed([grid.TUNING_SEED, 0, grid.TUNING_SEED + 1]) == grid.TUNING_SEED + 2


# --- the grid


def test_names_tell_what_differs() -> None:
    def names(**axes: Any) -> list[str]:
        return [each.name for each in contenders("12-8-3", {**AXES, **axes}, {})]

    assert names() == ["relu"]
    assert names(networks=["12-8-3", "12-3"], activations=["relu", "tanh"]) == [
        "12-8-3, relu",
        "12-8-3, tanh",
        "12-3, relu",
        "12-3, tanh",
    ]
    assert names(optimizers=["sgd", "adamw"], batch_sizes=[8, 16], lrs=[0.1]) == [
        "sgd, batches of 8",
        "sgd, batches of 16",
        "adamw, batches of 8",
        "adamw, batches of 16",
    ]


@given(st.lists(st.floats(1e-6, 1.0), min_size=2, max_size=4, unique=True), st.floats(1e-16, 1e-6))
def test_no_two_learning_rates_have_one_name(lrs: list[float], apart: float) -> None:
    lrs = list(dict.fromkeys([*lrs, lrs[0] * (1 + apart)]))
    names = [each.name for each in contenders("12-8-3", {**AXES, "lrs": lrs}, {})]
    assert len(set(names)) == len(lrs)
    assert [float(name.removeprefix("lr ")) for name in names] == pytest.approx(lrs, rel=1e-5)


def test_learning_rates_that_are_almost_alike_have_rows_of_their_own() -> None:
    found = compared(activations="relu", lrs=[0.01234561, 0.01234562], seeds=1)
    assert [each.name for each in found.contenders] == ["lr 0.01234561", "lr 0.01234562"]
    first, second = map(found.curves, found.contenders)
    assert [first, second] == [[row["validation_accuracy"]] for row in found.rows]


@pytest.mark.parametrize("of", [np.array, torch.tensor, tuple])
def test_an_array_is_a_list_of_its_numbers(of: Any) -> None:
    axes = {**AXES, "lrs": [0.25, 0.5], "batch_sizes": [8, 16]}
    assert contenders("12-8-3", {**axes, "lrs": of([0.25, 0.5]), "batch_sizes": of([8, 16])}, {}) == contenders(
        "12-8-3", axes, {}
    )
    assert grid.checked_seeds(of([3, 1])) == (3, 1)


def test_momentum_is_for_the_contenders_that_have_one() -> None:
    found = contenders("12-8-3", {**AXES, "optimizers": ["sgd", "adamw"]}, {"momentum": 0.5})
    assert [each.options.momentum for each in found] == [0.5, TrainingOptions().momentum]
    with pytest.raises(UsageError) as caught:
        contenders("12-8-3", AXES, {"momentum": 0.5})
    assert caught.value.code == "training-momentum"


@pytest.mark.parametrize(
    ("given_", "code", "got"),
    [
        ({"seeds": 0}, "compare-seeds", "0"),
        ({"seeds": [1, 1]}, "compare-seeds", "[1, 1]"),
        ({"seeds": "3"}, "compare-seeds", "'3'"),
        ({"seeds": [-1]}, "compare-seeds", "[-1]"),
        ({"seeds": True}, "compare-seeds", "True"),
        ({"activations": []}, "compare-empty", "none"),
        ({"activations": ["relu", "relu"]}, "compare-twice", "'relu'"),
        ({"networks": ["12-8-3", [12, 8, 3]]}, "compare-twice", "'12-8-3'"),
        ({"activations": ["relu", "rely"]}, "choice", "'rely'"),
        ({"activations": {"relu": 1}}, "compare-axis", "{'relu': 1}"),
        ({"lrs": np.zeros((2, 2))}, "compare-axis", None),
        ({"lrs": [np.zeros(2), np.zeros(2)]}, "compare-axis", None),
        ({"seeds": np.zeros((1, 2))}, "compare-seeds", None),
        ({"seeds": np.array([0.5])}, "compare-seeds", None),
        ({"lrs": [0.1, 0]}, "number-range", "0"),
        ({"lrs": "fast"}, "number-range", "'fast'"),
        ({"lrs": None}, "number-range", "None"),
        ({"lrs": [0.1, None]}, "number-range", "[0.1, None]"),
        ({"lr": 0.1}, "compare-option", "lr="),
        ({"early_stopping": 2}, "compare-option", "early_stopping="),
        ({"epoch": 2}, "training-option", "epoch"),
        ({"reach": 0}, "number-range", "0"),
        ({"reach": math.nan}, "number-range", "nan"),
        ({"workers": 0}, "training-count", "0"),
        ({"backend": "loki"}, "choice", "'loki'"),
        ({"scheduler": "tcp://a:1"}, "compare-scheduler", "tcp://a:1"),
        ({"scheduler": "tcp://a:1", "backend": "dask", "workers": 2}, "compare-workers-scheduler", None),
        ({"networks": "12-8-4"}, "training-classes", None),
        ({"networks": "11-8-3"}, "training-features", None),
        ({"dropout": 2}, "number-range", "2"),
        ({"batch_sizes": list(range(1, 1001)), "seeds": 1000}, "compare-many", "2,000,000 trainings"),
    ],
)
def test_what_cannot_be_compared_is_refused_by_name(given_: dict[str, Any], code: str, got: str | None) -> None:
    with pytest.raises(SumtooneError) as caught:
        compared(**given_)
    assert caught.value.code == code, str(caught.value)
    assert got is None or caught.value.got == got


def test_what_cannot_be_called_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    with pytest.raises(DtypeError) as caught:
        compared(on_event=3, out=tmp_path / "c")
    assert (caught.value.code, caught.value.fields["name"]) == ("argument-type", "on_event")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("axis", "wrong"),
    [("activations", "rely"), ("optimizers", "adamv"), ("lrs", [0.1, -1]), ("batch_sizes", [0])],
)
def test_a_wrong_value_of_an_axis_names_the_axis(axis: str, wrong: Any) -> None:
    with pytest.raises(UsageError) as caught:
        compared(**{axis: wrong})
    assert str(caught.value).startswith(f"{axis} ")
    assert caught.value.fields["name"] == axis


def test_an_option_that_is_an_axis_names_the_axis() -> None:
    with pytest.raises(UsageError) as caught:
        compared(batch_size=3)
    assert str(caught.value) == (
        "batch_size cannot be the same for all contenders of a comparison [compare-option]\n"
        "  expected: an axis of the grid, or nothing\n"
        "  got: batch_size=\n"
        "  try: batch_sizes"
    )


def test_all_that_is_wrong_with_a_grid_is_told_at_once() -> None:
    with pytest.raises(SumtooneError) as caught:
        compared(activations=["rely", "tank"], optimizers=["sdg", "adamw"], epochs=0)
    problems = getattr(caught.value, "problems", ())
    assert {(each.code, each.got) for each in problems} == {
        ("choice", "'rely'"),
        ("choice", "'tank'"),
    }


def test_there_must_be_validation_rows_and_a_data_set() -> None:
    with pytest.raises(DataError) as caught:
        compared(dataset=replace(DATASET, validation=Split(DATASET.train.inputs[:0], DATASET.train.labels[:0])))
    assert caught.value.code == "split-needed"
    with pytest.raises(DtypeError) as kind:
        compare("digits")  # type: ignore[arg-type]
    assert kind.value.try_ == "compare(sumtoone.load('digits'))"
    with pytest.raises(ShapeError):
        compared(networks="13-3")


# --- what is said


def made(accuracies: dict[str, list[list[float]]], reach: float = 0.9, tried: tuple[float, ...] = ()) -> Comparison:
    """A comparison whose seeds have these curves."""
    entrants, rows = [], []
    for name, curves in accuracies.items():
        contender = Contender(name, Specification.parse("12-8-3", name), TrainingOptions(lr=0.01), tried)
        entrants.append(contender)
        for seed, curve in enumerate(curves):
            history = [
                {"validation_accuracy": value, "validation_loss": 1.0, "train_loss": 1.0, "seconds": 0.5}
                for value in curve
            ]
            rows.append(row_of(contender, seed, f"{name}{seed}", history, reach, tuning=False))
    count = len(next(iter(accuracies.values())))
    return Comparison(tuple(entrants), tuple(range(count)), 3, reach, tuple(rows), "made")


FAST = [[0.8, 0.95, 0.97], [0.7, 0.92, 0.96], [0.8, 0.91, 0.98], [0.75, 0.94, 0.97]]
SLOW = [[0.5, 0.8, 0.93], [0.4, 0.85, 0.92], [0.5, 0.82, 0.95], [0.6, 0.86, 0.91]]


def test_no_interval_leaves_what_can_be() -> None:
    found = made({"relu": [[0.89, 0.95, 1.0], [0.89, 0.9, 0.8], [0.1, 0.2, 0.9]]})
    (summary,) = found.to_json()["contenders"]
    assert (summary["validation_accuracy"]["high"], summary["epochs"]["low"]) == (1.0, 0.0)
    assert found.statements[0].estimates[0].low == 0
    assert "100.0]" in found.table[1][0][4]
    two = made({"tanh": SLOW[:3], "relu": [[0.89, 0.95, 1.0], [0.89, 0.9, 0.8], [0.1, 0.2, 0.9]]})
    assert all(each.high <= 1 for statement in two.statements[1:] for each in statement.estimates)


def test_statements_are_what_scipy_says_of_the_pairs() -> None:
    found = made({"sigmoid": SLOW, "relu": FAST})
    slow, fast = ([np.interp(0.9, curve, [1, 2, 3]) for curve in curves] for curves in (SLOW, FAST))
    epochs, accuracy = found.statements
    assert (epochs.kind, accuracy.kind) == ("epochs", "accuracy")
    test = stats.ttest_rel(fast, slow)
    assert epochs.difference is not None
    assert epochs.difference.value == pytest.approx(np.mean(fast) - np.mean(slow))
    assert epochs.difference.low == pytest.approx(test.confidence_interval().low)
    for interval, values in zip(epochs.estimates, (slow, fast), strict=True):
        low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
        assert (interval.low, interval.high) == pytest.approx((low, high))
    assert str(epochs) == (
        "relu reaches 90% in 1.8 [1.6, 2.0] epochs, sigmoid in 2.7 [2.6, 2.9]; difference 0.9 [0.6, 1.2] epochs, "
        "paired over 4 seeds"
    )
    assert str(accuracy) == (
        "after 3 epochs relu has a validation accuracy of 97.0% [95.7, 98.3], sigmoid of 92.8% [90.0, 95.5]; "
        "difference 4.2 [2.2, 6.3] points, paired over 4 seeds"
    )
    with speaking("ko"):
        assert str(epochs) == (
            "relu: 1.8 [1.6, 2.0]에폭에 90%에 도달합니다. sigmoid: 2.7 [2.6, 2.9]에폭. 차이 0.9 [0.6, 1.2]에폭, "
            "시드 4개로 짝지어 비교"
        )


@given(st.permutations(["sigmoid", "relu"]))
def test_the_one_ahead_is_named_first_whatever_the_order(order: list[str]) -> None:
    found = made({name: {"sigmoid": SLOW, "relu": FAST}[name] for name in order})
    assert str(found.statements[0]).startswith("relu reaches")
    assert "epochs relu has" in str(found.statements[1])


def test_a_difference_that_seeds_do_not_tell_is_not_claimed() -> None:
    found = made({"relu": FAST, "tanh": [FAST[place] for place in (1, 2, 3, 0)]})
    assert all(str(each).endswith(": these seeds do not tell which is ahead") for each in found.statements)


def test_seeds_that_never_get_there_are_told_and_not_dropped() -> None:
    found = made({"relu": FAST, "sigmoid": [*SLOW[:3], [0.1, 0.2, 0.3]]})
    kinds = {(each.kind, each.contenders): each for each in found.statements}
    assert list(kinds) == [("accuracy", ("relu", "sigmoid")), ("epochs", ("relu",)), ("share", ("sigmoid",))]
    low, high = stats.binomtest(3, 4).proportion_ci(method="wilson")
    assert str(kinds["share", ("sigmoid",)]) == (
        f"sigmoid reaches 90% from 3 of 4 seeds within 3 epochs: 75.0% [{100 * low:.1f}, {100 * high:.1f}] of all seeds"
    )
    assert str(kinds["epochs", ("relu",)]) == "relu reaches 90% in 1.8 [1.6, 2.0] epochs, over 4 seeds"
    assert found.table[1][1][2:4] == ["3/4", "–"]


def test_what_is_reached_in_the_first_epoch_is_no_number_of_epochs() -> None:
    found = made({"relu": FAST, "tanh": [[0.91, 0.95, 0.96], *FAST[1:]]})
    early = next(each for each in found.statements if each.kind == "early")
    assert str(early) == (
        "tanh reaches 90% within the first epoch from 1 of 4 seeds: 25.0% [4.6, 69.9] of all seeds; "
        "a higher level tells more"
    )
    assert not any(each.kind == "epochs" and "tanh" in each.contenders for each in found.statements)


def test_all_differences_hold_together() -> None:
    found = made({"relu": FAST, "sigmoid": SLOW, "tanh": SLOW})
    differences = [each.difference for each in found.statements if each.kind == "epochs"]
    fast, slow = ([np.interp(0.9, curve, [1, 2, 3]) for curve in curves] for curves in (FAST, SLOW))
    theirs = stats.ttest_rel(slow, fast).confidence_interval(0.975)
    assert [(each.low, each.high) for each in differences if each] == [pytest.approx((theirs.low, theirs.high))] * 2


@pytest.mark.parametrize("count", [1, 2])
def test_nothing_is_claimed_of_fewer_than_three_seeds(count: int) -> None:
    found = made({"relu": FAST[:count], "sigmoid": SLOW[:count]})
    assert found.statements == ()
    assert found.notes[0] == f"note: nothing is claimed of fewer than 3 seeds; there are {count}"
    assert {cell for row in found.table[1] for cell in row[3:5]} == {"–"}


def test_every_statement_carries_its_interval_and_its_seeds() -> None:
    document = made({"relu": FAST, "sigmoid": SLOW}).to_json()
    for statement in document["statements"]:
        assert statement["seeds"] == 4
        for interval in (*statement["estimates"], statement["difference"]):
            assert interval["low"] <= interval["value"] <= interval["high"]
        assert "[" in statement["text"]
        assert "4 seeds" in statement["text"]


@pytest.mark.parametrize("language", ["en", "ko"])
def test_a_comparison_shows_itself(language: str) -> None:
    with speaking(language):
        found = made({"relu": FAST, "sigmoid": SLOW}, tried=(0.01, 0.02))
        shown, page = repr(found), found._repr_html_()
        assert str(found.statements[0]) in shown
        assert all(note in shown for note in found.notes)
        assert len(found.notes) == 3
        assert page.startswith("<p>")
        assert "<td" in page


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_picture_has_the_means_and_their_bands(language: str) -> None:
    with speaking(language):
        figure = made({"relu": FAST, "sigmoid": SLOW}).figure()
        figure.canvas.draw()
    (axes,) = figure.axes
    for place, curves in enumerate((FAST, SLOW)):
        assert axes.lines[place].get_ydata() == pytest.approx(np.mean(curves, axis=0))
        edges = axes.collections[place].get_paths()[0].vertices
        low, high = stats.t.interval(0.95, 3, np.mean(curves, axis=0), stats.sem(curves, axis=0))
        assert edges[:, 1].min() == pytest.approx(low.min())
        assert edges[:, 1].max() == pytest.approx(high.max())
    assert [words.get_text() for words in figure.legends[0].get_texts()] == ["relu", "sigmoid"]


def test_there_is_no_picture_of_nothing() -> None:
    with pytest.raises(DataError) as caught:
        made({"relu": [[], [], []]}).figure()
    assert caught.value.code == "plot-history-empty"


def test_more_contenders_than_colours_have_other_strokes() -> None:
    from sumtoone.plots import Curve, comparison_curves

    figure = comparison_curves([Curve(f"c{place}", [0.5], [0.4], [0.6]) for place in range(9)])
    looks = {(line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    assert len(looks) == 9


@pytest.mark.skipif(kernels() is None, reason="no compiled kernels here")
def test_threads_are_for_the_fused_engine_alone() -> None:
    from sumtoone.comparing.sending import shares_disk

    assert shares_disk(threads=True)
    assert shares_disk(threads=False)
