"""A verdict on one exercise of one submission: a frozen value that speaks both languages."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from sumtoone.language import entries, language, text

# Every field that a sentence may have; what is not known is empty.
_FIELDS = (
    "name", "shape", "got", "wanted", "row", "sums", "layer", "sizes", "after", "error", "explained", "what", "step",
    "limit", "printed", "names", "exercise",
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """Something that was found: a stable code, the learner's own line and cell, and the numbers of its sentence.

    ``row`` is the same line, counted in the whole source that the verdict holds.
    """

    code: str
    line: int | None = None
    cell: int | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    row: int | None = None

    def at(self, line: int | None, cell: int | None) -> Finding:
        """Return the finding at another place, if that is known."""
        return self if line is None else replace(self, line=line, cell=cell)


# Makes a finding of a code, with the fields that all findings of a judging share.
Maker = Callable[..., Finding]


@dataclass(frozen=True)
class Case:
    """One case of an exercise: its name (a key of the exercise's texts), what it counts, whether it went well."""

    name: str
    points: float
    passed: bool


@dataclass(frozen=True)
class Verdict:
    """What is to be said of one exercise of one submission.

    Parameters
    ----------
    path
        The submission, as it was named; inside a zip ``archive.zip/folder/file.py``.
    exercise
        Such as ``"softmax"``; None where none was found.
    passed
        Whether the exercise is right.
    finding
        The most fundamental thing that was found; code ``"correct"`` where it is right.
    remarks
        What is worth a note beside it.
    cases
        What each case gave.
    printed
        What the submission printed, cleaned and cut.
    source
        The learner's code, for reports.
    """

    path: str
    exercise: str | None
    passed: bool
    finding: Finding
    remarks: tuple[Finding, ...] = ()
    cases: tuple[Case, ...] = ()
    seconds: float = 0.0
    isolation: str = "none"
    printed: str = ""
    source: str = ""

    @property
    def code(self) -> str:
        """The stable code of the verdict."""
        return self.finding.code

    @property
    def notes(self) -> tuple[str, ...]:
        """The stable codes of the remarks."""
        return tuple(remark.code for remark in self.remarks)

    @property
    def line(self) -> int | None:
        """The learner's line, counted in the file, or in the cell of a notebook."""
        return self.finding.line

    @property
    def text(self) -> str:
        """What was found, in the language in force."""
        return self.said(self.finding)

    @property
    def hint(self) -> str:
        """What to think about next, without the answer; empty where the exercise is right."""
        return "" if self.passed else self.said(self.finding, "hint")

    def said(self, finding: Finding, part: str = "text") -> str:
        """Return a sentence for a finding: the exercise's own where it has one, else the common one."""
        own = f"verdict.{self.exercise}.{finding.code}.{part}"
        key = own if own in entries(language()) else f"verdict.{finding.code}.{part}"
        if key not in entries(language()):
            return ""
        fields = dict.fromkeys(_FIELDS, "") | {"exercise": self.exercise or ""} | dict(finding.fields)
        return " ".join(text(key, **{name: _spoken(value) for name, value in fields.items()}).split())

    @property
    def score(self) -> float:
        """The points reached, of :attr:`most`; all of them go with a pass alone."""
        reached = sum(case.points for case in self.cases if case.passed)
        # What was found may lie outside every case, such as an attempt at the judge.
        return self.most if self.passed else reached if reached < self.most else 0.0

    @property
    def most(self) -> float:
        """The points that can be reached."""
        return sum(case.points for case in self.cases) or 1.0

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as a line of ``check --json`` holds them."""
        return {
            "path": self.path,
            "exercise": self.exercise,
            "passed": self.passed,
            "code": self.code,
            "notes": list(self.notes),
            "line": self.line,
            "cell": self.finding.cell,
            "text": self.text,
            "hint": self.hint,
            "remarks": [
                {"code": remark.code, "line": remark.line, "text": self.said(remark)} for remark in self.remarks
            ],
            "points": self.score,
            "most": self.most,
            "seconds": round(self.seconds, 3),
        }

    def packed(self) -> dict[str, Any]:
        """Return everything as plain values, from which :meth:`unpacked` makes an equal verdict."""
        return asdict(self)

    @classmethod
    def unpacked(cls, values: Mapping[str, Any]) -> Verdict:
        """Return the verdict that :meth:`packed` made plain."""
        finding, *remarks = (Finding(**item) for item in (values["finding"], *values["remarks"]))
        cases = tuple(Case(**item) for item in values["cases"])
        return cls(**{**values, "finding": finding, "remarks": tuple(remarks), "cases": cases})


def _spoken(value: Any) -> Any:
    """Return a field as it is said: a text of its own in the language in force, a shape as Python writes it."""
    if isinstance(value, Mapping):
        return text(value["text"], **value["fields"])
    return str(tuple(value)) if isinstance(value, list | tuple) else value
