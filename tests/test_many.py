"""Many plans at once give what each gives alone, whatever their networks; an engine goes on where another stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engines import make_dataset, make_plan, weights
from sumtoone import Network, fit, open_run
from sumtoone.errors import TrainingError
from sumtoone.native import kernels
from sumtoone.training.engines import Engine
from sumtoone.training.fused import FusedEngine
from sumtoone.training.many import Job, train_many
from sumtoone.training.plain import PlainEngine

needs_kernels = pytest.mark.skipif(kernels() is None, reason="no compiled kernels here")
DATASET, OTHER = make_dataset(90, 12, 3), make_dataset(60, 8, 2)
PLANS = {
    "small": make_plan(DATASET, "12-4-3", "tanh", epochs=2, batch_size=9, threads=2),
    "deep": make_plan(DATASET, "12-16-8-3", "relu", 0.2, epochs=3, batch_size=32, seed=5),
    "plain": make_plan(DATASET, "12-6-3", "sigmoid", 0.3, epochs=2, batch_size=16, engine="plain"),
    "other": make_plan(OTHER, "8-5-2", "gelu", epochs=1, batch_size=7, optimizer="sgd", seed=2),
}
JOBS = [Job(name, plan, {"place": place}) for place, (name, plan) in enumerate(PLANS.items())]


def test_each_plan_gives_what_it_gives_alone(tmp_path: Path) -> None:
    events: list[Mapping[str, Any]] = []
    runs = train_many(JOBS, tmp_path / "runs", False, events.append)
    for job, run in zip(JOBS, runs, strict=True):
        plan = job.plan
        network = Network(plan.network.specification, seed=plan.options.seed)  # type: ignore[arg-type]
        alone = fit(network, plan.dataset, plan.options)
        assert weights(run.network) == weights(alone.network)
        assert run.history["train_loss"] == alone.history["train_loss"]
        assert (run.options, run.fingerprint) == (alone.options, alone.fingerprint)
        opened = open_run(tmp_path / "runs" / job.name)
        assert (opened.name, weights(opened.network)) == (job.name, weights(run.network))
    for place, (name, plan) in enumerate(PLANS.items()):
        own = [event for event in events if event["run"] == name]
        assert {event["place"] for event in own} == {place}
        assert [event["epoch"] for event in own if event["event"] == "epoch"] == list(range(1, plan.options.epochs + 1))
    assert {event["run"] for event in events} == set(PLANS)


def test_networks_of_plans_are_descriptions_and_stay_as_they_are() -> None:
    before = {name: weights(plan.network) for name, plan in PLANS.items()}
    train_many(JOBS[:2], None, False, None)
    assert before == {name: weights(plan.network) for name, plan in PLANS.items()}


def test_what_ends_one_ends_all(tmp_path: Path) -> None:
    wild = make_plan(DATASET, "12-4-3", epochs=3, lr=1e30, optimizer="sgd")
    with pytest.raises(TrainingError):
        train_many([*JOBS, Job("wild", wild, {})], tmp_path / "runs", False, None)


def test_row_weights_are_a_jobs_own() -> None:
    row_weights = torch.arange(90) % 3 + 1.0
    plain, weighted = PLANS["small"], replace(PLANS["small"], weights=row_weights)
    runs = train_many([Job("a", plain, {}), Job("b", weighted, {})], None, False, None)
    for run, given in zip(runs, (None, row_weights), strict=True):
        alone = fit(Network("12-4-3", "tanh"), DATASET, plain.options, weights=given)
        assert weights(run.network) == weights(alone.network)


# --- an engine that goes on


@pytest.mark.parametrize("first", ["plain", pytest.param("fused", marks=needs_kernels)])
@pytest.mark.parametrize("then", ["plain", pytest.param("fused", marks=needs_kernels)])
@pytest.mark.parametrize("options", [{"optimizer": "adamw"}, {"optimizer": "sgd"}, {"optimizer": "adam"}])
def test_another_plan_goes_on_from_the_state_of_one(first: str, then: str, options: dict[str, Any]) -> None:
    """Two epochs, then two of a plan of their own, are four, moments and step counts included."""

    def engine(kind: str, epochs: int) -> Engine:
        plan = make_plan(DATASET, "12-8-3", "tanh", epochs=epochs, batch_size=10, schedule="constant", **options)
        return FusedEngine(plan, 1) if kind == "fused" else PlainEngine(plan)

    whole, begun, later = engine("plain", 4), engine(first, 2), engine(then, 4)
    for epoch in range(4):
        whole.train(epoch, 0, 9)
    for epoch in range(2):
        begun.train(epoch, 0, 9)
    later.restore(begun.state())
    for epoch in range(2, 4):
        later.train(epoch, 0, 9)
    later.finish()
    for name, tensor in whole.state().items():
        if not name.startswith("random"):
            assert torch.allclose(later.state()[name], tensor, atol=2e-5), name
