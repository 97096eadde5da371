"""Where training stands: everything that a checkpoint must hold to go on as if nothing had happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sumtoone.data import Dataset, Preprocessing
from sumtoone.options import TrainingOptions


@dataclass(frozen=True, eq=False)
class Plan:
    """What does not change while training: the task."""

    network: nn.Module
    dataset: Dataset
    preprocessing: Preprocessing
    options: TrainingOptions
    device: torch.device

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch, the short last one included."""
        return -(-len(self.dataset.train) // self.options.batch_size)

    @property
    def steps(self) -> int:
        """The number of steps in all epochs."""
        return self.steps_per_epoch * self.options.epochs


@dataclass(eq=False)
class Progress:
    """What changes while training, besides the network and the optimizer.

    ``epoch`` counts finished epochs, ``step`` the finished steps of the one under way; ``loss_sum`` and
    ``correct`` run over the rows seen in it.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: int = 0
    seconds: float = 0.0
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)


def keep_best(progress: Progress, network: nn.Module, validation_loss: float) -> None:
    """Remember the network's weights if this epoch has the lowest validation loss so far."""
    if validation_loss < progress.best_loss:
        progress.best_loss, progress.best_epoch = validation_loss, progress.epoch
        progress.best = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}
