"""What an evaluation finds, as values: a report, its classes, its calibration.

In shapes, N counts rows, K classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.evaluation.reliability import Outcomes, Reliability
from sumtoone.intervals import Interval, with_interval
from sumtoone.language import html, text
from sumtoone.language.display import printable
from sumtoone.language.lines import aligned, listed

# Up to so many classes, each pair and each class is told; of more, the commonest confusions and the worst classes.
MOST_CLASSES = 100
MOST_CONFUSIONS = 100
_SHOWN = 20
_SCORES = ("accuracy", "balanced_accuracy", "macro_f1", "nll", "brier", "ece", "ece_equal_mass")
# Half of a line of a terminal: the numbers beside it take the other.
_LONGEST_NAME = 40


@dataclass(frozen=True)
class ClassReport:
    """How one class fared.

    ``support`` is the number of its rows, ``predicted`` that of the rows predicted as it, ``right`` that of both.
    """

    name: str
    support: int
    predicted: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the rows predicted as this class that are of it, 0 if none was predicted so."""
        return self.right / self.predicted if self.predicted else 0.0

    @property
    def recall(self) -> float:
        """The share of its rows that were found, 0 if it has none."""
        return self.right / self.support if self.support else 0.0

    @property
    def f1(self) -> float:
        """The harmonic mean of the two, 0 if both are 0."""
        return 2 * self.right / (self.support + self.predicted) if self.right else 0.0


@dataclass(frozen=True)
class Confusion:
    """How often one class was taken for another."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True, eq=False)
class Report:
    """What :func:`evaluate` found.

    Parameters
    ----------
    accuracy
        The share of rows whose most probable class is the true one.
    nll
        The mean negative log-likelihood of the true class, in nats.
    brier
        The mean squared distance between a row of probabilities and its one-hot label, in [0, 2].
    confusion
        (K, K) counts: ``confusion[i, j]`` rows of class i were predicted as class j; None for more than 100 classes.
    confusions
        The commonest confusions of two classes, at most 100, the most frequent first.
    per_class
        One :class:`ClassReport` for each class.
    reliability
        What the calibration error and its diagram are made from.
    classes
        The name of each class.
    outcomes
        What came of each row, for :attr:`intervals`.
    """

    accuracy: float
    nll: float
    brier: float
    confusion: NDArray[np.int64] | None
    confusions: tuple[Confusion, ...]
    per_class: tuple[ClassReport, ...]
    reliability: Reliability
    classes: tuple[str, ...]
    outcomes: Outcomes

    @property
    def ece(self) -> float:
        """The expected calibration error over 15 bins of equal width, in [0, 1]."""
        return self.reliability.ece

    @cached_property
    def ece_equal_mass(self) -> float:
        """The expected calibration error over 15 bins with about as many rows each, in [0, 1]."""
        return Reliability.of_equal_mass(self.outcomes.confidence, self.outcomes.right).ece

    @cached_property
    def intervals(self) -> Mapping[str, Interval]:
        """The 95 % intervals of ``accuracy`` (Wilson) and of ``nll``, ``brier`` and the two ``ece`` (bootstrap).

        They tell how the numbers would vary over other rows of the same kind, with the network as it is. Each holds
        the number itself, which a calibration error's percentiles alone may not: drawing rows again adds to it.
        """
        found = {name: (*ends, getattr(self, name)) for name, ends in self.outcomes.intervals().items()}
        return {name: (min(values), max(values)) for name, values in found.items()}

    @property
    def right(self) -> int:
        """The number of rows predicted right."""
        return int(self.outcomes.right.sum())

    @property
    def rows(self) -> int:
        """N, the number of rows judged."""
        return int(self.reliability.counts.sum())

    @property
    def macro_f1(self) -> float:
        """The mean F1 over the classes that have rows or were predicted, each as much as the others."""
        return _mean([row.f1 for row in self.per_class if row.support or row.predicted])

    @property
    def balanced_accuracy(self) -> float:
        """The mean recall over the classes that have rows: 1 / K by chance, however unequal the classes are."""
        return _mean([row.recall for row in self.per_class if row.support])

    @property
    def commonest(self) -> ClassReport:
        """The class with the most rows: who always answers it is right in its share of them."""
        return max(self.per_class, key=lambda row: row.support)

    @property
    def majority(self) -> float:
        """The share of the rows that are of the commonest class."""
        return self.commonest.support / self.rows

    @property
    def never_predicted(self) -> tuple[str, ...]:
        """The classes that have rows and were never predicted."""
        return tuple(row.name for row in self.per_class if row.support and not row.predicted)

    @property
    def beats_chance(self) -> bool:
        """Whether the accuracy is over that of always answering the commonest class, by more than luck.

        By more than two standard deviations of the share of right answers among so many rows.
        """
        majority = self.majority
        return self.accuracy > majority + 2 * math.sqrt(majority * (1 - majority) / self.rows)

    def to_json(self, most: int | None = None) -> dict[str, Any]:
        """Return plain values, as ``sumtoone evaluate --json`` prints them.

        Of more than ``most`` classes, what is said of each is left out: null.
        """
        few = most is None or len(self.classes) <= most
        return {
            **{name: getattr(self, name) for name in _SCORES},
            "majority": {"class": self.commonest.name, "share": self.majority},
            "never_predicted": list(self.never_predicted) if few else None,
            "confusion": None if self.confusion is None else self.confusion.tolist(),
            "confusions": [vars(each) for each in self.confusions],
            "per_class": [_document(row) for row in self.per_class] if few else None,
            "rows": self.rows,
            "intervals": {name: list(ends) for name, ends in self.intervals.items()},
        }

    def __repr__(self) -> str:
        return "\n  ".join(self._lines)

    def _repr_html_(self) -> str:
        heading, table = self._classes
        return html.shown([*self._lines, *self.remarks, *heading], table[0], table[1:])

    def __str__(self) -> str:
        scores = [(text(f"evaluation.{name}"), f"{getattr(self, name):.4f}", self._ends(name)) for name in _SCORES]
        commonest = text("evaluation.majority", name=printable(self.commonest.name, _LONGEST_NAME))
        scores.append((commonest, f"{self.majority:.4f}", ""))
        heading, per_class = self._classes
        judged = text("evaluation.judged", rows=self.rows, classes=len(self.classes))
        worst = [line for each in heading for line in (each, "")]
        table = [
            judged,
            "",
            *(line.rstrip() for line in aligned(scores)),
            text("evaluation.intervals"),
            "",
            *worst,
            *aligned(per_class),
        ]
        return "\n".join([*table, *([""] if self.remarks else []), *self.remarks])

    def _ends(self, name: str) -> str:
        ends = self.intervals.get(name)
        return "" if ends is None else f"[{ends[0]:.4f}, {ends[1]:.4f}]"

    @property
    def _lines(self) -> list[str]:
        scores = {name: getattr(self, name) for name in ("macro_f1", "nll", "ece")}
        scores["accuracy"] = with_interval(self.right, self.rows)
        judged = text("shown.report", rows=self.rows, classes=len(self.classes))
        return [judged, text("shown.scores", **scores), text("shown.calibration", **scores)]

    @property
    def _classes(self) -> tuple[list[str], list[tuple[str, ...]]]:
        """What is said of each class, or of the worst of many: a heading where one is needed, and a table."""
        rows, heading = self.per_class, []
        if len(rows) > MOST_CLASSES:
            rows = tuple(sorted((row for row in rows if row.support), key=lambda row: row.f1)[:_SHOWN])
            heading = [text("evaluation.worst", count=len(rows))]
        head = tuple(text(f"evaluation.{name}") for name in ("class", "precision", "recall", "f1", "support"))
        body = [
            (
                printable(row.name, _LONGEST_NAME),
                f"{row.precision:.4f}",
                f"{row.recall:.4f}",
                f"{row.f1:.4f}",
                f"{row.support:,}",
            )
            for row in rows
        ]
        return heading, [head, *body]

    @property
    def remarks(self) -> list[str]:
        """What a person must not overlook, as sentences in the language in force."""
        said = []
        if self.never_predicted:
            said.append(text("evaluation.never-predicted", names=listed(self.never_predicted, longest=_LONGEST_NAME)))
        if self.majority < 1 and not self.beats_chance:
            said.append(
                text("evaluation.chance", name=self.commonest.name, share=f"{self.majority:.2%}", rows=self.rows)
            )
        return said


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _document(row: ClassReport) -> dict[str, Any]:
    scores = {name: getattr(row, name) for name in ("precision", "recall", "f1", "support", "predicted")}
    return {"class": row.name, **scores}
