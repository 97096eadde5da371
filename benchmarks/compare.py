"""Three activations from ten seeds, five epochs each, on all of MNIST: a comparison, and PyTorch's loop thirty times.

Inside the timer: all trainings, from start weights on; ours also judges after every epoch, and writes each run into its
folder. Outside: reading the data, turning pixels into floats for PyTorch. Both are judged on the test images: here they
choose nothing.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import torch
from torch.nn import functional as F

from benchmarks.loops import torch_network
from benchmarks.material import MOMENTUM, accuracy, dataset, floats, learning_rate, rows_of
from benchmarks.protocol import comparison, counts_of_threads, disagreeing, entries, machine
from benchmarks.workers import Session, Task, in_turns
from sumtoone import compare

OURS, EAGER = "sumtoone compare", "PyTorch, eager, one after another"
ACTIVATIONS = ("sigmoid", "tanh", "relu")
SEEDS, EPOCHS = 10, 5
# A round is minutes long; the median of more changes little.
MOST_ROUNDS = 2
# Thirty trainings on a busy machine.
_PATIENCE = 3_600.0
# Test accuracy, as a share: the mean of all trainings.
TOLERANCE = 0.01


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: seconds for all trainings, and how many times ours the loop takes."""
    data, rounds = "digits" if quick else "mnist", min(rounds, MOST_ROUNDS)
    # Of a quick run, a training of each.
    tasks = [
        Task(data=data, rows=rows_of(data), threads=threads, epochs=1 if quick else EPOCHS)
        for threads in counts_of_threads(quick)
    ]
    ours: dict[str, Callable[[Task], Session]] = {OURS: beside}
    taking_part = [*entries(ours, tasks[-1:]), *entries({EAGER: in_turn}, tasks)]
    results = in_turns([replace(entry, patience=_PATIENCE) for entry in taking_part], rounds)
    found = comparison(results, OURS, [OURS, EAGER])
    return {
        "what": f"3 activations × {_seeds(tasks[0])} seeds × {tasks[0].epochs} epochs of {tasks[0].network} on "
        f"{rows_of(data):,} rows of {data}, batch {tasks[0].batch_size}",
        "machine": machine(),
        "rounds": rounds,
        "missing": results.missing,
        **found,
        "disagreeing": disagreeing(found, 10 * TOLERANCE if quick else TOLERANCE),
    }


def _seeds(task: Task) -> int:
    return SEEDS if task.data == "mnist" else 1


def beside(task: Task) -> Session:
    """``compare``: as many trainings side by side as there are threads."""
    given = dataset(task)
    given = replace(given, validation=given.test)
    assert given.fingerprint
    judged: list[float] = []

    def run(turn: int) -> None:
        # The first round warms up.
        seeds = range(_seeds(task) if turn else 1)
        with tempfile.TemporaryDirectory() as folder:
            found = compare(
                given,
                activations=ACTIVATIONS,
                networks=task.network,
                optimizers="sgd",
                lrs=learning_rate(task),
                batch_sizes=task.batch_size,
                seeds=list(seeds),
                out=folder,
                workers=task.threads,
                epochs=task.epochs,
                momentum=MOMENTUM,
                weight_decay=0.0,
                schedule="constant",
                device="cpu",
            )
        judged[:] = [row["validation_accuracy"][-1] for row in found.rows]

    return Session(run, lambda: statistics.fmean(judged))


def in_turn(task: Task) -> Session:
    """The loop one writes who knows PyTorch: tensors in memory, a permutation, fused SGD; one after another."""
    """The loop one writes who knows PyTorch: tensors in memory, fused SGD; one training after another."""
    torch.set_num_threads(task.threads)
    x_ND, y_N, x_test, y_test = floats(dataset(task))
    judged: list[float] = []

    def run(turn: int) -> None:
        judged.clear()
        for activation, seed in product(ACTIVATIONS, range(_seeds(task) if turn else 1)):
            torch.manual_seed(seed)
            network = torch_network(replace(task, activation=activation))
            optimizer = torch.optim.SGD(network.parameters(), learning_rate(task), MOMENTUM, fused=True)
            orders = (torch.randperm(len(y_N)) for _ in range(task.epochs))
            for rows_B in (rows_B for order in orders for rows_B in order.split(task.batch_size)):
                optimizer.zero_grad()
                F.cross_entropy(network(x_ND.index_select(0, rows_B)), y_N.index_select(0, rows_B)).backward()
                optimizer.step()
            with torch.no_grad():
                judged.append(accuracy(network(x_test), y_test))

    return Session(run, lambda: statistics.fmean(judged))
