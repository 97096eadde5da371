"""``check --gradescope``: the ``results.json`` of a Gradescope autograder.

Format: https://gradescope-autograders.readthedocs.io/en/latest/specs/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import (
    Circumstances,
    as_json,
    case_name,
    exercise_of,
    lines,
    place,
    points,
    spoken,
    title_of,
)
from sumtoone.language import text

_LONGEST_OUTPUT = 10_000


def gradescope(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return the results of one submission: a test for each exercise, the score of all together."""
    passed = sum(verdict.passed for verdict in verdicts)
    alone = len({verdict.path for verdict in verdicts}) <= 1
    return as_json(
        {
            "score": round(sum(points(verdict)[0] for verdict in verdicts), 6),
            "execution_time": round(sum(verdict.seconds for verdict in verdicts), 3),
            "output": text(
                "check.written.summary", passed=passed, count=len(verdicts), isolation=circumstances.isolation
            ),
            "output_format": "text",
            "test_output_format": "text",
            "visibility": "visible",
            "stdout_visibility": "hidden",
            "extra_data": {"isolation": circumstances.isolation},
            "tests": [_test(number, verdict, alone) for number, verdict in enumerate(verdicts, start=1)],
        }
    )


def _test(number: int, verdict: Verdict, alone: bool) -> dict[str, Any]:
    reached, most = points(verdict)
    words = [place(verdict), spoken(verdict)]
    for case in verdict.cases:
        result = text("check.written.went-well" if case.passed else "check.written.went-wrong")
        words.append(f"{result}: {case_name(case.name)}")
    if verdict.printed:
        words += ["", text("check.written.printed"), lines(verdict.printed, _LONGEST_OUTPUT)]
    return {
        "score": round(reached, 6),
        "max_score": round(most, 6),
        "status": "passed" if verdict.passed else "failed",
        "name": exercise_of(verdict) if alone else title_of(verdict),
        "number": str(number),
        "output": "\n".join(words).strip("\n"),
        "tags": [verdict.code, *verdict.notes],
        "visibility": "visible",
        "extra_data": {"code": verdict.code, "line": verdict.line, "cell": verdict.finding.cell},
    }
