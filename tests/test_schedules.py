"""Schedules against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sumtoone import TrainingOptions
from sumtoone.training.schedules import learning_rate


def _pytorchs(schedule: str, peak: float, steps: int) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], peak)
    scheduler: torch.optim.lr_scheduler.LRScheduler = {
        "one-cycle": lambda: torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps),
        "cosine": lambda: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps),
        "constant": lambda: torch.optim.lr_scheduler.ConstantLR(optimizer, factor=1.0),
    }[schedule]()
    rates = []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step() if len(rates) < steps else None
    return rates


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["one-cycle", "cosine", "constant"]), st.floats(1e-5, 10), st.integers(4, 200))
def test_every_step_has_pytorchs_rate(schedule: str, peak: float, steps: int) -> None:
    options = TrainingOptions(schedule=schedule, lr=peak)
    ours = [learning_rate(options, step, steps) for step in range(steps)]
    assert ours == pytest.approx(_pytorchs(schedule, peak, steps), rel=1e-6, abs=peak * 1e-9)


@given(st.sampled_from(["one-cycle", "cosine", "constant"]), st.integers(1, 3))
def test_the_shortest_trainings_have_rates_too(schedule: str, steps: int) -> None:
    options = TrainingOptions(schedule=schedule, lr=1.0)
    assert all(0 < learning_rate(options, step, steps) <= 1 for step in range(steps))
