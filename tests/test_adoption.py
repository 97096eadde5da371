"""Modules as learners write them: each becomes the network it is, or an error that names what stands in the way."""

from __future__ import annotations

import math
import warnings
from collections import OrderedDict
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import sumtoone as s1
from sumtoone import Network, lesson
from sumtoone.adoption import adopt
from sumtoone.language import speaking

ROWS = 6


class Case:
    """A way to write a module, and what it is."""

    def __init__(
        self,
        build: Callable[[], nn.Module],
        sizes: str,
        activation: str,
        ending: str,
        shape: tuple[int, ...],
        dropout: float,
    ) -> None:
        self.build, self.sizes, self.activation, self.ending = build, sizes, activation, ending
        self.shape, self.dropout = shape, dropout


CASES: dict[str, Case] = {}


def written(
    sizes: str, activation: str, ending: str = "none", shape: tuple[int, ...] = (12,), dropout: float = 0.0
) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    def keep(build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        CASES[build.__name__] = Case(build, sizes, activation, ending, shape, dropout)
        return build

    return keep


# --- Sequential


@written("12-8-5-3", "relu")
def sequential() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3))


@written("12-8-3", "sigmoid", "softmax")
def sequential_softmax() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.Sigmoid(), nn.Linear(8, 3), nn.Softmax(dim=1))


@written("12-8-3", "tanh", "log_softmax")
def sequential_log_softmax() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.Tanh(), nn.Linear(8, 3), nn.LogSoftmax(dim=-1))


@written("12-8-3", "gelu")
def sequential_gelu() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.GELU(), nn.Linear(8, 3))


@written("12-8-3", "leaky-relu")
def sequential_leaky() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.LeakyReLU(), nn.Linear(8, 3))


@written("12-8-3", "leaky-relu", "softmax")
def sequential_leaky_in_place() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.LeakyReLU(0.01, inplace=True), nn.Linear(8, 3), nn.Softmax(1))


@written("12-8-3", "relu")
def sequential_relu_in_place() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.ReLU(inplace=True), nn.Linear(8, 3))


@written("12-8-3", "identity")
def sequential_without_activation() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.Identity(), nn.Linear(8, 3))


@written("12-3", "relu", "softmax")
def sequential_one_layer() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 3), nn.Softmax(dim=1))


@written("12-3", "relu")
def linear_alone() -> nn.Module:
    return nn.Linear(12, 3)


@written("12-8-3", "relu", shape=(1, 3, 4))
def sequential_flatten() -> nn.Module:
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))


@written("12-8-6-3", "tanh", "softmax")
def sequential_nested() -> nn.Module:
    body = nn.Sequential(nn.Sequential(nn.Linear(12, 8), nn.Tanh()), nn.Sequential(nn.Linear(8, 6), nn.Tanh()))
    return nn.Sequential(body, nn.Sequential(nn.Linear(6, 3), nn.Softmax(dim=1)))


@written("12-8-3", "sigmoid", "softmax")
def sequential_named() -> nn.Module:
    layers = OrderedDict(fc1=nn.Linear(12, 8), act=nn.Sigmoid(), out=nn.Linear(8, 3), probs=nn.Softmax(dim=-1))
    return nn.Sequential(layers)


@written("12-8-6-3", "relu", dropout=0.25)
def sequential_dropout() -> nn.Module:
    return nn.Sequential(
        nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.25), nn.Linear(8, 6), nn.ReLU(), nn.Dropout(0.25), nn.Linear(6, 3)
    )


@written("12-8-3", "relu", dropout=0.5)
def sequential_dropout_before_relu() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8), nn.Dropout(), nn.ReLU(), nn.Linear(8, 3))


@written("12-8-3", "relu")
def sequential_dropout_of_nothing() -> nn.Module:
    return nn.Sequential(nn.Dropout(0.0), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))


@written("12-8-3", "relu")
def sequential_without_bias() -> nn.Module:
    return nn.Sequential(nn.Linear(12, 8, bias=False), nn.ReLU(), nn.Linear(8, 3, bias=False))


@written("12-8-3", "relu", "softmax", shape=(3, 4))
def sequential_softmax_of_log_softmax() -> nn.Module:
    return nn.Sequential(nn.Flatten(1), nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3), nn.LogSoftmax(1), nn.Softmax(1))


# --- classes: module style, functional style, odd names


@written("12-8-5-3", "sigmoid", "softmax", shape=(1, 3, 4))
class LessonClass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden1 = nn.Linear(12, 8)
        self.hidden2 = nn.Linear(8, 5)
        self.output = nn.Linear(5, 3)
        self.sigmoid = nn.Sigmoid()
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x):
        x = x.view(x.shape[0], -1)
        x = self.hidden1(x)
        x = self.sigmoid(x)
        x = self.hidden2(x)
        x = self.sigmoid(x)
        x = self.output(x)
        x = self.softmax(x)
        return x  # noqa: RET504


class Two(nn.Module):
    """The layers that most classes below share; they differ in forward."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(12, 8)
        self.fc2 = nn.Linear(8, 3)


@written("12-8-3", "sigmoid", "softmax")
class FunctionalStyle(Two):
    def forward(self, x):
        x = F.sigmoid(self.fc1(x))
        return F.softmax(self.fc2(x), dim=1)


@written("12-8-3", "relu", "softmax")
class FunctionalRelu(Two):
    def forward(self, x):
        return torch.softmax(self.fc2(F.relu(self.fc1(x))), -1)


@written("12-8-3", "relu", "softmax")
class Methods(Two):
    def forward(self, x):
        return self.fc2(self.fc1(x).relu()).softmax(-1)


@written("12-8-3", "tanh", "log_softmax")
class MethodsTanh(Two):
    def forward(self, x):
        return self.fc2(self.fc1(x).tanh()).log_softmax(dim=1)


@written("12-8-3", "tanh", "log_softmax")
class FunctionalLog(Two):
    def forward(self, x):
        return F.log_softmax(self.fc2(torch.tanh(self.fc1(x))), dim=1)


@written("12-8-3", "relu", "log_softmax")
class LogOfSoftmax(Two):
    def forward(self, x):
        return torch.log(torch.softmax(self.fc2(torch.relu(self.fc1(x))), dim=1))


@written("12-8-3", "relu", "softmax")
class ExpOfLogSoftmax(Two):
    def forward(self, x):
        return torch.exp(F.log_softmax(self.fc2(torch.relu(self.fc1(x))), dim=1))


@written("12-8-3", "relu", shape=(1, 3, 4))
class ReshapeAtTheStart(Two):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.reshape(-1, 12))))


@written("12-8-3", "relu", shape=(1, 3, 4))
class TorchFlatten(Two):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(torch.flatten(x, 1))))


@written("12-8-3", "relu", shape=(1, 3, 4))
class FlattenMethod(Two):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.flatten(start_dim=1))))


@written("12-8-3", "relu", shape=(1, 3, 4))
class SqueezeThenView(Two):
    def forward(self, image):
        image = image.squeeze(1).contiguous()
        return self.fc2(F.relu(self.fc1(image.view(image.size(0), 3 * 4))))


@written("12-8-3", "relu")
class FloatFirst(Two):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x.float())))


@written("12-8-3", "relu", dropout=0.2)
class FunctionalDropout(Two):
    def forward(self, x):
        x = F.relu(self.fc1(x))
        x = F.dropout(x, 0.2, self.training)
        return self.fc2(x)


@written("12-8-3", "sigmoid", dropout=0.3)
class TorchDropout(Two):
    def forward(self, x):
        return self.fc2(torch.dropout(torch.sigmoid(self.fc1(x)), 0.3, self.training))


@written("12-8-3", "gelu", "softmax")
class FunctionalGelu(Two):
    def forward(self, x):
        return F.softmax(self.fc2(F.gelu(self.fc1(x))), 1)


@written("12-8-3", "leaky-relu")
class FunctionalLeaky(Two):
    def forward(self, x):
        return self.fc2(F.leaky_relu(self.fc1(x), 0.01))


@written("12-8-3", "relu")
class ReluInPlace(Two):
    def forward(self, x):
        x = self.fc1(x)
        x.relu_()
        x = self.fc2(x)
        return x  # noqa: RET504


@written("12-8-3", "relu")
class Annotated(nn.Module):
    """A class with type hints, properties and odd names."""

    hidden: nn.Linear

    def __init__(self, inputs: int = 12, classes: int = 3) -> None:
        super().__init__()
        self.hidden = nn.Linear(inputs, 8)
        self.우리_층 = nn.Linear(8, classes)

    @property
    def last(self) -> nn.Linear:
        return self.우리_층

    def forward(self, images: Tensor, verbose: bool = False) -> Tensor:
        return self.last(self.hidden(images).clamp_min(0))


@written("12-8-3", "relu", "softmax")
class Inherited(LessonClass):
    def __init__(self) -> None:
        super().__init__()
        self.hidden2 = None
        self.output = nn.Linear(8, 3)

    def forward(self, x):
        return self.softmax(self.output(F.relu(self.hidden1(x))))


@written("12-8-3", "tanh")
class ActivationAttribute(Two):
    def __init__(self, act=torch.tanh) -> None:
        super().__init__()
        self.act = act

    def forward(self, x):
        return self.fc2(self.act(self.fc1(x)))


@written("12-8-3", "sigmoid", "softmax")
class Lambdas(Two):
    def __init__(self) -> None:
        super().__init__()
        self.squash = lambda z: 1 / (1 + torch.exp(-z))
        self.normalise = lambda z: torch.exp(z) / torch.exp(z).sum(dim=1, keepdim=True)

    def forward(self, x):
        return self.normalise(self.fc2(self.squash(self.fc1(x))))


@written("12-9-7-5-3", "relu")
class ListOfLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        sizes = [12, 9, 7, 5, 3]
        self.layers = nn.ModuleList([nn.Linear(a, b) for a, b in pairwise(sizes)])

    def forward(self, x):
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i < len(self.layers) - 1:
                x = F.relu(x)
        return x


@written("12-9-3", "tanh", "softmax")
class DictOfLayers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleDict({"in": nn.Linear(12, 9), "act": nn.Tanh(), "out": nn.Linear(9, 3)})

    def forward(self, x):
        for part in self.parts.values():
            x = part(x)
        return F.softmax(x, dim=1)


@written("12-8-3", "relu", "softmax", shape=(12, 1))
class SequentialInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))

    def forward(self, x):
        return nn.Softmax(dim=1)(self.linear_relu_stack(self.flatten(x)))


# --- weights by hand


class ByHand(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w1 = nn.Parameter(torch.randn(12, 8) * 0.3)
        self.b1 = nn.Parameter(torch.randn(1, 8) * 0.3)
        self.w2 = nn.Parameter(torch.randn(8, 3) * 0.3)
        self.b2 = nn.Parameter(torch.randn(1, 3) * 0.3)


def activation(x):
    return 1 / (1 + torch.exp(-x))


def softmax(x):
    return torch.exp(x) / torch.sum(torch.exp(x), dim=1).view(-1, 1)


@written("12-8-3", "sigmoid", "softmax", shape=(3, 4))
class LessonByHand(ByHand):
    def forward(self, images):
        inputs = images.view(images.shape[0], -1)
        h = activation(torch.mm(inputs, self.w1) + self.b1)
        return softmax(torch.mm(h, self.w2) + self.b2)


@written("12-8-3", "sigmoid", "softmax")
class MatrixOperator(ByHand):
    def forward(self, x):
        return softmax((x @ self.w1 + self.b1).sigmoid() @ self.w2 + self.b2)


@written("12-8-3", "relu")
class Matmul(ByHand):
    def forward(self, x):
        h = torch.matmul(x, self.w1).add(self.b1)
        h = torch.max(h, torch.tensor(0.0))
        return self.b2 + h.matmul(self.w2)


@written("12-8-3", "relu")
class Addmm(ByHand):
    def forward(self, x):
        return torch.addmm(self.b2, F.relu(torch.addmm(self.b1, x, self.w1)), self.w2)


@written("12-8-3", "tanh")
class FLinear(ByHand):
    def forward(self, x):
        h = torch.tanh(F.linear(x, self.w1.t(), self.b1.squeeze()))
        return F.linear(h, self.w2.T, self.b2.view(-1))


@written("12-8-3", "relu")
class Einsum(ByHand):
    def forward(self, x):
        h = torch.relu(torch.einsum("nd,dh->nh", x, self.w1) + self.b1)
        return torch.einsum("nh,hk->nk", h, self.w2) + self.b2


@written("12-8-3", "relu")
class InPlaceBias(ByHand):
    def forward(self, x):
        h = x @ self.w1
        h += self.b1
        h = h.clamp(min=0)
        y = h @ self.w2
        y -= self.b2
        return y


@written("12-8-3", "relu")
class ParameterLists(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.ws = nn.ParameterList([nn.Parameter(torch.randn(8, 12)), nn.Parameter(torch.randn(3, 8))])
        self.bs = nn.ParameterList([nn.Parameter(torch.zeros(8)), nn.Parameter(torch.zeros(3))])

    def forward(self, x):
        first = x.mm(self.ws[0].t()) + self.bs[0]
        return torch.where(first > 0, first, torch.zeros_like(first)).mm(self.ws[1].t()) + self.bs[1]


@written("12-8-3", "tanh")
class OwnLinear(nn.Module):
    class Dense(nn.Module):
        def __init__(self, n_in: int, n_out: int) -> None:
            super().__init__()
            self.W = nn.Parameter(torch.empty(n_in, n_out))
            self.b = nn.Parameter(torch.zeros(n_out))
            nn.init.xavier_uniform_(self.W)

        def forward(self, x):
            return x @ self.W + self.b

    def __init__(self) -> None:
        super().__init__()
        self.a, self.z = self.Dense(12, 8), self.Dense(8, 3)

    def forward(self, x):
        e = torch.exp(2 * self.a(x))
        return self.z((e - 1) / (e + 1))


# --- functions by hand


@written("12-8-3", "relu", "softmax")
class KeepDim(Two):
    def forward(self, x):
        e = torch.exp(self.fc2(self.fc1(x).relu()))
        return e / e.sum(dim=1, keepdim=True)


@written("12-8-3", "relu", "softmax")
class Unsqueezed(Two):
    def forward(self, x):
        e = self.fc2(F.relu(self.fc1(x))).exp()
        return e / e.sum(-1).unsqueeze(1)


@written("12-8-3", "relu", "softmax")
class NoneIndex(Two):
    def forward(self, x):
        e = self.fc2(F.relu(self.fc1(x))).exp()
        return e / e.sum(axis=1)[:, None]


@written("12-8-3", "relu", "softmax")
class MaxShift(Two):
    def forward(self, x):
        z = self.fc2(F.relu(self.fc1(x)))
        z = z - z.max(dim=1, keepdim=True)[0]
        e = torch.exp(z)
        return torch.div(e, torch.sum(e, dim=1, keepdim=True))


@written("12-8-3", "relu", "softmax")
class MaxShiftValues(Two):
    def forward(self, x):
        z = self.fc2(F.relu(self.fc1(x)))
        e = torch.exp(z - torch.max(z, dim=-1, keepdim=True).values)
        return e / e.sum(-1, keepdim=True)


@written("12-8-3", "relu", "softmax")
class ShiftByTheLargest(Two):
    def forward(self, x):
        e = torch.exp((z := self.fc2(F.relu(self.fc1(x)))) - z.amax(1, keepdim=True))
        return e * (1 / e.sum(1, keepdim=True))


@written("12-8-3", "relu", "softmax")
class Transposed(Two):
    def forward(self, x):
        e = torch.exp(self.fc2(F.relu(self.fc1(x))))
        return (e.T / e.sum(1)).T


@written("12-8-3", "relu", "log_softmax")
class LogSumExp(Two):
    def forward(self, x):
        z = self.fc2(F.relu(self.fc1(x)))
        return z - torch.logsumexp(z, dim=1, keepdim=True)


@written("12-8-3", "relu")
class ReluByComparison(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2(z * (z > 0))


@written("12-8-3", "relu")
class ReluByAbsoluteValue(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2((z + z.abs()) / 2)


@written("12-8-3", "relu")
class ReluByMask(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2(z.masked_fill(z < 0, 0.0))


@written("12-8-3", "sigmoid")
class SigmoidByTwoExponentials(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2(torch.exp(z) / (1 + torch.exp(z)))


@written("12-8-3", "sigmoid")
class SigmoidByPower(Two):
    def forward(self, x):
        return self.fc2((1 + math.e ** -self.fc1(x)) ** -1)


@written("12-8-3", "tanh")
class TanhByHand(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2((torch.exp(z) - torch.exp(-z)) / (torch.exp(z) + torch.exp(-z)))


@written("12-8-3", "gelu")
class GeluByHand(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2(z * 0.5 * (1 + torch.erf(z / math.sqrt(2))))


@written("12-8-3", "leaky-relu")
class LeakyByHand(Two):
    def forward(self, x):
        z = self.fc1(x)
        return self.fc2(torch.where(z > 0, z, 0.01 * z))


@written("12-8-3", "relu")
class UnusedParts(Two):
    def __init__(self) -> None:
        super().__init__()
        self.bn, self.conv = nn.BatchNorm1d(8), nn.Conv2d(1, 1, 3)

    def forward(self, x):
        _ = self.fc1(x).sum()
        return self.fc2(self.fc1(x).relu()) if len(x) > 1 else x


@written("12-8-3", "relu")
class NoGradInside(Two):
    def forward(self, x):
        return self.fc2(F.relu(self.fc1(x)))

    __call__ = torch.no_grad()(nn.Module.__call__)


def _own_probabilities(module: nn.Module, inputs: Tensor, ending: str) -> Tensor:
    module.eval()
    with torch.no_grad():
        output = module(inputs)
    return {"none": lambda: torch.softmax(output, 1), "softmax": lambda: output, "log_softmax": output.exp}[ending]()


def _build(build: Callable[[], nn.Module], seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build()


@written("12-8-3", "relu", "softmax")
class InferenceInside(ByHand):
    def forward(self, x):
        with torch.inference_mode():
            h = F.linear(x, self.w1.t(), self.b1[0]).relu()
            return torch.softmax(h.matmul(self.w2) + self.b2, dim=1)


def test_there_are_enough_cases() -> None:
    assert len(CASES) >= 60


@pytest.mark.parametrize("name", CASES)
def test_a_module_becomes_the_network_it_is(name: str) -> None:
    case = CASES[name]
    module = _build(case.build)
    adopted = adopt(module, torch.zeros(ROWS, *case.shape))
    found = adopted.specification
    assert (str(found), found.activation, adopted.ending, found.dropout) == (
        case.sizes, case.activation, case.ending, case.dropout,
    )  # fmt: skip
    network = Network.from_module(module, torch.rand(ROWS, *case.shape)).eval()
    inputs = torch.randn(50, *case.shape, generator=torch.Generator().manual_seed(1)) * 2
    wanted = _own_probabilities(module, inputs, case.ending)
    given = network.probabilities(inputs.reshape(50, -1))
    torch.testing.assert_close(given, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ["ClassNetwork", "FunctionalNetwork", "ExerciseNetwork"])
def test_the_lessons_classes(name: str) -> None:
    module = _build(getattr(lesson, name))
    network = Network.from_module(module, torch.rand(64, 784))
    inputs = torch.rand(20, 784)
    output = module(inputs)
    wanted = output if torch.allclose(output.sum(dim=1), torch.ones(20)) else output.softmax(dim=1)
    torch.testing.assert_close(network.probabilities(inputs), wanted, atol=1e-6, rtol=0)
    assert network.specification.inputs == 784
    assert network.specification.outputs == 10


def test_one_row_is_enough_of_an_example() -> None:
    adopted = adopt(_build(LessonClass), torch.rand(1, 1, 3, 4))
    assert (str(adopted.specification), adopted.ending) == ("12-8-5-3", "softmax")


def test_a_batch_size_written_into_the_module() -> None:
    class Batch(Two):
        def forward(self, x):
            return self.fc2(F.relu(self.fc1(x.view(64, -1))))

    assert str(adopt(Batch(), torch.rand(64, 3, 4)).specification) == "12-8-3"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_traced_module() -> None:
    module = torch.jit.trace(_build(CASES["sequential"].build), torch.rand(ROWS, 12))
    assert str(adopt(module, torch.rand(ROWS, 12)).specification) == "12-8-5-3"


def test_hidden_layers_of_one_value() -> None:
    module = nn.Sequential(nn.Linear(5, 1), nn.ReLU(), nn.Linear(1, 4))
    assert str(adopt(module, torch.rand(2, 5)).specification) == "5-1-4"


def test_the_module_is_left_as_it_was() -> None:
    module = _build(CASES["sequential_dropout"].build)
    module[2].eval()
    modes = [part.training for part in module.modules()]
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    example = torch.rand(ROWS, 12)
    state = torch.get_rng_state()
    adopt(module, example)
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert all(parameter.grad is None for parameter in module.parameters())
    module(torch.rand(2, 12))  # no hook stays behind


def test_the_network_shares_nothing_with_the_module() -> None:
    module = _build(CASES["Methods"].build)
    network = Network.from_module(module, torch.rand(ROWS, 12))
    inputs = torch.rand(4, 12)
    before = network(inputs)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert torch.equal(network(inputs), before)
    pointers = {parameter.untyped_storage().data_ptr() for parameter in module.parameters()}
    assert pointers.isdisjoint(parameter.untyped_storage().data_ptr() for parameter in network.parameters())
    assert all(parameter.requires_grad and parameter.is_contiguous() for parameter in network.parameters())


def test_the_same_module_gives_the_same_network() -> None:
    first, second = (Network.from_module(_build(LessonByHand), torch.rand(ROWS, 12)) for _ in range(2))
    assert all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_an_adopted_network_trains_and_is_saved(tmp_path: Path) -> None:
    data = s1.load("digits")
    module = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 10), nn.Softmax(dim=1)
    )
    network = Network.from_module(module, torch.rand(2, 1, 28, 28))
    run = s1.fit(network, data, epochs=2, out=tmp_path / "run")
    assert s1.evaluate(run, data.validation).accuracy > 0.7
    again = s1.open_run(tmp_path / "run")
    assert isinstance(again.network, Network)
    assert again.network.specification == s1.Specification.parse("784-16-10", "relu", 0.1)
    assert torch.equal(again.probabilities(data.validation.inputs[:9]), run.probabilities(data.validation.inputs[:9]))


def test_float64_is_converted_with_a_note() -> None:
    module = _build(CASES["Methods"].build).double()
    with pytest.warns(
        UserWarning, match=r"^note: the module's weights are float64; the network's are float32\.$"
    ) as caught:
        network = Network.from_module(module, torch.rand(ROWS, 12))
    assert caught[0].filename == __file__
    assert network.layers[0].weight.dtype == torch.float32
    inputs = torch.randn(20, 12)
    torch.testing.assert_close(network.probabilities(inputs).double(), module(inputs.double()), atol=1e-6, rtol=0)


def test_frozen_parameters_are_trained_with_a_note() -> None:
    module = _build(CASES["sequential"].build)
    module[0].requires_grad_(False)
    assert adopt(module, torch.rand(2, 12)).notes == ("adoption.frozen",)


def test_large_start_weights_are_no_obstacle() -> None:
    # As the lesson draws them: logits of some tens, whose float32 rounding alone exceeds 1e-6.
    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w1, self.b1 = nn.Parameter(torch.randn(784, 256)), nn.Parameter(torch.randn(1, 256))
            self.w2, self.b2 = nn.Parameter(torch.randn(256, 10)), nn.Parameter(torch.randn(1, 10))

        def forward(self, x):
            return softmax(torch.mm(activation(torch.mm(x.float(), self.w1) + self.b1), self.w2) + self.b2)

    assert str(adopt(_build(Large), torch.rand(2, 784)).specification) == "784-256-10"


# --- refusals

LINEAR = (
    "linear layers with sigmoid, tanh, relu, gelu, leaky-relu (slope 0.01) or nothing between them, "
    "then at most one softmax"
)


class Forward(Two):
    """Two layers, and a forward that is given."""

    def __init__(self, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(self, x)


class PlainList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(12, 8), nn.Linear(8, 3)]
        self.scale = nn.Parameter(torch.ones(3))

    def forward(self, x):
        return self.layers[1](F.relu(self.layers[0](x)))


class OnlyAList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = [nn.Linear(12, 3)]

    def forward(self, x):
        return self.layers[0](x)


class TwoInputs(Two):
    def forward(self, a, b):
        return self.fc1(a) + self.fc2(b)


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.out = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.out(self.lstm(x.view(-1, 3, 4))[0][:, -1])


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look, self.out = nn.MultiheadAttention(12, 2), nn.Linear(12, 3)

    def forward(self, x):
        return self.out(self.look(x, x, x)[0])


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table, self.out = nn.Embedding(10, 4), nn.Linear(48, 3)

    def forward(self, x):
        return self.out(self.table(x.long()).flatten(1))


class Square(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inside, self.middle, self.out = nn.Linear(12, 8), nn.Linear(8, 8), nn.Linear(8, 3)


class Shared(Square):
    def forward(self, x):
        h = F.relu(self.inside(x))
        return self.out(F.relu(self.middle(F.relu(self.middle(h)))))


class Residual(Square):
    def forward(self, x):
        h = F.relu(self.inside(x))
        return self.out(h + F.relu(self.middle(h)))


class Heads(Square):
    def forward(self, x):
        return self.out(F.relu(self.inside(x)) + F.relu(F.linear(x, self.middle.weight.repeat(1, 2)[:, :12])))


class Mixed(Square):
    def forward(self, x):
        return self.out(torch.tanh(self.middle(F.relu(self.inside(x)))))


def _seq(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(*layers)


def _with(function: Callable[[Any, Tensor], Any]) -> Callable[[], nn.Module]:
    return lambda: Forward(function)


def _branch(m: Any, x: Tensor) -> Tensor:
    h = m.fc1(x)
    if h.sum() > 0:
        h = h.relu()
    return m.fc2(h)


def _gone(m: Any, x: Tensor) -> Tensor:
    return m.fc2(torch.from_numpy(m.fc1(x).detach().cpu().numpy()).relu())


def _partly(m: Any, x: Tensor) -> Tensor:
    h = m.fc1(x)
    kept = h.clone()
    kept[:, 0] = 0.0
    return m.fc2(kept.relu())


CONSTANT = torch.ones(12, 8)


def over_all(e):
    return e / e.sum()


REFUSED: dict[str, tuple[Callable[[], Any], str, str]] = {
    "no module": (lambda: "784-10", "argument-type", "str"),
    "a class": (lambda: Two, "argument-type", "the class Two"),
    "lazy": (lambda: _seq(nn.LazyLinear(3)), "adopt-lazy", "0.weight, uninitialised"),
    "half": (lambda: _seq(nn.Linear(12, 3)).half(), "adopt-dtype", "0.weight of torch.float16"),
    "two inputs": (TwoInputs, "adopt-inputs", "2: a, b"),
    "plain list alone": (OnlyAList, "module-no-parameters", "OnlyAList without parameters"),
    "plain list": (PlainList, "adopt-unregistered", "linear in test_adoption.py:"),
    "plain tensor": (
        _with(lambda m, x: m.fc2(F.relu(x @ CONSTANT))),
        "adopt-unregistered",
        "matmul in test_adoption.py:",
    ),
    "made in forward": (_with(lambda m, x: x @ torch.ones(12, 3)), "adopt-computed", "matmul in test_adoption.py:"),
    "computed": (
        _with(lambda m, x: F.linear(x, m.fc1.weight[:3] * 2)),
        "adopt-computed",
        "linear in test_adoption.py:",
    ),
    "raises": (
        lambda: _seq(nn.Linear(5, 3)),
        "adopt-raises",
        "Sequential[0] takes 5, receives 12 numbers for each row "
        "(mat1 and mat2 shapes cannot be multiplied (6x12 and 5x3))",
    ),
    "raises on purpose": (_with(lambda m, x: 1 / 0), "adopt-raises", "ZeroDivisionError: division by zero"),
    "tuple": (_with(lambda m, x: (m.fc1(x), m.fc1(x))), "adopt-output", "tuple"),
    "dict": (_with(lambda m, x: {"logits": m.fc1(x)}), "adopt-output", "dict"),
    "one output": (lambda: _seq(nn.Linear(12, 1), nn.Sigmoid()), "adopt-one-output", "(6, 1)"),
    "no classes": (_with(lambda m, x: m.fc1(x).sum(1)), "adopt-one-output", "(6,)"),
    "three axes": (_with(lambda m, x: m.fc1(x)[:, None]), "adopt-output", "(6, 1, 8)"),
    "convolution": (
        lambda: _seq(nn.Unflatten(1, (1, 12)), nn.Conv1d(1, 2, 3), nn.Flatten(), nn.Linear(20, 3)),
        "adopt-operation",
        "Conv1d in 1 (Conv1d)",
    ),
    "functional convolution": (
        _with(lambda m, x: m.fc1(F.conv1d(x[:, None], torch.ones(1, 1, 1))[:, 0])),
        "adopt-operation",
        "conv1d in test_adoption.py:",
    ),
    "pooling": (
        lambda: _seq(nn.Linear(12, 8), nn.MaxPool1d(2), nn.Linear(4, 3)),
        "adopt-operation",
        "MaxPool1d in 1 (MaxPool1d)",
    ),
    "functional pooling": (
        _with(lambda m, x: m.fc2(F.max_pool1d(m.fc1(x), 3, 1, 1))),
        "adopt-operation",
        "in test_adoption.py:",
    ),
    "batch norm": (
        lambda: _seq(nn.Linear(12, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)),
        "adopt-operation",
        "BatchNorm1d in 1 (BatchNorm1d)",
    ),
    "layer norm": (
        lambda: _seq(nn.Linear(12, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 3)),
        "adopt-operation",
        "LayerNorm in 1 (LayerNorm)",
    ),
    "functional layer norm": (
        _with(lambda m, x: m.fc2(F.layer_norm(m.fc1(x), (8,)))),
        "adopt-operation",
        "layer_norm in test_adoption.py:",
    ),
    "recurrent": (Recurrent, "adopt-operation", "LSTM in lstm (LSTM)"),
    "attention": (Attention, "adopt-operation", "MultiheadAttention in look (MultiheadAttention)"),
    "embedding": (Embedded, "adopt-operation", "Embedding in table (Embedding)"),
    "prelu": (
        lambda: _seq(nn.Linear(12, 8), nn.PReLU(init=0.01), nn.Linear(8, 3)),
        "adopt-operation",
        "PReLU in 1 (PReLU)",
    ),
    "elu": (lambda: _seq(nn.Linear(12, 8), nn.ELU(), nn.Linear(8, 3)), "adopt-operation", "elu in 1 (ELU)"),
    "relu6": (lambda: _seq(nn.Linear(12, 8), nn.ReLU6(), nn.Linear(8, 3)), "adopt-operation", "hardtanh in 1 (ReLU6)"),
    "clipped far away": (
        _with(lambda m, x: m.fc2(m.fc1(x).clamp(0, 1000))),
        "adopt-operation",
        "clamp in test_adoption.py:",
    ),
    "tanh gelu": (
        lambda: _seq(nn.Linear(12, 8), nn.GELU("tanh"), nn.Linear(8, 3)),
        "adopt-operation",
        "gelu in 1 (GELU)",
    ),
    "other slope": (
        lambda: _seq(nn.Linear(12, 8), nn.LeakyReLU(0.2), nn.Linear(8, 3)),
        "adopt-operation",
        "leaky_relu in 1 (LeakyReLU)",
    ),
    "hidden softmax": (
        lambda: _seq(nn.Linear(12, 8), nn.Softmax(1), nn.Linear(8, 3)),
        "adopt-operation",
        "softmax in 1 (Softmax)",
    ),
    "hidden dim": (_with(lambda m, x: m.fc2(m.fc1(x).roll(1, 1))), "adopt-operation", "roll in test_adoption.py:"),
    "learnt scale": (_with(lambda m, x: m.fc2(m.fc1(x) * m.fc1.bias)), "adopt-operation", "mul in test_adoption.py:"),
    "weight on the left": (
        _with(lambda m, x: (m.fc1.weight @ x.t()).t()),
        "adopt-operation",
        "matmul in test_adoption.py:",
    ),
    "shared product": (_with(lambda m, x: x @ x.t()), "adopt-operation", "matmul in test_adoption.py:"),
    "scaled product": (
        _with(lambda m, x: torch.addmm(m.fc1.bias, x, m.fc1.weight.t(), alpha=2)),
        "adopt-operation",
        "addmm in test_adoption.py:",
    ),
    "scaled bias": (
        _with(lambda m, x: torch.add(x @ m.fc1.weight.t(), m.fc1.bias, alpha=2)),
        "adopt-operation",
        "add in test_adoption.py:",
    ),
    "bias less product": (
        _with(lambda m, x: m.fc1.bias - x @ m.fc1.weight.t()),
        "adopt-operation",
        "sub in test_adoption.py:",
    ),
    "bias for each row": (
        _with(lambda m, x: m.fc2(m.fc1(x)) + m.fc1.weight[:6, :3]),
        "adopt-operation",
        "add in test_adoption.py:",
    ),
    "bias of one number": (
        _with(lambda m, x: torch.addmm(m.fc1.bias[:1], x, m.fc1.weight.t())),
        "adopt-operation",
        "addmm in test_adoption.py:",
    ),
    "bias twice": (
        _with(lambda m, x: m.fc2(x[:, :8] * 0 + m.fc1(x))),
        "adopt-skip",
        "add in test_adoption.py:",
    ),
    "two biases": (
        _with(lambda m, x: m.fc1(x) + CONSTANT[0]),
        "adopt-operation",
        "add in test_adoption.py:",
    ),
    "constant matrix": (
        _with(lambda m, x: x @ m.fc1.weight.t() + torch.ones(6, 8)),
        "adopt-operation",
        "add in test_adoption.py:",
    ),
    "lerp": (
        _with(lambda m, x: m.fc2(m.fc1(x).lerp(torch.zeros(8), 0.5))),
        "adopt-operation",
        "lerp in test_adoption.py:",
    ),
    "some classes": (
        _with(lambda m, x: m.fc1(x)[:, :3]),
        "adopt-operation",
        "getitem in test_adoption.py:",
    ),
    "input lerp": (
        _with(lambda m, x: m.fc1(x.lerp(torch.zeros(12), 0.5))),
        "adopt-operation",
        "lerp in test_adoption.py:",
    ),
    "temperature": (_with(lambda m, x: torch.softmax(m.fc1(x) / 2, 1)), "adopt-operation", "in test_adoption.py:"),
    "row mean": (
        _with(lambda m, x: m.fc1(x) - m.fc1(x).mean(0)),
        "adopt-skip",
        "linear in fc1 (Linear), test_adoption.py:",
    ),
    "picked": (
        _with(lambda m, x: m.fc2(m.fc1(x)[:, [1, 0, 2, 3, 4, 5, 6, 7]])),
        "adopt-operation",
        "getitem in test_adoption.py:",
    ),
    "turned": (
        _with(lambda m, x: m.fc1(x.view(-1, 3, 4).transpose(1, 2).reshape(-1, 12))),
        "adopt-operation",
        "transpose in test_adoption.py:",
    ),
    "cut off": (_with(lambda m, x: m.fc2(x[:, :8])), "adopt-operation", "getitem in test_adoption.py:"),
    "scaling": (_with(lambda m, x: m.fc1(x / 255.0)), "adopt-scaling", "div in test_adoption.py:"),
    "shift": (_with(lambda m, x: m.fc1((x - 0.5) / 0.5)), "adopt-scaling", "sub in test_adoption.py:"),
    "branch": (_with(_branch), "adopt-values", "a tensor's value read in test_adoption.py:"),
    "print": (
        _with(lambda m, x: m.fc1(x * float(x.max()))),
        "adopt-values",
        "a tensor's value read in test_adoption.py:",
    ),
    "dropout that always drops": (
        _with(lambda m, x: m.fc2(F.dropout(m.fc1(x).relu(), 0.5))),
        "adopt-random",
        "dropout in test_adoption.py:",
    ),
    "noise": (_with(lambda m, x: m.fc1(x) + torch.randn(8)), "adopt-random", "randn in test_adoption.py:"),
    "another dropout": (
        lambda: _seq(nn.Linear(12, 8), nn.AlphaDropout(), nn.Linear(8, 3)),
        "adopt-operation",
        "alpha_dropout in 1 (AlphaDropout)",
    ),
    "numpy": (_with(_gone), "adopt-disconnected", "an output that is the same for every input"),
    "nothing": (_with(lambda m, x: x), "adopt-no-layers", "none"),
    "skip": (Residual, "adopt-skip", "add in test_adoption.py:"),
    "densely": (_with(lambda m, x: torch.cat([m.fc1(x), x], 1)), "adopt-skip", "cat in test_adoption.py:"),
    "heads": (Heads, "adopt-skip", "linear in test_adoption.py:"),
    "shared": (Shared, "adopt-shared", "middle.weight again in middle (Linear), test_adoption.py:"),
    "custom": (_with(lambda m, x: m.fc2(Straight.apply(m.fc1(x)))), "adopt-custom", "Straight"),
    "mixed": (Mixed, "adopt-mixed", "relu, tanh"),
    "dropout once": (
        lambda: _seq(nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5), nn.ReLU(), nn.Linear(5, 3)),
        "adopt-dropout",
        "shares 0.5",
    ),
    "two shares": (
        lambda: _seq(
            nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, 5), nn.ReLU(), nn.Dropout(0.2), nn.Linear(5, 3)
        ),
        "adopt-dropout",
        "shares 0.5, 0.2",
    ),
    "dropout of the input": (lambda: _seq(nn.Dropout(0.2), nn.Linear(12, 3)), "adopt-dropout", "shares 0.2"),
    "dropout twice": (
        lambda: _seq(nn.Linear(12, 8), nn.ReLU(), nn.Dropout(0.2), nn.Dropout(0.2), nn.Linear(8, 3)),
        "adopt-dropout",
        "shares 0.2, 0.2",
    ),
    "dropout before sigmoid": (
        lambda: _seq(nn.Linear(12, 8), nn.Dropout(0.2), nn.Sigmoid(), nn.Linear(8, 3)),
        "adopt-dropout",
        "shares 0.2",
    ),
    "axis": (lambda: _seq(nn.Linear(12, 3), nn.Softmax(dim=0)), "adopt-axis", "axis 0 in 1 (Softmax)"),
    "log axis": (_with(lambda m, x: F.log_softmax(m.fc1(x), 0)), "adopt-axis", "axis 0 in test_adoption.py:"),
    "no axis": (
        _with(lambda m, x: torch.exp(m.fc1(x)) / torch.exp(m.fc1(x)).sum()),
        "adopt-skip",
        "linear in fc1 (Linear), test_adoption.py:",
    ),
    "both axes": (_with(lambda m, x: over_all(m.fc1(x).exp())), "adopt-axis", "axis 0, 1 in test_adoption.py:"),
    "twice": (
        lambda: _seq(nn.Linear(12, 3), nn.Softmax(1), nn.Softmax(1)),
        "adopt-twice",
        "a softmax of probabilities in 2 (Softmax)",
    ),
    "log twice": (
        lambda: _seq(nn.Linear(12, 3), nn.Softmax(1), nn.LogSoftmax(1)),
        "adopt-twice",
        "a softmax of probabilities in 2 (LogSoftmax)",
    ),
    "sigmoid at the end": (lambda: _seq(nn.Linear(12, 3), nn.Sigmoid()), "adopt-ending", "sigmoid in 1 (Sigmoid)"),
    "relu at the end": (lambda: _seq(nn.Linear(12, 3), nn.ReLU()), "adopt-ending", "relu in 1 (ReLU)"),
    "written into": (_with(_partly), "adopt-differs", "a difference of "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_such_network_is_refused(name: str) -> None:
    build, code, got = REFUSED[name]
    module = _build(build)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, about lazy layers
        with pytest.raises(s1.SumtooneError) as caught:
            adopt(module, torch.rand(ROWS, 12))
    assert (caught.value.code, got in caught.value.got) == (code, True), str(caught.value)
    with speaking("ko"):
        assert str(caught.value)


@pytest.mark.parametrize(
    ("example", "code", "got"),
    [
        (torch.zeros(2, 12, dtype=torch.long), "adopt-example", "torch.int64"),
        ([[0.0] * 12], "adopt-example", "list"),
        (torch.rand(12), "adopt-example", "(12,)"),
        (torch.rand(0, 12), "adopt-example", "(0, 12)"),
    ],
)
def test_an_example_must_hold_rows(example: Any, code: str, got: str) -> None:
    with pytest.raises(s1.SumtooneError) as caught:
        adopt(nn.Linear(12, 3), example)
    assert (caught.value.code, caught.value.got) == (code, got)


def test_whole_messages() -> None:
    with pytest.raises(s1.UsageError) as caught:
        adopt(_build(REFUSED["batch norm"][0]), torch.rand(2, 12))
    assert str(caught.value) == (
        "The module has an operation that a dense network does not have [adopt-operation]\n"
        f"  expected: {LINEAR}\n"
        "  got: BatchNorm1d in 1 (BatchNorm1d)\n"
        "  try: take BatchNorm1d out; fit(module, …) trains modules of any kind, as long as they return logits"
    )
    with pytest.raises(s1.UsageError) as caught:
        adopt(_build(REFUSED["twice"][0]), torch.rand(2, 12))
    assert str(caught.value) == (
        "The softmax is applied twice [adopt-twice]\n"
        "  expected: one softmax at the end, or none\n"
        "  got: a softmax of probabilities in 2 (Softmax)\n"
        "  try: take one of the two out"
    )
    with pytest.raises(s1.UsageError) as caught:
        adopt(_build(REFUSED["axis"][0]), torch.rand(1, 12))
    assert str(caught.value) == (
        "The softmax runs along the wrong axis [adopt-axis]\n"
        "  expected: axis 1, the classes: each row sums to one\n"
        "  got: axis 0 in 1 (Softmax)\n"
        "  try: write dim=1 or dim=-1 (keepdim=True in a sum by hand)"
    )
    with pytest.raises(s1.UsageError) as caught:
        adopt(Mixed(), torch.rand(2, 12))
    assert str(caught.value) == (
        "The hidden layers have different activations, and a network has one [adopt-mixed]\n"
        "  expected: the same activation behind every hidden layer\n"
        "  got: relu, tanh\n"
        "  try: choose one of them for all"
    )
    with pytest.raises(s1.UsageError) as caught:
        adopt(OnlyAList(), torch.rand(2, 12))
    assert str(caught.value) == (
        "The module has nothing to learn: .parameters() is empty [module-no-parameters]\n"
        "  expected: layers assigned to attributes in __init__, such as self.hidden = nn.Linear(784, 256)\n"
        "  got: OnlyAList without parameters\n"
        "  try: keep layers in attributes, nn.ModuleList or nn.Sequential, not in a plain list, "
        "and weights in nn.Parameter"
    )
