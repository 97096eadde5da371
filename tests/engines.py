"""What the tests of the engines share: data sets, plans and a way through some epochs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from sumtoone import Dataset, Network, Preprocessing, Split, TrainingOptions
from sumtoone.training import session
from sumtoone.training.engines import Engine
from sumtoone.training.state import Plan, Progress

ACTIVATIONS = ["sigmoid", "tanh", "relu", "leaky-relu", "gelu", "identity"]
OPTIMIZERS: list[dict[str, Any]] = [
    {"optimizer": "sgd", "momentum": 0.0, "schedule": "constant"},
    {"optimizer": "sgd", "weight_decay": 0.01, "schedule": "cosine", "lr": 0.01},
    {"optimizer": "sgd", "nesterov": True, "label_smoothing": 0.1},
    {"optimizer": "adam", "weight_decay": 0.01},
    {"optimizer": "adamw", "label_smoothing": 0.1},
]

REFUSED = (
    "This engine is not there [engine-unavailable]\n"
    "  expected: engine auto or plain; fused needs the compiled kernels, the CPU, float32 or a processor that "
    "multiplies bfloat16 (avx512_bf16), and a Network as it was built\n"
    "  got: fused\n"
    "  try: --engine auto"
)


def make_dataset(rows: int, features: int, classes: int, *, pixels: bool = False) -> Dataset:
    """Clouds of float rows, or of pixels."""
    generator = torch.Generator().manual_seed(rows + features)
    labels = torch.arange(rows) % classes
    centres = torch.randn(classes, features, generator=generator)
    inputs = centres[labels] + 0.7 * torch.randn(rows, features, generator=generator)
    if pixels:
        inputs = (inputs * 40 + 128).clamp(0, 255).to(torch.uint8)
    split, other = Split(inputs, labels), Split(inputs[:20], labels[:20])
    return Dataset("clouds", split, other, other, classes=tuple(f"c{k}" for k in range(classes)), source="clouds")


def make_plan(dataset: Dataset, sizes: str, activation: str = "relu", dropout: float = 0.0, **options: Any) -> Plan:
    network = Network(Network(sizes, dropout=dropout).specification)
    if activation != "relu":
        specification = replace(network.specification, activation=activation)
        network = Network(specification)
    preprocessing = Preprocessing.fitted(dataset.train.inputs)
    return Plan(network, dataset, preprocessing, TrainingOptions(**options), torch.device("cpu"))


def epoch_of(engine: Engine, progress: Progress) -> Iterator[None]:
    """Go through the rest of the epoch under way as a training does; yield whenever something is written down."""
    plan = engine.plan  # type: ignore[attr-defined]
    while progress.step < plan.steps_per_epoch:
        count = min(engine.at_once, plan.steps_per_epoch - progress.step)
        session._note(progress, engine.train(progress.epoch, progress.step, count), plan.options)
        yield


def train(engine: Engine, epochs: int = 1) -> list[float]:
    """Train; return where the loss sum stood whenever the engine looked, and the correct rows of each epoch."""
    sums: list[float] = []
    for epoch in range(epochs):
        progress = Progress(epoch=epoch)
        sums.extend(progress.loss_sum for _ in epoch_of(engine, progress))
        sums.append(progress.correct)
        engine.validate()
    return sums


def stopping_after(events: int, kind: str | None = None) -> Callable[[Any], None]:
    """Return a listener that interrupts after so many events, of one kind where it is named."""
    heard: list[Any] = []

    def stop(event: Any) -> None:
        if kind in (None, event["event"]):
            heard.append(event)
        if len(heard) == events:
            raise KeyboardInterrupt

    return stop


def weights(network: nn.Module) -> bytes:
    return b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())
