"""How a speed is measured here.

* Contenders take turns, round after round, in an order that is shuffled anew each round: what the
  machine does besides touches all of them alike.
* A figure is a **ratio within one round**; the table gives its median and its spread over the rounds.
* The first round warms up and is not counted.
* What is inside the timer stands beside each contender.
"""

from __future__ import annotations

import gc
import json
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
from typing import Any

RECORDS = Path(__file__).parent / "records"


@dataclass(frozen=True)
class Contender:
    """Something timed: ``prepare`` is outside the timer and returns what is inside it."""

    name: str
    prepare: Callable[[], Callable[[], object]]


def interleaved(contenders: Sequence[Contender], rounds: int, seed: int = 0) -> dict[str, list[float]]:
    """Return the seconds of each contender in each counted round."""
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


def summary(values: Sequence[float]) -> dict[str, float]:
    """Return median, least and most."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def ratios(seconds: Mapping[str, Sequence[float]], above: str, below: str) -> dict[str, float]:
    """Return the summary of ``above / below``, round by round."""
    return summary([one / other for one, other in zip(seconds[above], seconds[below], strict=True)])


def machine(packages: Sequence[str]) -> dict[str, Any]:
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
