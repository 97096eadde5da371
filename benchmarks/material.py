"""The rows and start weights that all contenders of a task share."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from benchmarks.workers import Task
from sumtoone import Dataset, Network, Preprocessing, Split, load

# One recipe for every contender, without decay, as not all of them mean the same by it.
MOMENTUM = 0.9
SYNTHETIC = "synthetic"


def learning_rate(task: Task) -> float:
    """Return a rate so low that accuracies hardly depend on the order of the batches, and can be compared."""
    return min(0.005 * task.batch_size / 64, 0.05)


def dataset(task: Task) -> Dataset:
    """Return the task's rows: validation is no part of a comparison and joins the training rows."""
    whole = _synthetic(task) if task.data == SYNTHETIC else load(task.data)
    inputs = torch.cat([whole.train.inputs, whole.validation.inputs])[: task.rows]
    labels = torch.cat([whole.train.labels, whole.validation.labels])[: task.rows]
    return replace(whole, train=Split(inputs, labels), validation=Split(inputs[:0], labels[:0]))


def rows_of(data: str) -> int:
    """Return the number of rows a named data set trains with here."""
    return {"mnist": 60_000, "digits": 4_000}[data]


def preprocessing(given: Dataset) -> Preprocessing:
    """Return the lesson's step for pixels, none for floats."""
    pixels = given.train.inputs.dtype == torch.uint8
    return Preprocessing.lesson(given.features) if pixels else Preprocessing(given.features)


def floats(given: Dataset) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return training inputs (N, D) float32 and labels (N,), then those of the test rows."""
    step = preprocessing(given)
    return step(given.train.inputs), given.train.labels, step(given.test.inputs), given.test.labels


def start_weights(task: Task, seed: int = 0) -> list[tuple[Tensor, Tensor]]:
    """Return weight (out, in) and bias (out,) of each layer, the same for every contender."""
    network = Network(task.network, task.activation, seed=seed)
    parameters = [parameter.detach().clone() for parameter in network.parameters()]
    return list(zip(parameters[::2], parameters[1::2], strict=True))


def accuracy(guessed: Tensor, labels: Tensor) -> float:
    """Return the share of rows whose largest output (N, K) is at the label."""
    return float((guessed.argmax(dim=1) == labels).double().mean())


def _synthetic(task: Task) -> Dataset:
    """Return rows of random numbers whose labels a random linear rule gives."""
    assert task.rows is not None
    widths = [int(width) for width in task.network.split("-")]
    generator = torch.Generator().manual_seed(0)
    rule = torch.randn(widths[0], widths[-1], generator=generator)
    rows = torch.randn(task.rows + 10_000, widths[0], generator=generator)
    labels = (rows @ rule).argmax(dim=1)
    train, test = Split(rows[: task.rows], labels[: task.rows]), Split(rows[task.rows :], labels[task.rows :])
    empty = Split(rows[:0], labels[:0])
    return Dataset(SYNTHETIC, train, empty, test, tuple(str(label) for label in range(widths[-1])))
