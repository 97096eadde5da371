"""What judging in a confined process costs: one submission, two hundred honest ones, two hundred with forty hostile.

One submission: a nursery that is warm judges each attempt at ``good`` and at ``strong``, and so does a process that
runs the attempt in a plain fork of itself, with the same inputs; they take turns, in a new order for each attempt. The
difference is what the confinement adds. All have one thread. Two hundred: all inside the timer, the nurseries' start
included.
"""

from __future__ import annotations

import gc
import hashlib
import math
import multiprocessing
import os
import random
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.graders import ONE_THREAD
from benchmarks.protocol import machine, summary
from benchmarks.submissions import honest, hostile, written
from sumtoone.checking.confinement import Nursery
from sumtoone.checking.running import Settings, judge_all, judged
from sumtoone.checking.sources import Submission, from_text
from sumtoone.errors import UnavailableError

LEVELS = ("good", "strong")
BARE = "in this process"
COUNT, SUBMISSIONS, HOSTILE = 100, 200, 40
WORKERS, SECONDS = 2, 2.0
_WARM = 5


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: milliseconds of a submission and what confinement adds, seconds of two hundred."""
    rounds = min(rounds, 3)
    submissions, bad = (20, 4) if quick else (SUBMISSIONS, HOSTILE)
    missing: dict[str, str] = {}
    cost = _cost(12 if quick else COUNT, missing)
    kinds = {
        f"{submissions} honest": honest(submissions),
        f"{submissions}, {bad} of them hostile": _mixed(submissions, bad),
    }
    batches = {
        name: {level: _batch(codes, level, rounds) for level in LEVELS if level not in missing}
        for name, codes in kinds.items()
    }
    return {
        "what": f"{WORKERS} workers and {SECONDS:g} s a submission for the two hundred",
        "machine": machine(("sumtoone", "torch", "numpy")),
        "rounds": rounds,
        "missing": missing,
        "load": os.getloadavg()[0],
        "cost": cost,
        "batches": batches,
    }


def _cost(count: int, missing: dict[str, str]) -> dict[str, Any]:
    """Return the milliseconds of each way to judge, and what the levels add: median and quartiles over submissions."""
    submissions = [from_text(code, f"attempt-{place}.py") for place, code in enumerate(honest(count))]
    settings = Settings()
    order = random.Random(0)
    with ExitStack() as stack:
        ways: dict[str, Any] = {BARE: stack.enter_context(_Bare())}
        for level in LEVELS:
            nursery = stack.enter_context(Nursery(level, settings.limits))
            try:
                nursery.proved  # noqa: B018 - waits until it is warm
            except UnavailableError as error:
                missing[level] = error.message
            else:
                ways[level] = nursery
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for submission in [*submissions[:_WARM], *submissions]:
            for name in order.sample(list(ways), len(ways)):
                seconds[name].append(_timed(ways[name], submission, settings))
    # What cannot be judged without a process of its own has nothing to be compared with.
    kept = [place for place, value in enumerate(seconds[BARE]) if place >= _WARM and not math.isnan(value)]
    seconds = {name: [values[place] for place in kept] for name, values in seconds.items()}
    added = {
        level: [one - bare for one, bare in zip(seconds[level], seconds[BARE], strict=True)]
        for level in LEVELS
        if level in seconds
    }
    return {
        "submissions": len(kept),
        "milliseconds": {name: _quartiles(values) for name, values in seconds.items()},
        "added": {level: _quartiles(values) for level, values in added.items()},
    }


def _timed(way: Any, submission: Submission, settings: Settings) -> float:
    if isinstance(way, _Bare):
        return way.seconds(submission)
    started = time.perf_counter()
    judged(way, submission, settings)
    return time.perf_counter() - started


def _quartiles(values: list[float]) -> dict[str, float]:
    first, median, third = statistics.quantiles(values, n=4)
    return {"median": 1e3 * median, "min": 1e3 * first, "max": 1e3 * third}


class _Bare:
    """A process that judges submissions in itself, and says how long each took."""

    def __enter__(self) -> _Bare:
        context = multiprocessing.get_context("spawn")
        os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_judge_here, args=(theirs,), daemon=True)
        self._process.start()
        theirs.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def seconds(self, submission: Submission) -> float:
        self._pipe.send(submission)
        answer = self._pipe.recv()
        if isinstance(answer, str):
            print(f"{submission.path} {BARE}: {answer}", flush=True)
        return answer if isinstance(answer, float) else math.nan


class _Here:
    printed = ""

    def __init__(self) -> None:
        from sumtoone.checking.performing import Performer

        self._performer = Performer()

    def ask(self, request: Mapping[str, Any], arrays: Sequence[Any] = ()) -> Any:
        reply, sent = self._performer.answer(request, arrays)
        # What is handed over in here goes on growing.
        return {name: [*value] if isinstance(value, list) else value for name, value in reply.items()}, sent


def _judge_here(pipe: Connection) -> None:
    import numpy as np
    import torch

    from sumtoone.checking.judging import judge
    from sumtoone.checking.performing import prepare

    torch.set_num_threads(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)  # what attempts print
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    prepare()
    gc.collect()  # as the nursery does
    gc.freeze()
    while True:
        submission = pipe.recv()
        # What one attempt changes is not to be met by the next; the fork itself is not timed.
        if child := os.fork():
            os.waitpid(child, 0)
            continue
        started = time.perf_counter()
        # The inputs of `judged`, and its share of time.
        seed = int.from_bytes(hashlib.sha256(submission.digest.encode()).digest()[:16])
        try:
            judge(_Here(), submission, None, np.random.default_rng(seed), Settings().seconds / 4)
        except BaseException as error:
            pipe.send(f"{type(error).__name__}: {error}")
        else:
            pipe.send(time.perf_counter() - started)
        finally:
            os._exit(0)


def _mixed(count: int, bad: int) -> list[str]:
    codes = honest(count - bad)
    for place, code in enumerate(hostile(bad)):
        codes.insert(place * (count // bad), code)
    return codes


def _batch(codes: list[str], level: str, rounds: int) -> dict[str, Any]:
    """Return the seconds of judging all, and the seconds of processor that it took, nurseries and children included."""
    seconds, worked = [], []
    with tempfile.TemporaryDirectory() as folder:
        found = written(codes, Path(folder))
        for _ in range(rounds):
            started, before = time.perf_counter(), _times()
            judgements = list(judge_all(found, Settings(isolation=level, seconds=SECONDS, workers=WORKERS)))
            seconds.append(time.perf_counter() - started)
            worked.append(_times() - before)
            assert len(judgements) == len(codes)
    print(f"{len(codes)} at {level}: {', '.join(f'{value:.1f}' for value in seconds)} s", flush=True)
    return {"seconds": summary(seconds), "processor": summary(worked)}


def _times() -> float:
    """Return the seconds of processor of this process and of its children that have ended."""
    return sum(os.times()[:4])
