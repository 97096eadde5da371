"""The classifier for scikit-learn: its own checks whole, and what they do not ask."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skrub
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import sparse
from sklearn.base import clone
from sklearn.callback import ProgressBar, ScoringMonitor
from sklearn.datasets import load_digits, load_iris
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_class_weight

import sumtoone as s1
from sumtoone.errors import DataError, DtypeError, SumtooneError, TrainingError, UsageError
from sumtoone.estimator import rows
from sumtoone.functional import log_softmax

X, Y = load_iris(return_X_y=True)
NARROW = X.astype(np.float32)


def small(**parameters: Any) -> s1.Classifier:
    return s1.Classifier(**{"hidden": (8,), "epochs": 3, "random_state": 0, **parameters})


def learnt(**parameters: Any) -> s1.Classifier:
    """With epochs enough for so few rows."""
    return small(**{"hidden": (16,), "epochs": 60, "batch_size": 16, **parameters})


def weights(classifier: s1.Classifier) -> list[bytes]:
    return [parameter.detach().numpy().tobytes() for parameter in classifier.run_.network.parameters()]


# --- scikit-learn's checks

# Whether arrays of other libraries are looked at is decided by this before SciPy is imported.
CHECKS = """
    import json, os, warnings
    warnings.simplefilter("error")
    import sumtoone
    from sklearn.utils.estimator_checks import check_estimator
    results = check_estimator(sumtoone.Classifier(), on_skip=None, on_fail=None)
    print(json.dumps([(each["check_name"], each["status"], repr(each["exception"])) for each in results]))
"""


def test_scikit_learns_checks_pass_whole_and_none_is_skipped() -> None:
    program, surroundings = textwrap.dedent(CHECKS), {**os.environ, "SCIPY_ARRAY_API": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False, env=surroundings
    )
    assert (done.returncode, done.stderr) == (0, "")
    results = json.loads(done.stdout)
    assert [result for result in results if result[1] != "passed"] == []
    names = {name for name, _, _ in results}
    assert len(results) >= 60
    assert {"check_sample_weight_equivalence_on_dense_data", "check_array_api_input", "check_fit_idempotent"} <= names


# --- what is fitted


def test_it_is_what_fit_makes_of_the_same_rows() -> None:
    data = s1.Dataset.from_arrays(NARROW, Y, validation=(NARROW[:9], Y[:9]), test=(NARROW[:9], Y[:9]))
    run = s1.fit(s1.Network("4-8-3", seed=5), data, epochs=3, batch_size=16, seed=5)
    classifier = small(batch_size=16, random_state=5).fit(NARROW, Y)
    assert classifier.run_.preprocessing == run.preprocessing
    assert classifier.loss_curve_ == list(run.history["train_loss"])
    assert np.array_equal(classifier.predict_proba(NARROW), run.probabilities(NARROW).numpy())
    assert [*map(str, classifier.predict(NARROW))] == run.predict(NARROW)
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 3
    assert classifier.validation_scores_ is None


@pytest.mark.parametrize(
    "other", [X, np.asfortranarray(NARROW), NARROW[:, ::-1][:, ::-1], X.astype(np.float16), X.tolist(), pd.DataFrame(X)]
)
def test_the_same_numbers_in_another_form_are_the_same_to_rounding(other: Any) -> None:
    expected = small(batch_size=16).fit(NARROW, Y)
    found = small(batch_size=16).fit(other, Y)
    near = 2e-2 if getattr(other, "dtype", None) == np.float16 else 1e-5
    assert found.predict_proba(other) == pytest.approx(expected.predict_proba(NARROW), abs=near)
    assert found.predict_proba(X).dtype == np.float32


def test_bytes_are_pixels_that_share_a_mean_and_a_deviation() -> None:
    digits, labels = load_digits(return_X_y=True)
    pixels = (digits * 15).astype(np.uint8)
    classifier = small(epochs=10).fit(pixels, labels)
    step = classifier.run_.preprocessing
    assert step.mean == pytest.approx((pixels.mean(),))
    assert step.std == pytest.approx((pixels.std(),))
    assert classifier.predict_proba(pixels) == pytest.approx(classifier.predict_proba(pixels.astype(float)), abs=1e-6)
    assert classifier.score(pixels, labels) > 0.9
    whole = small().fit(digits.astype(np.int64), labels)
    assert whole.predict_proba(digits) == pytest.approx(small().fit(digits, labels).predict_proba(digits), abs=1e-5)


@pytest.mark.parametrize("far", [0.0, 4e8, 1e9])
def test_columns_that_are_far_from_zero_constant_or_true_keep_their_digits(far: float) -> None:
    other = np.column_stack([X + far, np.full(len(X), 7.0)])
    classifier = learnt().fit(other, Y)
    assert classifier.score(other, Y) > 0.9
    assert classifier.run_.preprocessing.std[4] == 1.0
    whole = (other * 10).astype(np.int64)
    counted = learnt().fit(whole, Y)
    for dtype in (np.uint64, np.uint32, np.longdouble, float):
        if whole.max() <= 2**32 or dtype != np.uint32:
            assert counted.predict_proba(whole.astype(dtype)) == pytest.approx(counted.predict_proba(whole), abs=1e-6)
    above = np.greater(X, X.mean(axis=0))
    assert learnt().fit(above, Y).score(above, Y) > 0.7


def test_numbers_as_they_are_without_standardising() -> None:
    classifier = small(standardize=False).fit(NARROW, Y)
    assert (classifier.run_.preprocessing.mean, classifier.run_.preprocessing.std) == ((0.0,), (1.0,))


@pytest.mark.parametrize("values", [np.array([[1e300], [-1e300]] * 9), np.array([[1e37], [-1e37]] * 9, np.float32)])
def test_numbers_that_float32_cannot_scale_are_refused_or_learnt(values: NDArray[Any]) -> None:
    labels = [0, 1] * 9
    try:
        classifier = learnt().fit(values, labels)
    except UsageError as error:
        assert error.code == "preprocessing-value"
    else:
        assert classifier.score(values, labels) == 1.0


# --- labels


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["ant", "bee", "cat"]),
        np.array(["ant", "bee", "cat"], object),
        np.array([3, -1, 7], np.int16),
        np.array([2**63, 1, 0], np.uint64),
        np.array([1.0, 2.0, 5.0], np.float32),
        np.array(["", "é", " x\n"]),
        np.array(["2024-01-01", "2024-01-02", "2025-01-01"], "datetime64[D]"),
    ],
)
def test_labels_of_every_type_come_back_as_they_were(labels: NDArray[Any], tmp_path: Any) -> None:
    y = labels[Y]
    classifier = learnt().fit(X, y)
    assert classifier.classes_.dtype == labels.dtype
    assert classifier.predict(X).dtype == labels.dtype
    assert classifier.score(X, y) > 0.9
    if labels.dtype.kind == "M":
        with pytest.raises(UsageError) as caught:
            classifier.save(tmp_path / "run")
        assert str(caught.value) == (
            "A file would not give labels of this type back as what they are [classifier-labels]\n"
            "  expected: whole numbers, numbers of up to 64 bits, texts, or True and False\n"
            "  got: datetime64[D]\n"
            "  try: y.astype(str)"
        )
        classifier.run_.save(tmp_path / "run")
        with pytest.raises(UsageError) as caught:
            s1.Classifier.load(tmp_path / "run")
        assert caught.value.code == "classifier-labels"
        return
    again = s1.Classifier.load(classifier.save(tmp_path / "run"))
    assert again.classes_.dtype == labels.dtype
    assert again.classes_.tolist() == classifier.classes_.tolist()
    assert [*map(type, again.classes_.tolist())] == [*map(type, classifier.classes_.tolist())]
    assert again.predict(X).tolist() == classifier.predict(X).tolist()


def test_two_classes_that_are_true_and_false() -> None:
    classifier = learnt().fit(X, Y == 1)
    decision = classifier.decision_function(X)
    assert decision.shape == (150,)
    assert np.array_equal(classifier.predict(X), decision > 0)
    logits = classifier.run_.logits(X)
    assert np.array_equal(decision, (logits[:, 1] - logits[:, 0]).numpy())
    assert classifier.predict(X).dtype == bool


def test_logarithms_stay_finite_where_probabilities_vanish() -> None:
    classifier = small(epochs=60, lr=0.5, weight_decay=0.0).fit(X, Y)
    far = X * 1000
    assert (classifier.predict_proba(far) == 0).any()
    logs = classifier.predict_log_proba(far)
    assert np.isfinite(logs).all()
    assert logs == pytest.approx(log_softmax(classifier.run_.logits(far), dim=1).numpy(), rel=1e-5, abs=1e-6)
    gentle = small().fit(X, Y)
    assert gentle.predict_log_proba(X) == pytest.approx(np.log(gentle.predict_proba(X)), rel=1e-5)
    assert np.exp(classifier.predict_log_proba(X)) == pytest.approx(classifier.predict_proba(X), rel=1e-5)


@pytest.mark.parametrize("name", ["predict", "predict_proba", "predict_log_proba", "decision_function", "save"])
def test_nothing_is_answered_before_it_is_fitted(name: str) -> None:
    with pytest.raises(NotFittedError, match="This Classifier instance is not fitted yet"):
        getattr(small(), name)(X)


@pytest.mark.parametrize("labels", [[None, "a"] * 75, ["a", 1] * 75, [0.5, 0.25] * 75, ["a"] * 150, np.zeros((150, 2))])
def test_what_are_no_labels_of_classes(labels: Any) -> None:
    y = (
        labels
        if isinstance(labels, np.ndarray)
        else np.array(labels, object if None in labels or 1 in labels else None)
    )
    with pytest.raises(ValueError, match=r".+") as caught:
        small().fit(X, y)
    assert str(caught.value)


def test_one_class_is_nothing_to_tell_apart() -> None:
    with pytest.raises(DataError) as caught:
        small().fit(X, np.zeros(150, int))
    assert str(caught.value) == (
        "There is nothing to tell apart: the labels are of one class [classifier-one-class]\n"
        "  expected: labels of two classes or more\n"
        "  got: 0\n"
        "  try: rows of another class as well"
    )


# --- weights

_COUNTS = st.lists(st.integers(0, 3), min_size=30, max_size=30).filter(lambda counts: sum(counts) > 0)


@given(_COUNTS, st.randoms())
def test_weights_are_repetitions_to_the_bit_in_a_single_batch(counts: list[int], order: Any) -> None:
    some = np.arange(0, 150, 5)
    repeated = np.repeat(some, counts).tolist()
    order.shuffle(repeated)
    if len(set(Y[repeated])) < 3:
        return
    weighted = small(batch_size=100, epochs=2).fit(X[some], Y[some], sample_weight=counts)
    twice = small(batch_size=100, epochs=2).fit(X[repeated], Y[repeated])
    assert weights(weighted) == weights(twice)
    assert weighted.run_.preprocessing == twice.run_.preprocessing


@pytest.mark.parametrize("how", ["balanced", {0: 3.0, 1: 1, 2: 0.5}, {2: 0.25}])
def test_classes_count_as_their_weights_on_every_row(how: Any) -> None:
    some = np.r_[0:30, 50:150:3]
    of_class = compute_class_weight(how, classes=np.arange(3), y=Y[some])
    classifier = small(class_weight=how, batch_size=16).fit(X[some], Y[some], sample_weight=np.ones(len(some)))
    expected = small(batch_size=16).fit(X[some], Y[some])
    plain = s1.fit(
        s1.Network("4-8-3"),
        s1.Dataset.from_arrays(X[some], Y[some], validation=(X[:2], Y[:2]), test=(X[:2], Y[:2])),
        preprocessing=expected.run_.preprocessing, weights=of_class[Y[some]], epochs=3, batch_size=16,
    )  # fmt: skip
    assert classifier.loss_curve_ == pytest.approx(list(plain.history["train_loss"]), rel=1e-4)
    assert classifier.run_.options.class_weight == (
        how if how == "balanced" else tuple((str(k), v) for k, v in how.items())
    )


def test_weights_of_labels_that_are_not_there() -> None:
    with pytest.raises(UsageError) as caught:
        small(class_weight={7: 1.0}).fit(X, Y)
    assert str(caught.value) == (
        "Weights are given to classes that the data does not have [training-class-unknown]\n"
        "  expected: 0, 1, 2\n"
        "  got: 7\n"
        "  try: 0, 1, 2"
    )
    # As in scikit-learn: a part of the data may lack a class.
    assert small(class_weight={0: 1, 1: 2, 2: 1, 7: 1}).fit(X, Y).n_iter_ == 3
    for wrong in ("balance", {0: -1.0}, 3):
        with pytest.raises(UsageError) as caught:
            small(class_weight=wrong).fit(X, Y)
        assert caught.value.code == "training-class-weight"
    with pytest.raises(ValueError, match="Sample weights must contain at least one non-zero number"):
        small().fit(X, Y, sample_weight=np.zeros(150))
    with pytest.raises(DataError) as large:
        small().fit(X, Y, sample_weight=np.full(150, 1e300))
    assert large.value.code == "training-weights"
    with pytest.raises(ValueError, match="Negative values"):
        small().fit(X, Y, sample_weight=-np.ones(150))


# --- stopping, going on


def test_early_stopping_judges_rows_that_are_not_trained_on() -> None:
    classifier = small(epochs=200, early_stopping=3, lr=0.05, schedule="constant", validation_fraction=0.2).fit(X, Y)
    assert 3 < classifier.n_iter_ < 200
    assert classifier.validation_scores_ is not None
    assert len(classifier.validation_scores_) == classifier.n_iter_
    losses = classifier.run_.history["validation_loss"]
    assert losses.index(min(losses)) == classifier.n_iter_ - 4
    assert s1.Classifier(early_stopping=True).fit(X, Y).run_.options.early_stopping == 10
    assert s1.Classifier(early_stopping=False).fit(X, Y).run_.options.early_stopping is None
    # A class with a single row cannot be in both parts.
    rare = np.r_[Y[:149], 3]
    weighted = small(early_stopping=2).fit(NARROW, rare, sample_weight=np.ones(150))
    assert weighted.validation_scores_


def test_the_rows_to_judge_by_hold_classes_in_proportion() -> None:
    options = s1.TrainingOptions(early_stopping=1)
    found = rows.Given(X, Y.astype(np.int64), np.arange(1.0, 151.0)).parted(options, 0.1)
    assert found.judged is not None
    assert found.train is not None
    assert np.bincount(Y[found.judged]).tolist() == [5, 5, 5]
    assert sorted([*found.train, *found.judged]) == list(range(150))
    assert found.counts is not None
    assert np.array_equal(found.counts, found.train + 1)


def test_rows_that_do_not_count_are_not_judged_by() -> None:
    counts = np.arange(150) % 2 * 2.0
    weighted = small(early_stopping=3, epochs=9).fit(X, Y, sample_weight=counts)
    without = small(early_stopping=3, epochs=9).fit(X[counts > 0], Y[counts > 0])
    assert weighted.run_.history["validation_loss"] == without.run_.history["validation_loss"]
    assert weighted.validation_scores_ == without.validation_scores_
    assert s1.Classifier(early_stopping=2, epochs=1).fit(X, Y, sample_weight=Y != 1).validation_scores_ is not None


def test_a_warm_start_begins_with_the_weights_that_are_there() -> None:
    cold = small(epochs=30).fit(X, Y)
    warm = small(epochs=30, warm_start=True).fit(X, Y)
    assert weights(warm) == weights(cold)
    before = warm.loss_curve_[-1]
    warm.set_params(epochs=1, schedule="constant", lr=1e-6).fit(X, Y)
    assert warm.loss_curve_[0] == pytest.approx(before, abs=0.02)
    with pytest.raises(UsageError) as caught:
        warm.set_params(hidden=(9,)).fit(X, Y)
    assert str(caught.value) == (
        "Training goes on with the network that is there, and another is asked for [classifier-warm]\n"
        "  expected: 4-8-3\n"
        "  got: 4-9-3\n"
        "  try: warm_start=False, or clone(classifier), for a new network"
    )
    with pytest.raises(DataError) as unknown:
        warm.set_params(hidden=(8,)).fit(X, Y + 1)
    assert str(unknown.value) == (
        "Some labels are of classes that were not there before [classifier-classes]\n"
        "  expected: 0, 1, 2\n"
        "  got: 3\n"
        "  try: name all classes at the first partial_fit(…, classes=…), or fit anew with warm_start=False"
    )


@pytest.mark.parametrize("options", [{"optimizer": "sgd", "lr": 0.1}, {"optimizer": "adam"}, {"optimizer": "adamw"}])
@pytest.mark.parametrize("engine", ["plain", "fused"])
def test_passes_over_parts_keep_the_optimizers_state(options: dict[str, Any], engine: str) -> None:
    whole = small(batch_size=16, epochs=3, schedule="constant", engine=engine, **options).fit(NARROW, Y)
    parts = small(batch_size=16, engine=engine, dropout=0.0, **options)
    for _ in range(3):
        assert parts.partial_fit(NARROW, Y, classes=[0, 1, 2]) is parts
    assert weights(parts) == weights(whole)
    assert parts.loss_curve_ == whole.loss_curve_
    assert parts.n_iter_ == 3
    parts.partial_fit(NARROW[:10], Y[:10], sample_weight=np.ones(10))
    assert len(parts.run_.history) == parts.n_iter_ == 4


def test_a_part_that_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^classes must be passed on the first call to partial_fit\.$"):
        small().partial_fit(X, Y)
    with pytest.raises(UsageError) as caught:
        small(class_weight="balanced").partial_fit(X, Y, classes=[0, 1, 2])
    assert str(caught.value) == (
        "Parts of the data cannot say which classes are rare [classifier-balanced]\n"
        "  expected: class_weight None or weights by label for partial_fit\n"
        "  got: 'balanced'\n"
        "  try: class_weight=dict(zip(classes, compute_class_weight('balanced', classes=classes, y=y)))"
    )
    with pytest.raises(UsageError) as averaged:
        small(options={"averaging": 0.1}).partial_fit(X, Y, classes=[0, 1, 2])
    assert (averaged.value.code, averaged.value.got) == ("classifier-averaging", "0.1")
    with pytest.raises(DataError) as one:
        small().partial_fit(X, Y, classes=[0])
    assert one.value.code == "classifier-one-class"
    classifier = small(class_weight={0: 2.0}).partial_fit(X[:100], Y[:100], classes=[0, 1])
    with pytest.raises(DataError) as unknown:
        classifier.partial_fit(X, Y)
    assert unknown.value.code == "classifier-classes"


def test_a_loss_that_is_no_number_is_told() -> None:
    with pytest.raises(TrainingError):
        small(optimizer="sgd", lr=1e30, schedule="constant", epochs=9).fit(X, Y)


# --- in scikit-learn's hands


def test_every_epoch_is_told_to_callbacks_inside_a_search() -> None:
    monitor = ScoringMonitor(scoring=["accuracy", "neg_log_loss"])
    search = GridSearchCV(small().set_callbacks(monitor), {"lr": [0.02, 0.001]}, cv=2)
    search.set_callbacks(ProgressBar()).fit(X, Y)
    rows_told = monitor.get_logs().data
    epochs = [row for row in rows_told if row["task_name"] == "epoch"]
    assert len(epochs) == (2 * 2 + 1) * 3
    assert {row["task_id"] for row in epochs} == {0, 1, 2}
    fits = [row for row in rows_told if row["task_name"] == "fit"]
    last = {row["parent_task_id_path"]: row for row in epochs if row["task_id"] == 2}
    for row in fits:
        assert last[row["task_id_path"]]["accuracy"] == row["accuracy"]
    assert search.best_estimator_.score(X, Y) == next(row["accuracy"] for row in fits if len(row["task_id_path"]) == 2)


class Watcher:
    """A callback that stops after some epochs, and keeps what it was told."""

    def __init__(self, epochs: int) -> None:
        self.epochs, self.told, self.copies = epochs, [], []  # type: ignore[var-annotated]

    def setup(self, estimator: Any, context: Any) -> None:
        self.told.append("setup")

    def teardown(self, estimator: Any, context: Any) -> None:
        self.told.append("teardown")

    def on_fit_task_begin(self, estimator: Any, context: Any) -> None:
        self.told.append(f"{context.task_name} begins")

    def on_fit_task_end(
        self, estimator: Any, context: Any, *, X: Any = None, metadata: Any = None, fitted_estimator: Any = None
    ) -> bool:
        self.told.append(f"{context.task_name} ends")
        self.copies.append((fitted_estimator, None if metadata is None else len(metadata["sample_weight"]), len(X)))
        return context.task_name == "epoch" and context.task_id + 1 == self.epochs


def test_a_callback_may_end_the_training() -> None:
    watcher = Watcher(2)
    classifier = small(epochs=9).set_callbacks(watcher).fit(X, Y, sample_weight=np.ones(150))
    epoch = ["epoch begins", "epoch ends"]
    assert watcher.told == ["setup", "fit begins", *epoch, *epoch, "fit ends", "teardown"]
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 2
    first, second, _ = (copy for copy, _, _ in watcher.copies)
    assert (first.n_iter_, second.n_iter_) == (1, 2)
    assert weights(second) == weights(classifier) != weights(first)
    assert np.array_equal(second.predict_proba(X), classifier.predict_proba(X))
    assert {(count, length) for _, count, length in watcher.copies} == {(150, 150)}


def test_it_works_in_pipelines_searches_and_other_processes() -> None:
    search = GridSearchCV(make_pipeline(StandardScaler(), learnt()), {"classifier__epochs": [1, 60]}, cv=3, n_jobs=2)
    search.fit(pd.DataFrame(X, columns=list("abcd")), Y)
    assert search.best_params_ == {"classifier__epochs": 60}
    assert cross_val_score(learnt(), X, Y).mean() > 0.9
    copy = clone(search.best_estimator_[-1])
    assert copy.get_params() == search.best_estimator_[-1].get_params()
    assert not hasattr(copy, "run_")


def test_it_works_with_skrub() -> None:
    names = np.array(["setosa", "versicolor", "virginica"])
    frame = pd.DataFrame(X[:, :3], columns=["a", "b", "c"])
    frame["kind"] = names[Y]
    frame["when"] = pd.date_range("2020-01-01", periods=150)
    frame.loc[::10, "a"] = np.nan
    pipeline = skrub.tabular_pipeline(learnt())
    assert pipeline.fit(frame, names[Y]).score(frame, names[Y]) > 0.95
    assert pipeline[-1].run_.classes == ("setosa", "versicolor", "virginica")


def test_names_of_columns_decide() -> None:
    frame = pd.DataFrame(X, columns=["a", "b", "c", "d"])
    classifier = small().fit(frame, Y)
    assert classifier.feature_names_in_.tolist() == ["a", "b", "c", "d"]
    assert classifier.run_.columns == ("a", "b", "c", "d")
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame[["b", "a", "c", "d"]])
    assert np.array_equal(classifier.run_.probabilities(frame[["d", "c", "b", "a"]]), classifier.predict_proba(frame))


@pytest.mark.parametrize("name", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
@pytest.mark.parametrize("wrong", [X[:, :3], X[:0], X * np.nan, X * np.inf, X[0], sparse.csr_array(X), [["a"] * 4]])
def test_rows_that_are_none_are_refused(name: str, wrong: Any) -> None:
    classifier = small().fit(X, Y)
    with pytest.raises((ValueError, TypeError)):
        getattr(classifier, name)(wrong)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_pixels_that_were_divided_are_refused_in_every_form(dtype: Any) -> None:
    pixels = (load_digits().data * 15).astype(np.uint8)
    step = s1.Preprocessing(64, divisor=255.0, mean=(0.5,), std=(0.5,))
    data = s1.Dataset.from_arrays(pixels, load_digits().target)
    classifier = s1.Classifier.from_run(s1.fit(s1.Network("64-8-10"), data, preprocessing=step, epochs=1))
    assert np.array_equal(classifier.predict(pixels), classifier.predict(pixels.astype(dtype)))
    with pytest.raises(DtypeError) as caught:
        classifier.predict((pixels / 255).astype(dtype))
    assert caught.value.code == "preprocessing-pixels"


def test_large_numbers_whose_sum_is_not_finite_are_rows_all_the_same() -> None:
    classifier = small(standardize=False).fit(X, Y)
    large = np.full((3, 4), 1e38, np.float32)
    assert not rows.are_plain(large, 4)
    plain = [NARROW, X, X.astype(int), X.astype(np.uint8), NARROW[::2, ::-1][:, ::-1], np.asfortranarray(X)]
    assert all(rows.are_plain(values, 4) for values in plain)
    assert classifier.predict(large).tolist() == [classifier.predict(large / 1e30)[0]] * 3


@pytest.mark.parametrize("name", ["predict", "predict_proba", "predict_log_proba", "decision_function"])
@pytest.mark.parametrize("values", [X * 1e39, NARROW * np.float32(4e37)])
def test_no_class_is_named_where_float32_holds_no_answer(name: str, values: NDArray[Any]) -> None:
    classifier = small().fit(X, Y)
    with pytest.raises(DataError) as caught:
        getattr(classifier, name)(values)
    assert str(caught.value) == (
        "The network gives no numbers for these rows [serve-no-answer]\n"
        "  expected: finite logits\n"
        "  got: NaN or infinity\n"
        "  try: look at the values of the rows: they may be far outside of what the network was trained on"
    )
    with pytest.raises(DataError):
        classifier.run_.predict(values)


# --- parameters


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"hidden": (0,)}, "specification-size"),
        ({"hidden": -3}, "specification-size"),
        ({"hidden": None}, "classifier-hidden"),
        ({"hidden": "128-64"}, "classifier-hidden"),
        ({"hidden": (8.0,)}, "classifier-hidden"),
        ({"hidden": iter((8,))}, "classifier-hidden"),
        ({"activation": "swish"}, "choice"),
        ({"dropout": 1.0}, "number-range"),
        ({"epochs": 0}, "training-count"),
        ({"early_stopping": 0}, "training-count"),
        ({"random_state": -1}, "training-count"),
        ({"optimizer": "lbfgs"}, "choice"),
        ({"momentum": 0.5}, "training-momentum"),
        ({"standardize": "yes"}, "choice"),
        ({"warm_start": None}, "choice"),
        ({"validation_fraction": 0}, "number-range"),
        ({"validation_fraction": "a"}, "number-range"),
        ({"options": {"lr": 0.1}}, "classifier-options"),
        ({"options": [1]}, "classifier-options"),
        ({"options": {"epoch": 1}}, "training-option"),
        ({"options": {"snapshots": True}}, "training-snapshots"),
    ],
)
def test_wrong_parameters_are_refused_when_fitting(parameters: dict[str, Any], code: str) -> None:
    for fit in (lambda it: it.fit(X, Y), lambda it: it.partial_fit(X, Y, classes=[0, 1, 2])):
        with pytest.raises(SumtooneError) as caught:
            fit(small(**parameters))
        assert caught.value.code == code
        assert isinstance(caught.value, ValueError)


def test_sizes_of_hidden_layers_in_every_form_of_a_sequence() -> None:
    forms = (8, np.int32(8), (8,), [np.int64(8)], np.array([8]))
    assert {small(hidden=hidden).fit(X, Y).run_.network.specification.sizes for hidden in forms} == {(4, 8, 3)}
    with pytest.raises(UsageError) as caught:
        small(hidden=8.5).fit(X, Y)
    assert str(caught.value) == (
        "hidden is neither the size of a hidden layer nor the sizes of some [classifier-hidden]\n"
        "  expected: a whole number, or a list or a tuple of them; () is softmax regression\n"
        "  got: 8.5\n"
        "  try: hidden=(128, 64)"
    )


def test_options_that_are_no_parameters() -> None:
    with pytest.raises(UsageError) as caught:
        small(options={"lr": 1, "seed": 3}).fit(X, Y)
    assert str(caught.value).splitlines()[0::2] == [
        "options= holds options of training that are no parameters of their own [classifier-options]",
        "  got: lr, seed",
    ]
    assert small(hidden=(), options={}).fit(X, Y).run_.network.specification.sizes == (4, 3)


def test_few_rows_have_more_epochs() -> None:
    shape = small(epochs=None, batch_size=50)
    assert shape.fit(X, Y).n_iter_ == 200
    digits, labels = load_digits(return_X_y=True)
    assert small(epochs=None, batch_size=50).fit(digits, labels).n_iter_ == 56
    assert small(epochs=None, batch_size=1).fit(X, Y).n_iter_ == 14
    assert shape.set_params(batch_size=100, early_stopping=1).fit(X, Y).run_.options.epochs == 200
    assert cross_val_score(s1.Classifier(random_state=0), X, Y).mean() > 0.94


def test_a_seed_decides_and_none_draws_one() -> None:
    assert weights(small().fit(X, Y)) == weights(small(random_state=np.int64(0)).fit(X, Y))
    drawn = [small(random_state=None).fit(X, Y) for _ in range(2)]
    assert weights(drawn[0]) != weights(drawn[1])
    states = [small(random_state=np.random.RandomState(3)).fit(X, Y) for _ in range(2)]
    assert weights(states[0]) == weights(states[1])


# --- memory

MEMORY = """
    import json, numpy as np, sumtoone as s1, torch
    torch.set_num_threads(1)
    def peak():
        with open("/proc/self/status") as file:
            return int(next(line for line in file if line.startswith("VmHWM")).split()[1]) / 1024
    whole = np.resize(np.arange(199, dtype=np.uint8), (60_000, 400))
    labels = np.arange(60_000) % 3
    found = []
    for dtype, options in {cases}:
        make = lambda: s1.Classifier((4,), epochs=1, batch_size=1000, random_state=0, **options)
        values = whole.astype(dtype)
        make().fit(values[:2000].copy(), labels[:2000])
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
        now = peak()
        make().fit(values, labels)
        found.append(peak() - now)
    print(json.dumps(found))
"""
# Of a copy in float32, in MiB.
COPY = 60_000 * 400 * 4 / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="needs Linux")  # noqa: PTH110 - no file
def test_there_is_at_most_one_copy_of_the_data() -> None:
    copies = [("float32", {}, 0), ("uint8", {}, 0), ("float64", {}, 1), ("int32", {}, 1)]
    copies.append(("float32", {"early_stopping": 1}, 1))
    program = textwrap.dedent(MEMORY).format(cases=[case[:2] for case in copies])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for case, found in zip(copies, json.loads(done.stdout), strict=True):
        assert abs(found / COPY - case[2]) < 0.4, case
