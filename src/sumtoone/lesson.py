"""The lesson's networks as it writes them: by hand, class style, functional style, and the exercise.

They are here to be read, and held against each other: from the same weights the first three give the same
probabilities. They stand as they are taught, without checks, so that a wrong shape meets PyTorch's own words.
For work, use :class:`sumtoone.Network` with :func:`sumtoone.softmax`, which also survive large numbers.

The three share the names of their weights, so that PyTorch's own ``state_dict`` carries them from one to the next:

>>> by_hand = HandMade.draw(seed=0)
>>> class_style, functional_style = ClassNetwork(), FunctionalNetwork()
>>> class_style.load_state_dict(by_hand.state_dict())
<All keys matched successfully>
>>> functional_style.load_state_dict(class_style.state_dict())
<All keys matched successfully>

Shape suffixes: N rows, D = 784 inputs, H = 256 hidden values, K = 10 classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.errors import UsageError
from sumtoone.options import checked_seed

INPUTS, HIDDEN, CLASSES = 784, 256, 10


def activation(x: Tensor) -> Tensor:
    """Return ``1 / (1 + exp(-x))`` of each element: any number becomes one between 0 and 1.

    Shape: (*) to (*). It does not overflow into NaN: ``exp(1000)`` is infinite, and ``1 / inf`` is 0.

    >>> activation(torch.tensor([-1000.0, 0.0, 1000.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return 1 / (1 + torch.exp(-x))


def softmax_as_taught(x: Tensor) -> Tensor:
    """Return ``exp(x) / sum(exp(x))`` of each row, as the lesson's exercise asks: for reading, not for work.

    Shape: (N, K) to (N, K). The sums over dim 1 have shape (N,); ``view(-1, 1)`` stands them up as a column
    (N, 1), and dividing (64, 10) by (64, 1) divides each row by its own sum. Divided by (64,), PyTorch would line
    the 64 sums up with the 10 columns and refuse; of a square batch, (10, 10) by (10,), it would not refuse, and
    divide each *column* by another row's sum.

    >>> softmax_as_taught(torch.tensor([[0.0, 0.0], [0.0, 1.0]])).sum(dim=1)
    tensor([1., 1.])

    It overflows: float32 ends at exp(88.7). Nothing is lost by :func:`sumtoone.softmax`, which first subtracts
    each row's largest number:

    >>> from sumtoone import softmax
    >>> softmax_as_taught(overflowing_logits()), softmax(overflowing_logits())
    (tensor([[nan, 0.]]), tensor([[1., 0.]]))
    """
    return torch.exp(x) / torch.sum(torch.exp(x), dim=1).view(-1, 1)


def overflowing_logits() -> Tensor:
    """Return logits (1, 2) whose probabilities are plainly 1 and 0, and on which the softmax as taught gives NaN."""
    return torch.tensor([[1000.0, 0.0]])


@dataclass(frozen=True, eq=False)
class HandMade:
    """784-256-10 from four tensors and two matrix products.

    Inputs come first in each weight, (D, H) and (H, K), so that ``inputs @ w1`` reads like the drawing of the
    network from left to right. ``nn.Linear`` keeps them the other way round, (H, D) and (K, H).

    Shape: ``w1`` (784, 256), ``b1`` (256,), ``w2`` (256, 10), ``b2`` (10,).

    Examples
    --------
    >>> network = HandMade.draw(seed=0)
    >>> probabilities = network(torch.rand(64, 784))
    >>> probabilities.shape, bool(torch.allclose(probabilities.sum(dim=1), torch.ones(64)))
    (torch.Size([64, 10]), True)
    """

    w1: Tensor
    b1: Tensor
    w2: Tensor
    b2: Tensor

    @classmethod
    def draw(cls, seed: int | torch.Generator = 0) -> HandMade:
        """Draw weights and biases from the standard normal distribution; a generator is drawn from as it stands."""
        generator = seed if isinstance(seed, torch.Generator) else torch.Generator().manual_seed(checked_seed(seed))
        return cls(
            w1=torch.randn(INPUTS, HIDDEN, generator=generator),
            b1=torch.randn(HIDDEN, generator=generator),
            w2=torch.randn(HIDDEN, CLASSES, generator=generator),
            b2=torch.randn(CLASSES, generator=generator),
        )

    @classmethod
    def from_module(cls, module: nn.Module) -> HandMade:
        """Copy the weights of a module with two linear layers named ``hidden`` and ``output``, turned for ``mm``.

        Raises
        ------
        UsageError
            If the module has no such layers.
        """
        hidden, output = getattr(module, "hidden", None), getattr(module, "output", None)
        if not (_is_linear_with_bias(hidden) and _is_linear_with_bias(output)):
            names = ", ".join(name for name, _ in module.named_children()) or "-"
            raise UsageError("lesson-layers", kind=type(module).__name__, names=names)
        assert isinstance(hidden, nn.Linear)
        assert isinstance(output, nn.Linear)
        tensors = (hidden.weight.T, hidden.bias, output.weight.T, output.bias)
        return cls(*(tensor.detach().clone(memory_format=torch.contiguous_format) for tensor in tensors))

    def logits(self, inputs: Tensor) -> Tensor:
        """Return logits (N, 10) for inputs (N, 784)."""
        hidden_NH = activation(torch.mm(inputs, self.w1) + self.b1)  # (N, 784) @ (784, 256) + (256,)
        return torch.mm(hidden_NH, self.w2) + self.b2  # (N, 256) @ (256, 10) + (10,)

    def __call__(self, inputs: Tensor) -> Tensor:
        """Return probabilities (N, 10) for inputs (N, 784)."""
        return softmax_as_taught(self.logits(inputs))

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights under the names, and turned as, the modules below keep them."""
        return {
            "hidden.weight": self.w1.T.contiguous(),
            "hidden.bias": self.b1,
            "output.weight": self.w2.T.contiguous(),
            "output.bias": self.b2,
        }


def _is_linear_with_bias(layer: object) -> bool:
    return isinstance(layer, nn.Linear) and layer.bias is not None


class ClassNetwork(nn.Module):
    """784-256-10 in class style: every operation is a module, made in ``__init__`` and used in ``forward``.

    Assigning a module to an attribute registers it: its weights appear in ``parameters()``, and the network can
    print itself. That is the work of ``super().__init__()``, which therefore comes first; without it PyTorch says
    "cannot assign module before Module.__init__() call". Layers in a plain list are *not* registered, and an
    optimizer would never see them: use ``nn.ModuleList``.

    Shape: inputs (N, 784), output (N, 10) probabilities.

    Examples
    --------
    >>> ClassNetwork()
    ClassNetwork(
      (hidden): Linear(in_features=784, out_features=256, bias=True)
      (output): Linear(in_features=256, out_features=10, bias=True)
      (sigmoid): Sigmoid()
      (softmax): Softmax(dim=1)
    )
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(INPUTS, HIDDEN)
        self.output = nn.Linear(HIDDEN, CLASSES)
        self.sigmoid = nn.Sigmoid()
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, 10) for inputs (N, 784)."""
        x = self.hidden(x)
        x = self.sigmoid(x)
        x = self.output(x)
        x = self.softmax(x)
        return x  # noqa: RET504 - a line for each operation


class FunctionalNetwork(nn.Module):
    """784-256-10 in functional style: what has weights is a module, what has none is a function of ``F``.

    The printed form shows the linear layers alone; that between them lies a sigmoid stands only in ``forward``.

    Shape: inputs (N, 784), output (N, 10) probabilities.

    Examples
    --------
    >>> FunctionalNetwork()
    FunctionalNetwork(
      (hidden): Linear(in_features=784, out_features=256, bias=True)
      (output): Linear(in_features=256, out_features=10, bias=True)
    )
    """

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(INPUTS, HIDDEN)
        self.output = nn.Linear(HIDDEN, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, 10) for inputs (N, 784)."""
        x = F.sigmoid(self.hidden(x))
        return F.softmax(self.output(x), dim=1)


class ExerciseNetwork(nn.Module):
    """784-128-64-10 with ReLU: the lesson's exercise, solved.

    The activations between the layers must bend: without them ``fc2(fc1(x))`` is one linear layer with the weights
    ``W2 W1``, however many are stacked. The last layer has a softmax instead, so that its ten numbers are
    probabilities. For training with ``nn.CrossEntropyLoss``, which takes logits and applies the softmax itself,
    leave that softmax out, as :class:`sumtoone.Network` does: applied twice, it flattens every answer.

    Shape: inputs (N, 784), output (N, 10) probabilities.

    Examples
    --------
    >>> network = ExerciseNetwork()
    >>> network(torch.rand(64, 784)).shape
    torch.Size([64, 10])
    >>> sum(p.numel() for p in network.parameters())  # 784 * 128 + 128 + 128 * 64 + 64 + 64 * 10 + 10
    109386
    """

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(784, 128)
        self.fc2 = nn.Linear(128, 64)
        self.fc3 = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        """Return probabilities (N, 10) for inputs (N, 784)."""
        x = F.relu(self.fc1(x))
        x = F.relu(self.fc2(x))
        return F.softmax(self.fc3(x), dim=1)
