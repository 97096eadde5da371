"""``check --csv``: a row for each verdict, which a spreadsheet reads as text and never as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import Circumstances, one_line, points, said

COLUMNS = (
    "path", "exercise", "passed", "code", "line", "cell", "points", "most", "seconds", "isolation", "notes", "text",
    "hint",
)  # fmt: skip
# What a spreadsheet takes for the begin of a formula, the wide forms of East Asian keyboards among them.
_FORMULA = tuple("=+-@\t\r\n|%＝＋－＠")


def rows(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return comma-separated values with a row of names; notes are joined by a space."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for verdict in verdicts:
        reached, most = points(verdict)
        values = (
            verdict.path, verdict.exercise, "true" if verdict.passed else "false", verdict.code, verdict.line,
            verdict.finding.cell, f"{reached:g}", f"{most:g}", f"{verdict.seconds:.3f}", circumstances.isolation,
            " ".join(verdict.notes), " ".join(said(verdict).split()), " ".join(verdict.hint.split()),
        )  # fmt: skip
        writer.writerow(["" if value is None else cell(str(value)) for value in values])
    return out.getvalue()


def cell(given: str) -> str:
    """Return a cell's text as one line, with an apostrophe before what a spreadsheet would calculate.

    >>> cell('=HYPERLINK("http://example.org")'), cell("softmax.py")
    ('\\'=HYPERLINK("http://example.org")', 'softmax.py')
    """
    shown = one_line(given)
    return f"'{shown}" if given.lstrip(" '\"").startswith(_FORMULA) or given.startswith(_FORMULA) else shown
