"""Averaged weights: PyTorch's own average as the oracle, and the same average from both engines, also after a stop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from engines import make_dataset, make_plan, stopping_after, weights
from sumtoone import Dataset, Network, TrainingOptions, evaluate, fit, open_run, resume
from sumtoone.errors import TrainingError, UsageError
from sumtoone.native import status
from sumtoone.snapshots import epochs, network
from sumtoone.training.averaging import Average
from sumtoone.training.checkpoints import Checkpoints, newest_checkpoint
from sumtoone.training.plain import PlainEngine

ENGINES = ["plain", pytest.param("fused", marks=pytest.mark.skipif(status().path == "pytorch", reason="no kernels"))]


@pytest.fixture(scope="module")
def clouds() -> Dataset:
    return make_dataset(200, 6, 3)


def options(**given: Any) -> TrainingOptions:
    return TrainingOptions.of(**{"epochs": 3, "batch_size": 32, "averaging": 0.5, "threads": 1, **given})


# --- what is averaged


@pytest.mark.parametrize("kind", ENGINES)
def test_half_the_training_is_pytorchs_average_of_the_weights_after_every_step(clouds: Dataset, kind: str) -> None:
    # Seven steps an epoch: a look after each.
    run = fit(Network("6-5-3"), clouds, options(engine=kind))
    plan = make_plan(clouds, "6-5-3", **options(averaging=None, engine="plain").to_json())
    engine, average = PlainEngine(plan), AveragedModel(plan.network)
    for epoch in range(3):
        for step in range(7):
            engine.train(epoch, step, 1)
            average.update_parameters(plan.network)
    for ours, theirs in zip(run.network.parameters(), average.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@given(st.integers(1, 40), st.integers(1, 12), st.floats(0.01, 0.5))
def test_the_profile_is_a_power_and_its_mean_age_the_share(steps: int, epochs: int, share: float) -> None:
    data = make_dataset(20, 4, 2)
    rows = replace(
        data.train, inputs=data.train.inputs[:1].expand(steps, 4), labels=data.train.labels[:1].expand(steps)
    )
    plan = make_plan(replace(data, train=rows), "4-2", batch_size=1, averaging=share, epochs=epochs)
    average, looks = Average(plan), 0
    weight = next(plan.network.parameters()).detach()
    for epoch in range(epochs):
        step = 0
        while step < steps:
            step += average.before_a_look(step)
            assert average.wants_a_look(step)
            looks += 1
            # Each look sees its own number: the average is the mean number.
            weight.fill_(looks)
            average.look(epoch, step)
        assert step == steps
    assert looks <= 8 * epochs
    with average.in_network():
        found = float(weight.flatten()[0])
    power, expected, total = 1 / share - 1, 0.0, 0.0
    for look in range(1, looks + 1):
        part = look**power - (look - 1) ** power
        expected, total = expected + look * part, total + part
    assert found == pytest.approx(expected / total, rel=1e-4)
    # In the limit the mean age is the share; a look that stands for the time since the one before is half of it older.
    assert looks - found == pytest.approx(share * looks - 0.5, abs=0.55)
    assert float(weight.flatten()[0]) == looks


def test_weights_of_half_precision_are_averaged_in_float32() -> None:
    plan = make_plan(make_dataset(20, 4, 2), "4-2", averaging=0.01)
    network = nn.Linear(4, 2).bfloat16()
    average = Average(replace(plan, network=network))
    with torch.no_grad():
        for look in range(1, 9):
            network.weight.fill_(256 + 2 * look)
            average.look(look, 1)
    assert {tensor.dtype for tensor in average.state().values()} == {torch.float32}


# --- who sees it


@pytest.mark.parametrize("kind", ENGINES)
def test_what_is_validated_is_what_the_run_holds(clouds: Dataset, kind: str, tmp_path: Path) -> None:
    run = fit(Network("6-5-3"), clouds, options(engine=kind), out=tmp_path / "run")
    found = evaluate(open_run(tmp_path / "run"), clouds.validation)
    assert found.nll == pytest.approx(run.history["validation_loss"][-1], rel=1e-5)
    last = fit(Network("6-5-3"), clouds, options(engine=kind, averaging=None))
    assert run.history["train_loss"] == last.history["train_loss"]
    assert run.history["validation_loss"] != last.history["validation_loss"]


@pytest.mark.parametrize("kind", ENGINES)
def test_early_stopping_keeps_the_best_average(clouds: Dataset, kind: str) -> None:
    given = options(engine=kind, epochs=40, early_stopping=2, lr=0.2, schedule="constant", averaging=0.1)
    run = fit(Network("6-5-3"), clouds, given)
    found = evaluate(run, clouds.validation).nll
    assert found == pytest.approx(min(run.history["validation_loss"]), rel=1e-5)


def test_snapshots_are_of_the_average(clouds: Dataset, tmp_path: Path) -> None:
    run = fit(Network("6-5-3"), clouds, options(snapshots=True), out=tmp_path / "run")
    assert epochs(tmp_path / "run") == (0, 1, 2, 3)
    assert weights(network(run, tmp_path / "run", 3)) == weights(run.network)


# --- going on


@pytest.mark.parametrize("events", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("kind", ENGINES)
def test_resuming_gives_the_same_bits(clouds: Dataset, tmp_path: Path, events: int, kind: str) -> None:
    given = options(engine=kind, averaging=0.2, batch_size=3, early_stopping=3)
    whole = fit(Network("6-5-3", dropout=0.2), clouds, given)
    with pytest.raises(KeyboardInterrupt):
        fit(Network("6-5-3", dropout=0.2), clouds, given, out=tmp_path / "run", on_event=stopping_after(events))
    again = resume(tmp_path / "run", clouds)
    assert weights(again.network) == weights(whole.network)
    assert again.history["validation_loss"] == whole.history["validation_loss"]


@pytest.mark.parametrize("slip", ["missing", "another", "too many"])
def test_an_average_that_is_not_of_these_weights_is_a_damaged_checkpoint(
    clouds: Dataset, tmp_path: Path, slip: str
) -> None:
    given = options(averaging=None if slip == "too many" else 0.2)
    whole = fit(Network("6-5-3"), clouds, given)
    with pytest.raises(KeyboardInterrupt):
        fit(Network("6-5-3"), clouds, given, out=tmp_path / "run", on_event=stopping_after(2, "epoch"))
    progress, tensors, task = newest_checkpoint(tmp_path / "run")
    if slip == "missing":
        del tensors["average.layers.0.bias"]
    else:
        tensors["average.layers.0.bias"] = torch.zeros(3)
    # Whoever wrote this put the digests right.
    Checkpoints(tmp_path / "run", task).save(progress, tensors)
    with pytest.warns(UserWarning, match="the average is another network's"):
        again = resume(tmp_path / "run", clouds)
    assert weights(again.network) == weights(whole.network)


def test_many_seeds_average_as_one_does(clouds: Dataset) -> None:
    runs = fit(Network("6-5-3"), clouds, options(), seeds=[4, 5])
    for seed, run in zip((4, 5), runs, strict=True):
        alone = fit(Network("6-5-3", seed=seed), clouds, options(seed=seed))
        assert weights(run.network) == weights(alone.network)


# --- what is refused


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm, self.last = nn.BatchNorm1d(6), nn.Linear(6, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.last(self.norm(x))
        return logits


def test_a_module_that_counts_as_it_trains_is_refused_by_name(clouds: Dataset) -> None:
    with pytest.raises(UsageError) as caught:
        fit(_Counting(), clouds, options())
    assert str(caught.value) == (
        "The weights of a _Counting cannot be averaged: it counts as it trains [training-averaging]\n"
        "  expected: a module without running statistics, as BatchNorm keeps them\n"
        "  got: a buffer that a step changes: norm.running_mean\n"
        "  try: leave averaging out, or give its layers track_running_stats=False"
    )
    module = _Counting()
    module.norm = nn.BatchNorm1d(6, track_running_stats=False)
    assert len(fit(module, clouds, options()).history) == 3


@pytest.mark.parametrize("share", [0, 0.51, -1, float("nan"), "0.1", True])
def test_each_wrong_share_has_its_message(share: Any) -> None:
    with pytest.raises(UsageError) as caught:
        TrainingOptions(averaging=share)
    assert str(caught.value) == (
        "averaging must be a number of a certain range [number-range]\n"
        "  expected: a finite number x, 0 < x <= 0.5\n"
        f"  got: {share!r}\n"
        "  try: averaging=0.05, or leave it out"
    )


def test_a_loss_that_is_no_number_still_names_its_step(clouds: Dataset, tmp_path: Path) -> None:
    with pytest.raises(TrainingError) as caught:
        fit(Network("6-5-3"), clouds, options(lr=1e30, optimizer="sgd"), out=tmp_path / "run")
    assert caught.value.code == "training-diverged"
    progress, tensors, _ = newest_checkpoint(tmp_path / "run")
    assert (progress.epoch, [name for name in tensors if name.startswith("average.")]) == (0, [])
