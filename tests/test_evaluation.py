"""Evaluation held against scikit-learn, PyTorch, plain Python loops, hand-made numbers and laws."""

from __future__ import annotations

import json
import math
from bisect import bisect_left
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import sklearn.metrics as oracle
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from datafiles import growth
from sumtoone import fit, load
from sumtoone.data.preprocessing import Preprocessing
from sumtoone.data.split import Split
from sumtoone.errors import DataError, DtypeError, ShapeError, SumtooneError, UsageError
from sumtoone.evaluation import Reliability, evaluate, report_from
from sumtoone.language import speaking
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.runs import History, Run

Case = tuple[np.ndarray, np.ndarray]

_SPLIT = "evaluate(run, data.test), or Split(inputs, labels) of your own tensors"


def drawn(seed: int, rows: int, classes: int, *, flat: float = 0.5) -> Case:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet([flat] * classes, rows) * 0.999 + 0.001 / classes
    return probabilities, random.integers(0, classes, rows)


def names(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def run_of(network: Network) -> Run:
    return Run(
        network=network,
        preprocessing=Preprocessing.lesson(network.specification.inputs),
        classes=tuple(names(network.specification.outputs)),
        history=History(),
        options=TrainingOptions(),
        name="test",
        data="test",
        fingerprint="",
    )


cases = st.builds(drawn, st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(2, 7))


@given(cases)
@settings(deadline=None, max_examples=50)
def test_scores_are_those_of_scikit_learn_and_pytorch(case: Case) -> None:
    probabilities, labels = case
    classes = probabilities.shape[1]
    report = report_from(probabilities, labels, names(classes))
    every = list(range(classes))
    assert report.accuracy == pytest.approx(float((probabilities.argmax(1) == labels).mean()))
    assert report.nll == pytest.approx(float(F.nll_loss(torch.tensor(probabilities).log(), torch.tensor(labels))))
    assert report.nll == pytest.approx(oracle.log_loss(labels, probabilities, labels=every))
    assert report.brier == pytest.approx(
        oracle.brier_score_loss(labels, probabilities, labels=every, scale_by_half=False)
        if classes > 2
        else 2 * oracle.brier_score_loss(labels, probabilities[:, 1], labels=every)
    )


@given(cases)
@settings(deadline=None, max_examples=50)
def test_counts_are_those_of_a_plain_loop(case: Case) -> None:
    probabilities, labels = case
    classes = probabilities.shape[1]
    counts = [[0] * classes for _ in range(classes)]
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        counts[label][row.index(max(row))] += 1
    report = report_from(probabilities, labels, names(classes))
    assert report.confusion.tolist() == counts
    assert report.rows == len(labels)
    for number, judged in enumerate(report.per_class):
        right, predicted, there = counts[number][number], sum(row[number] for row in counts), sum(counts[number])
        precision, recall = right / predicted if predicted else 0.0, right / there if there else 0.0
        f1 = 2 * precision * recall / (precision + recall) if right else 0.0
        assert (judged.name, judged.support) == (f"class {number}", there)
        assert (judged.precision, judged.recall, judged.f1) == pytest.approx((precision, recall, f1))


@given(cases)
@settings(deadline=None, max_examples=50)
def test_calibration_error_is_that_of_a_plain_loop(case: Case) -> None:
    probabilities, labels = case
    upper = [float(np.linspace(0, 1, 16)[edge]) for edge in range(1, 16)]
    bins: list[list[tuple[Fraction, bool]]] = [[] for _ in upper]
    for row, label in zip(probabilities.tolist(), labels.tolist(), strict=True):
        bins[bisect_left(upper, max(row))].append((Fraction(max(row)), row.index(max(row)) == label))
    expected = sum(abs(sum(right for _, right in one) - sum(sure for sure, _ in one)) for one in bins) / len(labels)
    report = report_from(probabilities, labels, names(probabilities.shape[1]))
    assert report.ece == pytest.approx(float(expected), abs=1e-12)
    assert report.reliability.counts.tolist() == [len(one) for one in bins]
    assert np.isnan(report.reliability.accuracy).tolist() == [not one for one in bins]
    assert np.isnan(report.reliability.confidence).tolist() == [not one for one in bins]


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_perfect_probabilities_score_perfectly(labels: list[int]) -> None:
    report = report_from(np.eye(5)[labels], labels, names(5))
    assert (report.accuracy, report.nll, report.brier, report.ece) == (1.0, 0.0, 0.0, 0.0)
    assert math.copysign(1.0, report.nll) == 1.0
    assert report.confusion.tolist() == np.diag(np.bincount(labels, minlength=5)).tolist()


@given(cases)
@settings(deadline=None, max_examples=30)
def test_scores_stay_in_their_ranges(case: Case) -> None:
    probabilities, labels = case
    report = report_from(probabilities, labels, names(probabilities.shape[1]))
    assert 0 <= report.accuracy <= 1
    assert 0 <= report.ece <= 1
    assert 0 <= report.brier <= 2
    assert 0 <= report.nll < math.inf


@given(cases, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_renaming_classes_permutes_the_confusion_and_nothing_else(case: Case, random: object) -> None:
    probabilities, labels = case
    order = list(range(probabilities.shape[1]))
    random.shuffle(order)  # type: ignore[attr-defined]
    before = report_from(probabilities, labels, names(len(order)))
    after = report_from(probabilities[:, order], np.argsort(order)[labels], [names(len(order))[old] for old in order])
    assert after.confusion.tolist() == before.confusion[np.ix_(order, order)].tolist()
    assert [after.accuracy, after.nll, after.brier, after.ece] == pytest.approx(
        [before.accuracy, before.nll, before.brier, before.ece]
    )
    assert sorted(map(str, after.per_class)) == sorted(map(str, before.per_class))


def test_labels_drawn_from_the_probabilities_are_calibrated_and_a_boaster_is_not() -> None:
    random = np.random.default_rng(0)
    probabilities = random.dirichlet([0.4] * 4, 40_000)
    labels = (probabilities.cumsum(1) < random.random((40_000, 1))).sum(1).clip(max=3)
    assert report_from(probabilities, labels, names(4)).ece < 0.01
    boasting = np.full((40_000, 4), 0.01)
    boasting[np.arange(40_000), probabilities.argmax(1)] = 0.97
    report = report_from(boasting, labels, names(4))
    assert report.ece == pytest.approx(0.97 - report.accuracy)
    assert report.ece > 0.1


def test_three_rows_by_hand() -> None:
    report = report_from([[0.75, 0.25, 0], [0.5, 0.5, 0], [0.1, 0.1, 0.8]], [0, 1, 0], ["a", "b", "c"])
    # The tie of the second row goes to the first class; class b is never predicted and class c has no row.
    assert report.confusion.tolist() == [[1, 0, 1], [1, 0, 0], [0, 0, 0]]
    assert report.accuracy == pytest.approx(1 / 3)
    assert report.nll == pytest.approx(-(math.log(0.75) + math.log(0.5) + math.log(0.1)) / 3)
    assert report.brier == pytest.approx((0.125 + 0.5 + (0.81 + 0.01 + 0.64)) / 3)
    # 0.75 and 0.8 share the bin (11/15, 12/15]: a mean confidence of 0.775 and half of them right.
    assert report.ece == pytest.approx((0.5 + 2 * 0.275) / 3)
    assert [(one.precision, one.recall, one.f1, one.support) for one in report.per_class] == [
        (0.5, 0.5, 0.5, 2),
        (0.0, 0.0, 0.0, 1),
        (0.0, 0.0, 0.0, 0),
    ]


def test_a_confidence_on_an_edge_belongs_to_the_bin_below_it() -> None:
    edges = np.linspace(0, 1, 16)
    counts = Reliability.of(edges[1:], [True] * 15).counts
    assert counts.tolist() == [1] * 15
    above = Reliability.of(np.nextafter(edges[1:-1], 1), [True] * 14).counts
    assert above.tolist() == [0] + [1] * 14


def test_being_surely_wrong_costs_the_log_of_the_smallest_float32() -> None:
    report = report_from([[1.0, 0.0]], [1], names(2))
    assert report.nll == pytest.approx(126 * math.log(2))
    assert (report.brier, report.ece) == (2.0, 1.0)


def test_a_sum_a_little_over_one_is_taken() -> None:
    report = report_from(torch.tensor([[1.0005, 0.0]]), torch.tensor([0]), names(2))
    assert report.nll == 0.0
    assert report.reliability.counts[-1] == 1
    assert report.reliability.confidence[-1] == 1.0


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_tensors_of_every_float_type_are_taken(dtype: torch.dtype) -> None:
    exact = torch.tensor([[0.75, 0.25], [0.125, 0.875]], dtype=dtype, requires_grad=True)
    report = report_from(exact, torch.tensor([0, 0], dtype=torch.uint8), ("yes", "no"))
    assert report.confusion.tolist() == [[1, 1], [0, 0]]
    assert report.nll == pytest.approx(-(math.log(0.75) + math.log(0.125)) / 2)


def test_the_document_is_the_promised_one() -> None:
    report = report_from([[0.75, 0.25], [0.0, 1.0]], [0, 0], ["고양이", "dog"])
    assert json.loads(json.dumps(report.to_json())) == {
        "accuracy": 0.5,
        "balanced_accuracy": 0.5,
        "macro_f1": pytest.approx(1 / 3),
        "nll": pytest.approx((-math.log(0.75) + 126 * math.log(2)) / 2),
        "brier": pytest.approx(1.0625),
        "ece": pytest.approx(0.625),
        "ece_equal_mass": pytest.approx(0.625),
        "majority": {"class": "고양이", "share": 1.0},
        "never_predicted": [],
        "confusion": [[1, 1], [0, 0]],
        "confusions": [{"true": "고양이", "predicted": "dog", "count": 1}],
        "per_class": [
            {
                "class": "고양이",
                "precision": 1.0,
                "recall": 0.5,
                "f1": pytest.approx(2 / 3),
                "support": 2,
                "predicted": 1,
            },
            {"class": "dog", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0, "predicted": 1},
        ],
        "rows": 2,
        "intervals": {name: list(ends) for name, ends in report.intervals.items()},
    }
    assert set(report.intervals) == {"accuracy", "nll", "brier", "ece", "ece_equal_mass"}


def test_the_table_lines_up_in_both_languages() -> None:
    report = report_from([[0.75, 0.25]] * 1200, [0] * 1200, ["고양이", "dog"])
    assert str(report) == "\n".join(
        [
            "1,200 rows, 2 classes",
            "",
            "accuracy                                1.0000  [0.9968, 1.0000]",
            "balanced accuracy                       1.0000",
            "macro F1                                1.0000",
            "negative log-likelihood (nats)          0.2877  [0.2877, 0.2877]",
            "Brier score                             0.1250  [0.1250, 0.1250]",
            "expected calibration error              0.2500  [0.2500, 0.2500]",
            "expected calibration error, equal mass  0.2500  [0.2500, 0.2500]",
            "share of the commonest class, 고양이    1.0000",
            "in brackets: 95 % intervals, over other rows of the same kind",
            "",
            "class   precision  recall      F1   rows",
            "고양이     1.0000  1.0000  1.0000  1,200",
            "dog        0.0000  0.0000  0.0000      0",
        ]
    )
    with speaking("ko"):
        assert str(report) == "\n".join(
            [
                "1,200행, 클래스 2개",
                "",
                "정확도                          1.0000  [0.9968, 1.0000]",
                "균형 정확도                     1.0000",
                "매크로 F1                       1.0000",
                "음의 로그 우도 (nat)            0.2877  [0.2877, 0.2877]",
                "브라이어 점수                   0.1250  [0.1250, 0.1250]",
                "기대 보정 오차                  0.2500  [0.2500, 0.2500]",
                "기대 보정 오차(같은 개수)       0.2500  [0.2500, 0.2500]",
                "가장 많은 클래스 고양이의 비율  1.0000",
                "대괄호 안은 같은 종류의 다른 행에 대한 95 % 구간입니다",
                "",
                "클래스  정밀도  재현율      F1  행 수",
                "고양이  1.0000  1.0000  1.0000  1,200",
                "dog     0.0000  0.0000  0.0000      0",
            ]
        )


@given(cases)
@settings(deadline=None, max_examples=50)
def test_means_over_classes_are_those_of_scikit_learn(case: Case) -> None:
    probabilities, labels = case
    predicted = probabilities.argmax(1)
    report = report_from(probabilities, labels, names(probabilities.shape[1]))
    assert report.macro_f1 == pytest.approx(oracle.f1_score(labels, predicted, average="macro", zero_division=0.0))
    seen = np.unique(labels)
    recalls = oracle.recall_score(labels, predicted, labels=seen, average=None, zero_division=0.0)
    assert report.balanced_accuracy == pytest.approx(recalls.mean())
    counts = np.bincount(labels, minlength=probabilities.shape[1])
    assert (report.commonest.name, report.majority) == (f"class {counts.argmax()}", counts.max() / len(labels))
    assert report.never_predicted == tuple(f"class {number}" for number in seen if number not in predicted)


@pytest.mark.parametrize("classes", [101, 300, 3000])
def test_of_many_classes_the_commonest_confusions_are_told(classes: int) -> None:
    random = np.random.default_rng(classes)
    # Some pairs are met often, and some are equally frequent.
    labels = random.integers(0, classes, 2000) ** 2 // classes
    wrong = (labels + random.integers(0, 3, 2000)) % classes
    table = np.zeros((2000, classes), np.float32)
    table[np.arange(2000), wrong] = 1
    report = report_from(table, labels, names(classes))
    counts: dict[tuple[int, int], int] = {}
    for pair in zip(labels.tolist(), wrong.tolist(), strict=True):
        if pair[0] != pair[1]:
            counts[pair] = counts.get(pair, 0) + 1
    expected = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:100]
    found = [((int(one.true[6:]), int(one.predicted[6:])), one.count) for one in report.confusions]
    assert found == expected
    assert report.confusion is None
    assert report.accuracy == float((labels == wrong).mean())
    assert report.macro_f1 == pytest.approx(oracle.f1_score(labels, wrong, average="macro", zero_division=0.0))
    said = str(report).splitlines()
    assert "the 20 classes with the lowest F1" in said
    assert len(said) < 40
    document = report.to_json(most=100)
    assert (document["confusion"], document["per_class"], document["never_predicted"]) == (None, None, None)
    assert len(json.dumps(document)) < 10_000


def test_many_classes_cost_no_memory_of_rows_times_classes() -> None:
    before = """
        import torch, sumtoone as s1
        from sumtoone.data.split import Split
        classes, rows = 20_000, 4_000
        y = torch.arange(rows) % classes
        split = Split(torch.rand(rows, 8), y)
        names = tuple(map(str, range(classes)))
        run = s1.Run(
            s1.Network(f"8-4-{classes}"), s1.Preprocessing(8), names, s1.History(), s1.TrainingOptions(), "r", "r", ""
        )
        run.probabilities(split.inputs[:10])
    """
    # All at once in float64 they would take 640 MB, and pairs of classes 3.2 GB.
    assert growth(before, "s1.evaluate(run, split)") < 100 * 2**20


def test_chance_is_said() -> None:
    assert not report_from(np.eye(2)[[0] * 100], [0] * 60 + [1] * 40, names(2)).beats_chance
    said = str(report_from(np.eye(2)[[0] * 100], [0] * 60 + [1] * 40, names(2))).splitlines()
    assert said[-2:] == [
        "never predicted: class 1",
        "no better than chance: always answering class 0 is right in 60.00% of these 100 rows, "
        "and luck may add a little",
    ]
    labels = [0] * 60 + [1] * 40
    assert report_from(np.eye(2)[[0] * 60 + [0] * 25 + [1] * 15], labels, names(2)).beats_chance
    # Ten rows more or less are luck; where there is only one class, there is nothing to tell apart.
    assert not report_from(np.eye(2)[[0] * 60 + [0] * 31 + [1] * 9], labels, names(2)).beats_chance
    assert report_from(np.eye(2)[[0] * 5], [0] * 5, names(2)).remarks == []


@pytest.mark.parametrize("batch_size", [1, 7, 50, 4096])
def test_a_run_is_judged_by_its_own_probabilities_whatever_the_batch(batch_size: int) -> None:
    run = run_of(Network("6-5-3", seed=0))
    random = torch.Generator().manual_seed(1)
    inputs = torch.randint(0, 256, (50, 6), dtype=torch.uint8, generator=random)
    labels = torch.randint(0, 3, (50,), generator=random)
    report = evaluate(run, Split(inputs, labels), batch_size=batch_size)
    scaled = (inputs.float() / 255 - 0.5) / 0.5
    logits = run.network(scaled).detach()
    assert report.nll == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert report.accuracy == pytest.approx(float((logits.argmax(1) == labels).float().mean()))
    assert report.classes == ("class 0", "class 1", "class 2")


def split(rows: int, features: int, label: int = 0) -> Split:
    return Split(torch.zeros(rows, features, dtype=torch.uint8), torch.full((rows,), label))


def message(kind: type[SumtooneError], code: str, wrong: str, expected: str, got: str, advice: str) -> tuple[type, str]:
    return kind, f"{wrong} [{code}]\n  expected: {expected}\n  got: {got}\n  try: {advice}"


UNFIT = (
    "Probabilities, labels and classes do not fit each other",
    "probabilities of shape (N, K), labels of shape (N,) and K classes",
)
REMATCH = (
    "take inputs and labels from the same split, in the same order, and name every class once, "
    "in the order of the network's outputs"
)
MISTAKES = {
    "empty": (
        lambda: evaluate(run_of(Network("4-3")), split(0, 4)),
        message(
            DataError,
            "split-empty",
            "There are no rows here",
            "a split with one row or more",
            "0 rows in split",
            "add rows to this split, or take another one",
        ),
    ),
    "features": (
        # Twice the features would reshape into twice the rows without a word.
        lambda: evaluate(run_of(Network("4-3")), split(5, 8)),
        message(
            ShapeError,
            "preprocessing-shape",
            "The inputs do not hold rows of the size this network was trained on",
            "4 values in the last axes, such as (N, 4)",
            "shape (5, 8)",
            "reshape to (N, 4), take the data that this was trained on, or train on inputs of this size",
        ),
    ),
    "batch size": (
        lambda: evaluate(run_of(Network("4-3")), split(5, 4), batch_size=0),
        message(
            UsageError,
            "evaluation-batch-size",
            "The batch size must be a positive whole number",
            "1 or more rows at once",
            "0",
            "leave batch_size out, or write batch_size=4096",
        ),
    ),
    "label of a split": (
        lambda: evaluate(run_of(Network("4-3")), split(5, 4, label=3)),
        message(
            DataError,
            "evaluation-label",
            "A label names no class",
            "labels from 0 to 2, for 3 classes",
            "labels[0] = 3; such labels in all: 5",
            "number the classes from 0, or use a network with an output for each of them",
        ),
    ),
    "negative label": (
        lambda: report_from([[1.0, 0.0]] * 3, [0, -1, 1], names(2)),
        message(
            DataError,
            "evaluation-label",
            "A label names no class",
            "labels from 0 to 1, for 2 classes",
            "labels[1] = -1; such labels in all: 1",
            "number the classes from 0, or use a network with an output for each of them",
        ),
    ),
    "shape": (
        lambda: report_from([0.5, 0.5], [0, 1], names(2)),
        message(
            ShapeError,
            "evaluation-shape",
            *UNFIT,
            "probabilities of shape (2,), labels of shape (2,) and 2 classes",
            REMATCH,
        ),
    ),
    "one-hot labels": (
        lambda: report_from(np.eye(2), np.eye(2, dtype=np.int64), names(2)),
        message(
            ShapeError,
            "evaluation-shape",
            *UNFIT,
            "probabilities of shape (2, 2), labels of shape (2, 2) and 2 classes",
            REMATCH,
        ),
    ),
    "lengths": (
        lambda: report_from([[0.5, 0.5]] * 3, [0, 1], names(2)),
        message(
            ShapeError,
            "evaluation-shape",
            *UNFIT,
            "probabilities of shape (3, 2), labels of shape (2,) and 2 classes",
            REMATCH,
        ),
    ),
    "classes": (
        lambda: report_from([[0.5, 0.5]], [0], names(3)),
        message(
            ShapeError,
            "evaluation-shape",
            *UNFIT,
            "probabilities of shape (1, 2), labels of shape (1,) and 3 classes",
            REMATCH,
        ),
    ),
    "no rows": (
        lambda: report_from(torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), names(2)),
        message(
            DataError,
            "split-empty",
            "There are no rows here",
            "a split with one row or more",
            "0 rows in probabilities",
            "add rows to this split, or take another one",
        ),
    ),
    "probabilities that are words": (
        lambda: report_from([["a", "b"]], [0], names(2)),
        message(
            DtypeError,
            "evaluation-probabilities-dtype",
            "Probabilities must be numbers",
            "floating-point values of shape (N, K)",
            "<U1",
            "give the output of softmax, or of run.probabilities(inputs)",
        ),
    ),
    "labels that are fractions": (
        lambda: report_from([[0.5, 0.5]], [0.0], names(2)),
        message(
            DtypeError,
            "evaluation-labels-dtype",
            "Labels must be whole numbers",
            "integers of shape (N,)",
            "float64",
            "number the classes from 0 and give each row its number, for instance labels.long()",
        ),
    ),
    "not a number": (
        lambda: report_from([[0.5, 0.5], [0.5, math.nan]], [0, 0], names(2)),
        message(
            DataError,
            "evaluation-probability",
            "A value is no probability",
            "finite numbers from 0 to 1",
            "probabilities[1, 1] = nan; such values in all: 1",
            "if these are logits, apply softmax first; NaN comes from a network whose weights are no longer numbers",
        ),
    ),
    "infinite": (
        lambda: report_from([[math.inf, 0.0]], [0], names(2)),
        message(
            DataError,
            "evaluation-probability",
            "A value is no probability",
            "finite numbers from 0 to 1",
            "probabilities[0, 0] = inf; such values in all: 1",
            "if these are logits, apply softmax first; NaN comes from a network whose weights are no longer numbers",
        ),
    ),
    "logits": (
        lambda: report_from([[2.5, -1.5]], [0], names(2)),
        message(
            DataError,
            "evaluation-probability",
            "A value is no probability",
            "finite numbers from 0 to 1",
            "probabilities[0, 1] = -1.5; such values in all: 1",
            "if these are logits, apply softmax first; NaN comes from a network whose weights are no longer numbers",
        ),
    ),
    "sum": (
        lambda: report_from([[0.5, 0.5], [0.5, 0.498], [1.0, 1.0]], [0, 0, 0], names(2)),
        message(
            DataError,
            "evaluation-sum",
            "The probabilities of a row do not sum to one",
            "a sum of 1 in every row, up to 0.001",
            "row 1 sums to 0.998; such rows in all: 2 of 3",
            "apply softmax over the last dimension: softmax(logits, dim=-1)",
        ),
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_named_with_its_numbers(mistake: str) -> None:
    call, (kind, said) = MISTAKES[mistake]
    with pytest.raises(kind) as caught:
        call()
    assert str(caught.value) == said
    with speaking("ko"):
        korean = str(caught.value)
    assert korean != said
    assert "{" not in korean


@pytest.mark.parametrize("batch_size", [True, -3, 2.5])
def test_a_batch_size_that_is_none(batch_size: object) -> None:
    with pytest.raises(UsageError) as caught:
        evaluate(run_of(Network("4-3")), split(5, 4), batch_size=batch_size)  # type: ignore[arg-type]
    assert caught.value.got == repr(batch_size)


@pytest.mark.parametrize(
    ("arguments", "code", "got", "hint"),
    [
        (("run", "data"), "argument-type", "Dataset", "evaluate(run, data.test), once, at the end"),
        (("run", None), "argument-type", "NoneType", _SPLIT),
        (("run", "digits"), "argument-type", "str", _SPLIT),
        (("network", "test"), "argument-type", "Network", "run = fit(network, data)"),
        ((None, "test"), "argument-type", "NoneType", "run = fit(network, data)"),
    ],
)
def test_what_cannot_be_judged(arguments: Any, code: str, got: str, hint: str) -> None:
    data, network = load("digits"), Network("784-10")
    kinds = {"run": fit(network, data, epochs=1), "data": data, "network": network, "test": data.test}
    given: Any = [kinds.get(argument, argument) for argument in arguments]
    with pytest.raises(DtypeError) as caught:
        evaluate(*given)
    assert (caught.value.code, caught.value.got, caught.value.try_) == (code, got, hint)
