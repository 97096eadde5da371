"""``check --ctrf``: the Common Test Report Format.

Schema: https://github.com/ctrf-io/ctrf/blob/main/schema/ctrf.schema.json
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import (
    Circumstances,
    as_json,
    exercise_of,
    lines,
    one_line,
    points,
    said,
    title_of,
)
from sumtoone.version import __version__

_MOST_LINES = 200


def ctrf(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return a report with a test for each verdict."""
    passed = sum(verdict.passed for verdict in verdicts)
    started, ended = _milliseconds(circumstances.started), _milliseconds(circumstances.ended)
    summary = {
        "tests": len(verdicts),
        "passed": passed,
        "failed": len(verdicts) - passed,
        "skipped": 0,
        "pending": 0,
        "other": 0,
        "start": started,
        "stop": ended,
        "duration": max(ended - started, 0),
    }
    return as_json(
        {
            "reportFormat": "CTRF",
            "specVersion": "0.1.0",
            "generatedBy": "sumtoone check",
            "results": {
                "tool": {"name": "sumtoone", "version": __version__},
                "summary": summary,
                "tests": [_test(verdict) for verdict in verdicts],
                "extra": {"isolation": circumstances.isolation},
            },
        }
    )


def _test(verdict: Verdict) -> dict[str, Any]:
    reached, most = points(verdict)
    path = one_line(verdict.path)
    extra = {"code": verdict.code, "hint": lines(verdict.hint), "cell": verdict.finding.cell}
    test: dict[str, Any] = {
        "id": str(uuid5(NAMESPACE_URL, title_of(verdict))),
        "name": title_of(verdict),
        "status": "passed" if verdict.passed else "failed",
        "duration": max(round(verdict.seconds * 1000), 0),
        "rawStatus": verdict.code,
        "message": said(verdict),
        "suite": [path],
        "filePath": path,
        "tags": [exercise_of(verdict), *verdict.notes],
        "extra": {**extra, "points": round(reached, 6), "most": round(most, 6)},
    }
    if verdict.line is not None:
        test["line"] = verdict.line
    if verdict.printed:
        test["stdout"] = lines(verdict.printed).split("\n")[:_MOST_LINES]
    return test


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
