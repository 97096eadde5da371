"""The dense network: logits out, probabilities through one softmax.

Shape suffixes: N rows, D inputs, H hidden values, K classes.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.errors import DtypeError, ShapeError
from sumtoone.functional import ACTIVATION_FUNCTIONS, softmax
from sumtoone.language import text
from sumtoone.native import inference
from sumtoone.options import checked_seed
from sumtoone.private import is_rewired
from sumtoone.specification import Specification

if TYPE_CHECKING:
    from sumtoone.adoption import Adopted

LEAKY_SLOPE = 0.01


class Network(nn.Module):
    """A feed-forward classifier of linear layers, described by a string such as ``"784-128-64-10"``.

    Calling it gives **logits**; :meth:`probabilities` gives rows that sum to one. The start weights
    are drawn from ``seed`` alone, so that the same line builds the same network everywhere:

    * sigmoid: uniform, variance 32 / (fan_in + fan_out) (Glorot & Bengio 2010; the logistic function takes 4 times
      the deviation of tanh)
    * tanh, identity and the last layer: uniform, variance 2 / (fan_in + fan_out) (Glorot & Bengio 2010)
    * relu, leaky-relu, gelu: uniform, variance 2 / fan_in (He et al. 2015)

    Biases start at 0.

    Parameters
    ----------
    sizes
        Input size, hidden sizes, number of classes, as a string, a sequence or a :class:`Specification`.
    activation
        Between the layers: sigmoid, tanh, relu, gelu, leaky-relu, or identity, which warns why it is not enough.
    dropout
        The share of hidden values set to zero while training, in [0, 1).
    seed
        Where the start weights come from; None draws from torch's own generator.

    Shape
    -----
    input (..., D) float, output (..., K) logits.

    Raises
    ------
    SpecificationError, UsageError
        If the description is wrong.

    Examples
    --------
    >>> import torch
    >>> network = Network("784-128-64-10", activation="relu")
    >>> images = torch.rand(64, 784)
    >>> network(images).shape
    torch.Size([64, 10])
    >>> bool(torch.allclose(network.probabilities(images).sum(dim=1), torch.ones(64)))
    True
    """

    def __init__(
        self,
        sizes: str | Sequence[int] | Specification,
        activation: str = "relu",
        dropout: float = 0.0,
        *,
        seed: int | None = 0,
    ) -> None:
        super().__init__()
        self.specification = (
            sizes if isinstance(sizes, Specification) else Specification.parse(sizes, activation, dropout)
        )
        widths = self.specification.sizes
        self.layers = nn.ModuleList(_linear(before, after) for before, after in pairwise(widths))
        self.initialise(seed)
        # Said to people who write a description, not to programs that pass a specification on.
        if sizes is not self.specification and self.specification.activation == "identity" and len(self.layers) > 1:
            single = f"{widths[0]}-{widths[-1]}"
            warnings.warn(text("network.identity", sizes=str(self.specification), single=single), stacklevel=2)

    @classmethod
    def from_module(cls, module: nn.Module, example_input: Tensor) -> Network:
        """Return a network with the probabilities of a module that someone else wrote, in whatever style.

        A softmax or log-softmax at its end is recognised and left out: the network gives logits, and
        :meth:`probabilities` applies one softmax. Nothing is shared with the module.

        Parameters
        ----------
        module
            Linear layers with one of the six activations between them.
        example_input
            Rows of the shape that the module takes, (N, …) float; the values do not matter.

        Raises
        ------
        UsageError, ShapeError, DtypeError
            If the module is no such network; the error names the operation, where it stands, and what would do.

        Warns
        -----
        UserWarning
            If float64 weights become float32, or frozen ones become trainable.

        Examples
        --------
        >>> module = nn.Sequential(nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10), nn.Softmax(dim=1))
        >>> network = Network.from_module(module, torch.rand(64, 784))
        >>> images = torch.rand(64, 784)
        >>> bool(torch.allclose(network.probabilities(images), module(images), atol=1e-6))
        True
        """
        from sumtoone.adoption import adopt

        adopted = adopt(module, example_input)
        for note in adopted.notes:
            warnings.warn(text(note), stacklevel=2)
        return cls.from_adopted(adopted)

    @classmethod
    def from_adopted(cls, adopted: Adopted) -> Network:
        """Return the network that :func:`sumtoone.adoption.adopt` found."""
        # float32 whatever torch's own type is: so the notes say.
        network = cls(adopted.specification).float()
        with torch.no_grad():
            for layer, weight, bias in zip(network._linears(), adopted.weights, adopted.biases, strict=True):
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
        return network

    def initialise(self, seed: int | None) -> None:
        """Draw all weights anew from ``seed`` and set the biases to 0."""
        generator = None if seed is None else torch.Generator().manual_seed(checked_seed(seed))
        last = len(self.layers) - 1
        with torch.no_grad():
            for place, layer in enumerate(self._linears()):
                bound = math.sqrt(3.0 * _start_variance(self.specification.activation, layer, last=place == last))
                layer.weight.uniform_(-bound, bound, generator=generator)
                layer.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (..., K) for inputs (..., D).

        Raises
        ------
        ShapeError
            If the last axis is not D.
        DtypeError
            If the inputs are not floating-point.
        """
        if not x.is_floating_point():
            raise DtypeError("network-dtype", given=str(x.dtype))
        if x.ndim == 0 or x.shape[-1] != self.specification.inputs:
            raise ShapeError("network-shape", given=tuple(x.shape), inputs=self.specification.inputs)
        activation = ACTIVATION_FUNCTIONS[self.specification.activation]
        *hidden_layers, output = self.layers
        for layer in hidden_layers:
            x = activation(layer(x))
            if self.specification.dropout:
                x = F.dropout(x, self.specification.dropout, self.training)
        logits: Tensor = output(x)
        return logits

    def probabilities(self, x: Tensor) -> Tensor:
        """Return probabilities (..., K) for inputs (..., D): ``softmax(self(x), dim=-1)``, once.

        Where no gradient is wanted, under ``torch.inference_mode()`` or ``torch.no_grad()``, float32 rows on the CPU
        take one pass through the compiled kernels. It is within 1e-6 of PyTorch's result, and a row has the same
        bits whatever rows it travels with, on any number of threads. The weights are read at every call.

        Raises
        ------
        ShapeError, DtypeError
            As :meth:`forward`.

        Examples
        --------
        >>> network, images = Network("784-128-64-10"), torch.rand(64, 784)
        >>> with torch.inference_mode():
        ...     bool(torch.allclose(network.probabilities(images), softmax(network(images)), atol=1e-6))
        True
        """
        computed = forward_pass(self, x, softmax=True)
        return softmax(self(x), dim=-1) if computed is None else computed

    def extra_repr(self) -> str:
        """Describe what the layers below do not show."""
        dropout = f", dropout={self.specification.dropout}" if self.specification.dropout else ""
        return f"'{self.specification}', activation='{self.specification.activation}'{dropout}"

    def _linears(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network and its parts into evaluation mode inside the block, and each back to its own."""
    training = [part for part in network.modules() if part.training]
    try:
        for part in training:
            part.training = False
        yield
    finally:
        for part in training:
            part.training = True


def input_kind(network: nn.Module) -> tuple[torch.device, torch.dtype]:
    """Return where a module wants its rows and of which floating-point type: as its first such parameter is."""
    floating = (parameter for parameter in network.parameters() if parameter.is_floating_point())
    first = next(floating, torch.empty(0, dtype=torch.float32))
    return first.device, first.dtype


def changed_part(network: Network) -> str | None:
    """Return the name of what makes a :class:`Network` compute something else than its specification says, or None."""
    sizes = network.specification.sizes
    kinds: dict[str, type] = {"layers": nn.ModuleList}
    shapes: dict[str, tuple[int, ...]] = {}
    for place, (before, after) in enumerate(pairwise(sizes)):
        layer = f"layers.{place}"
        kinds[layer], shapes[f"{layer}.weight"], shapes[f"{layer}.bias"] = nn.Linear, (after, before), (after,)
    modules = {name: type(module) for name, module in network.named_modules() if name}
    tensors = {**dict(network.named_parameters(remove_duplicate=False)), **dict(network.named_buffers())}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    part = _first_difference(modules, kinds) or _first_difference(found, shapes)
    if part is not None:
        return part
    dtype = tensors["layers.0.weight"].dtype
    odd = [name for name, tensor in tensors.items() if tensor.dtype != dtype or not dtype.is_floating_point]
    if odd:
        return odd[0]
    return next(
        (name or type(network).__name__ for name, module in network.named_modules() if is_rewired(module)), None
    )


def _first_difference(found: Mapping[str, object], wanted: Mapping[str, object]) -> str | None:
    for name in [*found, *wanted]:
        if found.get(name) != wanted.get(name):
            return name
    return None


def forward_pass(
    network: nn.Module, x: Tensor, step: inference.Step | None = None, *, softmax: bool, threads: int = 0
) -> Tensor | None:
    """Return probabilities, or logits, from one pass through the compiled kernels; None where only a call will do.

    ``step`` is the preprocessing's, for raw rows of uint8 or float32; ``threads`` are torch's where 0 is given.
    """
    if type(network) is not Network:
        return None
    described = network.specification
    if described.dropout and network.training:
        return None
    return inference.forward(x, network, described, step, softmax, threads)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    """Return a linear layer without values: PyTorch's would be drawn from its own generator, only to be replaced."""
    layer = nn.Linear.__new__(nn.Linear)
    nn.Module.__init__(layer)
    layer.in_features, layer.out_features = inputs, outputs
    layer.weight, layer.bias = nn.Parameter(torch.empty(outputs, inputs)), nn.Parameter(torch.empty(outputs))
    return layer


def _start_variance(activation: str, layer: nn.Linear, *, last: bool) -> float:
    glorot = 2.0 / (layer.in_features + layer.out_features)
    if last or activation in ("tanh", "identity"):
        return glorot
    if activation == "sigmoid":
        return 16.0 * glorot
    slope = LEAKY_SLOPE if activation == "leaky-relu" else 0.0
    return 2.0 / ((1.0 + slope**2) * layer.in_features)
