"""How far a run's probabilities can be taken at their word: fitted on validation rows, and kept with the run.

Shape suffixes: N rows, K classes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sumtoone import conformal, temperature
from sumtoone.data.digests import mark_of
from sumtoone.data.split import Split
from sumtoone.errors import DataError, DtypeError, UsageError
from sumtoone.language import text
from sumtoone.language.display import quoted
from sumtoone.memory import enough_memory
from sumtoone.specification import not_among, plain_number
from sumtoone.storage import is_number

if TYPE_CHECKING:
    from sumtoone.runs import Run

# The guarantee is exact with any number of scores; more than these would only make files large.
MOST_SCORES = 10_000
# Of rows x classes: so many scores are computed at a time.
_BLOCK = 2**20
# What a temperature changes of what was measured; accuracy, confusions and the rest stay.
_OUTDATED = ("nll", "brier", "ece", "ece_equal_mass")


@dataclass(frozen=True, eq=False)
class Calibration:
    """What validation rows say of a run's logits.

    Parameters
    ----------
    temperature
        What they are divided by; 1 where nothing is gained by another.
    nll_before, nll_after
        The mean negative log-likelihood of the rows in nats, without and with it.
    rows
        How many there were.
    found
        Whether the rows have a likeliest temperature: those that are all right have none, nor have a guesser's.
    scores
        For each method of :data:`sumtoone.conformal.METHODS` the ordered scores (N,) of the true classes, of at most
        10,000 of the rows. They are those of the network as it was trained, which no calibration row has shaped.
    """

    temperature: float
    nll_before: float
    nll_after: float
    rows: int
    found: bool
    scores: Mapping[str, NDArray[np.float64]] = field(repr=False)

    def __post_init__(self) -> None:
        values = (self.temperature, self.nll_before, self.nll_after)
        if not all(map(is_number, values)) or self.temperature <= 0 or not 0 <= self.nll_after <= self.nll_before:
            raise UsageError("calibration-values", given=quoted(values))
        held = [self.scores.get(method) for method in conformal.METHODS]
        count = min(self.rows, MOST_SCORES) if type(self.rows) is int else 0
        if count < 1 or type(self.found) is not bool or any(each is None or each.shape != (count,) for each in held):
            raise UsageError("calibration-values", given=f"rows={quoted(self.rows)}, scores={quoted(self.scores)}")
        if any(not np.isfinite(each).all() or (np.diff(each) < 0).any() for each in held if each is not None):
            raise UsageError("calibration-values", given="scores")

    def sets(self, x_ND: Tensor, logits_NK: Tensor, coverage: float, method: str) -> Tensor:
        """Return which classes (N, K) are in the set of each row, of raw rows and the logits before any temperature.

        All of them where the softmax of the logits is no numbers.
        """
        most = conformal.threshold(self.scores[method], coverage)
        logits, found = logits_NK.numpy(), torch.ones(logits_NK.shape, dtype=torch.bool)
        for part in _blocks(*logits.shape):
            # Infinity is the logit of a sum that overflowed, and minus it that of a masked class.
            sane = np.flatnonzero(np.isfinite(logits[part].max(axis=1)))
            draws = conformal.draws(x_ND[part].numpy())[sane]
            scores = conformal.scores(logits[part][sane], draws, method)
            found[part.start + sane] = torch.from_numpy(scores <= most)
        return found

    def to_json(self) -> dict[str, Any]:
        """Return plain values; scores are the bytes of little-endian float64 in base64."""
        coded = {
            name: base64.b64encode(each.astype("<f8").tobytes()).decode("ascii") for name, each in self.scores.items()
        }
        plain = ("temperature", "nll_before", "nll_after", "rows", "found")
        return {**{name: getattr(self, name) for name in plain}, "scores": coded}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Calibration:
        """Return what :meth:`to_json` gave; any exception where the document is none."""
        coded = {method: document["scores"][method] for method in conformal.METHODS}
        scores = {name: np.frombuffer(base64.b64decode(each, validate=True), "<f8") for name, each in coded.items()}
        return cls(**{**document, "scores": scores})


def calibrate(run: Run, split: Split) -> Run:
    """Return a run whose probabilities can be taken at their word, as far as one temperature goes.

    Its logits are those of ``run.network`` divided by the temperature at which the labels of ``split`` are likeliest;
    which class is the most probable does not change. What was fitted before is replaced; losses and calibration errors
    among its metrics, which were measured with another temperature, are left out. The run given is left as it is, and
    so are its files.

    Parameters
    ----------
    run
        A trained run.
    split
        Validation rows: ``data.validation``, or others of the same kind that the network was not trained on. The rows
        themselves tell how sure the network is of rows it has not seen.

    Raises
    ------
    DtypeError
        If these are no run and no split.
    DataError
        If there is no row, they are the run's own training or test rows, a label names no class of the run, or the
        network gives logits that are not finite.
    ShapeError
        If the rows have another number of values than the run was trained on.

    Examples
    --------
    >>> import sumtoone as s1
    >>> data = s1.load("digits")
    >>> run = s1.fit(s1.Network("784-32-10"), data, epochs=4)
    >>> calibrated = s1.calibrate(run, data.validation)
    >>> calibrated.calibration.nll_after <= calibrated.calibration.nll_before
    True
    >>> calibrated.prediction_sets(data.test.inputs, coverage=0.95).shape
    torch.Size([1000, 10])
    """
    _check_arguments(run, split)
    split = split.in_order(run.columns)
    if not len(split):
        raise DataError("split-empty", given="split")
    _check_rows(run, split)
    raw = replace(run, calibration=None)
    logits_NK, labels_N = raw.logits(split.inputs).numpy(), split.labels.numpy()
    if not np.isfinite(logits_NK).all():
        row, column = map(int, np.argwhere(~np.isfinite(logits_NK))[0])
        raise DataError("calibration-logits", row=row, column=column, value=float(logits_NK[row, column]))
    with enough_memory():
        found = temperature.fitted(logits_NK, labels_N)
        before = temperature.loss_and_slope(logits_NK, labels_N, 1.0)[0]
        after = before if found is None else temperature.loss_and_slope(logits_NK, labels_N, 1.0 / found)[0]
        # Where rounding is all that is gained, nothing is changed.
        chosen, after = (found, after) if found is not None and after < before else (1.0, before)
        scores = _own_scores(raw.preprocessing.rows(split.inputs).numpy(), logits_NK, labels_N)
    kept = Calibration(chosen, before, after, len(split), found is not None, scores)
    return replace(run, calibration=kept, metrics=still_true(run.metrics, run.calibration, kept))


def still_true(metrics: Mapping[str, Any], before: Calibration | None, after: Calibration) -> dict[str, Any]:
    """Return what was measured of a run as far as it still holds where one calibration takes another's place."""
    same = after.temperature == (1.0 if before is None else before.temperature)
    return dict(metrics) if same else _without_outdated(metrics)


def _without_outdated(given: Mapping[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in given.items() if name not in _OUTDATED}
    return {name: _without_outdated(value) if isinstance(value, Mapping) else value for name, value in kept.items()}


def _own_scores(
    x_ND: NDArray[Any], logits_NK: NDArray[np.float32], labels_N: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the ordered scores of the true classes, of rows that are chosen without a look at them."""
    chosen = np.arange(len(labels_N))
    if len(chosen) > MOST_SCORES:
        chosen = np.random.default_rng(0).choice(len(chosen), MOST_SCORES, replace=False)
    draws_N = conformal.draws(x_ND[chosen])
    found = {}
    for method in conformal.METHODS:
        own = np.empty(len(chosen))
        for part in _blocks(len(chosen), logits_NK.shape[1]):
            rows = chosen[part]
            own[part] = conformal.scores(logits_NK[rows], draws_N[part], method)[np.arange(len(rows)), labels_N[rows]]
        found[method] = np.sort(own)
    return found


def _blocks(rows: int, classes: int) -> list[slice]:
    """Return the slices in which the scores of so many rows are computed: few enough for the memory."""
    step = max(1, _BLOCK // classes)
    return [slice(start, start + step) for start in range(0, rows, step)]


def check_sets(coverage: object, method: object, names: tuple[str, str] = ("coverage", "method")) -> float:
    """Return the coverage as a number; :class:`UsageError`, with these names, if it or the method is none."""
    coverage = plain_number(coverage)
    if not is_number(coverage) or not 0 < coverage < 1:  # type: ignore[operator]
        raise UsageError("number-range", name=names[0], given=quoted(coverage), wanted="0 < x < 1", example=0.95)
    if method not in conformal.METHODS:
        raise not_among(names[1], method, conformal.METHODS)
    return float(coverage)  # type: ignore[arg-type]


def _check_arguments(run: object, split: object) -> None:
    if not all(hasattr(run, name) for name in ("logits", "calibration", "splits")):
        what = {"function": "calibrate", "name": "run", "wanted": "Run", "given": type(run).__name__}
        raise DtypeError("argument-type", **what, hint="run = fit(network, data)")
    if not isinstance(split, Split):
        what = {"function": "calibrate", "name": "split", "wanted": "Split", "given": type(split).__name__}
        raise DtypeError("argument-type", **what, hint="calibrate(run, data.validation)")


def _check_rows(run: Run, split: Split) -> None:
    """Refuse labels that name no class, and rows that must not choose: those of the training and of the test."""
    classes, labels = len(run.classes), split.labels.numpy()
    wrong = np.flatnonzero(labels >= classes)
    if len(wrong):
        row = int(wrong[0])
        fields = {"row": row, "label": int(labels[row]), "count": len(wrong)}
        raise DataError("evaluation-label", last=classes - 1, classes=classes, **fields)
    if not run.splits:
        return
    mark = mark_of(split)
    for part in ("train", "test"):
        if run.splits[part]["digest"] == mark:
            raise DataError("calibration-split", part=text(f"shown.{part}"), name=run.name)
