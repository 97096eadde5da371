"""What a process has only one of: torch's threads, its random state, and Ctrl-C.

The plain engine draws dropout from torch's own random state, so plain trainings take turns, and whatever they set is
put back. The fused engine does not: its trainings run side by side.

Of a forked child: OpenMP's threads, with which PyTorch computes, do not survive the fork, and whoever waits for one
waits for ever. So a child of a process that has trained computes with one, until it asks for more.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

import torch
from torch.nn.parameter import is_lazy

from sumtoone.errors import UsageError
from sumtoone.options import COUNTS
from sumtoone.training.fused import takes
from sumtoone.training.interruption import interruptible
from sumtoone.training.state import Plan

# Below this many products in a forward pass a second thread gains a sixth at best, and where another process wants
# the core it costs fifteen times as much: the threads wait for each other at every one of a step's small operations.
_PRODUCTS_FOR_ONE_THREAD = 2**25

_turn, _setting = threading.RLock(), threading.Lock()
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Surroundings:
    """What training finds set up around it: the threads it computes with, Ctrl-C, and which engine computes."""

    threads: int
    interrupted: Callable[[], bool]
    fused: bool
    """Whether the fused engine computes the steps."""


@contextmanager
def surroundings(plan: Plan) -> Iterator[Surroundings]:
    """Hold Ctrl-C back to the end of a step inside the block; set torch's threads and state where it computes.

    The threads are ``options.threads``, ``SUMTOONE_THREADS``, or what suits the network's size.
    """
    _heed_forks()
    wanted = plan.options.threads or _threads_named()
    # Wherever it can, unless the plain one was asked for.
    fused = plan.options.engine != "plain" and takes(plan)
    with ExitStack() as stack:
        if not fused:
            stack.enter_context(_turn)
            stack.enter_context(torch.random.fork_rng(devices=[plan.device] if plan.device.type == "cuda" else []))
            wanted = wanted or _suited(plan)
        if not fused or plan.options.draws_rows:
            # Rows are drawn by torch, whichever engine takes the steps.
            wanted = stack.enter_context(torch_threads(wanted or torch.get_num_threads()))
        yield Surroundings(wanted or torch.get_num_threads(), stack.enter_context(interruptible()), fused)


def _threads_named() -> int | None:
    named = os.environ.get("SUMTOONE_THREADS", "")
    if not named:
        return None
    low, high = COUNTS["threads"]
    number = int(named) if named.isascii() and named.isdigit() and len(named) <= 18 else 0
    if not low <= number <= high:
        raise UsageError("training-count", name="SUMTOONE_THREADS", given=repr(named), low=low, high=f"{high:,}")
    return number


def _suited(plan: Plan) -> int:
    sizes = (parameter.numel() for parameter in plan.network.parameters() if not is_lazy(parameter))
    return 1 if plan.options.batch_size * sum(sizes) <= _PRODUCTS_FOR_ONE_THREAD else torch.get_num_threads()


@contextmanager
def torch_threads(wanted: int) -> Iterator[int]:
    """Let torch compute with so many threads inside the block, where this thread asks it to, and then as before."""
    before = torch.get_num_threads()
    _compute_with(wanted)
    try:
        yield wanted
    finally:
        _compute_with(before)


def _compute_with(number: int) -> None:
    """Set this thread's number of torch's threads, and no other's.

    torch keeps one number for each thread that has computed, and one for those to come: who sets the one sets both. A
    new thread sets the latter back.
    """
    with _setting:
        to_come = _elsewhere(torch.get_num_threads)
        torch.set_num_threads(number)
        _elsewhere(lambda: torch.set_num_threads(to_come))


def _elsewhere(call: Callable[[], _Result]) -> _Result:
    found: list[_Result] = []
    thread = threading.Thread(target=lambda: found.append(call()))
    thread.start()
    thread.join()
    return found[0]


@cache
def _heed_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_begin_anew)


def _begin_anew() -> None:
    global _turn, _setting
    _turn, _setting = threading.RLock(), threading.Lock()
    torch.set_num_threads(1)
