"""Writes down which linear layers really ran between an input and an output, with the numbers that they took.

What is seen are PyTorch's own operators, whatever the learner called. It is a claim of the process that ran them: the
judge recomputes every number of it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from sumtoone.adoption.recording import Numbered, replace_tensors

# A training loop is not followed to its end: what an exercise asks for takes some twenty operations.
_MOST_STEPS, _MOST_BYTES = 20_000, 1 << 27
_VIEWS = (
    "view", "_unsafe_view", "reshape", "_reshape_alias", "t", "transpose", "permute", "squeeze", "unsqueeze", "detach",
    "alias", "expand", "clone",
)  # fmt: skip
# More layers than a network of the lesson has are one layer, asked row by row.
_MANY = 12


@dataclass(frozen=True)
class Layer:
    """A product of rows (N, D) with a weight (D, H) that does not depend on the input, and what was added to it."""

    inputs: Tensor
    weight: Tensor
    bias: Tensor | None
    origin: tuple[int, ...] = ()
    place: tuple[str, int] = ("", 0)


@dataclass(frozen=True)
class Step:
    """One operator: its name, the values that it took and made, by number, and the learner's line."""

    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    place: tuple[str, int]
    layer: Layer | None = None
    added: Tensor | None = None


class Trace(Numbered):
    """Records while it is entered; :meth:`layers` then reads backwards from an output."""

    def __init__(self, belongs: Callable[[str], bool]) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self._belongs = belongs
        self._held = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if len(self.steps) >= _MOST_STEPS or self._held > _MOST_BYTES:
            return func(*args, **(kwargs or {}))
        taken = _tensors((args, kwargs or {}))
        inputs = tuple(map(self.number, taken))
        dependent = [number in self.dependent for number in inputs]
        kind = func.overloadpacket.__name__
        layer = added = None
        if any(dependent):
            layer = _layer(kind, args, dependent)
            self._held += 0 if layer is None else layer.inputs.nbytes + layer.weight.nbytes
            if kind in ("add", "add_") and dependent.count(False) == 1 and len(taken) == 2:
                added = taken[dependent.index(False)].detach().clone()
        result = func(*args, **(kwargs or {}))
        outputs = tuple(map(self.add, _tensors(result)))
        if any(dependent):
            self.dependent.update(outputs)
            self.steps.append(Step(kind, inputs, outputs, self._place(), layer, added))
        return result

    def _place(self) -> tuple[str, int]:
        frame = sys._getframe(2)
        while frame is not None:
            if self._belongs(frame.f_code.co_filename):
                return frame.f_code.co_filename, frame.f_lineno
            frame = frame.f_back  # type: ignore[assignment]
        return "", 0

    def add(self, tensor: Tensor) -> int:
        """Give the value of a tensor a new number, and count what it holds."""
        self._held += tensor.nbytes
        return super().add(tensor)

    def leading_to(self, output: Tensor) -> list[Step]:
        """Return the steps that an output was made by, in the order in which they ran."""
        producers = {number: step for step in self.steps for number in step.outputs}
        wanted, waiting = set(), [self._numbers.get(id(output), -1)]
        while waiting:
            number = waiting.pop()
            if number not in wanted and number in producers:
                wanted.add(number)
                waiting.extend(producers[number].inputs)
        return [step for step in self.steps if wanted.intersection(step.outputs)]


def layers(steps: list[Step]) -> list[Layer]:
    """Return the layers among steps; what is added to a product before anything else is done with it is its bias."""
    found: list[Layer] = []
    fresh: set[int] = set()  # values that are the last product, reshaped at most
    for step in steps:
        if step.layer is not None:
            found.append(replace(step.layer, place=step.place))
            fresh = set(step.outputs)
        elif fresh.intersection(step.inputs):
            if step.kind in _VIEWS:
                fresh.update(step.outputs)
            elif step.added is not None and found[-1].bias is None:
                found[-1] = replace(found[-1], bias=step.added)
                fresh = set(step.outputs)
            else:
                fresh = set()
    return _gathered(found) if len(found) > _MANY else found


def _gathered(found: list[Layer]) -> list[Layer]:
    """Return layers that were asked row by row, each once, with their rows below each other."""
    rows: dict[tuple[int, ...], list[Layer]] = {}
    for layer in found:
        rows.setdefault(layer.origin, []).append(layer)
    return [replace(same[0], inputs=torch.cat([layer.inputs for layer in same])) for same in rows.values()]


def _tensors(item: Any) -> list[Tensor]:
    found: list[Tensor] = []
    replace_tensors(item, Tensor, found.append)
    return found


def _layer(kind: str, args: Any, dependent: list[bool]) -> Layer | None:
    """Return the layer that a matrix product is, copied before anything can change it."""
    bias: Tensor | None = None
    if kind in ("mm", "bmm", "matmul"):
        left, right = args[0], args[1]
    elif kind in ("addmm", "baddbmm"):
        bias, left, right = args[0], args[1], args[2]
        dependent = dependent[1:]
    elif kind == "linear":
        left, right, bias = args[0], args[1].t(), args[2] if len(args) > 2 else None
    elif kind in ("mv", "addmv"):
        bias = args[0] if kind == "addmv" else None
        left, right = args[-1].unsqueeze(0), args[-2].t()
        dependent = dependent[-1:-3:-1]
    else:
        return None
    if len(dependent) < 2 or dependent[0] == dependent[1]:
        return None
    if dependent[1]:  # weights on the left, rows as columns
        left, right = right.transpose(-1, -2), left.transpose(-1, -2)
    if left.ndim == 3 and len(left) == 1:
        left, right = left[0], right[0]
    if left.ndim != 2 or right.ndim != 2:
        return None
    origin = (right.untyped_storage().data_ptr(), right.storage_offset(), *right.shape)
    added = None if bias is None else bias.detach().clone()
    return Layer(left.detach().clone(), right.detach().clone(), added, origin)
