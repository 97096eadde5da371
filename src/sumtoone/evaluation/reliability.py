"""How often predictions made with about the same confidence are right: bins, calibration errors, and their intervals.

In shapes, N counts rows, B bins.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.errors import DataError
from sumtoone.evaluation.bootstrap import bootstrapped, units
from sumtoone.intervals import Interval, wilson
from sumtoone.language.display import quoted

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

BINS = 15
_BOOTSTRAPPED = ("nll", "brier", "ece", "ece_equal_mass")


def equal_widths(bins: int = BINS) -> NDArray[np.float64]:
    """Return the edges (B + 1,) of bins of equal width from 0 to 1."""
    return np.linspace(0.0, 1.0, bins + 1)


def equal_masses(confidence: NDArray[Any], bins: int = BINS) -> NDArray[np.float64]:
    """Return the edges of bins that hold about as many confidences each; fewer bins where many confidences are equal.

    >>> equal_masses(np.array([0.5, 0.6, 0.9, 1.0]), 2).tolist()
    [0.0, 0.6, 1.0]
    """
    upper = np.quantile(confidence, np.arange(1, bins + 1) / bins, method="inverted_cdf")
    return np.concatenate([[0.0], np.unique(upper)])


def places_in(confidence: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return the bin (N,) of each confidence in (0, 1]; bin b holds those in (edges[b], edges[b + 1]]."""
    # side="left" closes bins on the right, also the last: a confidence equal to an edge belongs below it.
    return np.searchsorted(edges, confidence, side="left") - 1


def binned(confidence: NDArray[Any], correct: NDArray[Any], edges: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (3, B): how many confidences lie in each bin, their sum, and the number of those predicted right."""
    homes, bins = places_in(confidence, edges), len(edges) - 1
    return np.stack([np.bincount(homes, weights=weights, minlength=bins) for weights in (None, confidence, correct)])


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

        Raises
        ------
        DataError
            If there are none, they are no such numbers, or there is no bin; as :meth:`of_equal_mass`.

        >>> Reliability.of([0.8, 1.0, 0.4], [True, False, True], bins=2).counts.tolist()
        [1, 2]
        """
        sure, right = _checked(confidence, correct, bins)
        edges = equal_widths(bins)
        return cls.from_sums(edges, *binned(sure, right, edges))

    @classmethod
    def of_equal_mass(cls, confidence: ArrayLike, correct: ArrayLike, bins: int = BINS) -> Reliability:
        """Sort them into bins with about as many rows each, whose edges are confidences that were met.

        >>> Reliability.of_equal_mass([0.8, 1.0, 0.4, 0.7], [True, False, True, True], bins=2).counts.tolist()
        [2, 2]
        """
        sure, right = _checked(confidence, correct, bins)
        edges = equal_masses(sure, bins)
        return cls.from_sums(edges, *binned(sure, right, edges))

    @classmethod
    def from_sums(
        cls,
        edges: NDArray[np.float64],
        counts: NDArray[np.float64],
        confidence: NDArray[np.float64],
        correct: NDArray[np.float64],
    ) -> Reliability:
        """Return what sums over the rows of each bin, as :func:`binned` gives them, come to."""
        bins = len(counts)
        means = [np.divide(each, counts, out=np.full(bins, np.nan), where=counts > 0) for each in (confidence, correct)]
        return cls(edges, counts.astype(np.int64), *means)

    @property
    def ece(self) -> float:
        """The expected calibration error: the mean over rows of their bin's |accuracy - confidence|, in [0, 1]."""
        gaps = np.nan_to_num(np.abs(self.accuracy - self.confidence))
        return float(gaps @ self.counts / self.counts.sum())

    @property
    def intervals(self) -> list[Interval]:
        """Wilson's 95 % interval for the share predicted right in each bin that is not empty."""
        counts = self.counts[self.counts > 0]
        right = (self.accuracy[self.counts > 0] * counts).round().astype(np.int64)
        return [wilson(*each) for each in zip(right.tolist(), counts.tolist(), strict=True)]


def _checked(confidence: ArrayLike, correct: ArrayLike, bins: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return both as numbers (N,); :class:`DataError` if they are others: NaN has no bin, and would lie in the last."""
    try:
        sure, right = np.asarray(confidence, dtype=np.float64), np.asarray(correct, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            "reliability-values", given=f"confidence={quoted(confidence)}, correct={quoted(correct)}"
        ) from None
    if sure.ndim != 1 or sure.shape != right.shape or not len(sure):
        raise DataError("reliability-values", given=f"confidence {sure.shape}, correct {right.shape}")
    wrong = np.flatnonzero(~((sure > 0) & (sure <= 1) & ((right == 0) | (right == 1))))
    if len(wrong):
        row = int(wrong[0])
        raise DataError(
            "reliability-values", given=f"confidence[{row}] = {sure[row]:.6g}, correct[{row}] = {right[row]:.6g}"
        )
    if not isinstance(bins, int | np.integer) or bins < 1:
        raise DataError("reliability-values", given=f"bins={quoted(bins)}")
    return sure, right


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What came of each row, (N,) each: what intervals are made from.

    Parameters
    ----------
    confidence
        The probability of the predicted class, in (0, 1].
    right
        Whether it is the true one.
    nll, brier
        What the row adds to the sums of the two losses.
    """

    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    nll: NDArray[np.float64]
    brier: NDArray[np.float64]

    def intervals(self) -> dict[str, Interval]:
        """Return the 95 % intervals of a report's scores: Wilson's of the accuracy, the bootstrap's of the others."""
        homes, count = units(len(self.right))
        columns = [np.bincount(homes, each, count)[:, None] for each in (None, self.nll, self.brier)]
        gaps, ends = self.right - self.confidence, [3]
        for edges in (equal_widths(), equal_masses(self.confidence)):
            bins = len(edges) - 1
            cells = homes * bins + places_in(self.confidence, edges)
            columns.append(np.bincount(cells, gaps, count * bins).reshape(count, bins))
            ends.append(ends[-1] + bins)

        def scores(sums: NDArray[np.float64]) -> NDArray[np.float64]:
            # A calibration error is the sum of its bins' |right - confidence|, over the number of rows.
            errors = [np.abs(sums[:, start:end]).sum(axis=1) for start, end in pairwise(ends)]
            found: NDArray[np.float64] = np.stack([sums[:, 1], sums[:, 2], *errors], axis=1) / sums[:, :1]
            return found

        found = bootstrapped(np.concatenate(columns, axis=1), scores)
        accuracy = wilson(int(self.right.sum()), len(self.right))
        return {"accuracy": accuracy, **dict(zip(_BOOTSTRAPPED, found, strict=True))}
