"""Calibration held against SciPy, PyTorch, mpmath, planted temperatures and the guarantee of its prediction sets."""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import optimize, stats
from torch import nn
from torch.nn import functional as F

import sumtoone as s1
from sumtoone import conformal
from sumtoone.calibration import MOST_SCORES, Calibration
from sumtoone.errors import DataError, DtypeError, RunError, ShapeError, SumtooneError, UsageError
from sumtoone.temperature import Tempered, fitted, loss_and_slope, tempered
from test_runs import edit
from test_training import make_dataset

DATA = make_dataset()
COVERAGES = (0.8, 0.9, 0.95, 0.99)


def identity_run(classes: int = 4, scale: float = 1.0, **fields: Any) -> s1.Run:
    """A run whose logits are its rows, times a scale."""
    network = s1.Network(f"{classes}-{classes}").eval()
    with torch.no_grad():
        network.layers[0].weight.copy_(scale * torch.eye(classes))
    names = tuple(map(str, range(classes)))
    steps = s1.Preprocessing(classes), names, s1.History(), s1.TrainingOptions()
    return s1.Run(network, *steps, "identity", "none", "", **fields)


def drawn(rows: int, classes: int = 4, seed: int = 0, spread: float = 2.0) -> s1.Split:
    """Logits, and labels that are drawn from their softmax."""
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(0, spread, (rows, classes)).astype(np.float32))
    p = logits.double().softmax(1).numpy()
    labels = (p.cumsum(1) < random.random((rows, 1))).sum(1).clip(max=classes - 1)
    return s1.Split(logits, torch.from_numpy(labels))


# --- the temperature


@given(st.integers(0, 2**32 - 1), st.integers(5, 80), st.integers(2, 8), st.floats(0.2, 8.0))
@settings(max_examples=40)
def test_the_temperature_is_where_scipy_finds_the_least_loss_of_pytorch(
    seed: int, rows: int, classes: int, spread: float
) -> None:
    split = drawn(rows, classes, seed, spread)

    def loss(log_temperature: float) -> float:
        return float(F.cross_entropy(split.inputs.double() / math.exp(log_temperature), split.labels))

    found = fitted(split.inputs.numpy(), split.labels.numpy())
    if found is None:
        # At neither end: the loss only falls, or only rises.
        ends = [loss(value) for value in (-6, -5, 5, 6)]
        assert ends == sorted(ends) or ends == sorted(ends, reverse=True)
        return
    best = optimize.minimize_scalar(loss, bounds=(-7, 7), method="bounded", options={"xatol": 1e-10})
    assert loss(math.log(found)) <= best.fun + 1e-10
    assert loss_and_slope(split.inputs.numpy(), split.labels.numpy(), 1 / found)[0] == pytest.approx(
        loss(math.log(found)), abs=1e-12
    )


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0, 40.0])
def test_a_planted_temperature_is_found_again(scale: float) -> None:
    split = drawn(20_000)
    run = s1.calibrate(identity_run(scale=scale), split)
    assert run.calibration is not None
    assert run.calibration.temperature == pytest.approx(scale, rel=0.05)
    assert run.calibration.found
    assert run.calibration.rows == 20_000
    fresh = drawn(20_000, seed=1)
    truth = fresh.inputs.softmax(1)
    torch.testing.assert_close(run.probabilities(fresh.inputs), truth, atol=0.02, rtol=0)
    assert s1.evaluate(run, fresh).ece < 0.01


@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.floats(0.01, 100.0))
@settings(max_examples=30)
def test_the_loss_is_never_higher_and_no_prediction_changes(seed: int, rows: int, scale: float) -> None:
    split, before = drawn(rows, seed=seed), identity_run(scale=scale)
    after = s1.calibrate(before, split)
    kept = after.calibration
    assert kept is not None
    assert kept.nll_after <= kept.nll_before
    assert 0 < kept.temperature < math.inf
    losses = [float(F.cross_entropy(run.logits(split.inputs).double(), split.labels)) for run in (before, after)]
    assert losses == pytest.approx([kept.nll_before, kept.nll_after], rel=1e-4, abs=1e-5)
    fresh = drawn(50, seed=seed + 1)
    assert after.predict(fresh.inputs) == before.predict(fresh.inputs)
    assert torch.equal(after.probabilities(fresh.inputs), s1.softmax(after.logits(fresh.inputs))) or torch.allclose(
        after.probabilities(fresh.inputs), after.logits(fresh.inputs).softmax(1), atol=1e-6
    )


EYE = torch.eye(4)


@pytest.mark.parametrize(
    ("rows", "labels"),
    [
        (EYE * 5, [0, 1, 2, 3]),  # all right: the likeliest temperature is 0
        (EYE[:1], [0]),
        (EYE * 5, [1, 2, 3, 0]),  # all wrong: it is infinite
        (torch.ones(6, 4), [0, 1, 2, 3, 0, 1]),  # every temperature is alike
        (EYE[[0, 0, 0]], [0, 0, 0]),  # one class alone
        (EYE * 1e30, [0, 1, 2, 3]),
        (EYE * 1e30, [0, 1, 2, 2]),
        (EYE * 1e-30, [0, 1, 2, 2]),
    ],
    ids=["right", "one row", "wrong", "flat", "one class", "huge", "huge and wrong", "tiny"],
)
def test_rows_that_tell_of_no_temperature_leave_it_at_one(rows: torch.Tensor, labels: list[int]) -> None:
    run = s1.calibrate(identity_run(), s1.Split(rows, torch.tensor(labels)))
    kept = run.calibration
    assert kept is not None
    assert (kept.temperature, kept.found, kept.nll_after) == (1.0, False, kept.nll_before)
    assert run.answering is run.network


def test_a_calibration_is_replaced_and_fitted_from_the_network_itself() -> None:
    first, second = drawn(500), drawn(800, seed=2)
    run = identity_run(scale=3.0)
    once = s1.calibrate(run, second)
    again = s1.calibrate(s1.calibrate(run, first), second)
    assert once.calibration is not None
    assert again.calibration is not None
    assert again.calibration.to_json() == once.calibration.to_json()
    assert run.calibration is None
    assert torch.equal(run.network.layers[0].weight, 3 * EYE)  # type: ignore[union-attr]


def test_what_is_no_run_or_split_is_refused() -> None:
    run, split = identity_run(), drawn(10)
    for given_, name, shown in (((split, run), "run", "Split"), ((run, DATA), "split", "Dataset")):
        with pytest.raises(DtypeError) as raised:
            s1.calibrate(*given_)  # type: ignore[arg-type]
        assert raised.value.code == "argument-type"
        assert (raised.value.fields["name"], raised.value.fields["given"]) == (name, shown)


def test_rows_that_cannot_calibrate_are_refused() -> None:
    run = identity_run()
    nothing = s1.Split(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64))
    for split, kind, code in (
        (nothing, DataError, "split-empty"),
        (drawn(10, 3), ShapeError, "preprocessing-shape"),
        (s1.Split(EYE, torch.tensor([0, 1, 2, 7])), DataError, "evaluation-label"),
    ):
        with pytest.raises(kind) as raised:
            s1.calibrate(run, split)
        assert raised.value.code == code  # type: ignore[attr-defined]


def test_logits_that_are_not_finite_are_named() -> None:
    class Masked(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.where(x < 0, -math.inf, x)

    run = replace(identity_run(), network=Masked())
    with pytest.raises(DataError) as raised:
        s1.calibrate(run, s1.Split(torch.tensor([[1.0, 2, 3, 4], [1, 2, -3, 4]]), torch.tensor([0, 1])))
    assert str(raised.value) == (
        "The network gives a logit that no temperature can divide [calibration-logits]\n"
        "  expected: finite logits\n"
        "  got: logits[1, 2] = -inf\n"
        "  try: let forward return the values before any mask of infinities"
    )


@pytest.mark.parametrize("part", ["train", "test"])
def test_rows_that_must_not_choose_are_known_also_from_the_file(part: str, tmp_path: Path) -> None:
    run = s1.fit(s1.Network("12-3"), DATA, epochs=1, out=tmp_path / "run")
    for each in (run, s1.open_run(tmp_path / "run")):
        with pytest.raises(DataError) as raised:
            s1.calibrate(each, getattr(DATA, part))
        assert raised.value.code == "calibration-split"
        assert s1.calibrate(each, DATA.validation).calibration is not None
    word = {"train": "training", "test": "test"}[part]
    assert raised.value.got == f"the {word} rows of run"


def test_columns_are_brought_into_order() -> None:
    names = tuple("abcd")
    split = drawn(300)
    turned = s1.Split(split.inputs.flip(1), split.labels, names[::-1])
    straight = s1.calibrate(identity_run(columns=names), s1.Split(split.inputs, split.labels, names)).calibration
    other = s1.calibrate(identity_run(columns=names), turned).calibration
    assert straight is not None
    assert other is not None
    assert other.to_json() == straight.to_json()


# --- the network that has it built in


class Wrapped(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.inner(x)
        return logits


def hooked() -> s1.Network:
    network = s1.Network("4-8-4", seed=1)
    network.register_forward_hook(lambda *given_: given_[2] * 2)
    return network


def tied() -> s1.Network:
    network = s1.Network("4-4-4", seed=1)
    network.layers[0].weight = network.layers[1].weight
    return network


NETWORKS: dict[str, tuple[Callable[[], nn.Module], type]] = {
    "float32": (lambda: s1.Network("4-8-4", seed=1), s1.Network),
    "float64": (lambda: s1.Network("4-8-4", seed=1).double(), s1.Network),
    "tied": (tied, s1.Network),
    "one layer": (lambda: s1.Network("4-4", seed=1), s1.Network),
    "bfloat16": (lambda: s1.Network("4-8-4", seed=1).bfloat16(), Tempered),
    "module": (lambda: Wrapped(s1.Network("4-8-4", seed=1)), Tempered),
    "hooked": (hooked, Tempered),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_logits_are_divided_whatever_the_network(name: str, temperature: float) -> None:
    make, kind = NETWORKS[name]
    network = make().eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    run = replace(identity_run(), network=network)
    warm_run = replace(run, calibration=kept_at(temperature))
    assert type(warm_run.answering) is kind
    assert not warm_run.answering.training
    rows = drawn(40).inputs
    exact = 0.02 if name == "bfloat16" else 1e-5
    expected = run.logits(rows) / temperature
    torch.testing.assert_close(warm_run.logits(rows), expected, atol=exact, rtol=exact)
    torch.testing.assert_close(warm_run.probabilities(rows), expected.softmax(1), atol=exact, rtol=exact)
    assert all(torch.equal(network.state_dict()[key], value) for key, value in before.items())


def kept_at(temperature: float) -> Calibration:
    scores = {method: np.zeros(1) for method in conformal.METHODS}
    return Calibration(temperature, 1.0, 1.0, 1, True, scores)


def test_weights_that_would_overflow_are_left_and_logits_divided() -> None:
    network = s1.Network("4-4")
    with torch.no_grad():
        network.layers[0].weight.fill_(1e38)
    assert type(tempered(network, 1e-3)) is Tempered
    assert tempered(network, 1.0) is network
    assert tempered(network.train(), 1e-3).training


# --- scores, quantiles, sets


@given(st.lists(st.floats(-300, 300, width=32), min_size=2, max_size=6), st.floats(0, 1, exclude_max=True))
@settings(max_examples=60)
def test_scores_are_those_of_their_papers_in_fifty_digits(logits: list[float], draw: float) -> None:
    mpmath.mp.dps = 400
    powers = [mpmath.exp(mpmath.mpf(z)) for z in logits]
    p = [each / mpmath.fsum(powers) for each in powers]
    row = np.array([logits], np.float32)
    lac, aps = (conformal.scores(row, np.array([draw]), method)[0] for method in conformal.METHODS)
    for place in range(len(logits)):
        assert lac[place] == pytest.approx(float(-mpmath.log(p[place])), rel=1e-12, abs=0)
        above = [each for other, each in enumerate(p) if (-each, other) < (-p[place], place)]
        assert aps[place] == pytest.approx(float(mpmath.fsum(above) + draw * p[place]), abs=1e-12)
    # The same classes as 1 - p of the paper would give.
    assert np.argsort(lac, kind="stable").tolist() == sorted(range(len(p)), key=lambda place: (1 - p[place], place))


@given(st.integers(1, 300), st.integers(1, 999))
def test_the_threshold_is_the_exact_order_statistic(rows: int, thousandths: int) -> None:
    coverage = thousandths / 1000
    place = math.ceil((rows + 1) * Fraction(thousandths, 1000))
    assert conformal.threshold(np.arange(rows, dtype=float), coverage) == (place - 1 if place <= rows else math.inf)


def test_draws_are_uniform_and_of_the_values_alone() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (20_000, 5), dtype=np.uint8)
    rows = np.unique(rows, axis=0)
    found = conformal.draws(rows)
    assert stats.kstest(found, "uniform").pvalue > 0.001
    assert (conformal.draws(rows.astype(np.float32)) == found).all()
    assert (conformal.draws(rows[::-1].copy()) == found[::-1]).all()
    assert conformal.draws(np.array([[0.0]])) == conformal.draws(np.array([[-0.0]]))


@pytest.mark.parametrize("method", conformal.METHODS)
def test_coverage_is_that_of_the_beta_binomial_over_two_hundred_splits(method: str) -> None:
    """Of rows in random order, how many new ones are covered has exactly this law, whatever the network."""
    calibrating, judged, rounds = 299, 400, 200
    pool = drawn(calibrating + judged, spread=3.0)
    # Sure of itself, and wrong about the scale: the guarantee asks for no good network.
    run, random = identity_run(scale=2.5), np.random.default_rng(7)
    covered: dict[float, list[int]] = {coverage: [] for coverage in COVERAGES}
    for _ in range(rounds):
        order = torch.from_numpy(random.permutation(len(pool)))
        first, second = order[:calibrating], order[calibrating:]
        calibrated = s1.calibrate(run, s1.Split(pool.inputs[first], pool.labels[first]))
        for coverage in COVERAGES:
            sets = calibrated.prediction_sets(pool.inputs[second], coverage, method)
            covered[coverage].append(int(sets[torch.arange(judged), pool.labels[second]].sum()))
    for coverage, counts in covered.items():
        place = math.ceil((calibrating + 1) * Fraction(str(coverage)))
        law = stats.betabinom(judged, place, calibrating + 1 - place)
        low, high = law.ppf(0.5e-5), law.ppf(1 - 0.5e-5)
        assert low <= min(counts) <= max(counts) <= high
        # Their mean, and how many fall into the law's 95 % interval, are within what 200 rounds allow.
        assert abs(np.mean(counts) - law.mean()) < 4 * law.std() / math.sqrt(rounds)
        inside = [law.ppf(0.025) <= count <= law.ppf(0.975) for count in counts]
        chance = law.cdf(law.ppf(0.975)) - law.cdf(law.ppf(0.025) - 1)
        assert stats.binomtest(sum(inside), rounds, chance).pvalue > 1e-4


def test_sets_are_ordered_by_probability_and_grow_with_the_coverage() -> None:
    split, fresh = drawn(400), drawn(200, seed=3).inputs
    run = s1.calibrate(identity_run(), split)
    for method in conformal.METHODS:
        found = [run.prediction_sets(fresh, coverage, method) for coverage in (0.5, 0.8, 0.9, 0.99)]
        assert all(bool((small <= large).all()) for small, large in pairwise(found))
        order = run.probabilities(fresh).argsort(dim=1, descending=True, stable=True)
        inside = found[1].gather(1, order)
        # Nothing less likely is in a set than what is left out.
        assert bool((inside[:, :-1] >= inside[:, 1:]).all())
        alone = torch.cat([run.prediction_sets(row, 0.8, method) for row in fresh[:20]])
        assert torch.equal(alone, found[1][:20])
    assert run.prediction_sets(fresh, 0.999).all()
    assert run.prediction_sets(fresh[:0]).shape == (0, 4)


def test_too_few_rows_put_every_class_into_every_set() -> None:
    run = s1.calibrate(identity_run(), drawn(18))
    assert run.prediction_sets(drawn(50, seed=1).inputs, 0.95).all()
    assert not s1.calibrate(identity_run(), drawn(19)).prediction_sets(drawn(50, seed=1).inputs, 0.95).all()


@pytest.mark.parametrize("method", conformal.METHODS)
def test_logits_that_are_no_numbers_put_every_class_into_the_set(method: str) -> None:
    """An empty set would say that the network is sure of none, and break the promise whatever the true class is."""
    calibrated = s1.calibrate(identity_run(), drawn(100)).calibration
    assert calibrated is not None
    bad = torch.tensor([[math.inf, 0, 0, 0], [math.nan, 0, 0, 0], [math.inf, -math.inf, 0, 0], [-math.inf] * 4])
    assert calibrated.sets(torch.zeros(4, 4), bad, 0.9, method).all()
    masked = calibrated.sets(torch.zeros(1, 4), torch.tensor([[9.0, 9.0, -math.inf, 0]]), 0.9, method)
    assert masked.tolist() == [[True, True, False, False]]


def test_of_many_rows_some_scores_are_kept_and_the_coverage_stays() -> None:
    run = s1.calibrate(identity_run(), drawn(MOST_SCORES + 5_000))
    assert run.calibration is not None
    assert [len(each) for each in run.calibration.scores.values()] == [MOST_SCORES] * 2
    fresh = drawn(4_000, seed=5)
    covered = int(run.prediction_sets(fresh.inputs, 0.9)[torch.arange(4_000), fresh.labels].sum())
    place = math.ceil((MOST_SCORES + 1) * Fraction("0.9"))
    assert stats.betabinom(4_000, place, MOST_SCORES + 1 - place).ppf(1e-4) < covered
    assert covered < stats.betabinom(4_000, place, MOST_SCORES + 1 - place).ppf(1 - 1e-4)


@pytest.mark.parametrize("coverage", [0, 1, 95, -0.1, math.nan, "0.9", None, True])
def test_what_is_no_coverage_is_refused(coverage: Any) -> None:
    with pytest.raises(UsageError) as raised:
        identity_run().prediction_sets(EYE, coverage)
    assert (raised.value.code, raised.value.fields["name"]) == ("number-range", "coverage")


def test_an_unknown_method_and_a_run_without_calibration_are_refused() -> None:
    with pytest.raises(UsageError) as raised:
        identity_run().prediction_sets(EYE, method="asp")
    assert (raised.value.code, raised.value.fields["known"]) == ("choice", "lac, aps")
    with pytest.raises(RunError) as missing:
        identity_run().prediction_sets(EYE, np.float32(0.9))
    assert str(missing.value) == (
        "This run has no calibration, which prediction sets need [run-uncalibrated]\n"
        "  expected: a run that was calibrated on validation rows\n"
        "  got: identity\n"
        "  try: sumtoone calibrate RUN; in Python run = calibrate(run, data.validation)"
    )


# --- files


@pytest.fixture(scope="module")
def calibrated() -> s1.Run:
    return s1.calibrate(s1.fit(s1.Network("12-16-3"), DATA, epochs=2), DATA.validation)


def test_an_opened_run_is_calibrated_to_the_bit(calibrated: s1.Run, tmp_path: Path) -> None:
    again = s1.open_run(calibrated.save(tmp_path / "run"))
    assert again.calibration is not None
    assert calibrated.calibration is not None
    assert again.calibration.temperature != 1.0
    assert again.calibration.to_json() == calibrated.calibration.to_json()
    assert again.splits == calibrated.splits
    rows = DATA.test.inputs
    assert torch.equal(again.probabilities(rows), calibrated.probabilities(rows))
    for method in conformal.METHODS:
        assert torch.equal(again.prediction_sets(rows, 0.8, method), calibrated.prediction_sets(rows, 0.8, method))


def test_a_run_of_old_opens(calibrated: s1.Run, tmp_path: Path) -> None:
    folder = replace(calibrated, calibration=None).save(tmp_path / "run")
    edit(folder, lambda document: (document.pop("calibration"), document["data"].pop("splits")))
    run = s1.open_run(folder)
    assert (run.calibration, run.splits) == (None, {})
    # What its splits were is not known: nothing can be refused.
    assert s1.calibrate(run, DATA.test).calibration is not None


DISORDER, NAN = (base64.b64encode(np.array(each, "<f8").tobytes()).decode() for each in ([1.0, 0.5], [math.nan]))
DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "zero": lambda kept: kept.update(temperature=0.0),
    "text": lambda kept: kept.update(temperature="1"),
    "infinite": lambda kept: kept.update(temperature=math.inf),
    "worse": lambda kept: kept.update(nll_after=kept["nll_before"] + 1),
    "negative loss": lambda kept: kept.update(nll_after=-1.0),
    "rows": lambda kept: kept.update(rows=kept["rows"] + 1),
    "no rows": lambda kept: kept.update(rows=0),
    "truth": lambda kept: kept.update(rows=True),
    "found": lambda kept: kept.update(found=1),
    "missing": lambda kept: kept.pop("nll_before"),
    "more": lambda kept: kept.update(more=1),
    "method": lambda kept: kept["scores"].pop("aps"),
    "base64": lambda kept: kept["scores"].update(lac="€"),
    "bytes": lambda kept: kept["scores"].update(lac=kept["scores"]["lac"][:-8]),
    "order": lambda kept: kept.update(scores=dict.fromkeys(conformal.METHODS, DISORDER), rows=2),
    "NaN": lambda kept: kept.update(scores=dict.fromkeys(conformal.METHODS, NAN), rows=1),
    "list": lambda kept: kept.update(scores=[]),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_calibration_is_told(name: str, calibrated: s1.Run, tmp_path: Path) -> None:
    folder = calibrated.save(tmp_path / "run")
    edit(folder, lambda document: DAMAGE[name](document["calibration"]))
    with pytest.raises(RunError) as raised:
        s1.open_run(folder)
    assert raised.value.code == "run-damaged"


KNOWN = {"rows": 1, "digest": ""}


@pytest.mark.parametrize(
    "splits",
    [[1], 1, {"train": KNOWN}, *({"train": each, "validation": KNOWN, "test": KNOWN} for each in (
        1, {}, {"rows": -1, "digest": ""}, {"rows": 1.0, "digest": ""}, {"rows": 1, "digest": 2}
    ))],
)  # fmt: skip
def test_damaged_splits_are_told(splits: Any, calibrated: s1.Run, tmp_path: Path) -> None:
    folder = calibrated.save(tmp_path / "run")
    edit(folder, lambda document: document["data"].update(splits=splits))
    with pytest.raises(RunError) as raised:
        s1.open_run(folder)
    assert raised.value.code == "run-damaged"


def test_a_calibration_says_what_it_is() -> None:
    with pytest.raises(UsageError) as raised:
        replace(kept_at(2.0), temperature=-1.0)
    assert raised.value.code == "calibration-values"
    assert repr(kept_at(2.0)) == "Calibration(temperature=2.0, nll_before=1.0, nll_after=1.0, rows=1, found=True)"


def test_the_file_is_one_document_of_plain_json(calibrated: s1.Run, tmp_path: Path) -> None:
    folder = calibrated.save(tmp_path / "run")
    kept = json.loads((folder / "run.json").read_text(encoding="utf-8"))["calibration"]
    assert set(kept) == {"temperature", "nll_before", "nll_after", "rows", "found", "scores"}
    assert sorted(path.name for path in folder.iterdir()) == ["history.jsonl", "model.safetensors", "run.json"]


# --- on real data


@pytest.mark.skipif("SUMTOONE_DATA" not in os.environ, reason="needs the full MNIST files: set SUMTOONE_DATA")
def test_a_network_of_mnist_is_calibrated_to_half_a_percent() -> None:
    try:
        data = s1.load("mnist")
    except SumtooneError:
        pytest.skip("no MNIST in SUMTOONE_DATA")
    run = s1.fit(s1.Network("784-128-64-10"), data, epochs=6, seed=0)
    before, after = (s1.evaluate(each, data.test) for each in (run, s1.calibrate(run, data.validation)))
    assert after.accuracy == before.accuracy > 0.975
    assert after.ece <= 0.005
