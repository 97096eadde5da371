"""The accuracy ladder: each training is done once, test rows are judged once for a recipe, and the record adds up."""

from __future__ import annotations

import json
import re
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import ladder, recipes, tables
from benchmarks.recipes import RUNGS, SEARCHES, Recipe, Search
from sumtoone import Network, Split, TrainingOptions, evaluate, fit, load, open_run

QUICK = Recipe("quick", "digits", "784-8-10", TrainingOptions(epochs=2, threads=1), why="a test")


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Let the ladder write its record and its page into a folder of the test's own."""
    records = tmp_path / "records"
    records.mkdir()
    page = tmp_path / "performance.md"
    page.write_text("before\n<!-- table: ladder -->\n<!-- end -->\nafter\n", encoding="utf-8")
    for path in tables.RECORDS.glob("*.json"):
        (records / path.name).write_bytes(path.read_bytes())
    (records / "ladder.json").unlink(missing_ok=True)
    for module in (ladder, tables):
        monkeypatch.setattr(module, "RECORDS", records)
    monkeypatch.setattr("benchmarks.protocol.RECORDS", records)
    monkeypatch.setattr(tables, "PAGES", (page,))
    monkeypatch.setattr(tables, "PICTURE", tmp_path / "speed.png")
    return tmp_path


def test_a_training_is_done_once_and_test_rows_are_judged_once(tmp_path: Path) -> None:
    first = ladder.climbed(QUICK, 2, tmp_path)
    runs = [tmp_path / QUICK.key / f"seed-{seed}" / "run.json" for seed in range(2)]
    before = [path.stat().st_mtime_ns for path in runs]
    again = ladder.climbed(QUICK, 2, tmp_path)
    assert [path.stat().st_mtime_ns for path in runs] == before
    assert again == first
    data = load("digits")
    alone = [fit(Network("784-8-10", seed=seed), data, QUICK.options, seed=seed) for seed in range(2)]
    tests = [evaluate(run, data.test).accuracy for run in alone]
    assert first["test"]["mean"] == pytest.approx(statistics.fmean(tests))
    assert first["test"]["deviation"] == pytest.approx(statistics.stdev(tests))
    assert first["validation"]["max"] == max(run.history["validation_accuracy"][-1] for run in alone)
    assert (first["parameters"], first["seeds"]) == (784 * 8 + 8 + 8 * 10 + 10, 2)


def test_everything_takes_the_validation_rows_too_and_one_more_network_tells_what_they_said(tmp_path: Path) -> None:
    recipe = replace(QUICK, everything=True)
    found = ladder.climbed(recipe, 2, tmp_path)
    data = load("digits")
    rows = Split(
        torch.cat([data.train.inputs, data.validation.inputs]), torch.cat([data.train.labels, data.validation.labels])
    )
    whole = replace(data, train=rows, validation=Split(rows.inputs[:0], rows.labels[:0]))
    tests = []
    for seed in range(2):
        run = fit(Network("784-8-10", seed=seed), whole, QUICK.options, seed=seed)
        tests.append(evaluate(run, data.test).accuracy)
    assert found["test"]["mean"] == pytest.approx(statistics.fmean(tests))
    alone = fit(Network("784-8-10", seed=0), data, QUICK.options)
    accuracy = alone.history["validation_accuracy"][-1]
    assert found["validation"] == {"mean": accuracy, "deviation": None, "min": accuracy, "max": accuracy}
    assert found["recipe"] == f"{QUICK}, on the validation rows as well"
    for seed in range(2):
        assert open_run(ladder.folder_of(recipe, seed, tmp_path)).metrics["test"]["rows"] == 1000
    # What chose the recipe never saw a test row.
    assert open_run(ladder.folder_of(QUICK, 0, tmp_path)).metrics == {}


def test_an_interrupted_training_goes_on(tmp_path: Path) -> None:
    folder = ladder.folder_of(QUICK, 0, tmp_path)
    folder.parent.mkdir(parents=True)

    def stop(event: Any) -> None:
        if event["event"] == "epoch":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(Network("784-8-10", seed=0), load("digits"), QUICK.options, seed=0, out=folder, on_event=stop)
    whole = fit(Network("784-8-10", seed=0), load("digits"), QUICK.options, seed=0)
    assert ladder.trained(QUICK, 0, tmp_path).history["train_loss"] == whole.history["train_loss"]
    assert open_run(folder).history["train_loss"] == whole.history["train_loss"]


def test_another_recipe_has_another_folder() -> None:
    others = [
        replace(QUICK, network="784-9-10"),
        replace(QUICK, activation="tanh"),
        replace(QUICK, dropout=0.1),
        replace(QUICK, data="mnist"),
        replace(QUICK, everything=True),
        replace(QUICK, options=QUICK.options.changed(lr=0.1)),
    ]
    assert len({recipe.key for recipe in [QUICK, *others]}) == 7
    assert replace(QUICK, why="another reason").key == QUICK.key


def test_a_search_looks_at_no_test_row_and_compares_every_optimizer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contenders = (("sgd", 256, (0.05,), 0.0), ("muon", 512, (0.01,), 0.1))
    monkeypatch.setattr(recipes, "_CONTENDERS", contenders)
    found = ladder.searched(Search(QUICK, averaging=0.2), tmp_path)
    assert [(row["optimizer"], row["averaging"]) for row in found["rows"]] == [
        ("sgd", None), ("sgd", 0.2), ("muon", None), ("muon", 0.2),
    ]  # fmt: skip
    # The words say what all of them share, and the rows what tells them apart.
    assert found["what"] == "784-8-10, relu; 2 epochs of one-cycle"
    assert [row["weight_decay"] for row in found["rows"]] == [0.0, 0.0, 0.1, 0.1]
    for path in tmp_path.glob("*/seed-0/run.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["metrics"] == {}


def test_the_record_keeps_what_it_held_and_the_page_follows(
    files: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ladder, "RUNGS", (QUICK, replace(QUICK, name="second", activation="tanh")))
    monkeypatch.setattr(ladder, "SEARCHES", (Search(QUICK),))
    monkeypatch.setattr(recipes, "_CONTENDERS", (("sgd", 256, (0.05,), 0.0),))
    for words in (["--only", "second", "--seeds", "1"], ["--only", "quick", "--seeds", "2"], ["--search"]):
        ladder.main([*words, "--folder", str(files / "runs")])
    record = json.loads((files / "records" / "ladder.json").read_text(encoding="utf-8"))
    assert [(rung["name"], rung["seeds"]) for rung in record["rungs"]] == [("quick", 2), ("second", 1)]
    assert [len(search["rows"]) for search in record["searches"]] == [2]
    page = (files / "performance.md").read_text(encoding="utf-8")
    assert page == f"before\n<!-- table: ladder -->\n{tables.ladder_table(record)}\n<!-- end -->\nafter\n"
    first, second = (rung["test"] for rung in record["rungs"])
    assert f"**{first['mean']:.2%} ± {100 * first['deviation']:.2f}**" in page
    assert f"**{second['mean']:.2%}**" in page  # one seed, and nothing that it could differ from
    assert "| sgd | 256 | 0.05 | 0 | – |" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--only", "mnist"], f"there is no mnist; there are {', '.join(recipe.name for recipe in RUNGS)}"),
        (["--seeds", "0"], "--seeds must be 1 or more"),
        (["--search", "--seeds", "3"], "--only and --seeds are of rungs, not of --search"),
        (["--search", "--only", "mnist-dense"], "--only and --seeds are of rungs, not of --search"),
    ],
)
def test_wrong_words_are_refused(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        ladder.main(words)
    assert caught.value.code == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith(f"error: {said}")


def test_every_recipe_is_one_that_can_be_trained() -> None:
    every = [*RUNGS, *(recipe for search in SEARCHES for recipe in search.contenders())]
    assert len({recipe.key for recipe in every}) == len(every)
    for recipe in every:
        assert recipe.options.early_stopping is None
        assert str(Network(recipe.network, recipe.activation, recipe.dropout).specification) == recipe.network
        assert re.match(r"\d+ epochs, batches of \d+, (sgd|adamw|muon) with ", str(recipe))
    assert {recipe.data for recipe in RUNGS} == {"mnist", "fashion-mnist"}
    assert {name for search in SEARCHES for name in (r.options.optimizer for r in search.contenders())} == {
        "sgd", "adamw", "muon",
    }  # fmt: skip
