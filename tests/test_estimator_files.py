"""A classifier in a file and back, without pickle; and one of a run that is no classifier's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from torch import nn

import sumtoone as s1
from sumtoone.errors import RunError, UsageError
from sumtoone.estimator import labels
from sumtoone.storage import json_from_bytes, json_to_bytes

X, Y = load_iris(return_X_y=True)


def test_parameters_and_answers_come_back(tmp_path: Path) -> None:
    parameters: dict[str, Any] = {
        "hidden": (8, 4), "activation": "tanh", "dropout": 0.1, "epochs": 4, "optimizer": "sgd", "lr": 0.1,
        "momentum": 0.5, "class_weight": {"b": 2.0, "c": 1.0}, "early_stopping": 3, "validation_fraction": 0.2,
        "batch_size": np.int64(16), "random_state": 7, "standardize": np.bool_(True), "options": {},
    }  # fmt: skip
    y = np.array(["a", "b", "c"])[Y]
    classifier = s1.Classifier(**parameters).fit(X, y)
    folder = classifier.save(tmp_path / "run")
    again = s1.Classifier.load(folder)
    assert again.get_params() == classifier.get_params()
    for name in ("predict_proba", "predict", "decision_function"):
        assert np.array_equal(getattr(again, name)(X), getattr(classifier, name)(X))
    kept = ("loss_curve_", "n_iter_", "n_features_in_", "validation_scores_")
    assert [getattr(again, name) for name in kept] == [getattr(classifier, name) for name in kept]
    assert not any("pickle" in str(path) for path in folder.rglob("*"))
    refitted = again.fit(X, y)
    assert refitted.loss_curve_ == classifier.loss_curve_
    with pytest.raises(RunError) as caught:
        classifier.save(folder)
    assert caught.value.code == "run-exists"


def test_a_random_state_is_kept_as_the_seed_that_it_gave(tmp_path: Path) -> None:
    classifier = s1.Classifier((4,), epochs=2, random_state=np.random.RandomState(5)).fit(X, Y)
    again = s1.Classifier.load(classifier.save(tmp_path / "run"))
    assert again.random_state == classifier.run_.options.seed
    assert again.fit(X, Y).loss_curve_ == classifier.loss_curve_
    assert s1.Classifier.load(s1.Classifier((4,), epochs=1).fit(X, Y).save(tmp_path / "other")).random_state is None


def test_a_run_that_fit_made_becomes_a_classifier_that_goes_on(tmp_path: Path) -> None:
    data = s1.Dataset.from_arrays(X, Y)
    options: dict[str, Any] = {"epochs": 2, "class_weight": {"1": 2.0}, "early_stopping": 2, "schedule": "constant"}
    s1.fit(s1.Network("4-8-3", "tanh"), data, out=tmp_path / "run", snapshots=True, **options)
    run = s1.open_run(tmp_path / "run")
    classifier = s1.Classifier.from_run(run)
    assert (
        classifier.get_params() | {"options": None}
        == s1.Classifier((8,), "tanh", random_state=0, momentum=None, **options).get_params()
    )
    assert classifier.options == {"snapshots": True}
    assert classifier.predict(X).tolist() == run.predict(X)
    assert classifier.validation_scores_ == list(run.history["validation_accuracy"])
    # It keeps its answers in a file as the run does, calibrated or not.
    found = s1.calibrate(run, data.validation).calibration
    assert found is not None
    calibrated = s1.Classifier.from_run(replace(run, calibration=replace(found, temperature=2.0)))
    for each in (classifier, calibrated):
        kept = s1.Classifier.load(each.save(tmp_path / f"kept-{each is calibrated}"))
        assert (kept.predict_proba(X) == each.predict_proba(X)).all()
        assert kept.classes_.tolist() == each.classes_.tolist()
    assert (calibrated.predict_proba(X) != classifier.predict_proba(X)).any()
    classifier.set_params(options=None, class_weight=None).partial_fit(X, Y.astype(str))
    assert len(classifier.loss_curve_) == len(run.history) + 1
    frame = s1.fit(s1.Network("4-3"), s1.Dataset.from_arrays(pd.DataFrame(X, columns=list("abcd")), Y), epochs=1)
    assert s1.Classifier.from_run(frame).feature_names_in_.tolist() == ["a", "b", "c", "d"]
    sgd = s1.fit(s1.Network("4-3"), data, epochs=1, optimizer="sgd", class_weight="balanced")
    assert (s1.Classifier.from_run(sgd).momentum, s1.Classifier.from_run(sgd).class_weight) == (0.9, "balanced")


def test_a_run_of_another_module_is_none() -> None:
    run = s1.fit(nn.Sequential(nn.Linear(4, 3)), s1.Dataset.from_arrays(X, Y), epochs=1)
    with pytest.raises(UsageError) as caught:
        s1.Classifier.from_run(run)
    assert str(caught.value) == (
        "A classifier is of a Network, and this run trained another module [classifier-module]\n"
        "  expected: a run of a Network\n"
        "  got: Sequential\n"
        "  try: run.predict(x) and run.probabilities(x), which every run has"
    )


KEPT = [
    {"labels": 3},
    {"labels": {"dtype": "<i8", "values": [0, 1]}},
    {"labels": {"dtype": "<i8", "values": [0, 1, 1]}},
    {"labels": {"dtype": "<i8", "values": [0, 1, "2"]}},
    {"labels": {"dtype": "<i8", "values": [0, 1, 2**70]}},
    {"labels": {"dtype": "|O", "values": [0, 1, 2]}},
    {"labels": {"dtype": "<U1", "values": ["a", "b", "cd"]}},
    {"labels": {"dtype": "no", "values": [0, 1, 2]}},
    {"labels": {"dtype": "i4,i4", "values": [0, 1, 2]}},
    {"labels": {"dtype": "<M8[D]", "values": ["2020-01-01", "2020-01-02", "2020-01-03"]}},
    {"parameters": 3},
    {"parameters": {"epochs": 1}},
    *({"class_weight": each} for each in (3, [3], [[0]], [[9, 1.0]], [["a", 1.0]], [[0, "a"]])),
]


@pytest.mark.parametrize("change", KEPT, ids=str)
def test_what_is_damaged_is_told(tmp_path: Path, change: dict[str, Any]) -> None:
    folder = s1.Classifier((4,), epochs=1, random_state=0).fit(X, Y).save(tmp_path / "run")
    document = json_from_bytes((folder / "run.json").read_bytes())
    part = document["estimator"]["parameters"] if "class_weight" in change else document["estimator"]
    part.update(change)
    (folder / "run.json").write_bytes(json_to_bytes(document))
    with pytest.raises(RunError) as caught:
        s1.Classifier.load(folder)
    assert caught.value.code == "run-damaged"
    assert str(caught.value.fields["given"]).startswith("run.json: estimator: ")
    document["estimator"] = []
    (folder / "run.json").write_bytes(json_to_bytes(document))
    with pytest.raises(RunError) as caught:
        s1.open_run(folder)
    assert caught.value.code == "run-damaged"


def test_texts_that_no_file_holds_are_none() -> None:
    assert labels.described(np.array(["a", "\ud800"], object)) is None
    assert labels.described(np.array([1, "a"], object)) is None
    assert labels.described(np.array([1.0, 2.0], np.longdouble)) is None
