"""Loops that train: ours, and PyTorch's in four ways.

Inside the timer: one epoch over all rows in a new random order. Outside: reading the data, turning pixels into floats
where a loop wants floats, building the network. Ours keep the pixels as bytes and convert them inside, and also keep
their history, loss and accuracy of every epoch.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from benchmarks.material import MOMENTUM, accuracy, dataset, floats, learning_rate, preprocessing, start_weights
from benchmarks.workers import Session, Task
from sumtoone import Dataset, Network, Preprocessing, TrainingOptions, fit


def fused(task: Task) -> Session:
    """``fit`` with the fused engine."""
    return _ours(task, "fused")


def plain(task: Task) -> Session:
    """``fit`` with the plain engine."""
    return _ours(task, "plain")


def _ours(task: Task, engine: str) -> Session:
    torch.set_num_threads(task.threads)
    given = dataset(task)
    step = preprocessing(given)
    network, x_test = Network(task.network, task.activation), step(given.test.inputs)
    options = TrainingOptions(
        task.epochs,
        task.batch_size,
        "sgd",
        learning_rate(task),
        MOMENTUM,
        weight_decay=0.0,
        schedule="constant",
        engine=engine,
        precision=task.precision,
        threads=task.threads,
        device="cpu",
    )
    check(given, options, step)

    def run(turn: int) -> None:
        fit(network, given, replace(options, seed=turn), preprocessing=step)

    return Session(run, lambda: accuracy(network(x_test), given.test.labels))


def check(given: Dataset, options: TrainingOptions, step: Preprocessing) -> None:
    """Raise ``UnavailableError`` if the engine cannot do it; take the fingerprint, as is done once for a data set."""
    assert given.fingerprint
    network = Network([given.features, len(given.classes)])
    fit(network, replace(given, train=given.test), replace(options, epochs=1), preprocessing=step)


def torch_network(task: Task) -> nn.Sequential:
    """Return the task's network in PyTorch's own words."""
    layers: list[nn.Module] = []
    with torch.no_grad():
        for weight, bias in start_weights(task):
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight.copy_(weight)
            linear.bias.copy_(bias)
            layers += [linear, {"relu": nn.ReLU, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}[task.activation]()]
    return nn.Sequential(*layers[:-1])


def _sgd(network: nn.Module, task: Task) -> torch.optim.Optimizer:
    """Return a new optimizer for an epoch: its momentum starts at 0, as it does in each ``fit``."""
    return torch.optim.SGD(network.parameters(), learning_rate(task), MOMENTUM, fused=True)


def by_hand(task: Task) -> Session:
    """The loop one writes who knows PyTorch: tensors in memory, a permutation, fused SGD; autocast for bfloat16."""
    torch.set_num_threads(task.threads)
    x_ND, y_N, x_test, y_test = floats(dataset(task))
    network = torch_network(task)
    dtype = torch.bfloat16 if task.precision == "bfloat16" else None

    def run(turn: int) -> None:
        optimizer = _sgd(network, task)
        orders = (torch.randperm(len(y_N)) for _ in range(task.epochs))
        for rows_B in (rows_B for order in orders for rows_B in order.split(task.batch_size)):
            optimizer.zero_grad()
            with torch.autocast("cpu", dtype) if dtype else nullcontext():
                loss = F.cross_entropy(network(x_ND.index_select(0, rows_B)), y_N.index_select(0, rows_B))
            loss.backward()
            optimizer.step()

    return Session(run, torch.no_grad()(lambda: accuracy(network(x_test), y_test)))


def compiled(task: Task) -> Session:
    """The whole step, from the choice of rows to the update, as one graph under torch.compile.

    Faster than compiling the network alone, or the network and its loss, and leaving the optimizer to itself.
    """
    torch.set_num_threads(task.threads)
    x_ND, y_N, x_test, y_test = floats(dataset(task))
    network = torch_network(task)
    weights = {name: parameter.detach().clone() for name, parameter in network.named_parameters()}
    velocity = {name: torch.zeros_like(weight) for name, weight in weights.items()}
    lr = learning_rate(task)

    def loss_of(weights: dict[str, Tensor], x_BD: Tensor, y_B: Tensor) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(network, weights, (x_BD,)), y_B)

    @torch.compile(dynamic=False)
    def step(
        weights: dict[str, Tensor], velocity: dict[str, Tensor], x_ND: Tensor, y_N: Tensor, rows_B: Tensor
    ) -> None:
        gradient = torch.func.grad(loss_of)(weights, x_ND[rows_B], y_N[rows_B])
        for name, weight in weights.items():
            velocity[name].mul_(MOMENTUM).add_(gradient[name])
            weight.sub_(velocity[name], alpha=lr)

    @torch.no_grad()
    def run(turn: int) -> None:
        for rows_B in torch.randperm(len(y_N)).split(task.batch_size):
            step(weights, velocity, x_ND, y_N, rows_B)

    return Session(run, lambda: accuracy(torch.func.functional_call(network, weights, (x_test,)), y_test))


class _Images(TorchDataset[tuple[Tensor, int]]):
    """One image at a time as the lesson's data set gives it: a picture object, then ToTensor, then Normalize."""

    def __init__(self, given: Dataset) -> None:
        self.images = given.train.inputs.reshape(-1, 28, 28).numpy()
        self.labels = given.train.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[place])
        pixels_HWC = torch.from_numpy(np.array(picture, np.uint8)).view(28, 28, 1)
        image_CHW = pixels_HWC.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = torch.tensor([0.5]).view(-1, 1, 1), torch.tensor([0.5]).view(-1, 1, 1)
        return image_CHW.clone().sub_(mean).div_(std), self.labels[place]


def lesson(task: Task) -> Session:
    """The lesson's loop: a ``DataLoader`` over single images, each through the transforms."""
    torch.set_num_threads(task.threads)
    given = dataset(task)
    _, _, x_test, y_test = floats(replace(given, train=given.test))
    network = torch_network(task)
    loader = DataLoader(_Images(given), batch_size=task.batch_size, shuffle=True)

    def run(turn: int) -> None:
        optimizer = _sgd(network, task)
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images.view(images.shape[0], -1)), labels)
            loss.backward()
            optimizer.step()

    return Session(run, torch.no_grad()(lambda: accuracy(network(x_test), y_test)))
