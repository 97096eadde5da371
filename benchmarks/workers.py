"""Contenders in processes of their own, so that no library's threads or settings disturb another's.

A process prepares its contender once and then waits. They take turns, one at work at a time, and time themselves.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from sumtoone.errors import UnavailableError

# Whoever has just worked may still be spinning on its core.
_SECONDS_BETWEEN_TURNS = 0.02


@dataclass(frozen=True)
class Task:
    """What is measured, the same for all contenders of a comparison; ``rows=None`` are all there are."""

    network: str = "784-128-64-10"
    data: str = "mnist"
    rows: int | None = None
    batch_size: int = 64
    precision: str = "float32"
    threads: int = 1


@dataclass(frozen=True)
class Session:
    """A contender that is ready.

    ``run`` is what is timed; it takes the number of the round, and may return seconds of its own that count instead.
    ``judge`` gives the figure in which contenders must agree, after each turn and outside the timer.
    """

    run: Callable[[int], float | None]
    judge: Callable[[], float]


@dataclass(frozen=True)
class Entry:
    """A contender, named as in the tables, and its task; ``prepare`` runs in the process and is not timed."""

    name: str
    prepare: Callable[[Task], Session]
    task: Task

    @property
    def key(self) -> tuple[str, int]:
        """The name and the number of threads."""
        return self.name, self.task.threads


@dataclass
class Results:
    """Seconds and judgements of each entry in the rounds that count, the seconds of the first one, the absent."""

    seconds: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    judged: dict[tuple[str, int], list[float]] = field(default_factory=dict)
    first: dict[tuple[str, int], float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


def in_turns(entries: Sequence[Entry], rounds: int, seed: int = 0) -> Results:
    """Let the entries take turns for one round that warms up and ``rounds`` that count, in a new order each round.

    An entry whose library is not installed, or that cannot do its task, is missing from the results, with the reason.
    """
    results, shuffled = Results(), random.Random(seed)
    with ExitStack() as stack:
        started = [(entry, stack.enter_context(_process(entry))) for entry in entries]
        ready = []
        for entry, pipe in started:
            why = _answer(entry, pipe)
            if why is None:
                ready.append((entry, pipe))
            else:
                results.missing[entry.name] = why
        for turn in range(rounds + 1):
            shuffled.shuffle(ready)
            for entry, pipe in ready:
                time.sleep(_SECONDS_BETWEEN_TURNS)
                pipe.send(turn)
                seconds, judged = _answer(entry, pipe)
                if turn == 0:
                    results.first[entry.key] = seconds
                else:
                    results.seconds.setdefault(entry.key, []).append(seconds)
                    results.judged.setdefault(entry.key, []).append(judged)
    return results


def _answer(entry: Entry, pipe: Connection) -> Any:
    try:
        return pipe.recv()
    except EOFError:
        raise RuntimeError(f"the process of {entry.name} ended; what it last said is above") from None


@contextmanager
def _process(entry: Entry) -> Iterator[Connection]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, entry), daemon=True)
    with _environment(entry.task.threads):
        process.start()
    theirs.close()  # so that a process that dies is noticed here, as an end of file
    try:
        yield ours
    finally:
        ours.close()
        process.join()


@contextmanager
def _environment(threads: int) -> Iterator[None]:
    """Let a process that starts inside the block read its number of threads; libraries do so when they are loaded."""
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, str(threads)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _serve(pipe: Connection, entry: Entry) -> None:
    try:
        session = entry.prepare(entry.task)
    except ImportError as error:
        pipe.send(f"not installed: {error.name or error}")
        return
    except UnavailableError as error:
        pipe.send(error.message)
        return
    pipe.send(None)
    while True:
        try:
            turn = pipe.recv()
        except EOFError:
            return
        gc.collect()
        started = time.perf_counter()
        own = session.run(turn)
        spent = time.perf_counter() - started
        pipe.send((spent if own is None else own, session.judge()))
