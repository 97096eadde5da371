"""``check --report``: one HTML file in both languages that asks nothing of any other place and runs no script.

The template escapes whatever it is given; a policy in the page itself forbids everything but its own style sheet.
"""

from __future__ import annotations

import base64
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from sumtoone.checking.verdict import Case, Finding, Verdict
from sumtoone.checking.writers.circumstances import (
    Circumstances,
    case_name,
    exercise_of,
    lines,
    one_line,
    place,
    points,
    said,
)
from sumtoone.language import LANGUAGES, entries, language, speaking, text

if TYPE_CHECKING:
    from jinja2 import Template

# Hundreds of submissions make one file: of each, what a person would read.
_MOST_LINES, _LONGEST_LINE, _LONGEST_OUTPUT = 400, 400, 4_000
_WORDS = "check.report."


@dataclass(frozen=True)
class Row:
    """A line of a learner's code: its number, its text, whether a finding points at it."""

    number: int
    text: str
    marked: bool


@dataclass(frozen=True)
class Bar:
    """How many submissions to one exercise have one verdict, and their share in percent."""

    code: str
    count: int
    share: float
    passed: bool


def report(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return a page: the distribution of mistakes, a table of the submissions, each with its verdicts and its code."""
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    grouped: dict[str, list[Verdict]] = {}
    for verdict in verdicts:
        grouped.setdefault(verdict.path, []).append(verdict)
    passed = sum(verdict.passed for verdict in verdicts)
    count, isolation = len(verdicts), circumstances.isolation
    return _template().render(
        language=language(),
        languages=LANGUAGES,
        style=style,
        digest=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        words=_words(),
        ended=circumstances.ended.isoformat(timespec="seconds"),
        summary=_in_both(lambda: text("check.written.summary", passed=passed, count=count, isolation=isolation)),
        distributions=_distributions(verdicts),
        submissions=[_submission(number, group) for number, group in enumerate(grouped.values(), start=1)],
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    source = files(__package__).joinpath("report.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def _in_both(words: Callable[[], str]) -> dict[str, str]:
    """Return what a function says in each language."""
    spoken = {}
    for name in LANGUAGES:
        with speaking(name):
            spoken[name] = words()
    return spoken


def _words() -> dict[str, dict[str, str]]:
    keys = [key.removeprefix(_WORDS) for key in entries("en") if key.startswith(_WORDS)]
    return {key: _in_both(lambda key=key: text(_WORDS + key)) for key in keys}  # type: ignore[misc]


def _distributions(verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
    """Return the verdicts on each exercise, the commonest first."""
    exercises: dict[str | None, list[Verdict]] = {}
    for verdict in verdicts:
        exercises.setdefault(verdict.exercise, []).append(verdict)
    shown = []
    for group in exercises.values():
        counts = Counter((verdict.code, verdict.passed) for verdict in group)
        ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        bars = [Bar(code, count, round(100 * count / len(group), 1), passed) for (code, passed), count in ordered]
        shown.append({"exercise": _exercise(group[0]), "count": len(group), "bars": bars})
    return shown


def _exercise(verdict: Verdict) -> dict[str, str]:
    return _in_both(lambda: exercise_of(verdict))


def _submission(number: int, group: Sequence[Verdict]) -> dict[str, Any]:
    source = max((verdict.source for verdict in group), key=len)
    findings = [found for verdict in group for found in (verdict.finding, *verdict.remarks)]
    marked = {found.row for found in findings if found.row is not None}
    rows, left = _code(source, marked)
    printed = list(dict.fromkeys(lines(verdict.printed, _LONGEST_OUTPUT) for verdict in group if verdict.printed))
    return {
        "number": number,
        "path": one_line(group[0].path),
        "passed": all(verdict.passed for verdict in group),
        "verdicts": [_verdict(verdict) for verdict in group],
        "rows": rows,
        "left": _in_both(lambda: text("check.written.more-lines", count=left)) if left else None,
        "printed": printed,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    reached, most = points(verdict)
    return {
        "exercise": _exercise(verdict),
        "code": verdict.code,
        "passed": verdict.passed,
        "points": f"{reached:g} / {most:g}",
        "place": _in_both(lambda: place(verdict)),
        "text": _in_both(lambda: said(verdict)),
        "hint": _in_both(lambda: lines(verdict.hint)),
        "notes": [_note(verdict, remark) for remark in verdict.remarks],
        "cases": [_case(case) for case in verdict.cases],
    }


def _note(verdict: Verdict, remark: Finding) -> dict[str, Any]:
    return {"code": remark.code, "text": _in_both(lambda: said(verdict, remark))}


def _case(case: Case) -> dict[str, Any]:
    return {"name": _in_both(lambda: case_name(case.name)), "passed": case.passed}


def _code(source: str, marked: set[int]) -> tuple[list[Row], int]:
    """Return the lines to show, those around the first marked one if there are too many, and how many are left out."""
    everything = lines(source).rstrip("\n").split("\n") if source.strip() else []
    start = max(0, min(min(marked, default=1) - _MOST_LINES // 2, len(everything) - _MOST_LINES))
    shown = everything[start : start + _MOST_LINES]
    rows = [
        Row(number, line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]}…", number in marked)
        for number, line in enumerate(shown, start=start + 1)
    ]
    return rows, len(everything) - len(shown)
