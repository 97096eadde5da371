"""Where training stands: everything that a checkpoint must hold to go on as if nothing had happened."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from sumtoone.data import Dataset, Preprocessing
from sumtoone.errors import UnavailableError
from sumtoone.history import History
from sumtoone.options import TrainingOptions
from sumtoone.storage import is_number


@dataclass(frozen=True, eq=False)
class Plan:
    """What does not change while training: the task."""

    network: nn.Module
    dataset: Dataset
    preprocessing: Preprocessing
    options: TrainingOptions
    device: torch.device
    weights: Tensor | None = None
    """How much each training row counts, (N,) float32; None where all count alike."""

    @property
    def steps_per_epoch(self) -> int:
        """The number of batches in an epoch, the short last one included."""
        return -(-len(self.dataset.train) // self.options.batch_size)

    @property
    def steps(self) -> int:
        """The number of steps in all epochs."""
        return self.steps_per_epoch * self.options.epochs

    def trained(self) -> dict[str, nn.Parameter]:
        """Return the parameters that steps change, by name."""
        return {name: each for name, each in self.network.named_parameters() if each.requires_grad}

    def orthogonalised(self) -> list[str]:
        """Return the parameters whose steps Muon makes: all matrices but the one that makes the logits.

        That layer, biases and all that is no matrix are AdamW's, as Muon's author has it (Jordan et al. 2024). A module
        may name its layers in any order: the last matrix with a row for each class makes the logits.
        """
        if self.options.optimizer != "muon":
            return []
        matrices = {name: each for name, each in self.network.named_parameters() if each.ndim == 2}
        makes_logits = [name for name, each in matrices.items() if len(each) == len(self.dataset.classes)]
        left_out = (makes_logits or list(matrices))[-1:]
        return [name for name, each in matrices.items() if each.requires_grad and name not in left_out]

    def optimizer_entries(self) -> dict[str, tuple[str, ...]]:
        """Return the names of what the optimizer remembers of each parameter."""
        by_sgd = self.trained() if self.options.optimizer == "sgd" else self.orthogonalised()
        adams = ("exp_avg", "exp_avg_sq", "step")
        return {name: ("momentum_buffer",) if name in by_sgd else adams for name in self.trained()}


@dataclass(eq=False)
class Progress:
    """What changes while training, besides the network and the optimizer.

    ``epoch`` counts finished epochs, ``step`` the finished steps of the one under way; ``loss_sum``, ``correct`` and
    ``weight`` run over the rows seen in it, each with its weight.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    correct: float = 0.0
    weight: float = 0.0
    seconds: float = 0.0
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    best_epoch: int = 0
    best_loss: float = float("inf")
    best: dict[str, Tensor] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values, the tensors and the rows of the history left out."""
        plain = {name: getattr(self, name) for name in (*_COUNTS, *_SUMS)}
        best_loss = self.best_loss if math.isfinite(self.best_loss) else None
        return {**plain, "best_loss": best_loss}

    @classmethod
    def from_json(cls, document: Any, best: dict[str, Tensor]) -> Progress:
        """Return what :meth:`to_json` wrote, its rows beside it; ``ValueError`` where the document is none."""
        if not isinstance(document, dict):
            raise ValueError("no progress")
        counts: dict[str, Any] = {name: document.get(name) for name in _COUNTS}
        wrong = [name for name, value in counts.items() if type(value) is not int or not 0 <= value < 2**63]
        # Checkpoints of old have no weight: there every row counted as one.
        sums: dict[str, Any] = {"weight": 0.0, **{name: document[name] for name in _SUMS if name in document}}
        wrong += [name for name in _SUMS if not is_number(sums.get(name)) or sums[name] < 0]
        best_loss = document.get("best_loss")
        best_loss = math.inf if best_loss is None else best_loss
        if wrong or not (best_loss == math.inf or is_number(best_loss)):
            raise ValueError(f"no progress: {', '.join(wrong) or 'best_loss'}")
        rows = list(History.from_json(document.get("rows")).rows)
        return cls(**counts, **sums, best_loss=float(best_loss), rows=rows, best=best)


_COUNTS = ("epoch", "step", "best_epoch")
_SUMS = ("loss_sum", "correct", "weight", "seconds")


def keep_best(progress: Progress, network: nn.Module, validation_loss: float) -> None:
    """Remember the network's weights if this epoch has the lowest validation loss so far."""
    if validation_loss < progress.best_loss:
        progress.best_loss, progress.best_epoch = validation_loss, progress.epoch
        progress.best = {name: tensor.detach().cpu().clone() for name, tensor in network.state_dict().items()}


def device_of(options: TrainingOptions) -> torch.device:
    """Return the device that options name; :class:`UnavailableError` if torch cannot use it."""
    name = options.device
    if name == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("device-unavailable", given=name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)


def fingerprint_of(weights: Tensor | None) -> str | None:
    """Return the sha256 of the weights of rows, None where there are none."""
    return None if weights is None else hashlib.sha256(weights.contiguous().numpy().data).hexdigest()
