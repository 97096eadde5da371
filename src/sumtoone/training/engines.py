"""What a training asks of an engine: it computes steps and says what came of them; ``session`` alone keeps the book.

Shape suffixes: N rows, B rows of a batch, D inputs, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.training.state import Plan

# Steps between two looks at the losses: reading one waits for the device, reading many at once costs the same.
STEPS_BETWEEN_LOOKS = 50
_ROWS_AT_ONCE = 4096
_LOGITS_AT_ONCE = 2**22


class Steps(NamedTuple):
    """What came of some steps: the loss of each, summed over its rows; the rows answered rightly, and all of them.

    Each row counts with its weight: one, where the plan has no weights.
    """

    losses: Sequence[float]
    hits: float
    weight: float


class Engine(Protocol):
    """Trains the network of a plan, some steps at a time."""

    at_once: int
    """How many steps to ask for at most, so that Ctrl-C is heard soon."""

    def train(self, epoch: int, first: int, count: int) -> Steps:
        """Compute ``count`` steps of an epoch from ``first`` on; epochs and steps count from 0."""

    def validate(self) -> tuple[float, float]:
        """Return the mean loss in nats and the accuracy on the validation rows; NaN where there are none."""

    def finish(self) -> None:
        """Leave the network as the last step left it."""

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on, under the names that every engine gives them."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` of any engine returned, also to go on with another plan."""


def judged(plan: Plan, logits_of: Callable[[Tensor], Tensor]) -> tuple[float, float]:
    """Return the mean loss and the accuracy of logits (B, K) for raw rows (B, D) of the validation split."""
    inputs_ND, labels_N = plan.dataset.validation
    if not len(labels_N):
        return math.nan, math.nan
    loss_sum, correct = 0.0, 0
    # Of many classes fewer rows: never more logits than of 4,096 rows of 1,024 classes.
    rows = max(1, min(_ROWS_AT_ONCE, _LOGITS_AT_ONCE // len(plan.dataset.classes)))
    with torch.inference_mode():
        for inputs_BD, labels_B in zip(inputs_ND.split(rows), labels_N.split(rows), strict=True):
            labels = labels_B.to(plan.device)
            logits_BK = wide(logits_of(inputs_BD.to(plan.device)))
            loss_sum += float(F.cross_entropy(logits_BK, labels, reduction="sum"))
            correct += int((logits_BK.argmax(dim=1) == labels).sum())
    return loss_sum / len(labels_N), correct / len(labels_N)


def wide(logits: Tensor) -> Tensor:
    """Return logits in a type wide enough for a loss: float32, or the float64 that they have."""
    return logits if logits.dtype == torch.float64 else logits.float()


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def of_network(network: nn.Module) -> dict[str, Tensor]:
    """Return a network's tensors under the names that a state has for them."""
    return {f"network.{name}": tensor for name, tensor in network.state_dict().items()}
