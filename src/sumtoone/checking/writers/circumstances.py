"""What the writers share: when and how was judged, points, and learners' texts made safe to pass on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sumtoone.checking.verdict import Finding, Verdict
from sumtoone.language import entries, language, text
from sumtoone.language.display import printable

# A path of the file system may have 4,096 bytes; each may become four letters.
_LONGEST_LINE = 16_384


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Circumstances:
    """What a document says beside the verdicts.

    Parameters
    ----------
    isolation
        The level that was proved: ``"strong"``, ``"good"``, ``"weak"`` or ``"none"``.
    started, ended
        When the judging began and ended, with their time zone.
    environment
        The environment variables that a format asks for, such as ``CLASSROOM`` and ``ASSIGNMENT``.
    """

    isolation: str = "none"
    started: datetime = field(default_factory=_now)
    ended: datetime = field(default_factory=_now)
    environment: Mapping[str, str] = field(default_factory=dict)


Writer = Callable[[Sequence[Verdict], Circumstances], str]


def one_line(given: str, longest: int = _LONGEST_LINE) -> str:
    r"""Return a text as one line that is safe to show: line breaks and marks that turn text around as their escapes.

    >>> one_line("a\nb\x1b")
    'a\\nb\\x1b'
    """
    return printable(given, longest)


def lines(given: str, longest: int | None = None) -> str:
    r"""Return a text of several lines, each safe to show; tabs stay.

    >>> lines("a\r\n\tb\x00")
    'a\n\tb\\x00'
    """
    if longest is not None and len(given) > longest:
        given = given[:longest] + "…"
    given = given.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join("\t".join(map(_shown, line.split("\t"))) for line in given.split("\n"))


def _shown(part: str) -> str:
    return part if part.isprintable() else printable(part, 16 * len(part))


def carried(value: Any) -> Any:
    """Return plain values with halves of letters, which UTF-8 cannot carry, as their escapes."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {carried(key): carried(item) for key, item in value.items()}
    return [carried(item) for item in value] if isinstance(value, list | tuple) else value


def as_json(value: Any) -> str:
    """Return plain values as one JSON document that is valid wherever UTF-8 is."""
    return json.dumps(carried(value), ensure_ascii=False, allow_nan=False, indent=2) + "\n"


def exercise_of(verdict: Verdict) -> str:
    """Return the exercise's name, or a word for none."""
    return verdict.exercise or text("check.written.no-exercise")


def title_of(verdict: Verdict) -> str:
    """Return the submission and the exercise as one line."""
    return f"{one_line(verdict.path)}: {exercise_of(verdict)}"


def said(verdict: Verdict, finding: Finding | None = None) -> str:
    """Return the sentence for a finding, the verdict's own if none is given; its code where it has no words."""
    given = finding or verdict.finding
    return lines(verdict.said(given)) or given.code


def spoken(verdict: Verdict) -> str:
    """Return all that is said to a learner, a line or more each: verdict, hint, notes."""
    notes = (f"{text('check.written.note')}: {said(verdict, remark)}" for remark in verdict.remarks)
    hint = [f"{text('check.written.hint')}: {lines(verdict.hint)}"] if verdict.hint else []
    return "\n".join([said(verdict), *hint, *notes])


def case_name(name: str) -> str:
    """Return the words for a case, or its name where it has none."""
    return text(f"case.{name}") if f"case.{name}" in entries(language()) else one_line(name)


def points(verdict: Verdict) -> tuple[float, float]:
    """Return the points reached and those that can be; full points never go with a verdict that is not passed."""
    most = verdict.most
    reached = min(max(verdict.score, 0.0), most)
    # What was found then lies outside every case, such as an attempt at the judge.
    return (reached if verdict.passed or reached < most else 0.0), most


def place(verdict: Verdict) -> str:
    """Return where the finding is, in words; empty if that is not known."""
    line, cell = verdict.line, verdict.finding.cell
    if line is None:
        return "" if cell is None else text("check.written.cell", cell=cell)
    return text("check.written.line", line=line) if cell is None else text("check.written.both", cell=cell, line=line)


def counted(verdicts: Sequence[Verdict]) -> dict[str, int]:
    """Return how many verdicts have each code, the commonest first."""
    counts = Counter(verdict.code for verdict in verdicts)
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
