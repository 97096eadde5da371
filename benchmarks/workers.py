"""Contenders in processes of their own, so that no library's threads or settings disturb another's.

A process prepares its contender once and then waits. They take turns, one at work at a time, and time themselves. One
that fails, dies or does not answer in time is named with the reason, and the others go on.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from sumtoone.errors import UnavailableError

# Whoever has just worked may still be spinning on its core.
_SECONDS_BETWEEN_TURNS = 0.02
# The longest that a process may prepare itself, beside all others that do, or take for a turn.
_PATIENCE = 600.0
_SECONDS_TO_LEAVE = 10.0


@dataclass(frozen=True)
class Task:
    """What is measured, the same for all contenders of a comparison; ``rows=None`` are all there are."""

    network: str = "784-128-64-10"
    data: str = "mnist"
    rows: int | None = None
    batch_size: int = 64
    precision: str = "float32"
    threads: int = 1
    activation: str = "relu"
    epochs: int = 1


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
    patience: float = _PATIENCE

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

    An entry whose library is not installed, or that fails at any time, is missing from the results, with the reason.
    """
    results, shuffled, failed = Results(), random.Random(seed), {}
    with ExitStack() as stack:
        working = {entry.key: stack.enter_context(_worker(entry)) for entry in entries}
        for turn in (None, *range(rounds + 1)):
            order = list(working)
            shuffled.shuffle(order)
            for key in order:
                answer = working[key].answer(turn)
                if isinstance(answer, str):
                    failed[key] = answer
                    del working[key]
                elif turn is not None:
                    seconds, judged = answer
                    results.seconds.setdefault(key, []).append(seconds)
                    results.judged.setdefault(key, []).append(judged)
    for key in working:
        results.first[key] = results.seconds[key].pop(0)
        results.judged[key].pop(0)
    for key in failed:
        results.seconds.pop(key, None)
        results.judged.pop(key, None)
    results.missing = _named(failed, entries)
    return results


def _named(failed: Mapping[tuple[str, int], str], entries: Sequence[Entry]) -> dict[str, str]:
    """Return the reasons by name, and by name and threads where the others of the name fared better or otherwise."""
    missing = {}
    for entry in entries:
        if why := failed.get(entry.key):
            alike = all(failed.get(other.key) == why for other in entries if other.name == entry.name)
            missing[entry.name if alike else f"{entry.name}, threads: {entry.task.threads}"] = why
    return missing


@dataclass(frozen=True)
class _Worker:
    entry: Entry
    pipe: Connection
    process: BaseProcess

    def answer(self, turn: int | None) -> tuple[float, float] | str:
        """Return seconds and judgement of a turn, or why there are none; without a turn, how the preparation went."""
        try:
            if turn is not None:
                time.sleep(_SECONDS_BETWEEN_TURNS)
                self.pipe.send(turn)
            if self.pipe.poll(self.entry.patience):
                answer: tuple[float, float] | str = self.pipe.recv()
                return answer
        except (EOFError, OSError):
            self.process.join(_SECONDS_TO_LEAVE)
            code = self.process.exitcode or 0
            return f"its process ended: {signal.Signals(-code).name if code < 0 else f'exit code {code}'}"
        self.process.kill()
        return f"no answer within {self.entry.patience:g} s"


@contextmanager
def _worker(entry: Entry) -> Iterator[_Worker]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, entry), daemon=True)
    with _environment(entry.task.threads):
        process.start()
    theirs.close()  # so that a process that dies is noticed here, as an end of file
    try:
        yield _Worker(entry, ours, process)
    finally:
        ours.close()
        process.join(_SECONDS_TO_LEAVE)
        process.kill()


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
    """Prepare, say so, and answer each number of a round with seconds and a judgement; or say what failed, and end."""
    try:
        session = entry.prepare(entry.task)
        pipe.send((0.0, 0.0))
        while (turn := _next(pipe)) is not None:
            gc.collect()
            started = time.perf_counter()
            own = session.run(turn)
            spent = time.perf_counter() - started
            pipe.send((spent if own is None else own, session.judge()))
    except ImportError as error:
        pipe.send(f"not installed: {error.name}" if isinstance(error, ModuleNotFoundError) else _in_a_line(error))
    except UnavailableError as error:
        pipe.send(error.message)
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        pipe.send(_in_a_line(error))


def _next(pipe: Connection) -> int | None:
    try:
        turn: int = pipe.recv()
    except EOFError:
        return None
    return turn


def _in_a_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200].rstrip(": ")
