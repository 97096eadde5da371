"""The fused engine: whole steps of a dense network in compiled code, on the CPU.

The same batches, losses, optimizers and checkpoints as the plain engine, up to rounding; only the dropout masks
are others. Threads change the time, not a bit of the result.

With ``precision="bfloat16"`` the products of matrices take their operands rounded to bfloat16 (weights, inputs,
hidden values and deltas); their sums and everything else stay float32, the weights that are learnt above all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from sumtoone.native import kernels
from sumtoone.network import Network, changed_part, forward_pass
from sumtoone.private import has_gradient_hooks
from sumtoone.specification import ACTIVATIONS
from sumtoone.training.engines import STEPS_BETWEEN_LOOKS, Steps, judged, of_network, under
from sumtoone.training.randomness import derived_seed
from sumtoone.training.rows import Rows, Source
from sumtoone.training.schedules import learning_rate
from sumtoone.training.state import Plan

# As the kernels number them.
_OPTIMIZERS = ("sgd", "adam", "adamw")
_SLOTS = {"weights": 0, "momentum_buffer": 1, "exp_avg": 1, "exp_avg_sq": 2}

# A look at Ctrl-C at least about every so many products of numbers: a twentieth of a second.
_PRODUCTS_BETWEEN_LOOKS = 2.5e9


def takes(plan: Plan) -> bool:
    """Whether the fused engine can train this: a :class:`Network` as it was built, on the CPU.

    The kernels check nothing, so whatever they index with is checked here.
    """
    network, module = plan.network, kernels()
    if type(network) is not Network or plan.device.type != "cpu" or module is None:
        return False
    if plan.options.optimizer not in _OPTIMIZERS:
        return False
    if plan.options.precision == "bfloat16" and not module.rounds():
        return False
    return _is_as_built(network) and _rows_fit(plan, network.specification.sizes)


def _is_as_built(network: Network) -> bool:
    """Whether calling the network does what its description says, and every parameter is to be trained by itself."""
    parameters = list(network.parameters())
    as_described = changed_part(network) is None and len(parameters) == 2 * len(network.layers)
    return as_described and all(map(_is_plain, parameters))


def _is_plain(parameter: Tensor) -> bool:
    return parameter.requires_grad and parameter.dtype == torch.float32 and not has_gradient_hooks(parameter)


def _rows_fit(plan: Plan, sizes: tuple[int, ...]) -> bool:
    inputs_ND, labels_N = plan.dataset.train
    return (
        inputs_ND.dtype in (torch.uint8, torch.float32, torch.float64)
        and labels_N.dtype == torch.int64
        and tuple(inputs_ND.shape) == (len(labels_N), sizes[0])
        and (plan.weights is None or (plan.weights.dtype, plan.weights.shape) == (torch.float32, labels_N.shape))
        and plan.preprocessing.features == sizes[0]
        and len(labels_N) > 0
        and int(labels_N.min()) >= 0
        and int(labels_N.max()) < sizes[-1]
    )


class FusedEngine:
    """Trains a network that :func:`takes` accepts with up to ``threads`` threads."""

    def __init__(self, plan: Plan, threads: int) -> None:
        assert isinstance(plan.network, Network), "takes() was asked"
        module = kernels()
        assert module is not None, "takes() was asked"
        self.plan, self.network, self._threads = plan, plan.network, threads
        specification, options = plan.network.specification, plan.options
        self._source = Source(plan)
        self._batch = min(options.batch_size, len(plan.dataset.train))
        products = 3 * self._batch * specification.parameters
        self.at_once = max(1, min(STEPS_BETWEEN_LOOKS, int(_PRODUCTS_BETWEEN_LOOKS / products)))
        self._sizes = specification.sizes
        self._trainer = module.Trainer.create(
            list(self._sizes),
            self._batch,
            ACTIVATIONS.index(specification.activation),
            specification.dropout,
            options.label_smoothing,
            _OPTIMIZERS.index(options.optimizer),
            options.momentum,
            options.decay,
            options.nesterov,
            options.precision == "bfloat16",
            self._source.scale.data_ptr(),
            self._source.shift.data_ptr(),
        )
        # The kernels' own; and how many there were when the network last had their weights.
        self._steps_done = self._steps_seen = 0
        self._exchange("weights", list(self.network.parameters()), out=False)

    def train(self, epoch: int, first: int, count: int) -> Steps:
        """Compute steps in one call, or in one for each part that their rows come in."""
        self.network.train()
        losses, hits, weight, done = torch.empty(count, dtype=torch.float64), 0.0, 0.0, 0
        for rows in self._source.of(epoch, first, count):
            hits += self._call(rows, epoch, first + done, losses[done:])
            counted = len(rows.order) if rows.weights is None else rows.weights[rows.order].double().sum()
            weight, done = weight + float(counted), done + rows.steps
        return Steps(losses.tolist(), hits, weight)

    def _call(self, rows: Rows, epoch: int, first: int, losses: Tensor) -> float:
        options, place = self.plan.options, epoch * self.plan.steps_per_epoch + first
        hits: float = self._trainer.train(
            rows.inputs.data_ptr(),
            rows.inputs.dtype == torch.uint8,
            rows.labels.data_ptr(),
            0 if rows.weights is None else rows.weights.data_ptr(),
            rows.order.data_ptr(),
            len(rows.order),
            self._batch,
            [learning_rate(options, step, self.plan.steps) for step in range(place, place + rows.steps)],
            derived_seed(options.seed, "dropout", epoch),
            first,
            self._steps_done,
            losses.data_ptr(),
            self._threads,
        )
        self._steps_done += rows.steps
        return hits

    def validate(self) -> tuple[float, float]:
        """Return the mean loss in nats and the accuracy on the validation rows; NaN where there are none."""
        self.finish()
        self.network.eval()
        return judged(self.plan, self._logits)

    def _logits(self, inputs_BD: Tensor) -> Tensor:
        rows_BD, step = self.plan.preprocessing.prepared(inputs_BD)
        computed = forward_pass(self.network, rows_BD, step, softmax=False, threads=self._threads)
        if computed is not None:
            return computed
        logits: Tensor = self.network(self.plan.preprocessing.applied(inputs_BD))
        return logits

    def finish(self) -> None:
        """Leave the network as the last step left it."""
        if self._steps_seen != self._steps_done:
            self._exchange("weights", list(self.network.parameters()), out=True)
            self._steps_seen = self._steps_done

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on, named as the plain engine names them."""
        self.finish()
        tensors, parameters = of_network(self.network), dict(self.network.named_parameters())
        if self._steps_done:
            for key in self._moments():
                moments = [torch.empty_like(parameter).detach() for parameter in parameters.values()]
                self._exchange(key, moments, out=True)
                tensors |= {f"optimizer.{name}.{key}": each for name, each in zip(parameters, moments, strict=True)}
            if self.plan.options.optimizer != "sgd":
                tensors |= {f"optimizer.{name}.step": torch.tensor(float(self._steps_done)) for name in parameters}
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` of either engine returned."""
        self.network.load_state_dict(under("network.", tensors))
        names = [name for name, _ in self.network.named_parameters()]
        self._exchange("weights", list(self.network.parameters()), out=False)
        for key in self._moments():
            moments = [f"optimizer.{name}.{key}" for name in names]
            if all(name in tensors for name in moments):
                self._exchange(key, [tensors[name] for name in moments], out=False)
                self._steps_done = int(tensors.get(f"optimizer.{names[0]}.step", 1))
        self._steps_seen = self._steps_done

    def _moments(self) -> tuple[str, ...]:
        if self.plan.options.optimizer == "sgd":
            return ("momentum_buffer",) if self.plan.options.momentum else ()
        return ("exp_avg", "exp_avg_sq")

    def _exchange(self, name: str, tensors: Sequence[Tensor], *, out: bool) -> None:
        """Copy weights and biases, in turn, from or to the kernels' own layout."""
        for place, (weight, bias) in enumerate(zip(tensors[::2], tensors[1::2], strict=True)):
            layer = self._sizes[place : place + 2]
            ours = [weight.detach().contiguous(), bias.detach().contiguous()]
            assert [tuple(tensor.shape) for tensor in ours] == [layer[::-1], layer[1:]]
            self._trainer.exchange(_SLOTS[name], place, ours[0].data_ptr(), ours[1].data_ptr(), out)
            if out:
                weight.detach().copy_(ours[0])
                bias.detach().copy_(ours[1])
