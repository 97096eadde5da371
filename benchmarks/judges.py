"""Who judges softmaxes and networks rightly: ours, `torch-judge` and `torchleet`, on the attempts of the tests' corpus.

All attempts of an exercise, right ones and wrong ones, each judged once by each judge, in a new order every time.
Inside the timer: a process for the attempt, running it, judging it. Outside: the judge's own start and imports. Ours is
at the best isolation that can be proved; the others have a process for each attempt, but none of them isolates it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.graders import NETWORKS, PEERS, Graders
from benchmarks.protocol import machine, summary
from benchmarks.submissions import attempts
from sumtoone.checking.confinement import Nursery
from sumtoone.checking.running import Settings, judged
from sumtoone.checking.sources import from_text

OURS = "sumtoone check"
LESSON = "the lesson's own answer"
CORPUS = ("right", "wrong_functions", "wrong_networks")
# The attempts' files and exercises; of whom it can be asked: torch-judge has no network of these sizes among its tasks.
KINDS = {
    "softmax": (CORPUS, ("softmax",), (*PEERS,)),
    "softmax, made to deceive": (("cheats",), ("softmax",), (*PEERS,)),
    "networks": (CORPUS, NETWORKS, ("torchleet",)),
}
_SECONDS = 10.0


def measure(_: int, quick: bool) -> dict[str, Any]:
    """Return the record: what each judge let pass and refused, and the seconds of an attempt."""
    graders = Graders()
    with Nursery(limits=Settings(seconds=_SECONDS).limits) as nursery:
        level = nursery.level
        kinds = [_kind(kind, graders, nursery, quick) for kind in KINDS]
    return {
        "what": f"isolation of ours: {level}",
        "machine": machine(("sumtoone", "torch-judge", "torchleet", "torch")),
        "rounds": 1,
        "missing": graders.missing,
        "kinds": kinds,
    }


def _kind(kind: str, graders: Graders, nursery: Nursery, quick: bool) -> dict[str, Any]:
    files, exercises, asked = KINDS[kind]
    given = [one for one in attempts(*files) if one.exercise in exercises]
    given = [one for one in given if one.passes or not ({"correct", "any"} & set(one.codes))]
    if quick:
        given = given[:: max(1, len(given) // 6)]
    names = [OURS, *(name for name in asked if name in graders.names)]
    results: dict[str, list[tuple[bool, float, str]]] = {name: [] for name in names}
    order = random.Random(0)
    for attempt in given:
        for name in order.sample(names, len(names)):
            if name == OURS:
                results[name].append(_ours(nursery, attempt))
            else:
                results[name].append((*graders.passes(name, attempt.code, attempt.exercise), ""))
    return {
        "kind": kind,
        "right": sum(one.passes for one in given),
        "stable": sum(one.passes and _stable(one) for one in given),
        "wrong": sum(not one.passes for one in given),
        "judges": {name: _counted(given, found, name) for name, found in results.items()},
    }


def _ours(nursery: Nursery, attempt: Any) -> tuple[bool, float, str]:
    started = time.perf_counter()
    submission = from_text(attempt.code, "attempt.py")
    (verdict,) = judged(nursery, submission, Settings(attempt.exercise, seconds=_SECONDS))
    return verdict.passed, time.perf_counter() - started, verdict.code


def _stable(attempt: Any) -> bool:
    return "overflows" not in attempt.notes


def _counted(given: Sequence[Any], found: Sequence[tuple[bool, float, str]], name: str) -> dict[str, Any]:
    pairs = list(zip(given, found, strict=True))
    coded = sum(code in one.codes for one, (_, _, code) in pairs if not one.passes)
    lesson = [passed for one, (passed, _, _) in pairs if one.title == LESSON and one.exercise == "softmax"]
    return {
        "wrong_passed": sum(passed for one, (passed, _, _) in pairs if not one.passes),
        "right_refused": sum(not passed for one, (passed, _, _) in pairs if one.passes),
        "right_code": coded if name == OURS and "-" not in {code for one in given for code in one.codes} else None,
        # The others demand that large numbers do not overflow; the lesson's own answer does.
        "stable_refused": sum(not passed for one, (passed, _, _) in pairs if one.passes and _stable(one)),
        "lesson": lesson[0] if lesson else None,
        "seconds": summary([seconds for _, (_, seconds, _) in pairs]),
        "passed": [one.title for one, (passed, _, _) in pairs if passed and not one.passes][:20],
    }
