"""Muon: the loop a person would write with PyTorch's own Muon and AdamW, what each of them trains, and going on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from engines import make_dataset, make_plan, stopping_after, weights
from sumtoone import Dataset, Network, TrainingOptions, fit, resume
from sumtoone.errors import SeveralErrors, UsageError
from sumtoone.training.fused import takes
from sumtoone.training.plain import PlainEngine
from sumtoone.training.randomness import batch_order
from sumtoone.training.schedules import learning_rate


@pytest.fixture(scope="module")
def clouds() -> Dataset:
    return make_dataset(120, 6, 3)


def test_it_is_the_loop_a_person_would_write(clouds: Dataset) -> None:
    options = TrainingOptions(epochs=3, batch_size=16, optimizer="muon", lr=0.02, weight_decay=0.1, seed=5)
    run = fit(Network("6-8-5-3", seed=5), clouds, options)
    network = Network("6-8-5-3", seed=5)
    first, second, last = network.layers
    x, y = run.preprocessing(clouds.train.inputs), clouds.train.labels
    muon = torch.optim.Muon([first.weight, second.weight], lr=0.02, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    adamw = torch.optim.AdamW([first.bias, second.bias, last.weight, last.bias], weight_decay=0.1, fused=True)
    step = 0
    for epoch in range(3):
        for rows in batch_order(5, epoch, 120).split(16):
            loss = F.cross_entropy(network(x[rows]), y[rows])
            for optimizer in (muon, adamw):
                optimizer.zero_grad()
            loss.backward()
            for optimizer in (muon, adamw):
                optimizer.param_groups[0]["lr"] = learning_rate(options, step, 3 * 8)
                optimizer.step()
            step += 1
    # The iteration is in bfloat16: what is rounded otherwise there shows in the third digit.
    for ours, theirs in zip(run.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-2, atol=1e-3)


def test_each_parameter_has_its_optimizer(clouds: Dataset) -> None:
    plan = make_plan(clouds, "6-8-5-3", optimizer="muon")
    engine = PlainEngine(plan)
    engine.train(0, 0, 1)
    found = {name.removeprefix("optimizer.") for name in engine.state() if name.startswith("optimizer.")}
    adams = [f"layers.{place}.{name}" for place, name in ((0, "bias"), (1, "bias"), (2, "weight"), (2, "bias"))]
    assert found == {
        *(f"layers.{place}.weight.momentum_buffer" for place in (0, 1)),
        *(f"{name}.{entry}" for name in adams for entry in ("exp_avg", "exp_avg_sq", "step")),
    }
    assert {name: set(entries) for name, entries in plan.optimizer_entries().items()} == {
        name: {entry.rpartition(".")[2] for entry in found if entry.startswith(name + ".")} for name in plan.trained()
    }


@pytest.mark.parametrize("events", [1, 3, 5])
def test_resuming_gives_the_same_bits(clouds: Dataset, tmp_path: Path, events: int) -> None:
    options = TrainingOptions(epochs=3, batch_size=2, optimizer="muon", averaging=0.2, threads=1)
    whole = fit(Network("6-5-3", dropout=0.2), clouds, options)
    with pytest.raises(KeyboardInterrupt):
        fit(Network("6-5-3", dropout=0.2), clouds, options, out=tmp_path / "run", on_event=stopping_after(events))
    assert weights(resume(tmp_path / "run", clouds).network) == weights(whole.network)


def test_frozen_matrices_are_left_and_convolutions_are_adamws(clouds: Dataset) -> None:
    module = nn.Sequential(
        nn.Unflatten(1, (1, 2, 3)), nn.Conv2d(1, 2, 2), nn.Flatten(), nn.Linear(4, 5), nn.Linear(5, 5), nn.Linear(5, 3)
    )
    module[3].weight.requires_grad_(False)
    before = module[3].weight.clone()
    run = fit(module, clouds, epochs=1, optimizer="muon")
    assert torch.equal(module[3].weight, before)
    assert len(run.history) == 1


class _HeadFirst(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head, self.body = nn.Linear(5, 3, bias=False), nn.Linear(6, 5, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.body(x).relu())
        return logits


@pytest.mark.parametrize("frozen", [False, True])
def test_the_matrix_of_the_logits_is_adamws_wherever_it_stands_and_muons_never(clouds: Dataset, frozen: bool) -> None:
    module = _HeadFirst()
    module.head.requires_grad_(not frozen)
    before = module.head.weight.clone()
    engine = PlainEngine(replace(make_plan(clouds, "6-3", optimizer="muon"), network=module))
    engine.train(0, 0, 1)
    found = {name for name in engine.state() if name.startswith("optimizer.")}
    adams = set() if frozen else {f"optimizer.head.weight.{entry}" for entry in ("exp_avg", "exp_avg_sq", "step")}
    assert found == {"optimizer.body.weight.momentum_buffer", *adams}
    assert len(fit(module, clouds, epochs=1, optimizer="muon").history) == 1
    assert torch.equal(module.head.weight, before) == frozen


def test_the_plain_engine_takes_it_and_the_fused_one_is_refused_by_name(clouds: Dataset) -> None:
    assert not takes(make_plan(clouds, "6-5-3", optimizer="muon"))
    with pytest.raises(UsageError) as caught:
        TrainingOptions(optimizer="muon", engine="fused")
    assert str(caught.value) == (
        "The fused engine has no Muon [training-muon]\n"
        "  expected: engine auto or plain beside optimizer muon\n"
        "  got: optimizer='muon', engine='fused'\n"
        "  try: --engine auto, or another optimizer"
    )
    with pytest.raises(SeveralErrors) as several:
        TrainingOptions.of(optimizer="muon", engine="fused", momentum=0.5, epochs=0)
    assert {problem.code for problem in several.value.problems} == {"training-muon", "training-count"}


def test_without_a_matrix_for_it_it_would_do_nothing_and_is_refused(clouds: Dataset) -> None:
    with pytest.raises(UsageError) as caught:
        fit(Network("6-3"), clouds, epochs=1, optimizer="muon")
    assert str(caught.value) == (
        "There is no matrix here for Muon: the last layer's, biases and all else take AdamW's steps "
        "[training-muon-matrices]\n"
        "  expected: a network with a hidden layer, whose matrix is trained\n"
        "  got: a Network without one\n"
        "  try: --optimizer adamw, or a hidden layer"
    )
