"""``check --classroom50``: the ``result.json`` of an autograder for CS50's Classroom 50, ``classroom50/result/v1``.

Schema: https://github.com/foundation50/classroom50/blob/main/schemas/result-v1.schema.json. Whose submission it is
stands in the variables that its runner sets (``CLASSROOM``, ``ASSIGNMENT``, ``OWNER``, ``SUBMISSION_TAG``, …).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import UTC
from typing import Any

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import Circumstances, as_json, exercise_of, points, spoken, title_of

_KINDS = ("individual", "group", "team")
# Outside the runner nothing is known of the submission, and the schema wants words.
_UNKNOWN = "unknown"


def classroom50(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return the result of one submission: a test for each exercise, in whole points, as the schema wants them."""
    known = circumstances.environment
    tests = [_test(verdict, alone=len({each.path for each in verdicts}) <= 1) for verdict in verdicts]
    ended = f"{circumstances.ended.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    commit = known.get("COMMIT_URL") or _UNKNOWN
    return as_json(
        {
            "schema": "classroom50/result/v1",
            "classroom": known.get("CLASSROOM") or _UNKNOWN,
            "assignment": known.get("ASSIGNMENT") or _UNKNOWN,
            "assignment_type": _kind(known),
            "owner": known.get("OWNER") or known.get("USERNAME") or _UNKNOWN,
            "submission": _tag(known.get("SUBMISSION_TAG", "")),
            "commit": commit,
            "release": known.get("RELEASE_URL") or _UNKNOWN,
            "review": known.get("REVIEW_URL") or commit,
            "datetime": ended,
            "graded_at": ended,
            "score": sum(test["score"] for test in tests),
            "max-score": sum(test["max-score"] for test in tests),
            "tests": tests,
        }
    )


def _kind(known: Mapping[str, str]) -> str:
    given = known.get("ASSIGNMENT_TYPE", "")
    return given if given in _KINDS else _KINDS[0]


def _tag(given: str) -> str:
    return given if given.startswith("submit/") else f"submit/{given or _UNKNOWN}"


def _test(verdict: Verdict, alone: bool) -> dict[str, Any]:
    reached, most = points(verdict)
    whole = max(math.ceil(most), 1)
    # Rounded down: no part of a point may make a whole one.
    score = whole if verdict.passed else min(math.floor(reached), whole - 1)
    return {
        "test-name": exercise_of(verdict) if alone else title_of(verdict),
        "passed": verdict.passed,
        "score": score,
        "max-score": whole,
        "code": verdict.code,
        "notes": list(verdict.notes),
        "output": spoken(verdict),
    }
