"""What an evaluation finds, as values: a report, its classes, its calibration.

In shapes, N counts rows, K classes, B bins.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.language import text
from sumtoone.language.display import printable

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BINS = 15
# Half of a line of a terminal: the numbers beside it take the other.
_LONGEST_NAME = 40


@dataclass(frozen=True)
class ClassReport:
    """How one class fared.

    ``precision`` is the share of the rows predicted as this class that are of it, 0 if none was predicted so;
    ``recall`` the share of its rows that were found, 0 if it has none; ``f1`` their harmonic mean, 0 if both
    are 0; ``support`` the number of its rows.
    """

    name: str
    precision: float
    recall: float
    f1: float
    support: int

    @property
    def scores(self) -> tuple[float, float, float]:
        """Precision, recall and F1."""
        return self.precision, self.recall, self.f1


@dataclass(frozen=True, eq=False)
class Reliability:
    """How often predictions made with about the same confidence are right.

    Shape: ``edges`` (B + 1,), the others (B,).

    Parameters
    ----------
    edges
        Bin b holds the confidences in (edges[b], edges[b + 1]].
    counts
        The rows in each bin.
    confidence, accuracy
        Their mean confidence and the share of them predicted right; NaN where a bin is empty.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]

    @classmethod
    def of(cls, confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Reliability:
        """Sort confidences in (0, 1] and whether each prediction was right into bins of equal width.

        >>> Reliability.of([0.8, 1.0, 0.4], [True, False, True], bins=2).counts.tolist()
        [1, 2]
        """
        sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
        edges = np.linspace(0.0, 1.0, bins + 1)
        # side="left" closes bins on the right: a confidence equal to an edge belongs below it.
        homes = np.searchsorted(edges, sure, side="left") - 1
        counts = np.bincount(homes, minlength=bins)
        sums = [np.bincount(homes, weights=values, minlength=bins) for values in (sure, right)]
        means = [np.divide(each, counts, out=np.full(bins, np.nan), where=counts > 0) for each in sums]
        return cls(edges, counts, *means)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean over rows of their bin's |accuracy - confidence|, in [0, 1]."""
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(gaps @ self.counts / self.counts.sum())


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
        (K, K) counts: ``confusion[i, j]`` rows of class i were predicted as class j.
    per_class
        One :class:`ClassReport` for each class.
    reliability
        What the calibration error and its diagram are made from.
    classes
        The name of each class.
    """

    accuracy: float
    nll: float
    brier: float
    confusion: NDArray[np.int64]
    per_class: tuple[ClassReport, ...]
    reliability: Reliability
    classes: tuple[str, ...]

    @property
    def ece(self) -> float:
        """The expected calibration error over 15 bins, in [0, 1]."""
        return self.reliability.ece

    @property
    def rows(self) -> int:
        """N, the number of rows judged."""
        return int(self.confusion.sum())

    def to_json(self) -> dict[str, Any]:
        """Return plain values, as ``sumtoone evaluate --json`` prints them."""
        return {
            "accuracy": self.accuracy,
            "nll": self.nll,
            "brier": self.brier,
            "ece": self.ece,
            "confusion": self.confusion.tolist(),
            "per_class": [
                {
                    "class": row.name,
                    **dict(zip(("precision", "recall", "f1"), row.scores, strict=True)),
                    "support": row.support,
                }
                for row in self.per_class
            ],
            "rows": self.rows,
        }

    def __str__(self) -> str:
        scores = [
            (text(f"evaluation.{name}"), f"{getattr(self, name):.4f}") for name in ("accuracy", "nll", "brier", "ece")
        ]
        head = tuple(text(f"evaluation.{name}") for name in ("class", "precision", "recall", "f1", "support"))
        body = [
            (
                printable(row.name, _LONGEST_NAME),
                f"{row.precision:.4f}",
                f"{row.recall:.4f}",
                f"{row.f1:.4f}",
                f"{row.support:,}",
            )
            for row in self.per_class
        ]
        judged = text("evaluation.judged", rows=self.rows, classes=len(self.classes))
        return "\n".join([judged, "", *_aligned(scores), "", *_aligned([head, *body])])


def _aligned(table: Sequence[tuple[str, ...]]) -> list[str]:
    """Return the rows as lines, the first column flush left, the others flush right; Hangul is two cells wide."""
    from rich.cells import cell_len

    widths = [max(map(cell_len, column)) for column in zip(*table, strict=True)]
    lines = []
    for name, *numbers in table:
        padded = [" " * (width - cell_len(number)) + number for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name + " " * (widths[0] - cell_len(name)), *padded]))
    return lines
