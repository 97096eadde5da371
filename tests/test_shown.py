"""Data, runs, histories and reports at the end of a cell: three lines or a table, never a wall of tensors."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from lxml import html

from sumtoone import Dataset, History, Network, Report, Run, evaluate, fit, load
from sumtoone.intervals import with_interval
from sumtoone.language import LANGUAGES, speaking
from test_training import make_dataset

NO_EPOCH = "History: 0 epochs\n  no loss was measured\n  no validation rows were looked at"


@pytest.fixture(scope="module")
def run() -> Run:
    return fit(Network("12-8-3"), make_dataset(), epochs=2)


def _cells(value: Any) -> tuple[list[str], list[list[str]]]:
    """The lines and the rows of what a notebook shows, as a browser's parser reads them."""
    page = html.document_fromstring(f"<body>{value._repr_html_()}</body>")
    lines = [words for words in next(page.iter("p")).itertext() if words]
    return lines, [[cell.text_content() for cell in row] for row in page.iter("tr")]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_value_has_three_lines_and_the_same_above_its_table(run: Run, language: str) -> None:
    data = make_dataset()
    report = evaluate(run, data.test)
    with speaking(language):
        for value in (data, run, run.history, report):
            lines = repr(value).splitlines()
            assert len(lines) == 3
            assert all(len(line) <= 120 and "tensor(" not in line for line in lines)
            assert _cells(value)[0][:3] == [line.strip() for line in lines]


def test_a_data_set_counts_its_rows_by_split_and_class() -> None:
    data = load("digits")
    assert repr(data) == (
        "Dataset digits: 5,000 rows, 10 classes (0, 1, 2, 3, 4, 5, 6, 7, 8, 9)\n"
        "  3,500 to train on, 500 for validation, 1,000 to test\n"
        "  pictures of 28 x 28: 784 values in a row (uint8)"
    )
    assert repr(data.train) == "Split: 3,500 rows of 784 values (uint8)"
    _, rows = _cells(data)
    assert rows == [
        ["split", "rows", *"0123456789"],
        ["training", "3,500", *["350"] * 10],
        ["validation", "500", *["50"] * 10],
        ["test", "1,000", *["100"] * 10],
    ]


def test_many_classes_are_not_counted_one_by_one_and_a_name_is_no_markup() -> None:
    labels = [f"<b>{number % 30}\n" for number in range(300)]
    data = Dataset.from_arrays(torch.arange(600.0).view(300, 2), labels, name="<i>")
    first, _, values = repr(data).splitlines()
    assert first.startswith("Dataset <i>: 300 rows, 30 classes (<b>0")
    assert first.endswith("… (30))")
    assert values == "  2 values in a row (float32)"
    lines, rows = _cells(data)
    assert lines[0] == first
    assert rows[0] == ["split", "rows"]
    assert "<b>" not in data._repr_html_().replace("<br>", "")


def test_a_history_says_where_it_began_where_it_ended_and_what_was_best() -> None:
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    values = [(1.5, 0.5, 1.25, 0.625), (0.5, 0.75, 0.75, 0.875), (0.25, 1.0, math.nan, 0.75)]
    history = History(tuple(dict(zip(names, each, strict=True)) for each in values))
    assert repr(history) == (
        "History: 3 epochs\n"
        "  training loss 1.5000 after the first epoch, 0.2500 after the last\n"
        "  validation accuracy 75.00% after the last epoch, best 87.50% after epoch 2"
    )
    assert _cells(history)[1] == [
        ["epoch", "training loss", "training accuracy", "validation loss", "validation accuracy"],
        ["1", "1.5000", "50.00%", "1.2500", "62.50%"],
        ["2", "0.5000", "75.00%", "0.7500", "87.50%"],
        ["3", "0.2500", "100.00%", "–", "75.00%"],
    ]


def test_a_history_without_epochs_or_without_validation_says_so() -> None:
    assert repr(History()) == NO_EPOCH
    assert _cells(History()) == ([line.strip() for line in NO_EPOCH.splitlines()], [])
    unseen = History(({"train_loss": 0.5, "validation_accuracy": math.nan}, {"train_loss": None}))
    assert repr(unseen).splitlines()[1:] == [
        "  training loss 0.5000 after the first epoch, 0.5000 after the last",
        "  no validation rows were looked at",
    ]


def test_the_middle_of_a_long_history_is_left_out() -> None:
    rows = _cells(History(tuple({"train_loss": 1 / epoch} for epoch in range(1, 41))))[1]
    assert [row[0] for row in rows] == ["epoch", *map(str, range(1, 13)), "…", *map(str, range(29, 41))]


def test_a_run_names_its_network_its_data_and_how_it_was_trained(run: Run) -> None:
    accuracy = run.history.rows[-1]["validation_accuracy"]
    first, second, third = repr(run).splitlines()
    assert first == f"Run {run.name}: 12-8-3 (relu), trained on {run.data}"
    assert second == "  adamw, 2 epochs, batches of 64, seed 0"
    assert third.startswith(f"  validation accuracy {accuracy:.2%} after the last epoch, best ")
    assert _cells(run)[1] == _cells(run.history)[1]
    module = fit(torch.nn.Sequential(torch.nn.Linear(12, 3)), make_dataset(), epochs=1)
    assert repr(module).startswith(f"Run {module.name}: Sequential, trained on ")


def test_a_report_shows_its_scores_and_its_classes(run: Run) -> None:
    report = evaluate(run, make_dataset().test)
    assert repr(report) == (
        f"Report: {report.rows:,} rows, 3 classes\n"
        f"  accuracy {with_interval(report.right, report.rows)}, macro F1 {report.macro_f1:.4f}\n"
        f"  negative log-likelihood {report.nll:.4f}, expected calibration error {report.ece:.4f}"
    )
    rows = _cells(report)[1]
    assert rows[0] == ["class", "precision", "recall", "F1", "rows"]
    assert [row[0] for row in rows[1:]] == list(report.classes)
    # The same table as the whole text of the report.
    assert all(row[3] in str(report) for row in rows[1:])


def test_a_report_on_many_classes_shows_the_worst_and_what_must_not_be_overlooked() -> None:
    data = Dataset.from_arrays(torch.arange(1200.0).view(600, 2) % 7, [number % 120 for number in range(600)])
    report: Report = evaluate(fit(Network("2-120"), data, epochs=1), data.test)
    lines, rows = _cells(report)
    assert lines[3:] == [*report.remarks, "the 20 classes with the lowest F1"]
    assert len(rows) == 21
