"""Our two engines against a hand-written loop and against the lesson's DataLoader loop.

Inside the timer: one epoch of 784-128-64-10 with ReLU, batches of 64, SGD with momentum 0.9. Outside:
reading the data, building the network and, for the hand-written loop, turning all pixels into floats.
Our engines keep them as bytes and also keep their history: loss and accuracy of every epoch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from benchmarks.protocol import Contender, interleaved, machine, ratios, summary
from sumtoone import Dataset, Network, Preprocessing, Split, TrainingOptions, fit

BATCH = 64


def measure(dataset: Dataset, rounds: int) -> dict[str, Any]:
    """Return the record: seconds per epoch and the two ratios the project promises."""
    # Validation is no part of the comparison: the other loops have none. A data set's fingerprint is taken once.
    none = Split(dataset.validation.inputs[:0], dataset.validation.labels[:0])
    dataset = replace(dataset, validation=none)
    assert dataset.fingerprint
    contenders = [
        Contender(f"{name}, {threads} threads", _with_threads(prepare, threads, dataset))
        for name, prepare in (("fused", _fused), ("plain", _plain), ("by hand", _by_hand), ("lesson", _lesson))
        for threads in (1, 2)
    ]
    seconds = interleaved(contenders, rounds)
    best = {
        name: min((f"{name}, {threads} threads" for threads in (1, 2)), key=lambda key: summary(seconds[key])["median"])
        for name in ("fused", "plain", "by hand", "lesson")
    }
    return {
        "what": f"one epoch of 784-128-64-10 on {len(dataset.train):,} rows of {dataset.name}, batch {BATCH}",
        "machine": machine(["torch", "numpy"]),
        "rounds": rounds,
        "seconds": {name: summary(values) for name, values in seconds.items()},
        "best": best,
        "plain / by hand": ratios(seconds, best["plain"], best["by hand"]),
        "lesson / plain": ratios(seconds, best["lesson"], best["plain"]),
        "by hand / fused": ratios(seconds, best["by hand"], best["fused"]),
        "lesson / fused": ratios(seconds, best["lesson"], best["fused"]),
    }


def _with_threads(
    prepare: Callable[[Dataset], Callable[[], object]], threads: int, dataset: Dataset
) -> Callable[[], Callable[[], object]]:
    def begin() -> Callable[[], object]:
        torch.set_num_threads(threads)
        return prepare(dataset)

    return begin


def _fused(dataset: Dataset) -> Callable[[], object]:
    return _ours(dataset, "fused")


def _plain(dataset: Dataset) -> Callable[[], object]:
    return _ours(dataset, "plain")


def _ours(dataset: Dataset, engine: str) -> Callable[[], object]:
    network, lesson = Network("784-128-64-10"), Preprocessing.lesson()
    options = TrainingOptions(
        1, BATCH, "sgd", schedule="constant", engine=engine, device="cpu", threads=torch.get_num_threads()
    )
    return lambda: fit(network, dataset, options, preprocessing=lesson)


def _network_and_optimizer() -> tuple[nn.Module, torch.optim.Optimizer]:
    network = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return network, torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4, fused=True)


def _by_hand(dataset: Dataset) -> Callable[[], object]:
    network, optimizer = _network_and_optimizer()
    x, y = Preprocessing.lesson()(dataset.train.inputs), dataset.train.labels

    def epoch() -> None:
        for rows in torch.randperm(len(y)).split(BATCH):
            loss = F.cross_entropy(network(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


class _Images(TorchDataset[tuple[Tensor, int]]):
    """One image at a time as the lesson's data set gives it: a picture object, then ToTensor, then Normalize."""

    def __init__(self, dataset: Dataset) -> None:
        self.images = dataset.train.inputs.reshape(-1, 28, 28).numpy()
        self.labels = dataset.train.labels.tolist()

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[place])
        pixels_HWC = torch.from_numpy(np.array(picture, np.uint8)).view(28, 28, 1)
        image_CHW = pixels_HWC.permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        mean, std = torch.tensor([0.5]).view(-1, 1, 1), torch.tensor([0.5]).view(-1, 1, 1)
        return image_CHW.clone().sub_(mean).div_(std), self.labels[place]


def _lesson(dataset: Dataset) -> Callable[[], object]:
    network, optimizer = _network_and_optimizer()
    loader = DataLoader(_Images(dataset), batch_size=BATCH, shuffle=True)

    def epoch() -> None:
        for images, labels in loader:
            optimizer.zero_grad()
            loss = F.cross_entropy(network(images.view(images.shape[0], -1)), labels)
            loss.backward()
            optimizer.step()

    return epoch
