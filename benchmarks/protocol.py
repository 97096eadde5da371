"""How a speed is measured here.

* Contenders take turns, round after round, in an order that is shuffled anew each round: what the
  machine does besides touches all of them alike.
* A figure is a **ratio within one round**; the table gives its median and its spread over the rounds.
* Each contender counts at the number of threads that suits it best.
* The first round warms up and is not counted; whatever a library compiles, it compiles there.
* What the machine can do at best, matrix products and copies, is a contender like the others.
* Contenders must agree: on the test accuracy after the same recipe, or on the probabilities.
* What is inside the timer stands beside each contender.
"""

from __future__ import annotations

import gc
import json
import math
import os
import platform
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.workers import Entry, Results, Session, Task

Key = TypeVar("Key")
RECORDS = Path(__file__).parent / "records"
PACKAGES = ("sumtoone", "torch", "jax", "keras", "skorch", "scikit-learn", "onnxruntime", "openvino", "numpy")
LIMIT = "limit"


@dataclass(frozen=True)
class Contender:
    """Something timed in this process: ``prepare`` is outside the timer and returns what is inside it."""

    name: str
    prepare: Callable[[], Callable[[], object]]


def interleaved(contenders: Sequence[Contender], rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """Return the seconds of each contender in each counted round, all in this process."""
    order, shuffled = list(contenders), random.Random(seed)
    seconds: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds + 1):
        shuffled.shuffle(order)
        for contender in order:
            action = contender.prepare()
            gc.collect()
            started = time.perf_counter()
            action()
            spent = time.perf_counter() - started
            if turn:
                seconds[contender.name].append(spent)
    return seconds


def half(name: str) -> str:
    """Return what a contender is called when it computes in bfloat16."""
    return f"{name}, bfloat16"


def entries(contenders: Mapping[str, Callable[[Task], Session]], tasks: Sequence[Task]) -> list[Entry]:
    """Return every contender with every one of the tasks, which differ in their number of threads."""
    return [Entry(name, prepare, task) for name, prepare in contenders.items() for task in tasks]


def counts_of_threads(quick: bool) -> tuple[int, ...]:
    """Return the numbers of threads to measure with: one, and two where there are two cores."""
    return (1,) if quick or (os.cpu_count() or 1) < 2 else (1, 2)


def comparison(results: Results, ours: str, names: Sequence[str], limit: str = LIMIT) -> dict[str, Any]:
    """Return, for each of the names that took part, what a table says of it.

    ``times``: how many times our seconds it takes, round by round, and None where ours is missing; ``over_limit``: how
    many times the limit's we take, for each number of threads.
    """
    there = {name for name, _ in results.seconds}
    best = {name: _best(results, name) for name in names if name in there}
    return {
        "contenders": {
            name: {
                "threads": key[1],
                "seconds": summary(results.seconds[key]),
                "first": results.first[key],
                "judged": judged(results, name),
                "times": ratios(results.seconds, key, best[ours]) if ours in best else None,
            }
            for name, key in best.items()
        },
        "over_limit": {
            str(key[1]): ratios(results.seconds, (ours, key[1]), key)
            for key in sorted(results.seconds)
            if key[0] == limit and (ours, key[1]) in results.seconds
        },
    }


def judged(results: Results, name: str) -> float:
    """Return the mean judgement of a contender over the later half of the rounds and all its numbers of threads."""
    each = [values[len(values) // 2 :] for key, values in results.judged.items() if key[0] == name]
    return statistics.fmean(value for values in each for value in values)


def disagreeing(found: Mapping[str, Any], tolerance: float) -> list[str]:
    """Return the contenders of a :func:`comparison` that are further than ``tolerance`` from the middle one."""
    figures = {name: contender["judged"] for name, contender in found.get("contenders", {}).items()}
    finite = [figure for figure in figures.values() if math.isfinite(figure)]
    middle = statistics.median(finite) if finite else math.nan
    return [name for name, figure in figures.items() if not abs(figure - middle) <= tolerance]


def _best(results: Results, name: str) -> tuple[str, int]:
    keys = [key for key in results.seconds if key[0] == name]
    return min(keys, key=lambda key: statistics.median(results.seconds[key]))


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(seconds: Mapping[Key, Sequence[float]], above: Key, below: Key) -> dict[str, float]:
    """Return the summary of ``above / below``, round by round."""
    return summary([one / other for one, other in zip(seconds[above], seconds[below], strict=True)])


def machine(packages: Sequence[str] = PACKAGES) -> dict[str, Any]:
    """Return what a record says about where it was measured."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: _version(name) for name in packages},
    }


def write_record(name: str, record: Mapping[str, Any]) -> Path:
    """Write a record that the README's tables are made from."""
    RECORDS.mkdir(exist_ok=True)
    path = RECORDS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "-"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "")
