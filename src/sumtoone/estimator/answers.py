"""What a fitted classifier answers, and the way into a file and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from sumtoone.errors import UsageError
from sumtoone.estimator import parameters, rows
from sumtoone.functional import log_softmax
from sumtoone.runs import Run, answered, open_run

# Below this, float32 soon holds fewer digits of a probability, and then none.
_SMALL = 1e-30


class Answers:
    """The answers of an estimator that has a run and its labels."""

    run_: Run
    classes_: NDArray[Any]
    n_features_in_: int
    feature_names_in_: NDArray[Any]
    n_iter_: int
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    _state: dict[str, Tensor]

    # --- answers

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of each class (N, K) for rows (N, D), in the order of ``classes_``.

        As the other answers, it raises ``ValueError`` for what scikit-learn's estimators refuse, and for rows so far
        outside of what was trained on that float32 holds no answer.
        """
        values = self._values(X)
        return np.asarray(answered(self.run_.probabilities_of(values)).numpy())

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the logarithms of :meth:`predict_proba`, which stay finite where a probability is too small."""
        values = self._values(X)
        probabilities = answered(self.run_.probabilities_of(values))
        small = probabilities < _SMALL
        if not bool(small.any()):
            return np.asarray(probabilities.log().numpy())
        exact = log_softmax(self.run_.logits_of(values), dim=1)
        return np.asarray(torch.where(small, exact, probabilities.log()).numpy())

    def decision_function(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the logits (N, K); of two classes how much the second's exceeds the first's (N,)."""
        logits = self._logits(X).numpy()
        return np.asarray(logits[:, 1] - logits[:, 0] if logits.shape[1] == 2 else logits)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the label of the most probable class of each row (N,)."""
        best = self._logits(X).numpy().argmax(axis=1)
        return np.asarray(self.classes_[best])

    def _logits(self, X: ArrayLike) -> Tensor:
        values = self._values(X)
        return answered(self.run_.logits_of(values))

    def _values(self, X: ArrayLike) -> Tensor:
        if not hasattr(self, "run_"):
            check_is_fitted(self)
        # What scikit-learn would find right, in a tenth of its time: of one row that is most of the time.
        if not rows.are_plain(X, self.n_features_in_) or hasattr(self, "feature_names_in_"):
            X = rows.numbers(validate_data(self, X, dtype="numeric", reset=False))
        return self.run_.preprocessing.rows(X)

    # --- files

    def save(self, path: str | Path) -> Path:
        """Write the run's folder, with the labels in their own type and the parameters; nothing is pickled.

        Raises
        ------
        UsageError
            If the labels are no whole numbers, numbers, texts, or True and False: a file would not give them back.
        RunError
            If there is something at ``path`` already, or it cannot be written.
        """
        check_is_fitted(self)
        if self.run_.estimator.get("labels", ...) is None:
            raise UsageError("classifier-labels", given=self.classes_.dtype)
        return self.run_.save(path)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Return the classifier that :meth:`save` wrote; of any other run of a :class:`Network`, see :meth:`from_run`.

        Raises
        ------
        RunError
            As :func:`sumtoone.open_run`, or if what it keeps of a classifier is damaged.
        """
        return cls.from_run(open_run(path))

    @classmethod
    def from_run(cls, run: Run) -> Self:
        """Return a fitted classifier of a run: one that a classifier saved, or :func:`sumtoone.fit` made.

        The labels of the latter are the names of its classes.

        Raises
        ------
        UsageError
            If the run trained a module of your own, or labels that a file does not give back.
        RunError
            If what the run keeps of a classifier is damaged.
        """
        given, classes = parameters.of_run(run)
        made = cls(**given)
        made.classes_ = classes
        made.n_features_in_ = run.preprocessing.features
        if run.columns is not None:
            made.feature_names_in_ = np.array(run.columns, object)
        made.run_, made._state = run, {}
        made.n_iter_, made.loss_curve_ = len(run.history), list(run.history["train_loss"])
        made.validation_scores_ = list(run.history["validation_accuracy"]) if run.options.early_stopping else None
        return made
