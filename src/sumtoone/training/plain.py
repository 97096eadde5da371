"""The plain engine: the loop a person would write over in-memory tensors, for any module, on CPU or CUDA.

Shape suffixes: N rows, B rows of a batch, D inputs, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.network import input_kind
from sumtoone.options import TrainingOptions
from sumtoone.training.engines import STEPS_BETWEEN_LOOKS, Steps, judged, of_network, under, wide
from sumtoone.training.randomness import derived_seed
from sumtoone.training.rows import Rows, Source
from sumtoone.training.schedules import learning_rate
from sumtoone.training.state import Plan


class _Step(NamedTuple):
    loss: Tensor
    logits: Tensor
    labels: Tensor
    weights: Tensor | None


class PlainEngine:
    """Trains by PyTorch's own autograd and optimizers; the reference every other engine is held against."""

    at_once = STEPS_BETWEEN_LOOKS

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.network = plan.network.to(plan.device)
        self.trained = plan.trained()
        self._optimizers = _optimizers(plan)
        _, self._dtype = input_kind(self.network)
        self._source = Source(plan)
        self._drawn = self._draws()

    def train(self, epoch: int, first: int, count: int) -> Steps:
        """Compute steps, and read what came of them in one transfer from the device."""
        options, plan = self.plan.options, self.plan
        self.network.train()
        if first == 0:
            torch.manual_seed(derived_seed(options.seed, "dropout", epoch))
        else:
            # Whoever was told of the steps before may have drawn numbers of their own.
            self._draw_from(self._drawn)
        steps: list[_Step] = []
        for rows in self._source.of(epoch, first, count):
            for rows_B in rows.order.split(options.batch_size):
                place = epoch * plan.steps_per_epoch + first + len(steps)
                steps.append(self._step(rows, rows_B, learning_rate(options, place, plan.steps)))
        self._drawn = self._draws()
        right = torch.cat([step.logits for step in steps]).argmax(dim=1) == torch.cat([step.labels for step in steps])
        means = torch.stack([step.loss for step in steps]).tolist()
        weights = [step.weights for step in steps if step.weights is not None]
        if not weights:
            sums = [mean * len(step.labels) for mean, step in zip(means, steps, strict=True)]
            return Steps(sums, int(right.sum()), len(right))
        totals = [float(weights_B.double().sum()) for weights_B in weights]
        sums = [mean * total for mean, total in zip(means, totals, strict=True)]
        return Steps(sums, float((torch.cat(weights).double() * right).sum()), sum(totals))

    def _step(self, rows: Rows, rows_B: Tensor, lr: float) -> _Step:
        labels_B = rows.labels[rows_B]
        weights_B = None if rows.weights is None else rows.weights[rows_B]
        x_BD = torch.addcmul(self._source.shift, rows.inputs[rows_B].to(torch.float32), self._source.scale)
        with self._precision():
            logits_BK = self.network(x_BD.to(self._dtype))
        loss = _loss(wide(logits_BK), labels_B, weights_B, self.plan.options.label_smoothing)
        for optimizer, _ in self._optimizers:
            optimizer.zero_grad(set_to_none=True)
        loss.backward()
        for optimizer, _ in self._optimizers:
            optimizer.param_groups[0]["lr"] = lr
            optimizer.step()
        return _Step(loss.detach(), logits_BK.detach(), labels_B, weights_B)

    def _precision(self) -> AbstractContextManager[object]:
        if self.plan.options.precision == "float32":
            return nullcontext()  # a hundredth of a small step is what entering autocast to do nothing costs
        return torch.autocast(self.plan.device.type, torch.bfloat16)

    def validate(self) -> tuple[float, float]:
        """Return the mean loss in nats and the accuracy on the validation rows; NaN where there are none."""
        self.network.eval()
        return judged(self.plan, lambda rows: self.network(self.plan.preprocessing.applied(rows).to(self._dtype)))

    def finish(self) -> None:
        """Leave the network as the last step left it: here it always is."""

    def state(self) -> dict[str, Tensor]:
        """Return the network's tensors, the optimizer's, named by the parameter they belong to, and the generators'."""
        tensors = of_network(self.network)
        for optimizer, names in self._optimizers:
            for name in names:
                entries = optimizer.state.get(self.trained[name], {})
                tensors |= {f"optimizer.{name}.{key}": value for key, value in entries.items() if value is not None}
        return {**tensors, **self._drawn}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` returned."""
        self.network.load_state_dict(under("network.", tensors))
        kept: dict[str, dict[str, Tensor]] = {}
        for name, tensor in under("optimizer.", tensors).items():
            parameter, _, key = name.rpartition(".")
            kept.setdefault(parameter, {})[key] = tensor
        for optimizer, names in self._optimizers:
            state = {place: kept[name] for place, name in enumerate(names) if name in kept}
            optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
        self._drawn |= {name: tensors[name] for name in self._drawn if name in tensors}

    def _draws(self) -> dict[str, Tensor]:
        """Return where the generators stand that dropout draws from."""
        drawn = {"random.cpu": torch.get_rng_state()}
        if self.plan.device.type == "cuda":
            drawn["random.cuda"] = torch.cuda.get_rng_state(self.plan.device)
        return drawn

    def _draw_from(self, drawn: Mapping[str, Tensor]) -> None:
        torch.set_rng_state(drawn["random.cpu"])
        if "random.cuda" in drawn:
            torch.cuda.set_rng_state(drawn["random.cuda"], self.plan.device)


def _loss(logits_BK: Tensor, labels_B: Tensor, weights_B: Tensor | None, smoothing: float) -> Tensor:
    """Return the mean loss of a batch, weighted where the rows have weights."""
    if weights_B is None:
        return F.cross_entropy(logits_BK, labels_B, label_smoothing=smoothing)
    losses_B = F.cross_entropy(logits_BK, labels_B, label_smoothing=smoothing, reduction="none")
    total = weights_B.sum()
    return (losses_B * weights_B).sum() / torch.where(total > 0, total, 1.0)


def _optimizers(plan: Plan) -> list[tuple[torch.optim.Optimizer, list[str]]]:
    """Return the optimizers that step one after another, each with the names of its parameters."""
    found: list[tuple[torch.optim.Optimizer, list[str]]] = []
    trained, matrices = plan.trained(), plan.orthogonalised()
    rest = [name for name in trained if name not in matrices]
    if rest:
        found.append((_optimizer([trained[name] for name in rest], plan.options), rest))
    if matrices:
        # Its steps are scaled to the size of AdamW's, so that one learning rate serves both (Liu et al. 2025).
        lr, decay = plan.options.learning_rate, plan.options.decay
        weights = [trained[name] for name in matrices]
        found.append((torch.optim.Muon(weights, lr, decay, adjust_lr_fn="match_rms_adamw"), matrices))
    return found


def _optimizer(parameters: list[nn.Parameter], options: TrainingOptions) -> torch.optim.Optimizer:
    lr, decay = options.learning_rate, options.decay
    if options.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr, options.momentum, weight_decay=decay, nesterov=options.nesterov, fused=True
        )
    kind = torch.optim.Adam if options.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, lr, weight_decay=decay, fused=True)
