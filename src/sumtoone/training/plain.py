"""The plain engine: the loop a person would write over in-memory tensors, for any module, on CPU or CUDA.

Shape suffixes: N rows, B rows of a batch, D inputs, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.network import input_kind
from sumtoone.options import TrainingOptions
from sumtoone.training.engines import STEPS_BETWEEN_LOOKS, Steps, judged, of_network, under, wide
from sumtoone.training.randomness import Orders, derived_seed
from sumtoone.training.schedules import learning_rate
from sumtoone.training.state import Plan


class PlainEngine:
    """Trains by PyTorch's own autograd and optimizers; the reference every other engine is held against."""

    at_once = STEPS_BETWEEN_LOOKS

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.network = plan.network.to(plan.device)
        self.trained = plan.trained()
        self.optimizer = _make_optimizer(list(self.trained.values()), plan.options)
        _, self._dtype = input_kind(self.network)
        rows, step = plan.preprocessing.prepared(plan.dataset.train.inputs)
        # The whole data set lives where the network does, pixels as uint8.
        self._inputs_ND = rows.to(plan.device)
        self._scale, self._shift = (tensor.to(plan.device) for tensor in step)
        self._labels_N = plan.dataset.train.labels.to(plan.device)
        self._weights_N = None if plan.weights is None else plan.weights.to(plan.device)
        self._orders = Orders(plan.options.seed, len(self._labels_N), plan.device)
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
        batches = self._orders.of(epoch).split(options.batch_size)[first : first + count]
        losses, logits = [], []
        for place, rows_B in enumerate(batches, start=epoch * plan.steps_per_epoch + first):
            loss, logits_BK = self._step(rows_B, learning_rate(options, place, plan.steps))
            losses.append(loss)
            logits.append(logits_BK)
        self._drawn = self._draws()
        rows = torch.cat(batches)
        right = torch.cat(logits).argmax(dim=1) == self._labels_N[rows]
        means = torch.stack(losses).tolist()
        if self._weights_N is None:
            sums = [mean * len(rows_B) for mean, rows_B in zip(means, batches, strict=True)]
            return Steps(sums, int(right.sum()), len(rows))
        weights = self._weights_N[rows].double()
        totals = [float(self._weights_N[rows_B].double().sum()) for rows_B in batches]
        sums = [mean * total for mean, total in zip(means, totals, strict=True)]
        return Steps(sums, float((weights * right).sum()), sum(totals))

    def _step(self, rows_B: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        x_BD = torch.addcmul(self._shift, self._inputs_ND[rows_B].to(torch.float32), self._scale)
        with self._precision():
            logits_BK = self.network(x_BD.to(self._dtype))
        loss = self._loss(wide(logits_BK), rows_B)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()
        return loss.detach(), logits_BK.detach()

    def _loss(self, logits_BK: Tensor, rows_B: Tensor) -> Tensor:
        """Return the mean loss of a batch, weighted where the rows have weights."""
        labels_B, smoothing = self._labels_N[rows_B], self.plan.options.label_smoothing
        if self._weights_N is None:
            return F.cross_entropy(logits_BK, labels_B, label_smoothing=smoothing)
        weights_B = self._weights_N[rows_B]
        losses_B = F.cross_entropy(logits_BK, labels_B, label_smoothing=smoothing, reduction="none")
        total = weights_B.sum()
        return (losses_B * weights_B).sum() / torch.where(total > 0, total, 1.0)

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
        for name, parameter in self.trained.items():
            entries = self.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{name}.{key}": value for key, value in entries.items() if value is not None}
        return {**tensors, **self._drawn}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` returned."""
        self.network.load_state_dict(under("network.", tensors))
        places = {name: place for place, name in enumerate(self.trained)}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in under("optimizer.", tensors).items():
            parameter, _, key = name.rpartition(".")
            state.setdefault(places[parameter], {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
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


def _make_optimizer(parameters: list[nn.Parameter], options: TrainingOptions) -> torch.optim.Optimizer:
    lr, decay = options.learning_rate, options.decay
    if options.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr, options.momentum, weight_decay=decay, nesterov=options.nesterov, fused=True
        )
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr, weight_decay=decay, fused=True)
