"""Reads a recording as a chain of linear layers with functions between them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from sumtoone.adoption.functions import ENDINGS, TWICE, WRONG_AXES, Layer, recognise, run_again
from sumtoone.adoption.recording import Recording, Step
from sumtoone.errors import UsageError
from sumtoone.functional import ACTIVATION_FUNCTIONS

_MATRIX_PRODUCTS = ("linear", "matmul", "mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot")
_COPIES = ("clone", "_to_copy", "detach", "alias")
_TURNS = ("permute", "t", "transpose")
_RESHAPES = (*_COPIES, "view", "_unsafe_view", "reshape", "unsqueeze", "squeeze", "expand", *_TURNS)
_ARITHMETIC = ("add", "sub", "mul", "div", "rsub", "add_", "sub_", "mul_", "div_", "pow", "neg")
# Steps that a function we know may be made of: where the steps compute none, the first other one is named.
_INGREDIENTS = (
    *_RESHAPES, *_ARITHMETIC, "exp", "log", "reciprocal", "sum", "max", "amax", "relu", "relu_", "sigmoid", "tanh",
    "gelu", "leaky_relu", "clamp", "clamp_min", "maximum", "where", "gt", "ge", "lt", "zeros_like", "_softmax",
    "_log_softmax", "abs",
)  # fmt: skip


@dataclass(frozen=True)
class Chain:
    """What was read: the layers in order, the function between them, how it ends, the share of dropout."""

    weights: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]
    activation: str
    ending: str
    dropout: float


def read(recording: Recording, output_NK: Tensor, parameters: Mapping[int, str], rows: int) -> Chain:
    """Return the chain that leads from the input to the output; ``parameters`` maps their storages to names.

    Raises
    ------
    UsageError
        If it is not one; the error names the operation and where it stands.
    """
    before, *layers = _Reader(recording, parameters).layers(recording.number(output_NK))
    if not layers:
        raise UsageError("adopt-no-layers")
    _check_input(recording, before, rows)
    *hidden, last = layers
    found = [recognise(recording, layer, ACTIVATION_FUNCTIONS, rows) for layer in hidden]
    for layer, name in zip(hidden, found, strict=True):
        if name is None:
            raise _unknown(recording, layer)
    if len(set(found)) > 1:
        raise UsageError("adopt-mixed", given=", ".join(map(str, found)))
    activation = str(found[0]) if found else "relu"
    ending = _ending(recording, last, rows)
    return Chain(
        tuple(layer.weight for layer in layers),
        tuple(layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias for layer in layers),
        activation,
        ending,
        _dropout(recording, layers, activation, rows),
    )


class _Reader:
    """Splits the steps that the output needs at the matrix products."""

    def __init__(self, recording: Recording, parameters: Mapping[int, str]) -> None:
        self.recording, self.parameters = recording, parameters
        self.producers = {number: step for step in recording.steps for number in step.outputs}
        self.stages = {0: 0}
        self.found = [Layer()]
        self.used: dict[str, str] = {}

    def layers(self, output: int) -> list[Layer]:
        needed = self._needed(output)
        if 0 not in needed:
            raise UsageError("adopt-disconnected")
        for step in self.recording.steps:
            if needed.intersection(step.outputs):
                if self.recording.random.intersection(step.outputs):
                    raise UsageError("adopt-random", name=step.name, where=step.where)
                if self.recording.dependent.intersection(step.outputs):
                    self._take(step)
        self.found[-1].end = output
        return self.found

    def _needed(self, output: int) -> set[int]:
        needed, waiting = set(), [output]
        while waiting:
            number = waiting.pop()
            if number not in needed:
                needed.add(number)
                if number in self.producers:
                    waiting.extend(self.producers[number].inputs)
        return needed

    def _take(self, step: Step) -> None:
        carried = [number for number in step.inputs if number in self.recording.dependent]
        places = {self.stages[number] for number in carried}
        if len(places) > 1 or places != {len(self.found) - 1}:
            raise UsageError("adopt-skip", name=step.name, where=step.where)
        layer = self.found[-1]
        if step.kind in _MATRIX_PRODUCTS:
            layer.end = carried[0]
            self.found.append(self._linear(step, carried))
        elif not self._takes_bias(layer, step, carried):
            for number in set(step.inputs).difference(carried):
                if self._origin(number) in self.parameters.values():
                    raise UsageError("adopt-operation", name=step.name, where=step.where)
            layer.steps.append(step)
        self.stages.update(dict.fromkeys(step.outputs, len(self.found) - 1))

    def _linear(self, step: Step, carried: list[int]) -> Layer:
        """Return the layer that a matrix product is: rows on the left, a parameter on the right."""
        if step.kind == "linear":
            left, right, bias = (*step.arguments, None)[:3]
        else:
            bias, left, right = (None, *step.arguments)[-3:]
        weight = self.recording.tensors[right.number]
        scaled = any(value != 1 for value in step.keywords.values())
        plain = weight.ndim == 2 or (step.kind == "bmm" and len(weight) == 1)
        if carried != [left.number] or scaled or not plain:
            raise UsageError("adopt-operation", name=step.name, where=step.where)
        self._claim(right.number, step)
        weight = weight.reshape(weight.shape[-2:])
        layer = Layer(step, weight if step.kind == "linear" else weight.t(), start=step.outputs[0])
        if bias is not None:
            self._set_bias(layer, bias.number, 1.0, step)
        return layer

    def _takes_bias(self, layer: Layer, step: Step, carried: list[int]) -> bool:
        """Add ``+ b`` or ``- b`` directly behind a matrix product to its layer."""
        others = set(step.inputs).difference(carried)
        name = step.kind.rstrip("_")
        if name not in ("add", "sub") or layer.step is None or layer.bias is not None or len(others) != 1:
            return False
        if any(past.kind not in _RESHAPES for past in layer.steps) or step.keywords.get("alpha", 1) != 1:
            return False
        if name == "sub" and step.arguments[0].number not in carried:
            return False
        (number,) = others
        width = layer.step and self.recording.tensors[layer.start].shape[-1]
        shape = self.recording.tensors[number].shape
        if not shape or shape[-1] != width or shape.numel() != width:
            return False
        self._set_bias(layer, number, 1.0 if name == "add" else -1.0, step)
        layer.start, layer.steps = step.outputs[0], []
        return True

    def _set_bias(self, layer: Layer, number: int, sign: float, step: Step) -> None:
        self._claim(number, step)
        width = self.recording.tensors[layer.start].shape[-1]
        bias = self.recording.tensors[number]
        if bias.numel() != width:
            raise UsageError("adopt-operation", name=step.name, where=step.where)
        layer.bias = sign * bias.reshape(width)

    def _claim(self, number: int, step: Step) -> None:
        """Refuse weights that are not one parameter, used once."""
        name = self._origin(number)
        if name is None:
            raise UsageError("adopt-computed", name=step.name, where=step.where)
        if name not in self.parameters.values():
            raise UsageError("adopt-unregistered", name=step.name, where=step.where)
        if name in self.used:
            raise UsageError("adopt-shared", name=name, where=step.where)
        self.used[name] = step.where

    def _origin(self, number: int) -> str | None:
        """Return the parameter that a value is, "" for a tensor from elsewhere, None for a computed one."""
        tensor = self.recording.tensors[number]
        name = self.parameters.get(tensor.untyped_storage().data_ptr())
        producer = self.producers.get(number)
        if name is not None:
            return name
        if producer is None:
            return ""
        return self._origin(producer.inputs[0]) if producer.kind in _RESHAPES and producer.inputs else None


def _ending(recording: Recording, last: Layer, rows: int) -> str:
    ending = recognise(recording, last, ENDINGS, rows)
    if ending is not None:
        return ending
    where = next((step.where for step in reversed(last.steps)), "")
    if axis := recognise(recording, last, WRONG_AXES, rows):
        raise UsageError("adopt-axis", axis=axis.partition(" ")[2], where=where)
    if recognise(recording, last, TWICE, rows):
        raise UsageError("adopt-twice", where=where)
    if activation := recognise(recording, last, ACTIVATION_FUNCTIONS, rows):
        raise UsageError("adopt-ending", activation=activation, where=where)
    raise _unknown(recording, last)


def _unknown(recording: Recording, layer: Layer) -> UsageError:
    """Return the error for steps that compute no function we know; it names the likeliest one."""
    strange = [step for step in layer.steps if step.kind not in _INGREDIENTS]
    telling = [step for step in layer.steps if step.kind in _TURNS or step.kind not in _RESHAPES]
    step = [*strange[:1], *telling[:1], *layer.steps[:1]][0]
    return UsageError("adopt-operation", name=step.name, where=step.where)


def _check_input(recording: Recording, before: Layer, rows: int) -> None:
    """Refuse everything before the first layer but a new shape for the same values in the same order."""
    shape = recording.tensors[0].shape
    probe = torch.arange(shape.numel(), dtype=torch.float64).remainder(2**24).reshape(shape)
    try:
        result = run_again(recording, before, probe)[before.end]
        if result.numel() == probe.numel() and torch.equal(result.reshape(rows, -1).double(), probe.reshape(rows, -1)):
            return
    except (RuntimeError, TypeError, ValueError):
        pass
    error = _unknown(recording, before)
    scaled = all(step.kind in (*_RESHAPES, *_ARITHMETIC) for step in before.steps)
    arithmetic = [step for step in before.steps if step.kind in _ARITHMETIC]
    if scaled and arithmetic:
        raise UsageError("adopt-scaling", name=arithmetic[0].name, where=arithmetic[0].where)
    raise error


def _dropout(recording: Recording, layers: list[Layer], activation: str, rows: int) -> float:
    """Return the share of dropout, if it stands behind the activation of every hidden layer alike, or nowhere."""
    *hidden, _ = layers
    shares: list[float] = []
    unplaced = list(recording.drops)
    for layer in hidden:
        inside = {layer.start, *(number for step in layer.steps for number in step.outputs)}
        mine = [drop for drop in unplaced if drop.number in inside]
        unplaced = [drop for drop in unplaced if drop.number not in inside]
        # Zeros and a factor go through relu unchanged: there, dropout may as well stand before it.
        behind = (activation, "identity") if activation in ("relu", "leaky-relu") else (activation,)
        known = {name: ACTIVATION_FUNCTIONS[name] for name in behind}
        for drop in mine:
            if recognise(recording, layer, known, rows, drop.number) is None:
                unplaced.append(drop)
        shares.append(mine[0].share if len(mine) == 1 else 0.0)
        unplaced.extend(mine[1:])
    if recording.drops and (unplaced or len(set(shares)) > 1):
        given = ", ".join(f"{drop.share:g}" for drop in recording.drops)
        raise UsageError("adopt-dropout", given=given, hidden=len(hidden))
    return shares[0] if shares else 0.0
