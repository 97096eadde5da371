"""The fused engine: whole steps of a dense network in compiled code, on the CPU.

The same batches, losses, optimizers and checkpoints as the plain engine, up to rounding; only the dropout masks
are others. Threads change the time, not a bit of the result.

With ``precision="bfloat16"`` the products of matrices take their operands rounded to bfloat16 (weights, inputs,
hidden values and deltas); their sums and everything else stay float32, the weights that are learnt above all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from sumtoone.description import changed_part
from sumtoone.errors import TrainingError
from sumtoone.native import kernels
from sumtoone.network import Network, fused
from sumtoone.training.plain import STEPS_BETWEEN_LOOKS, PlainEngine
from sumtoone.training.randomness import batch_order, derived_seed
from sumtoone.training.schedules import learning_rate
from sumtoone.training.state import Plan, Progress

# As the kernels number them.
_ACTIVATIONS = ("identity", "sigmoid", "tanh", "relu", "leaky-relu", "gelu")
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
    if plan.options.precision == "bfloat16" and not module.rounds():
        return False
    if network.specification.activation not in _ACTIVATIONS:
        return False
    return _is_as_built(network) and _rows_fit(plan, network.specification.sizes)


def _is_as_built(network: Network) -> bool:
    """Whether calling the network does what its description says, and every parameter is to be trained by itself."""
    parameters = list(network.parameters())
    as_described = changed_part(network) is None and len(parameters) == 2 * len(network.layers)
    return as_described and all(map(_is_plain, parameters))


def _is_plain(parameter: Tensor) -> bool:
    return parameter.requires_grad and parameter.dtype == torch.float32 and not parameter._backward_hooks


def _rows_fit(plan: Plan, sizes: tuple[int, ...]) -> bool:
    inputs_ND, labels_N = plan.dataset.train
    return (
        inputs_ND.dtype in (torch.uint8, torch.float32, torch.float64)
        and labels_N.dtype == torch.int64
        and tuple(inputs_ND.shape) == (len(labels_N), sizes[0])
        and plan.preprocessing.features == sizes[0]
        and len(labels_N) > 0
        and int(labels_N.min()) >= 0
        and int(labels_N.max()) < sizes[-1]
    )


class FusedEngine(PlainEngine):
    """Trains a network that :func:`takes` accepts with up to ``threads`` threads.

    torch's optimizer computes nothing: it holds the state for checkpoints.
    """

    def __init__(self, plan: Plan, threads: int) -> None:
        super().__init__(plan)
        self._threads = threads
        assert isinstance(self.network, Network), "takes() was asked"
        specification, options = self.network.specification, plan.options
        self._labels_N, self._inputs_ND = self._labels_N.contiguous(), self._inputs_ND.contiguous()
        self._batch = min(options.batch_size, len(self._labels_N))
        module = kernels()
        assert module is not None, "takes() was asked"
        self._sizes = specification.sizes
        self._trainer = module.Trainer.create(
            list(self._sizes),
            self._batch,
            _ACTIVATIONS.index(specification.activation),
            specification.dropout,
            options.label_smoothing,
            _OPTIMIZERS.index(options.optimizer),
            options.momentum,
            options.decay,
            options.nesterov,
            options.precision == "bfloat16",
            self._scale.data_ptr(),
            self._shift.data_ptr(),
        )
        self._steps_done = self._steps_seen = 0  # by the kernels; when the network last had their weights
        self._import()

    def train_epoch(self, progress: Progress) -> Iterator[None]:
        """Go through the rest of the epoch under way; yield between steps, now and then, with ``progress`` up to date.

        Raises
        ------
        TrainingError
            If a loss is not finite; it names the step.
        """
        self.network.train()
        order_N = batch_order(self.plan.options.seed, progress.epoch, len(self._labels_N))
        steps_left = self.plan.steps_per_epoch - progress.step
        while steps_left:
            steps = min(self._steps_at_once(), steps_left)
            steps_left -= steps
            self._run(progress, order_N[progress.step * self._batch :], steps)
            yield

    def _run(self, progress: Progress, order_N: Tensor, steps: int) -> None:
        """Compute ``steps`` steps on the next rows of the epoch and add them to ``progress``."""
        options, plan = self.plan.options, self.plan
        first = progress.epoch * plan.steps_per_epoch + progress.step
        losses = torch.empty(steps, dtype=torch.float64)
        correct = self._trainer.train(
            self._inputs_ND.data_ptr(),
            self._inputs_ND.dtype == torch.uint8,
            self._labels_N.data_ptr(),
            order_N.data_ptr(),
            len(order_N),
            self._batch,
            [learning_rate(options, step, plan.steps) for step in range(first, first + steps)],
            derived_seed(options.seed, "dropout", progress.epoch),
            progress.step,
            self._steps_done,
            losses.data_ptr(),
            self._threads,
        )
        self._steps_done += steps
        for place, loss in enumerate(losses.tolist()):
            progress.step += 1
            if not math.isfinite(loss):
                mean = loss / min(self._batch, len(order_N) - place * self._batch)
                raise TrainingError(
                    "training-diverged",
                    loss=mean,
                    epoch=progress.epoch + 1,
                    step=progress.step,
                    lr=options.learning_rate,
                )
            progress.loss_sum += loss
        progress.correct += correct

    def validate(self) -> tuple[float, float]:
        """Return the mean loss in nats and the accuracy on the validation rows; NaN where there are none."""
        self.finish()
        return super().validate()

    def _logits(self, inputs_BD: Tensor) -> Tensor:
        rows_BD, step = self.plan.preprocessing.prepared(inputs_BD)
        computed = fused(self.network, rows_BD, step, softmax=False, threads=self._threads)
        return super()._logits(inputs_BD) if computed is None else computed

    def finish(self) -> None:
        """Leave the network as the last step left it."""
        if self._steps_seen != self._steps_done:
            self._exchange("weights", list(self.network.parameters()), out=True)
            self._steps_seen = self._steps_done

    def state(self) -> dict[str, Tensor]:
        """Return all tensors that the next step depends on, named as the plain engine names them."""
        self._export()
        return self._learnt()

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take up the tensors that :meth:`state` of either engine returned."""
        super().restore(tensors)
        self._import()

    def _steps_at_once(self) -> int:
        products = 3 * self._batch * sum(parameter.numel() for parameter in self.network.parameters())
        return max(1, min(STEPS_BETWEEN_LOOKS, int(_PRODUCTS_BETWEEN_LOOKS / products)))

    def _moments(self) -> tuple[str, ...]:
        if self.plan.options.optimizer == "sgd":
            return ("momentum_buffer",) if self.plan.options.momentum else ()
        return ("exp_avg", "exp_avg_sq")

    def _export(self) -> None:
        """Copy the weights into the network, and the moments into torch's optimizer."""
        self.finish()
        if not self._steps_done:
            return
        parameters = list(self.network.parameters())
        states = [self.optimizer.state[parameter] for parameter in parameters]
        for name in self._moments():
            tensors = [torch.empty_like(parameter) for parameter in parameters]
            self._exchange(name, tensors, out=True)
            for state, tensor in zip(states, tensors, strict=True):
                state[name] = tensor.detach()
        if self.plan.options.optimizer != "sgd":
            for state in states:
                state["step"] = torch.tensor(float(self._steps_done))

    def _import(self) -> None:
        """Take weights, moments and their number of steps from the network and torch's optimizer."""
        parameters = list(self.network.parameters())
        self._exchange("weights", parameters, out=False)
        states = [self.optimizer.state.get(parameter, {}) for parameter in parameters]
        for name in self._moments():
            if all(name in state for state in states):
                self._exchange(name, [state[name] for state in states], out=False)
                self._steps_done = int(states[0].get("step", 1))
        self._steps_seen = self._steps_done

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
