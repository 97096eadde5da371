"""What takes part in the tests of the benchmarks' processes: quick to import, as each process imports it."""

from __future__ import annotations

import math
import os
import signal
import time

from benchmarks.workers import Session, Task
from sumtoone.errors import UnavailableError


def counts(task: Task) -> Session:
    turns: list[int] = []

    def run(turn: int) -> float | None:
        turns.append(turn)
        return None if task.threads == 1 else 42.0

    return Session(run, lambda: float(len(turns)) if turns == list(range(len(turns))) else math.nan)


def threads_it_was_given(task: Task) -> Session:
    return Session(lambda turn: None, lambda: float(os.environ["OMP_NUM_THREADS"]))


def needs_what_is_not_there(task: Task) -> Session:
    import a_library_that_nobody_wrote  # noqa: F401

    raise AssertionError


def cannot(task: Task) -> Session:
    raise UnavailableError("engine-unavailable", engine="fused")


def raises_in_preparation(task: Task) -> Session:
    raise ValueError


def leaves(task: Task) -> Session:
    os._exit(3)


def raises_in_the_third_round(task: Task) -> Session:
    def run(turn: int) -> None:
        if task.threads == 2 and turn == 2:
            raise ValueError("the weights\nare gone")

    return Session(run, lambda: 0.5)


def kills_itself(task: Task) -> Session:
    return Session(lambda turn: os.kill(os.getpid(), signal.SIGKILL) if turn else None, lambda: 0.5)


def hangs(task: Task) -> Session:
    return Session(lambda turn: time.sleep(1000), lambda: 0.5)


def agrees(task: Task) -> Session:
    return Session(lambda turn: 0.25, lambda: 0.0)
