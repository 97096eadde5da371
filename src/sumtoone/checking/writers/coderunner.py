"""``check --coderunner``: what a combinator template grader of Moodle's CodeRunner prints.

Format: https://github.com/trampgeek/moodle-qtype_coderunner, "Combinator-template grading". CodeRunner refuses fields
that it does not know, escapes the cells of the table, and shows ``prologuehtml`` as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import (
    Circumstances,
    as_json,
    case_name,
    exercise_of,
    lines,
    place,
    points,
    said,
    title_of,
)
from sumtoone.language import text

_LONGEST_OUTPUT = 10_000


def coderunner(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return the mark of one submission from 0 to 1, what was found as HTML, and a row for each case."""
    passed = bool(verdicts) and all(verdict.passed for verdict in verdicts)
    both = [points(verdict) for verdict in verdicts]
    share = sum(reached for reached, _ in both) / (sum(most for _, most in both) or 1.0)
    return as_json(
        {
            # What is not passed never rounds to a full mark.
            "fraction": 1.0 if passed else min(round(share, 6), 0.999999),
            "testresults": _table(verdicts),
            "columnformats": ["%s"] * 3,
            "prologuehtml": "".join(map(_html, verdicts)),
            "showdifferences": False,
        }
    )


def _table(verdicts: Sequence[Verdict]) -> list[list[str | int]]:
    names = ("exercise", "case", "points")
    rows: list[list[str | int]] = [["iscorrect", *(text(f"check.report.{name}") for name in names)]]
    for verdict in verdicts:
        exercise = exercise_of(verdict)
        # The case that a verdict failed by may be none of the cases.
        reached, most = points(verdict)
        rows.append([int(verdict.passed), exercise, said(verdict), f"{reached:g} / {most:g}"])
        rows += [
            [
                int(case.passed),
                exercise,
                case_name(case.name),
                f"{case.points if case.passed else 0:g} / {case.points:g}",
            ]
            for case in verdict.cases
        ]
    return rows


def _html(verdict: Verdict) -> str:
    parts = [_paragraph("strong", title_of(verdict)), _paragraph("span", said(verdict))]
    parts += [_paragraph("span", words) for words in (place(verdict), lines(verdict.hint)) if words]
    note = text("check.written.note")
    parts += [_paragraph("em", f"{note}: {said(verdict, remark)}") for remark in verdict.remarks]
    if verdict.printed:
        parts.append(_paragraph("span", text("check.written.printed")))
        parts.append(f"<pre>{escape(lines(verdict.printed, _LONGEST_OUTPUT))}</pre>")
    return "".join(parts)


def _paragraph(element: str, words: str) -> str:
    return f"<p><{element}>{escape(words)}</{element}></p>"
