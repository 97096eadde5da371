"""The plain engine: the loop a person would write over in-memory tensors, for any module, on CPU or CUDA.

Shape suffixes: N rows, B rows of a batch, D inputs, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.data import Split
from sumtoone.errors import TrainingError
from sumtoone.network import input_kind
from sumtoone.options import TrainingOptions
from sumtoone.training.randomness import batch_order, derived_seed
from sumtoone.training.schedules import learning_rate
from sumtoone.training.state import Plan, Progress

# Steps between two looks at the losses: reading one waits for the device, reading many at once costs the same.
STEPS_BETWEEN_LOOKS = 50
_ROWS_AT_ONCE = 4096
_LOGITS_AT_ONCE = 2**22


class PlainEngine:
    """Trains by PyTorch's own autograd and optimizers; the reference every other engine is held against."""

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
        self._validation = Split(plan.dataset.validation.inputs, plan.dataset.validation.labels)

    def train_epoch(self, progress: Progress) -> Iterator[None]:
        """Go through the rest of the epoch under way; yield between steps, now and then, with ``progress`` up to date.

        Raises
        ------
        TrainingError
            If a loss is not finite; it names the step.
        """
        options, plan = self.plan.options, self.plan
        self.network.train()
        if progress.step == 0:
            torch.manual_seed(derived_seed(options.seed, "dropout", progress.epoch))
        order_N = batch_order(options.seed, progress.epoch, len(self._labels_N)).to(plan.device)
        batches = order_N.split(options.batch_size)
        looked, losses, logits = progress.step, [], []
        for place in range(progress.step, len(batches)):
            rows_B = batches[place]
            step = progress.epoch * len(batches) + place
            loss, logits_BK = self._step(rows_B, learning_rate(options, step, plan.steps))
            losses.append(loss)
            logits.append(logits_BK)
            if place + 1 - looked == STEPS_BETWEEN_LOOKS or place + 1 == len(batches):
                self._look(progress, losses, logits, batches[looked : place + 1])
                looked, losses, logits = place + 1, [], []
                # Who is told of it may draw numbers of their own.
                drawn = torch.get_rng_state()
                yield
                torch.set_rng_state(drawn)

    def _precision(self) -> AbstractContextManager[object]:
        if self.plan.options.precision == "float32":
            return nullcontext()  # a hundredth of a small step is what entering autocast to do nothing costs
        return torch.autocast(self.plan.device.type, torch.bfloat16)

    def _step(self, rows_B: Tensor, lr: float) -> tuple[Tensor, Tensor]:
        options = self.plan.options
        x_BD = torch.addcmul(self._shift, self._inputs_ND[rows_B].to(torch.float32), self._scale)
        with self._precision():
            logits_BK = self.network(x_BD.to(self._dtype))
        loss = F.cross_entropy(_wide(logits_BK), self._labels_N[rows_B], label_smoothing=options.label_smoothing)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.param_groups[0]["lr"] = lr
        self.optimizer.step()
        return loss.detach(), logits_BK.detach()

    def _look(
        self, progress: Progress, losses: list[Tensor], logits: list[Tensor], batches: tuple[Tensor, ...]
    ) -> None:
        """Add finished steps to ``progress``: one transfer from the device for all of them."""
        labels_N = self._labels_N[torch.cat(batches)]
        correct = (torch.cat(logits).argmax(dim=1) == labels_N).sum()
        for loss, rows_B in zip(torch.stack(losses).tolist(), batches, strict=True):
            progress.step += 1
            if not math.isfinite(loss):
                raise TrainingError(
                    "training-diverged",
                    loss=loss,
                    epoch=progress.epoch + 1,
                    step=progress.step,
                    lr=self.plan.options.learning_rate,
                )
            progress.loss_sum += loss * len(rows_B)
        progress.correct += int(correct)

    @torch.inference_mode()
    def validate(self) -> tuple[float, float]:
        """Return the mean loss in nats and the accuracy on the validation rows; NaN where there are none."""
        split = self._validation
        if not len(split):
            return math.nan, math.nan
        self.network.eval()
        loss_sum, correct = 0.0, 0
        # Of many classes fewer rows: never more logits than of 4,096 rows of 1,024 classes.
        rows = max(1, min(_ROWS_AT_ONCE, _LOGITS_AT_ONCE // len(self.plan.dataset.classes)))
        for inputs_BD, labels_B in zip(split.inputs.split(rows), split.labels.split(rows), strict=True):
            labels = labels_B.to(self.plan.device)
            logits_BK = _wide(self._logits(inputs_BD.to(self.plan.device)))
            loss_sum += float(F.cross_entropy(logits_BK, labels, reduction="sum"))
            correct += int((logits_BK.argmax(dim=1) == labels).sum())
        return loss_sum / len(split), correct / len(split)

    def _logits(self, inputs_BD: Tensor) -> Tensor:
        """Return what the network gives for raw rows."""
        logits_BK: Tensor = self.network(self.plan.preprocessing.applied(inputs_BD).to(self._dtype))
        return logits_BK

    def finish(self) -> None:
        """Leave the network as the last step left it: here it always is."""

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on."""
        tensors = self._learnt()
        tensors["random.cpu"] = torch.get_rng_state()
        if self.plan.device.type == "cuda":
            tensors["random.cuda"] = torch.cuda.get_rng_state(self.plan.device)
        return tensors

    def _learnt(self) -> dict[str, Tensor]:
        """Return the network's tensors and the optimizer's, named by the parameter they belong to."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        for name, parameter in self.trained.items():
            entries = self.optimizer.state.get(parameter, {})
            tensors |= {f"optimizer.{name}.{key}": value for key, value in entries.items() if value is not None}
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` returned."""
        self.network.load_state_dict(under("network.", tensors))
        places = {name: place for place, name in enumerate(self.trained)}
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in under("optimizer.", tensors).items():
            parameter, _, key = name.rpartition(".")
            state.setdefault(places[parameter], {})[key] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        if "random.cpu" in tensors:
            torch.set_rng_state(tensors["random.cpu"])
        if "random.cuda" in tensors and self.plan.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random.cuda"], self.plan.device)


def under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors whose names begin so, without the beginning."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _wide(logits: Tensor) -> Tensor:
    """Return logits in a type wide enough for a loss: float32, or the float64 that they have."""
    return logits if logits.dtype == torch.float64 else logits.float()


def _make_optimizer(parameters: list[nn.Parameter], options: TrainingOptions) -> torch.optim.Optimizer:
    lr, decay = options.learning_rate, options.decay
    if options.optimizer == "sgd":
        return torch.optim.SGD(
            parameters, lr, options.momentum, weight_decay=decay, nesterov=options.nesterov, fused=True
        )
    kind = torch.optim.AdamW if options.optimizer == "adamw" else torch.optim.Adam
    return kind(parameters, lr, weight_decay=decay, fused=True)
