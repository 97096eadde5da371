"""What a process has only one of: torch's threads, its random state, and Ctrl-C.

The plain engine computes with torch's threads and draws dropout from torch's own random state, so plain trainings take
turns, and whatever they set is put back. The fused engine needs neither: its trainings run side by side.

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

_turn = threading.RLock()


@dataclass(frozen=True)
class Surroundings:
    """What training finds set up around it: the threads it computes with, Ctrl-C, and which engine computes."""

    threads: int
    interrupted: Callable[[], bool]
    fused: bool
    """Whether the fused engine computes the steps."""


@contextmanager
def surroundings(plan: Plan) -> Iterator[Surroundings]:
    """Hold Ctrl-C back to the end of a step inside the block; for the plain engine also torch's threads and state.

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
            wanted = stack.enter_context(_torch_threads(wanted or _suited(plan)))
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
def _torch_threads(wanted: int) -> Iterator[int]:
    """Let torch compute with so many threads inside the block, and every thread with as many as before behind it.

    torch keeps one number for threads to come, and one for each that has computed; a thread that began to compute
    while another trained has taken over that one's. A new thread tells the number for all.
    """
    before: list[int] = []
    asker = threading.Thread(target=lambda: before.append(torch.get_num_threads()))
    asker.start()
    asker.join()
    torch.set_num_threads(wanted)
    try:
        yield wanted
    finally:
        torch.set_num_threads(before[0])


@cache
def _heed_forks() -> None:
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_begin_anew)


def _begin_anew() -> None:
    global _turn  # noqa: PLW0603 - the parent's may be held by a thread that is not there
    _turn = threading.RLock()
    torch.set_num_threads(1)
