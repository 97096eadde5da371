"""What the machine can do, measured as a contender among the others: matrix products and copies.

The limit of a training task is the time that the floating-point operations of its matrix products take at the best
rate that ``torch.mm`` reached in the same round, over several shapes.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from itertools import pairwise

import torch

from benchmarks.workers import Session, Task
from sumtoone.specification import Specification

# (M, K) by (K, N): squares that fill the caches, and the panels of batches in networks.
_SHAPES = (
    (512, 512, 512),
    (1024, 1024, 1024),
    (2048, 1024, 1024),
    (1024, 784, 128),
    (4096, 784, 128),
    (784, 4096, 128),
)
_SECONDS_PER_SHAPE = 0.04
COPIED_NUMBERS = 20_000_000


def training_flop(network: str, rows: int) -> int:
    """Return the operations of the matrix products of one pass: forward, weight gradient, and input gradient.

    The first layer has no input gradient. A product and its addition count as two.

    >>> training_flop("784-128-64-10", 1) == 2 * (2 * 784 * 128 + 3 * 128 * 64 + 3 * 64 * 10)
    True
    """
    weights = [before * after for before, after in pairwise(Specification.parse(network, "relu", 0.0).sizes)]
    return 2 * rows * (3 * sum(weights) - weights[0])


def matrix_products(task: Task) -> Session:
    """The time of the epochs of ``task`` at the machine's best rate; ``task.rows`` must be given."""
    assert task.rows is not None
    torch.set_num_threads(task.threads)
    dtype = torch.bfloat16 if task.precision == "bfloat16" else torch.float32
    flop = training_flop(task.network, task.rows) * task.epochs
    products = [_product(*shape, dtype) for shape in _SHAPES]

    def run(turn: int) -> float:
        rates = [2 * math.prod(shape) / _least_seconds(call) for shape, call in zip(_SHAPES, products, strict=True)]
        return flop / max(rates)

    return Session(run, lambda: math.nan)


def _product(m: int, k: int, n: int, dtype: torch.dtype) -> Callable[[], object]:
    a, b, out = torch.randn(m, k).to(dtype), torch.randn(k, n).to(dtype), torch.empty(m, n, dtype=dtype)
    return lambda: torch.mm(a, b, out=out)


def copy(task: Task) -> Session:
    """The least time of copying 80 MB to where memory has been used before."""
    torch.set_num_threads(task.threads)
    source = torch.randn(COPIED_NUMBERS)
    target = torch.empty_like(source)
    target.copy_(source)
    return Session(lambda turn: _least_seconds(lambda: target.copy_(source)), lambda: math.nan)


def _least_seconds(call: Callable[[], object]) -> float:
    best, until = math.inf, time.perf_counter() + _SECONDS_PER_SHAPE
    while (started := time.perf_counter()) < until:
        call()
        best = min(best, time.perf_counter() - started)
    return best
