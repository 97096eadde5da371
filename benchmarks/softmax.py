"""softmax, log_softmax and cross entropy against PyTorch's, and against a plain copy of the tensor.

Inside the timer: one call, or a call and its backward pass. Gigabytes a second are bytes read and written once
each, so that a copy of the tensor, measured in the same rounds, is the limit: into memory that is there ("copy"), as
with ``out=``, and into a new tensor ("clone"), as all other calls make one. Each contender at its best number of
threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

import sumtoone as s1
from benchmarks.protocol import Contender, interleaved, machine, ratios, summary
from benchmarks.workers import Entry, Session, Task, in_turns
from sumtoone.native import status

CLASSES = (2, 10, 16, 17, 64, 1000)
NUMBERS = 17_000_000  # 68 MB
SMALL = ((1, 10), (64, 10), (64, 32), (64, 100))
_CALLS = 1000
Call = Callable[[], object]


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: for each number of classes, seconds, ratios and shares of the copy's speed."""
    numbers = 200_000 if quick else NUMBERS
    # Two of the peers compile. All are timed in this process, so each is first tried in one that may die.
    tried = in_turns([Entry(name, partial(_trial, name), Task()) for name in ([] if quick else PEERS)], rounds=0)
    rows = [_one_width(classes, numbers // classes, rounds, [name for name, _ in tried.first]) for classes in CLASSES]
    return {
        "what": f"float32 tensors of {numbers:,} numbers, last dimension",
        "machine": machine(["torch", "jax", "sumtoone"]),
        "rounds": rounds,
        "path": status().path,
        "missing": tried.missing,
        "widths": rows,
        "small": [_small(rounds, shape) for shape in SMALL],
    }


def _trial(name: str, task: Task) -> Session:
    def run(turn: int) -> None:
        for classes in CLASSES:
            PEERS[name](torch.randn(100, classes))()

    return Session(run, lambda: math.nan)


def _one_width(classes: int, rows: int, rounds: int, others: Sequence[str]) -> dict[str, Any]:
    x = torch.randn(rows, classes)
    out = torch.empty_like(x)
    calls = {
        "softmax into out": (lambda: s1.softmax(x, 1, out=out), lambda: torch.softmax(x, 1, out=out)),
        **_calls(x, torch.randint(classes, (rows,))),
    }
    contenders: list[tuple[str, Call]] = [("copy", lambda: out.copy_(x)), ("clone", x.clone)]
    for name, (ours, theirs) in calls.items():
        contenders += [(f"{name}: ours", ours), (f"{name}: torch", theirs)]
    peers = {name: PEERS[name](x) for name in others}
    contenders += peers.items()
    threads = range(1, (os.cpu_count() or 1) + 1)
    seconds = interleaved(
        [Contender(f"{name}, {count}", _threaded(call, count)) for name, call in contenders for count in threads],
        rounds,
    )
    best = {
        name: min((f"{name}, {count}" for count in threads), key=lambda key: summary(seconds[key])["median"])
        for name, _ in contenders
    }
    return {
        "classes": classes,
        "gigabytes_per_second": {
            name: x.numel() * 8 / summary(seconds[best[name]])["median"] / 1e9
            for name in ("copy", "clone", "softmax into out: ours", "softmax into out: torch")
        },
        "share_of_copy": ratios(seconds, best["copy"], best["softmax into out: ours"]),
        "peers": {name: ratios(seconds, best[name], best["softmax: ours"]) for name in peers},
        "faster": {name: ratios(seconds, best[f"{name}: torch"], best[f"{name}: ours"]) for name in calls},
    }


def _by_hand(x: Tensor) -> Call:
    def call() -> Tensor:
        exponentials = x.exp()
        return exponentials / exponentials.sum(dim=1, keepdim=True)

    return call


def _compiled(x: Tensor) -> Call:
    torch.compiler.reset()  # one compilation for each width and number of threads would be too many to keep
    compiled = torch.compile(torch.softmax, dynamic=False)
    return lambda: compiled(x, 1)


def _jitted(x: Tensor) -> Call:
    """JAX always uses all cores."""
    import jax

    jitted, array = jax.jit(jax.nn.softmax), jax.device_put(x.numpy())
    return lambda: jitted(array).block_until_ready()


# Other ways to a softmax of the same numbers.
PEERS: dict[str, Callable[[Tensor], Call]] = {"by hand": _by_hand, "torch.compile": _compiled, "jax.jit": _jitted}


def _calls(x: Tensor, target: Tensor) -> dict[str, tuple[Call, Call]]:
    """Return our call and PyTorch's, by name."""
    learned, upstream = x.clone().requires_grad_(), torch.randn_like(x)

    def backward(softmax: Callable[..., Tensor]) -> Call:
        return lambda: torch.autograd.grad(softmax(learned, dim=1), learned, upstream)

    return {
        "softmax": (lambda: s1.softmax(x, 1), lambda: torch.softmax(x, 1)),
        "log_softmax": (lambda: s1.log_softmax(x, 1), lambda: torch.log_softmax(x, 1)),
        "softmax, both passes": (backward(s1.softmax), backward(torch.softmax)),
        "cross entropy, both passes": (
            lambda: torch.autograd.grad(s1.cross_entropy(learned, target), learned),
            lambda: torch.autograd.grad(F.cross_entropy(learned, target), learned),
        ),
    }


def _small(rounds: int, shape: tuple[int, int]) -> dict[str, Any]:
    """Return microseconds of calls on a few numbers, on one thread, and their ratios to PyTorch's."""
    calls = _calls(torch.randn(*shape), torch.randint(shape[1], shape[:1]))
    contenders = [
        Contender(f"{name}: {whose}", _threaded(_many(call), 1))
        for name, pair in calls.items()
        for whose, call in zip(("ours", "torch"), pair, strict=True)
    ]
    seconds = interleaved(contenders, rounds)
    return {
        "shape": list(shape),
        "microseconds": {name: summary(values)["median"] / _CALLS * 1e6 for name, values in seconds.items()},
        "ours / torch": {name: ratios(seconds, f"{name}: ours", f"{name}: torch") for name in calls},
    }


def _many(call: Call) -> Call:
    def run() -> None:
        for _ in range(_CALLS):
            call()

    return run


def _threaded(call: Call, threads: int) -> Callable[[], Call]:
    def prepare() -> Call:
        torch.set_num_threads(threads)
        return call

    return prepare
