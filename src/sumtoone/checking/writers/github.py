"""``check --github``: annotations for GitHub Actions, and the summary of a step.

Commands: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands. What a submission printed
is in neither: a line of it could be a command of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import (
    Circumstances,
    counted,
    exercise_of,
    one_line,
    place,
    points,
    said,
    spoken,
)
from sumtoone.language import text

# A summary may have 1 MiB; more than that and GitHub shows none of it.
_LARGEST_SUMMARY = 900_000


def commands(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return a line for each verdict that is not passed, and for each one with a note."""
    return "".join(map(_annotation, filter(lambda verdict: not verdict.passed or verdict.remarks, verdicts)))


def _annotation(verdict: Verdict) -> str:
    title = f"{exercise_of(verdict)}: {verdict.code}"
    properties = {"file": one_line(verdict.path), "title": title}
    words = spoken(verdict)
    if verdict.finding.cell is not None:
        # A line of a cell is no line of the notebook's file.
        words = f"{place(verdict)}\n{words}"
    elif verdict.line is not None:
        properties["line"] = str(verdict.line)
    written = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    return f"::{'notice' if verdict.passed else 'error'} {written}::{_data(words)}\n"


def _data(given: str) -> str:
    return given.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(given: str) -> str:
    return _data(given).replace(":", "%3A").replace(",", "%2C")


def summary(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return Markdown for the file that ``GITHUB_STEP_SUMMARY`` names: the count of each verdict, then a row for each.

    Those that are not passed come first; what would be too long for GitHub is counted.
    """
    passed = sum(verdict.passed for verdict in verdicts)
    told = text("check.written.summary", passed=passed, count=len(verdicts), isolation=circumstances.isolation)
    parts = [f"## {markdown(text('check.report.title'))}\n\n{markdown(told)}\n\n"]
    parts.append(_row(text("check.report.verdict"), text("check.report.count")) + "| --- | ---: |\n")
    parts += [_row(code, str(count)) for code, count in counted(verdicts).items()]
    names = ("submission", "exercise", "verdict", "points", "text")
    parts.append("\n" + _row(*(text(f"check.report.{name}") for name in names)) + "| --- | --- | --- | ---: | --- |\n")
    size = sum(len(part.encode()) for part in parts)
    ordered = sorted(verdicts, key=lambda verdict: verdict.passed)
    for number, verdict in enumerate(ordered):
        reached, most = points(verdict)
        mark = "✅" if verdict.passed else "❌"
        words = " ".join(said(verdict).split())
        row = _row(verdict.path, exercise_of(verdict), f"{mark} {verdict.code}", f"{reached:g} / {most:g}", words)
        size += len(row.encode())
        if size > _LARGEST_SUMMARY:
            parts.append(f"\n{markdown(text('check.written.more', count=len(ordered) - number))}\n")
            break
        parts.append(row)
    return "".join(parts)


def _row(*cells: str) -> str:
    return f"| {' | '.join(map(markdown, cells))} |\n"


_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "|": "&#124;"}
_MARKS = re.compile(r"[!-/:-@\[-`{-~]")


def markdown(given: str) -> str:
    r"""Return a text as Markdown that shows just this text: no markup, no link, no mention, no cell's end.

    >>> markdown("a|b *c* <d>")
    'a&#124;b \\*c\\* &lt;d&gt;'
    """
    return _MARKS.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), one_line(given))
