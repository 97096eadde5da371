"""Seconds from the start of training to 98 % of the MNIST test images: 784-128-64-10, ten seeds.

Each contender has one recipe, fixed beforehand and with a fixed number of epochs, whose mean accuracy over the seeds
is at least 98 %. A round is a seed. Inside the timer: building the network and its optimizer, and all epochs.
Outside: reading the data, and turning pixels into floats for PyTorch; ours keep the bytes and convert them inside.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.loops import check
from benchmarks.material import accuracy, dataset
from benchmarks.protocol import comparison, counts_of_threads, entries, half, machine
from benchmarks.workers import Session, Task, in_turns
from sumtoone import Network, Preprocessing, TrainingOptions, fit

OURS = "sumtoone, fused"
SEEDS = 10
GOAL = 0.98

# The fewest epochs, and then steps, among some hundred recipes with which the mean of four seeds reached 98 %. The same
# for both: they differ in rounding, in the order of the batches and in the start weights.
RECIPE = TrainingOptions(
    epochs=3,
    batch_size=320,
    optimizer="adamw",
    lr=0.02,
    weight_decay=0.2,
    label_smoothing=0.02,
    schedule="one-cycle",
    engine="fused",
)


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: mean seconds and mean accuracy of each contender's recipe over the seeds."""
    seeds = rounds if quick else SEEDS
    data = "digits" if quick else "mnist"
    tasks = [Task(data=data, threads=threads) for threads in counts_of_threads(quick)]
    halves = [] if quick else [replace(task, precision="bfloat16") for task in tasks]
    in_bfloat16 = {half(name): prepare for name, prepare in CONTENDERS.items()}
    results = in_turns([*entries(CONTENDERS, tasks), *entries(in_bfloat16, halves)], seeds)
    found = comparison(results, OURS, [*CONTENDERS, *in_bfloat16])
    for name, contender in found.get("contenders", {}).items():
        key = (name, contender["threads"])
        contender["mean_seconds"] = sum(results.seconds[key]) / seeds
        contender["mean_accuracy"] = sum(results.judged[key]) / seeds
        contender["seeds_that_reach_it"] = sum(value >= GOAL for value in results.judged[key])
    return {
        "what": f"784-128-64-10 on the training images of {data}, judged on its test images",
        "machine": machine(),
        "rounds": seeds,
        "recipe": _words(RECIPE),
        "missing": results.missing,
        **found,
        "disagreeing": [
            name
            for name, contender in found.get("contenders", {}).items()
            if not (quick or contender["mean_accuracy"] >= GOAL)
        ],
    }


def _words(recipe: TrainingOptions) -> str:
    return (
        f"{recipe.epochs} epochs, batches of {recipe.batch_size}, {recipe.optimizer} with {recipe.schedule} up to "
        f"{recipe.learning_rate}, weight decay {recipe.decay}, label smoothing {recipe.label_smoothing}"
    )


def ours(task: Task) -> Session:
    """``fit`` with the fused engine."""
    given = dataset(task)
    step = Preprocessing.fitted(given.train.inputs)
    recipe = replace(RECIPE, precision=task.precision, threads=task.threads)
    check(given, recipe, step)
    x_test, network = step(given.test.inputs), Network(task.network)

    def run(turn: int) -> None:
        nonlocal network
        network = Network(task.network, seed=turn)
        fit(network, given, replace(recipe, seed=turn), preprocessing=step)

    return Session(run, lambda: accuracy(network(x_test), given.test.labels))


def eager(task: Task) -> Session:
    """The same recipe in PyTorch, tensors in memory, fused optimizer."""
    torch.set_num_threads(task.threads)
    given = dataset(task)
    step = Preprocessing.fitted(given.train.inputs)
    x_ND, y_N = step(given.train.inputs), given.train.labels
    x_test, network = step(given.test.inputs), nn.Sequential()

    def run(turn: int) -> None:
        nonlocal network
        torch.manual_seed(turn)
        network = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
        _train(network, x_ND, y_N, torch.bfloat16 if task.precision == "bfloat16" else None)

    return Session(run, torch.no_grad()(lambda: accuracy(network(x_test), given.test.labels)))


def _train(network: nn.Sequential, x_ND: Tensor, y_N: Tensor, dtype: torch.dtype | None) -> None:
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=RECIPE.decay, fused=True)
    steps = RECIPE.epochs * -(-len(y_N) // RECIPE.batch_size)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RECIPE.learning_rate, steps, cycle_momentum=False)
    for _ in range(RECIPE.epochs):
        for rows_B in torch.randperm(len(y_N)).split(RECIPE.batch_size):
            x_BD, y_B = x_ND.index_select(0, rows_B), y_N.index_select(0, rows_B)
            with torch.autocast("cpu", dtype) if dtype else nullcontext():
                loss = F.cross_entropy(network(x_BD), y_B, label_smoothing=RECIPE.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()


CONTENDERS: dict[str, Callable[[Task], Session]] = {OURS: ours, "PyTorch, eager": eager}
