"""Programs that fail, by the mistake that each one is: PyTorch itself says the messages."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

rand, ones = torch.rand, torch.ones
LABELS = torch.ones(4, dtype=torch.int64)


class NoForward(nn.Module):
    pass


class NoSuper(nn.Module):
    def __init__(self) -> None:
        self.fc = nn.Linear(2, 2)


class NoSuperParameter(nn.Module):
    def __init__(self) -> None:
        self.w = nn.Parameter(rand(2))


class NoSuperAtAll(nn.Module):
    def __init__(self) -> None:
        self.sizes = [1]

    def forward(self, x):
        return x


class NoSelf(nn.Module):
    def forward(x):  # noqa: N805
        return x


class NoInput(nn.Module):
    def forward(self):
        return 1


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x + y


class Attribute(nn.Module):
    def forward(self, x):
        return self.fc3(x)


def in_place_needed():
    x = rand(3, requires_grad=True)
    y = x.exp()
    y += 1
    y.sum().backward()


def in_place_view():
    x = rand(2, 3, requires_grad=True)
    first, _ = (x * 1).unbind()
    first.add_(1)


def in_place_leaf():
    x = rand(3, 2, requires_grad=True)
    x -= 1


def in_place_leaf_view():
    x = rand(3, 2, requires_grad=True)
    x[0] = 1


def in_place_dtype():
    counts = torch.zeros(3, dtype=torch.long)
    counts += rand(3)


def in_place_shape():
    total = rand(10)
    total += rand(64, 10)


def backward_twice():
    loss = rand(3, requires_grad=True).exp().sum()
    loss.backward()
    loss.backward()


PROVOKED: tuple[tuple[str, Callable[[], object]], ...] = (
    ("matmul", lambda: torch.mm(rand(64, 128), rand(64, 64))),
    ("matmul", lambda: rand(784) @ rand(256, 10)),
    ("linear-features", lambda: nn.Linear(64, 64)(rand(64, 128))),
    ("linear-features", lambda: nn.Linear(64, 64, bias=False)(rand(128))),
    ("linear-flatten", lambda: nn.Linear(784, 64)(rand(64, 1, 28, 28))),
    ("linear-weight", lambda: F.linear(rand(64, 784), rand(784, 256))),
    ("matmul-vector", lambda: rand(64, 784) @ rand(256)),
    ("dot", lambda: rand(4) @ rand(5)),
    ("batch-matmul", lambda: torch.bmm(rand(2, 3, 4), rand(2, 5, 6))),
    ("matrix-rank", lambda: torch.mm(rand(2, 3, 4), rand(4, 5))),
    ("matrix-rank", lambda: torch.mm(rand(3, 4), rand(2, 4, 5))),
    ("matrix-rank", lambda: rand(2, 3, 4).t()),
    ("broadcast", lambda: rand(64, 10) / rand(64)),
    ("broadcast", lambda: torch.eq(rand(64), rand(10))),
    ("broadcast", lambda: rand(2, 3, 4) @ rand(3, 4, 5)),
    ("broadcast", lambda: torch.add(rand(4, 3), rand(4, 2))),
    ("in-place-shape", in_place_shape),
    ("expand", lambda: rand(4).expand(2, 3)),
    ("expand", lambda: F.linear(rand(64, 784), rand(256, 784), rand(64))),
    ("view", lambda: rand(64, 1, 28, 28).view(64, 28)),
    ("view", lambda: rand(32, 784).view(64, 784)),
    ("view-divide", lambda: rand(64, 1, 28, 28).view(100, -1)),
    ("view-layout", lambda: rand(4, 5).t().view(20)),
    ("view-two", lambda: rand(4, 5).view(-1, -1)),
    ("target-dtype", lambda: F.cross_entropy(rand(4, 10), rand(4))),
    ("target-dtype", lambda: F.nll_loss(rand(4, 10), LABELS.int())),
    ("dtypes", lambda: nn.Linear(4, 4)(rand(2, 4).double())),
    ("dtypes", lambda: rand(2, 4).double() @ rand(4, 4)),
    ("dtypes", lambda: nn.Linear(4, 4)(ones(2, 4, dtype=torch.uint8))),
    ("dtypes", lambda: nn.Conv2d(1, 4, 3)(rand(2, 1, 8, 8).double())),
    ("dtypes", lambda: torch.bmm(rand(2, 3, 4), ones(2, 4, 5).long())),
    ("dtypes", lambda: torch.bmm(ones(2, 3, 4).long(), rand(2, 4, 5))),
    ("dtypes", lambda: ones(2, 3, 4).long() @ rand(2, 4, 5)),
    ("dtypes", lambda: torch.einsum("bij,bjk->bik", ones(2, 3, 4).long(), rand(2, 4, 5))),
    ("loss-dtype", lambda: F.binary_cross_entropy(rand(4), LABELS)),
    ("target-probabilities", lambda: F.cross_entropy(rand(4, 10), ones(4, 10).long())),
    ("not-for-dtype", lambda: F.cross_entropy(ones(4, 10).long(), LABELS)),
    ("not-for-dtype", lambda: ones(3, 4).long().softmax(1)),
    ("mean-dtype", lambda: torch.mean(LABELS)),
    ("in-place-dtype", in_place_dtype),
    ("index-dtype", lambda: rand(4)[rand(2)]),
    ("one-hot-dtype", lambda: F.one_hot(rand(4))),
    ("one-hot-range", lambda: F.one_hot(torch.tensor([1, 11]), 10)),
    ("boolean-minus", lambda: torch.tensor([True]) - torch.tensor([True])),
    ("boolean-minus", lambda: 1 - torch.tensor([True])),
    ("dimension", lambda: rand(3, 4).sum(dim=2)),
    ("dimension", lambda: F.softmax(rand(10), dim=1)),
    ("dimension-none", lambda: torch.tensor(1.0).size(0)),
    ("batch-sizes", lambda: F.cross_entropy(rand(64, 10), LABELS)),
    ("batch-sizes", lambda: F.nll_loss(rand(64, 10), LABELS)),
    ("spatial", lambda: F.cross_entropy(rand(4, 1, 28, 28), LABELS)),
    ("target-size", lambda: F.cross_entropy(rand(4, 10, 5), LABELS)),
    ("target-rank", lambda: F.cross_entropy(rand(4, 10), LABELS.view(4, 1))),
    ("target-rank", lambda: F.nll_loss(rand(4, 10), ones(4, 10).long())),
    ("logits-rank", lambda: F.cross_entropy(rand(10), LABELS)),
    ("target-range", lambda: F.cross_entropy(rand(4, 10), LABELS * 10)),
    ("target-negative", lambda: F.cross_entropy(rand(4, 10), -LABELS)),
    ("target-shape", lambda: F.binary_cross_entropy(rand(4, 1), ones(4))),
    ("target-shape", lambda: F.binary_cross_entropy_with_logits(rand(4, 1), ones(4))),
    ("probability-range", lambda: F.binary_cross_entropy(rand(4) + 1, ones(4))),
    ("forward-missing", lambda: NoForward()(rand(2))),
    ("super-missing", lambda: [NoSuper()]),
    ("super-missing", lambda: [NoSuperParameter()]),
    ("super-missing", lambda: NoSuperAtAll()(rand(2))),
    ("iterator-next", lambda: iter(torch.utils.data.DataLoader([1])).next()),
    ("attribute", lambda: Attribute()(rand(2))),
    ("nothing", lambda: F.softmax(None, dim=1)),
    ("nothing", lambda: nn.Linear(2, 2)(None)),
    ("forward-self", lambda: NoSelf()(rand(2))),
    ("forward-self", lambda: NoInput()(rand(2))),
    ("forward-count", lambda: Attribute()(rand(2), 2)),
    ("forward-input", lambda: TwoInputs()(rand(2))),
    ("forward-input", lambda: TwoInputs()(*())),
    ("linear-outputs", lambda: nn.Linear(rand(2, 3))),
    ("not-a-layer", lambda: nn.Sequential(nn.Linear(2, 2), F.relu)),
    ("no-gradient", lambda: rand(3).sum().backward()),
    ("in-place-needed", in_place_needed),
    ("in-place-leaf", in_place_leaf),
    ("in-place-leaf", in_place_leaf_view),
    ("in-place-view", in_place_view),
    ("backward-twice", backward_twice),
    ("backward-vector", lambda: torch.autograd.backward(rand(3, requires_grad=True) * 2)),
    ("numpy-gradient", lambda: rand(3, requires_grad=True).numpy()),
    ("argument-type", lambda: nn.Linear(2, 2)(np.ones((1, 2)))),
    ("argument-type", lambda: nn.Linear(2, 2)(nn.ReLU())),
    ("argument-type", lambda: torch.exp(2.0)),
    ("argument-type", lambda: F.cross_entropy((rand(2, 2),), LABELS)),
    ("argument-type", lambda: F.cross_entropy(rand(2, 2), [1, 0])),
    ("argument-type", lambda: torch.exp("x")),
    ("dim-missing", lambda: torch.softmax(rand(2, 2))),
    ("dim-missing", lambda: rand(3).cumsum()),
    ("one-element", lambda: rand(3).item()),
    ("one-element", lambda: float(rand(3))),
    ("truth", lambda: bool(rand(3) > 0)),
    ("devices", lambda: nn.Linear(2, 2)(torch.empty(2, 2, device="meta"))),
    ("batch-norm-row", lambda: nn.BatchNorm1d(4)(rand(1, 4))),
    ("norm-features", lambda: nn.BatchNorm1d(4)(rand(2, 5))),
    ("cat-sizes", lambda: torch.cat([rand(64, 10), rand(32, 5)], dim=1)),
    ("cat-sizes", lambda: torch.cat([rand(64, 10), rand(64, 5)])),
    ("cat-ranks", lambda: torch.cat([rand(64, 10), rand(64)])),
    ("stack", lambda: torch.stack([rand(3), rand(4)])),
    ("index-range", lambda: rand(10)[10]),
    ("index-many", lambda: rand(3, 4)[0, 0, 0]),
    ("index-pairs", lambda: rand(4, 5)[torch.arange(4), torch.arange(3)]),
    ("mask", lambda: rand(10, 4)[ones(4).bool()]),
    ("embedding-range", lambda: nn.Embedding(3, 2)(torch.tensor([5]))),
    ("conv-channels", lambda: nn.Conv2d(1, 4, 3)(rand(2, 3, 8, 8))),
    ("conv-axes", lambda: nn.Conv2d(1, 4, 3)(rand(64, 784))),
    ("conv-axes", lambda: nn.Conv2d(1, 4, 3)(rand(64, 783))),
    ("optimizer-empty", lambda: torch.optim.SGD([], lr=0.1)),
)

# What PyTorch and Python say that is not read, and must not be guessed.
UNKNOWN: tuple[Callable[[], object], ...] = (
    lambda: rand(4, 5).view(-2, 10),
    lambda: torch.einsum("bi,io->bo", rand(2, 3), rand(4, 5)),
    lambda: nn.Linear(2, 3).load_state_dict({}),
    lambda: rand(2, 2).softmax(dim="1"),
    lambda: torch.tensor([[1, 2], [3]]),
    lambda: bool(ones(0)),
    lambda: rand(2, 3).name_of_nothing,
    lambda: "text".forward,
    lambda: 1 / 0,
    lambda: {}["key"],
    lambda: NoForward(1),
)
