"""Predictions in, plain numbers out: accuracy, confusion, negative log-likelihood, Brier score, calibration.

In shapes, N counts rows, D features, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sumtoone.errors import DataError, DtypeError, ShapeError, UsageError
from sumtoone.evaluation.report import ClassReport, Reliability, Report
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.runs import Run
from sumtoone.specification import plain_number

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from sumtoone.data.dataset import Split
    from sumtoone.data.preprocessing import Preprocessing

# How far the probabilities of a row may sum from one: wide enough for half precision, far below any real mistake.
SUM_TOLERANCE = 1e-3
# The true class never counts as less probable than this, the smallest normal float32: the loss stays below 87.4 nats.
SMALLEST_PROBABILITY = float(np.finfo(np.float32).tiny)


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
        Raw inputs (N, D) and labels (N,). The test split is used once, at the very end.
    batch_size
        How many rows go through the network at once; it changes the memory used, not the answer.

    Raises
    ------
    ShapeError
        If the rows have another number of features than the run was trained on.
    DataError
        If the split is empty or a label names no class of the run.
    DtypeError
        If the run was trained on pixels and the rows, all together, are none.
    UsageError
        If the batch size is no positive whole number.
    """
    batch_size = plain_number(batch_size)
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise UsageError("evaluation-batch-size", given=quoted(batch_size))
    _check_arguments(run, split)
    rows, features = split.inputs.shape
    if rows == 0:
        raise DataError("evaluation-empty")
    if features != run.preprocessing.features:
        raise ShapeError("evaluation-features", features=run.preprocessing.features, shape=(rows, features))
    # Before the network runs: a wrong label should not cost an evaluation.
    check_labels(split.labels.numpy(), len(run.classes))
    inputs_ND = run.preprocessing.rows(split.inputs)
    answer = run.probabilities_of if isinstance(run, Run) else run.probabilities
    parts = [answer(inputs_ND[start : start + batch_size]) for start in range(0, rows, batch_size)]
    return report_from(torch.cat(parts), split.labels, run.classes)


def _check_arguments(run: object, split: object) -> None:
    """Raise :class:`DtypeError` for what cannot judge or be judged; most often a data set in place of a split."""
    from sumtoone.data.dataset import Dataset, Split

    if not isinstance(split, Split):
        hint = text("evaluation.write-test" if isinstance(split, Dataset) else "evaluation.write-split")
        raise DtypeError("evaluation-split", kind=type(split).__name__, hint=hint)
    if not all(hasattr(run, name) for name in ("preprocessing", "classes", "probabilities")):
        raise DtypeError("evaluation-run", kind=type(run).__name__)


def report_from(probabilities: Tensor | ArrayLike, labels: Tensor | ArrayLike, classes: Sequence[str]) -> Report:
    """Judge probabilities against labels.

    All sums are taken in float64. A row's prediction is its most probable class, the first of them if several
    are equally probable. For the negative log-likelihood a probability counts as at least 1.2e-38, the smallest
    normal float32, so that one row that was surely wrong costs 87.3 nats and not infinity. The calibration error
    sorts the probability of the predicted class into 15 bins of equal width, (0, 1/15], …, (14/15, 1], and weighs
    each bin's |accuracy - mean confidence| by its share of the rows.

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
    from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

    table = as_numbers(probabilities, "uif", "evaluation-probabilities-dtype")
    truth = as_numbers(labels, "ui", "evaluation-labels-dtype")
    _check_shapes(table, truth, len(classes))
    check_labels(truth, len(classes))
    table = table.astype(np.float64, copy=False)
    check_probabilities(table)

    every_row, every_class = np.arange(len(truth)), np.arange(len(classes))
    predicted = table.argmax(axis=1)
    likelihood = table[every_row, truth].clip(SMALLEST_PROBABILITY, 1.0)
    distance = table.copy()
    distance[every_row, truth] -= 1.0
    scores = precision_recall_fscore_support(truth, predicted, labels=every_class, zero_division=0.0)
    # A sum may exceed one by the tolerance; a confidence may not.
    confidence = table[every_row, predicted].clip(max=1.0)
    return Report(
        accuracy=float(accuracy_score(truth, predicted)),
        # The absolute value of a log of at most one, not its negation: perfection is 0.0 and not -0.0.
        nll=float(np.abs(np.log(likelihood)).mean()),
        brier=float(np.square(distance).sum(axis=1).mean()),
        confusion=confusion_matrix(truth, predicted, labels=every_class),
        per_class=tuple(
            ClassReport(str(name), float(precision), float(recall), float(f1), int(support))
            for name, precision, recall, f1, support in zip(classes, *scores, strict=True)
        ),
        reliability=Reliability.of(confidence, predicted == truth),
        classes=tuple(map(str, classes)),
    )


def as_numbers(values: Tensor | ArrayLike, kinds: str, code: str) -> NDArray[Any]:
    """Return values as an array of one of NumPy's ``kinds``; :class:`DtypeError` under ``code`` if they are none."""
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        # NumPy has no bfloat16.
        array = (values.double() if values.is_floating_point() else values).numpy()
    else:
        array = np.asarray(values)
    # An empty list has NumPy's float type: what it lacks is rows, not a type.
    if array.size and array.dtype.kind not in kinds:
        raise DtypeError(code, kind=str(array.dtype))
    return array


def _check_shapes(table: NDArray[Any], truth: NDArray[Any], classes: int) -> None:
    if table.size == truth.size == 0:
        raise DataError("evaluation-empty")
    if table.ndim != 2 or truth.ndim != 1:
        raise ShapeError("evaluation-shape", probabilities=table.shape, labels=truth.shape)
    if len(table) != len(truth):
        raise ShapeError("evaluation-lengths", rows=len(table), labels=len(truth))
    if table.shape[1] != classes:
        raise ShapeError("evaluation-classes", columns=table.shape[1], classes=classes)


def check_labels(labels: NDArray[Any], classes: int) -> None:
    """Raise :class:`DataError` if a label (N,) is not from 0 to ``classes - 1``."""
    wrong = np.flatnonzero((labels < 0) | (labels >= classes))
    if len(wrong):
        row = int(wrong[0])
        fields = {"row": row, "label": int(labels[row]), "count": len(wrong)}
        raise DataError("evaluation-label", last=classes - 1, classes=classes, **fields)


def check_probabilities(table: NDArray[Any]) -> None:
    """Raise :class:`DataError` if a row of the table (N, K) holds no probabilities that sum to one."""
    wrong = np.argwhere(~(table >= 0) | np.isinf(table))
    if len(wrong):
        row, column = map(int, wrong[0])
        value = f"{table[row, column]:.6g}"
        raise DataError("evaluation-probability", row=row, column=column, value=value, count=len(wrong))
    sums = table.sum(axis=1, dtype=np.float64)
    off = np.flatnonzero(np.abs(sums - 1.0) > SUM_TOLERANCE)
    if len(off):
        fields = {"row": int(off[0]), "sum": f"{sums[off[0]]:.6g}", "count": len(off), "rows": len(table)}
        raise DataError("evaluation-sum", tolerance=SUM_TOLERANCE, **fields)
