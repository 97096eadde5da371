"""Reads what ran between rows and an output as layers and functions between them, and recomputes every number of it.

Shape suffixes: N rows, D inputs, H outputs of a layer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr

from sumtoone.checking.judging.arithmetic import Numbers, close, log_softmax, softmax

# What may stand between two layers, by name.
BETWEEN: Mapping[str, Callable[[Numbers], Numbers]] = {
    "none": lambda x: x,
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": expit,
    "tanh": np.tanh,
    "softmax": softmax,
    "softmax over dim 0": lambda x: softmax(x, 0),
    "log_softmax": log_softmax,
    "leaky_relu": lambda x: np.where(x > 0, x, 0.01 * x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0))),
    "gelu": lambda x: x * ndtr(x),
    "silu": lambda x: x * expit(x),
    "softplus": lambda x: np.logaddexp(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "hardtanh": lambda x: np.clip(x, -1, 1),
    "exp": np.exp,
    "selu": lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0))),
    "abs": np.abs,
    "sigmoid turned round": lambda x: expit(-x),
    "min(x, 0)": lambda x: np.minimum(x, 0),
    "softmax of relu": lambda x: softmax(np.maximum(x, 0)),
    "softmax of sigmoid": lambda x: softmax(expit(x)),
    "softmax of tanh": lambda x: softmax(np.tanh(x)),
    "softmax over everything": lambda x: softmax(x, None),
}

# How a network may end behind its last layer; what comes first is preferred.
ENDINGS: Mapping[str, Callable[[Numbers], Numbers]] = {
    "softmax": softmax,
    "none": lambda x: x,
    "log_softmax": log_softmax,
    "softmax over dim 0": lambda x: softmax(x, 0),
    "softmax over everything": lambda x: softmax(x, None),
    "log_softmax over dim 0": lambda x: log_softmax(x, 0),
    "softmax twice": lambda x: softmax(softmax(x)),
    "softmax, log_softmax": lambda x: log_softmax(softmax(x)),
    "exp": np.exp,
    "negated softmax": lambda x: softmax(-x),
}
# Networks without a trace are rare, and theirs is no time to be lost in.
_MOST_ORDERS = 12
_ACTIVATIONS = ("relu", "sigmoid", "tanh", "leaky_relu", "gelu", "elu", "silu", "softplus", "relu6")


@dataclass(frozen=True)
class Layer:
    """One layer: its weight (D, H), its bias or None, the name of its parameter, the learner's line and cell."""

    weight: Numbers
    bias: Numbers | None
    name: str = ""
    line: int | None = None
    cell: int | None = None

    def of(self, x: Numbers) -> Numbers:
        """Return ``x @ weight + bias``."""
        z = x @ self.weight
        return z if self.bias is None else z + self.bias


@dataclass(frozen=True)
class Chain:
    """Layers in the order in which they ran, what stood between them, and how it ended.

    Parameters
    ----------
    between
        One name of :data:`BETWEEN` for each gap; None for what is none of them.
    on_output
        An activation on the last layer's numbers, or ``"none"``.
    ending
        One of :data:`ENDINGS`; None for what is none of them.
    """

    layers: tuple[Layer, ...]
    between: tuple[str | None, ...]
    on_output: str
    ending: str | None

    @property
    def sizes(self) -> str:
        """The sizes as they are written, such as ``784-128-64-10``."""
        return "-".join(
            str(size) for size in (len(self.layers[0].weight), *(item.weight.shape[1] for item in self.layers))
        )

    @property
    def known(self) -> bool:
        """Whether every piece is known."""
        return None not in self.between and self.ending is not None


def read(x: Numbers, output: NDArray[Any], layers: Sequence[Layer], inputs: Sequence[NDArray[Any]]) -> Chain | None:
    """Return the chain that the layers and their inputs are; None where the first of them does not take the rows."""
    if not layers or not close(inputs[0], x):
        return None
    between: list[str | None] = []
    for layer, following in zip(layers[:-1], inputs[1:], strict=True):
        z = layer.of(np.asarray(inputs[len(between)], np.float64))
        between.append(_named(BETWEEN, z, following) or _kind_of(z, following))
    on_output, ending = ended(layers[-1].of(np.asarray(inputs[-1], np.float64)), output)
    return Chain(tuple(layers), tuple(between), on_output, ending)


def ended(z: Numbers, output: NDArray[Any]) -> tuple[str, str | None]:
    """Return the activation on the output and the ending that make ``output`` of the last layer's numbers."""
    for activation in ("none", *_ACTIVATIONS):
        if (name := _named(ENDINGS, BETWEEN[activation](z), output)) is not None:
            return activation, name
    return "none", None


def guessed(x: Numbers, output: NDArray[Any], parameters: Mapping[str, Numbers]) -> Chain | None:
    """Return the chain of a network's own parameters that gives the output, where no layers were traced."""
    weights = [(name, value) for name, value in parameters.items() if value.ndim == 2]
    biases = [value for value in parameters.values() if value.ndim == 1]
    x, output = x[:8], output[:8]
    for layers in _orders(x.shape[1], weights, biases, output.shape[-1])[:_MOST_ORDERS]:
        for between in product(("relu", "sigmoid", "tanh", "none", "softmax"), repeat=len(layers) - 1):
            z = x
            for layer, name in zip(layers, between, strict=False):
                z = BETWEEN[name](layer.of(z))
            on_output, ending = ended(layers[-1].of(z), output)
            if ending is not None:
                return Chain(layers, between, on_output, ending)
    return None


def _orders(
    width: int, weights: list[tuple[str, Numbers]], biases: list[Numbers], classes: int, used: tuple[Layer, ...] = ()
) -> list[tuple[Layer, ...]]:
    """Return the ways in which weights, each once, lead from a width to the classes; three layers at most."""
    found = [used] if used and width == classes else []
    if len(used) == 3:
        return found
    for place, (name, value) in enumerate(weights[:6]):
        for weight in (value.T, value):
            if len(weight) != width:
                continue
            bias = next((item for item in biases if len(item) == weight.shape[1]), None)
            layer = Layer(weight, bias, name)
            found += _orders(weight.shape[1], weights[:place] + weights[place + 1 :], biases, classes, (*used, layer))
            break
    return found


def _named(table: Mapping[str, Any], z: Numbers, wanted: NDArray[Any]) -> str | None:
    """Return the name of the function that makes ``wanted`` of ``z``."""
    if z.ndim != 2 or z.shape != np.shape(wanted):
        return None
    with np.errstate(all="ignore"):
        # float32 products of hundreds of numbers round more than a softmax does.
        return next((name for name, function in table.items() if _near(wanted, function(z))), None)


def _kind_of(z: Numbers, a: NDArray[Any]) -> str | None:
    """Return what can be said of an unknown function: that it only scales, or treats each number alone; else None."""
    if z.shape != np.shape(a) or not (np.isfinite(a).all() and np.isfinite(z).all()):
        return None
    order = np.argsort(z, axis=None)
    x, y = z.reshape(-1)[order], np.asarray(a, np.float64).reshape(-1)[order]
    slope, offset = np.polyfit(x, y, 1)
    if np.allclose(slope * x + offset, y, atol=1e-3 * max(1.0, float(np.abs(y).max()))):
        return "none"
    # Of thousands of numbers, neighbours lie close: a function of one number takes neighbours to neighbours.
    steps = np.abs(np.diff(y)) / (np.ptp(y) or 1)
    return "another function" if float(np.median(steps)) < 0.003 and float(np.mean(steps > 0.2)) < 0.001 else None


def _near(got: NDArray[Any], wanted: Numbers) -> bool:
    if not (np.isfinite(got).all() and np.isfinite(wanted).all()):
        return False
    size = max(1.0, float(np.abs(wanted).max()))
    return bool(np.allclose(np.asarray(got, np.float64), wanted, rtol=1e-3, atol=1e-5 * size))
