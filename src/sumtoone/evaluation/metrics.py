"""Predictions in, plain numbers out: accuracy, confusion, negative log-likelihood, Brier score, calibration.

In shapes, N counts rows, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from sumtoone.errors import DataError, DtypeError, ShapeError, UsageError
from sumtoone.evaluation.checks import SUMMED, as_numbers, check_labels, check_probabilities, check_shapes
from sumtoone.evaluation.reliability import Outcomes, Reliability, binned, equal_widths
from sumtoone.evaluation.report import MOST_CLASSES, MOST_CONFUSIONS, ClassReport, Confusion, Report
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.memory import enough_memory
from sumtoone.runs import Run
from sumtoone.specification import plain_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sumtoone.data.preprocessing import Preprocessing
    from sumtoone.data.split import Split

# The true class never counts as less probable than this, the smallest normal float32: the loss stays below 87.4 nats.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)
# Of rows x classes: so many probabilities are computed at a time.
_BLOCK = 2**20


class Predictor(Protocol):
    """What :func:`evaluate` judges: a run, or anything else with these three."""

    @property
    def preprocessing(self) -> Preprocessing:
        """Knows the number of features a row must have."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The name of each class."""

    def probabilities(self, inputs: Tensor) -> Tensor:
        """Return probabilities (N, K) for raw inputs (N, D)."""


def evaluate(run: Predictor, split: Split, *, batch_size: int = 4096) -> Report:
    """Judge a run on the rows of a split.

    Parameters
    ----------
    run
        A trained network with its preprocessing and its classes.
    split
        Raw inputs (N, D), brought into the order of the run's columns, and labels (N,). The test split is used once, at
        the very end.
    batch_size
        How many rows go through the network at once, at the most: of many classes it is fewer, so that there are never
        more than four million probabilities in memory. It changes the memory used, not the answer.

    Raises
    ------
    ShapeError
        If the rows have another number of features than the run was trained on.
    DataError
        If the split is empty, its columns are others than the run's, or a label names no class of the run.
    DtypeError
        If the run was trained on pixels and the rows, all together, are none.
    UsageError
        If the batch size is no positive whole number.
    UnavailableError
        If this machine's memory does not hold what is computed.
    """
    batch_size = plain_number(batch_size)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError("evaluation-batch-size", given=quoted(batch_size))
    _check_arguments(run, split)
    split = split.in_order(getattr(run, "columns", None))
    rows, features = split.inputs.shape
    if rows == 0:
        raise DataError("split-empty", given="split")
    if features != run.preprocessing.features:
        raise ShapeError("preprocessing-shape", features=run.preprocessing.features, given=(rows, features))
    # Before the network runs: a wrong label should not cost an evaluation.
    check_labels(split.labels.numpy(), len(run.classes))
    with enough_memory():
        inputs_ND = run.preprocessing.rows(split.inputs)
        answer = run.probabilities_of if isinstance(run, Run) else run.probabilities
        tally = _Tally(len(run.classes), rows)
        step = max(1, min(batch_size, _BLOCK // len(run.classes)))
        for start in range(0, rows, step):
            table = as_numbers(answer(inputs_ND[start : start + step]), "uif", "evaluation-probabilities-dtype")
            labels = split.labels[start : start + step].numpy()
            check_shapes(table, labels, len(run.classes))
            tally.add(table, labels)
        return tally.report(run.classes)


def _check_arguments(run: object, split: object) -> None:
    """Raise :class:`DtypeError` for what cannot judge or be judged; most often a data set in place of a split."""
    from sumtoone.data.dataset import Dataset
    from sumtoone.data.split import Split

    if not isinstance(split, Split):
        hint = text("evaluation.write-test" if isinstance(split, Dataset) else "evaluation.write-split")
        given = type(split).__name__
        raise DtypeError("argument-type", function="evaluate", name="split", wanted="Split", given=given, hint=hint)
    if not all(hasattr(run, name) for name in ("preprocessing", "classes", "probabilities")):
        wanted, hint = "Run | Predictor (.preprocessing, .classes, .probabilities)", "run = fit(network, data)"
        given = type(run).__name__
        raise DtypeError("argument-type", function="evaluate", name="run", wanted=wanted, given=given, hint=hint)


def report_from(probabilities: Tensor | ArrayLike, labels: Tensor | ArrayLike, classes: Sequence[str]) -> Report:
    """Judge probabilities against labels.

    All sums are taken in float64. A row's prediction is its most probable class, the first of them if several
    are equally probable. For the negative log-likelihood a probability counts as at least 1.2e-38, the smallest
    normal float32, so that one row that was surely wrong costs 87.3 nats and not infinity. The calibration error
    sorts the probability of the predicted class into 15 bins of equal width, (0, 1/15], …, (14/15, 1], and weighs
    each bin's |accuracy - mean confidence| by its share of the rows; a second one takes bins of equal mass. Of more
    than 100 classes the report holds the 100 commonest confusions and no matrix.

    Shape: ``probabilities`` (N, K), rows summing to one within 1e-3; ``labels`` (N,), whole numbers from 0 to K - 1.

    Raises
    ------
    ShapeError
        If the two do not fit each other or the classes.
    DataError
        If there is no row, a label names no class, or a row holds no probabilities.
    DtypeError
        If the probabilities are not numbers or the labels not whole numbers.

    Examples
    --------
    >>> report = report_from([[0.75, 0.25], [0.5, 0.5], [0.0, 1.0]], [0, 1, 1], ["cat", "dog"])
    >>> report.confusion.tolist()
    [[1, 0], [1, 1]]
    >>> round(report.accuracy, 4), round(report.nll, 4), round(report.brier, 4), round(report.ece, 4)
    (0.6667, 0.3269, 0.2083, 0.25)

    References
    ----------
    Naeini, Cooper and Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo,
    Pleiss, Sun and Weinberger 2017, arXiv:1706.04599; Brier 1950, "Verification of Forecasts Expressed in Terms
    of Probability".
    """
    table = as_numbers(probabilities, "uif", "evaluation-probabilities-dtype")
    truth = as_numbers(labels, "ui", "evaluation-labels-dtype")
    check_shapes(table, truth, len(classes))
    check_labels(truth, len(classes))
    check_probabilities(table)
    tally = _Tally(len(classes), len(truth))
    tally.add(table, truth, checked=True)
    return tally.report(classes)


class _Tally:
    """What a report is made from, of as many rows as come, one block after another.

    Beside the counts of each class it holds a count for each pair of up to ``MOST_CLASSES`` classes, or four bytes for
    each row: which class was taken for which; and 25 bytes for each row, which intervals are made from.
    """

    def __init__(self, classes: int, rows: int) -> None:
        self._classes, self._rows = classes, 0
        self._nll = self._brier = 0.0
        self._support, self._predicted, self._right = np.zeros((3, classes), np.int64)
        self._edges = equal_widths()
        self._bins = np.zeros((3, len(self._edges) - 1))
        self._outcomes = Outcomes(np.empty(rows), np.empty(rows, np.bool_), np.empty(rows), np.empty(rows))
        whole = classes <= MOST_CLASSES
        self._confusion = np.zeros(classes * classes, np.int64) if whole else None
        # No more than 65,536 classes can be loaded, whose pairs 32 bits hold.
        self._pairs = np.empty(0 if whole else rows, np.uint32 if classes <= 2**16 else np.uint64)

    def add(self, table: NDArray[Any], truth: NDArray[Any], *, checked: bool = False) -> None:
        """Count rows of probabilities (N, K) and their labels (N,)."""
        step = max(1, SUMMED // self._classes)
        for start in range(0, len(truth), step):
            block = np.array(table[start : start + step], np.float64)
            if not checked:
                check_probabilities(block, self._rows)
            self._add(block, truth[start : start + step].astype(np.int64, copy=False))

    def _add(self, block: NDArray[np.float64], truth: NDArray[np.int64]) -> None:
        every, classes = np.arange(len(truth)), self._classes
        predicted = block.argmax(axis=1)
        likelihood = block[every, truth]
        # A sum may exceed one by the tolerance; a confidence may not.
        confidence = block[every, predicted].clip(max=1.0)
        # The absolute value of a log of at most one, not its negation: perfection is 0.0 and not -0.0.
        nll = np.abs(np.log(likelihood.clip(SMALLEST_PROBABILITY, 1.0)))
        self._nll += float(nll.sum())
        block[every, truth] -= 1.0
        brier = np.einsum("nk,nk->n", block, block)
        self._brier += float(brier.sum())
        right = predicted == truth
        here, kept = slice(self._rows, self._rows + len(truth)), self._outcomes
        kept.confidence[here], kept.right[here], kept.nll[here], kept.brier[here] = confidence, right, nll, brier
        self._support += np.bincount(truth, minlength=classes)
        self._predicted += np.bincount(predicted, minlength=classes)
        self._right += np.bincount(truth[right], minlength=classes)
        self._bins += binned(confidence, right, self._edges)
        if self._confusion is not None:
            self._confusion += np.bincount(truth * classes + predicted, minlength=classes * classes)
        else:
            self._pairs[here] = truth * classes + predicted
        self._rows += len(truth)

    def report(self, classes: Sequence[str]) -> Report:
        """Return what was found."""
        names = tuple(map(str, classes))
        shape = (self._classes, self._classes)
        confusion = None if self._confusion is None else self._confusion.reshape(shape)
        return Report(
            accuracy=int(self._right.sum()) / self._rows,
            nll=self._nll / self._rows,
            brier=self._brier / self._rows,
            confusion=confusion,
            confusions=tuple(
                Confusion(names[pair // self._classes], names[pair % self._classes], count)
                for pair, count in self._commonest()
            ),
            per_class=tuple(map(ClassReport, names, *(each.tolist() for each in self._counts()))),
            reliability=Reliability.from_sums(self._edges, *self._bins),
            classes=names,
            outcomes=self._outcomes,
        )

    def _counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        return self._support, self._predicted, self._right

    def _commonest(self) -> list[tuple[int, int]]:
        """Return the pairs of two classes that were met most often, and how often; equal ones in their order."""
        blocks: Iterator[tuple[NDArray[Any], NDArray[Any]]]
        if self._confusion is not None:
            counts = self._confusion
            blocks = iter([(np.flatnonzero(counts), counts[counts > 0])])
        else:
            self._pairs.sort()
            blocks = _runs(self._pairs)
        found: list[tuple[int, int]] = []
        for pairs, counts in blocks:
            apart = pairs // self._classes != pairs % self._classes
            best = np.argsort(-counts[apart], kind="stable")[:MOST_CONFUSIONS]
            found += zip(pairs[apart][best].tolist(), counts[apart][best].tolist(), strict=True)
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:MOST_CONFUSIONS]


def _runs(ordered: NDArray[Any]) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """Yield the distinct values of a sorted array and how often each is there, some at a time."""
    start = 0
    while start < len(ordered):
        end = min(start + SUMMED, len(ordered))
        # Not in the middle of equal ones.
        end = int(np.searchsorted(ordered, ordered[end - 1], side="right"))
        yield np.unique(ordered[start:end], return_counts=True)
        start = end
