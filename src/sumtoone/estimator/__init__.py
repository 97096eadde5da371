"""A scikit-learn estimator over the same engines: the only room that knows scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import _check_partial_fit_first_call, check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data
from torch import Tensor

from sumtoone.data import Preprocessing
from sumtoone.errors import DataError, UsageError
from sumtoone.estimator import keeping, labels, rows
from sumtoone.estimator.callbacks import Epochs
from sumtoone.functional import log_softmax
from sumtoone.history import History
from sumtoone.language.lines import listed
from sumtoone.memory import enough_memory
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.runs import Run, open_run
from sumtoone.specification import Specification
from sumtoone.training import train_plan
from sumtoone.training.checks import check_fit, checked_weights, row_weights
from sumtoone.training.process import surroundings
from sumtoone.training.resuming import Unfinished
from sumtoone.training.session import one_epoch
from sumtoone.training.state import Plan, Progress, device_of

if TYPE_CHECKING:
    from sumtoone.data import Dataset

__all__ = ["Classifier"]

# Epochs without a lower validation loss, for early_stopping=True: as many as scikit-learn's networks wait.
_PATIENCE = 10
# Below this, float32 soon holds fewer digits of a probability, and then none.
_SMALL = 1e-30


class Classifier(CallbackSupportMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A dense softmax classifier for scikit-learn: in pipelines, searches and cross-validation.

    The engines, the optimizers and their defaults are those of :func:`sumtoone.fit`, and what was fitted is a
    :class:`sumtoone.Run`.

    Parameters
    ----------
    hidden
        The sizes of the hidden layers; ``()`` is softmax regression.
    activation, dropout
        As :class:`sumtoone.Network` has them.
    epochs, batch_size, optimizer, lr, momentum, nesterov, weight_decay, label_smoothing, schedule, engine, \
precision, threads, device
        As :class:`sumtoone.TrainingOptions` has them. ``momentum=None`` is sgd's 0.9.
    options
        Further options of training by name, such as are no parameters here.
    standardize
        Give each column mean 0 and deviation 1 over the training rows; bytes (uint8) share one mean and one deviation,
        so that a picture stays a picture. It is part of the run.
    class_weight
        How much the rows of a class count: None, ``"balanced"``, or a mapping from labels.
    early_stopping
        Stop after so many epochs without a lower validation loss, and keep the best weights. True is 10; None and
        False never stop.
    validation_fraction
        The share of the rows that early stopping looks at and does not train on, above 0 and below 1.
    warm_start
        Begin with the weights of the fit before.
    random_state
        Decides start weights, the order of the rows, dropout and the validation rows. None draws a seed.
    verbose
        Show a progress bar on standard error, if that is a terminal.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels.
    run_ : Run
        The network with its preprocessing, its history and its options; its classes are the labels' texts.
    n_features_in_ : int
        The number of values in a row.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, where ``X`` had names that are all texts.
    n_iter_ : int
        How many epochs were trained, or passes of ``partial_fit``.
    loss_curve_ : list of float
        The training loss of each.
    validation_scores_ : list of float or None
        The accuracy on the validation rows after each epoch, with early stopping.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.model_selection import cross_val_score
    >>> x, y = load_iris(return_X_y=True)
    >>> bool(cross_val_score(Classifier(hidden=(16,), epochs=40, random_state=0), x, y).mean() > 0.9)
    True
    """

    def __init__(
        self,
        hidden: int | Sequence[int] = (128, 64),
        activation: str = "relu",
        *,
        dropout: float = 0.0,
        epochs: int = 12,
        batch_size: int = 64,
        optimizer: str = "adamw",
        lr: float | None = None,
        momentum: float | None = None,
        nesterov: bool = False,
        weight_decay: float | None = None,
        label_smoothing: float = 0.0,
        schedule: str = "one-cycle",
        engine: str = "auto",
        precision: str = "float32",
        threads: int | None = None,
        device: str = "auto",
        options: Mapping[str, Any] | None = None,
        standardize: bool = True,
        class_weight: str | Mapping[Any, float] | None = None,
        early_stopping: bool | int | None = None,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: Any = None,
        verbose: bool = False,
    ) -> None:
        self.hidden = hidden
        self.activation = activation
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self.label_smoothing = label_smoothing
        self.schedule = schedule
        self.engine = engine
        self.precision = precision
        self.threads = threads
        self.device = device
        self.options = options
        self.standardize = standardize
        self.class_weight = class_weight
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.verbose = verbose

    # --- fitting

    @with_callbacks  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Train on rows (N, D) and their labels (N,), each row counting with its weight (N,); return the classifier.

        The array itself is trained on where it is float32 or uint8 in one piece; else one standardised copy. Rows that
        fit into one batch are trained on in an order of their own, equal ones together, so that weights are, to the
        bit, repetitions.

        Raises
        ------
        ValueError
            For what scikit-learn's estimators refuse, and, as errors of ours, for wrong parameters or a single class.
        TrainingError
            If the loss is no longer finite.
        """
        options, seed = self._options(), self._seed()
        before = self.run_ if self.warm_start and hasattr(self, "run_") else None
        given_X, given_y = X, y
        values, y = validate_data(self, X, y, dtype="numeric", reset=before is None)
        values = _numbers(values)
        check_classification_targets(y)
        weights = None if sample_weight is None else _weights(sample_weight, values)
        codes = self._first_codes(y) if before is None else self._codes(y)
        names = labels.names_of(self.classes_)
        options = options.changed(seed=seed, class_weight=self._class_weight(names))
        train, held_out = self._parts(codes, options)
        if weights is not None:
            checked_weights(weights, len(codes))
        if train is None:
            train, weights = rows.in_order(values, codes, weights, options.batch_size)
        elif weights is not None:
            weights = weights[train]
        with enough_memory():
            step = self._step(values, train, weights) if before is None else before.preprocessing
            inputs, rest = rows.prepared(values, train, step)
            targets = torch.from_numpy(codes if train is None else codes[train])
            judged = None
            if held_out is not None:
                judged = rows.prepared(values, held_out, step)[0], torch.from_numpy(codes[held_out])
            data = rows.dataset_of((inputs, targets), judged, names, self._columns())
            network = self._network(values.shape[1], seed, before)
            plan = Plan(network, data, rest, options, device_of(options), row_weights(weights, data, options))
            metadata = None if sample_weight is None else {"sample_weight": sample_weight}
            listener = self._listener(plan, step, {"X": given_X, "y": given_y, "metadata": metadata})
            run = train_plan(Unfinished(plan, Progress(), {}), None, bool(self.verbose), listener)
        self._keep(replace(run, preprocessing=step), {}, len(run.history))
        self.validation_scores_ = list(run.history["validation_accuracy"]) if held_out is not None else None
        if listener is not None:
            self._callback_fit_ctx.call_on_fit_task_end(
                estimator=self, X=given_X, y=given_y, metadata=metadata, reconstruction_attributes={}
            )
        return self

    def partial_fit(
        self,
        X: ArrayLike,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Go once over rows (N, D) and their labels (N,), and return the classifier.

        The first call needs all ``classes``, and its rows decide how columns are standardised. The optimizer's state is
        kept between calls; the learning rate is ``lr`` throughout, and ``epochs``, ``schedule`` and early stopping are
        a matter of :meth:`fit`.

        Raises
        ------
        ValueError
            As :meth:`fit`; also if ``classes`` are missing, or others than before, or are to be balanced.
        TrainingError
            If the loss is no longer finite.
        """
        before: Run | None = getattr(self, "run_", None)
        _check_partial_fit_first_call(self, classes)
        _two_classes(self.classes_)
        if self.class_weight == "balanced":
            raise UsageError("classifier-balanced")
        values, y = validate_data(self, X, y, dtype="numeric", reset=before is None)
        values = _numbers(values)
        check_classification_targets(y)
        weights = None if sample_weight is None else _weights(sample_weight, values)
        codes, names = self._codes(y), labels.names_of(self.classes_)
        passes = 0 if before is None else self.n_iter_
        seed = self._seed() if before is None else before.options.seed
        options = self._options().changed(
            seed=seed, class_weight=self._class_weight(names), schedule="constant", epochs=passes + 1,
            early_stopping=None,
        )  # fmt: skip
        with enough_memory():
            step = self._step(values, None, weights) if before is None else before.preprocessing
            network = self._network(values.shape[1], seed, before)
            inputs, rest = rows.prepared(values, None, step)
            data = rows.dataset_of((inputs, torch.from_numpy(codes)), None, names, self._columns())
            plan = Plan(network, data, rest, options, device_of(options), row_weights(weights, data, options))
            with surroundings(plan) as around:
                check_fit(plan, fused=around.fused)
                row, state = one_epoch(plan, passes, getattr(self, "_state", {}), around)
        history = History((*(() if before is None else before.history.rows), row))
        self._keep(self._run(plan, step, history), state, passes + 1)
        self.validation_scores_ = None
        return self

    # --- answers

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the probability of each class (N, K) for rows (N, D), in the order of ``classes_``."""
        values = self._values(X)
        return np.asarray(self.run_.probabilities_of(values).numpy())

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float32]:
        """Return the logarithms of :meth:`predict_proba`, which stay finite where a probability is too small."""
        values = self._values(X)
        probabilities = self.run_.probabilities_of(values)
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
        return self.run_.logits_of(values)

    def _values(self, X: ArrayLike) -> Tensor:
        if not hasattr(self, "run_"):
            check_is_fitted(self)
        return self.run_.preprocessing.rows(_numbers(validate_data(self, X, dtype="numeric", reset=False)))

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
        if self.run_.estimator["labels"] is None:
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
        parameters, classes = keeping.parameters_of(run)
        made = cls(**parameters)
        made.classes_ = classes
        made.n_features_in_ = run.preprocessing.features
        if run.columns is not None:
            made.feature_names_in_ = np.array(run.columns, object)
        made.run_, made._state = run, {}
        made.n_iter_, made.loss_curve_ = len(run.history), list(run.history["train_loss"])
        made.validation_scores_ = list(run.history["validation_accuracy"]) if run.options.early_stopping else None
        return made

    # --- parts of fitting

    def _options(self) -> TrainingOptions:
        """Return the options of training that the parameters are, but for the seed and the classes' weights."""
        for name in ("standardize", "warm_start", "verbose"):
            if not isinstance(getattr(self, name), bool | np.bool_ | int):
                raise UsageError("choice", name=name, given=repr(getattr(self, name)), known="True, False", hint="True")
        share = self.validation_fraction
        if not isinstance(share, float | int | np.number) or not 0 < share < 1:
            given = {"name": "validation_fraction", "given": repr(share)}
            raise UsageError("number-range", **given, wanted="0 < x < 1", example=0.1)
        given = {name: getattr(self, name) for name in keeping.OPTIONS}
        if self.early_stopping is not None and self.early_stopping is not False:
            given["early_stopping"] = _PATIENCE if self.early_stopping is True else self.early_stopping
        if self.momentum is not None:
            given["momentum"] = self.momentum
        return TrainingOptions.of(**given, **keeping.further(self.options))

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _first_codes(self, y: NDArray[Any]) -> NDArray[np.int64]:
        classes, codes = np.unique(y, return_inverse=True)
        _two_classes(classes)
        self.classes_ = classes
        return codes.astype(np.int64, copy=False)

    def _codes(self, y: NDArray[Any]) -> NDArray[np.int64]:
        """Return the place of each label among the classes, which are there already."""
        distinct, inverse = np.unique(y, return_inverse=True)
        known = {label: place for place, label in enumerate(self.classes_.tolist())}
        unknown = [label for label in distinct.tolist() if label not in known]
        if unknown:
            raise DataError("classifier-classes", given=listed(unknown), known=listed(self.classes_.tolist()))
        return np.array([known[label] for label in distinct.tolist()], np.int64)[inverse]

    def _class_weight(self, names: tuple[str, ...]) -> Any:
        """Return the weights of classes by the names that the run has for them."""
        given = self.class_weight
        if not isinstance(given, Mapping):
            return given
        known = dict(zip(self.classes_.tolist(), names, strict=True))
        unknown = [label for label in given if label not in known]
        if unknown and len(given) - len(unknown) < len(known):
            fields = {"given": listed(unknown), "known": listed(list(known))}
            raise UsageError("training-class-unknown", **fields, hint=str(next(iter(known))))
        return {known[label]: weight for label, weight in given.items() if label in known}

    def _parts(
        self, codes: NDArray[np.int64], options: TrainingOptions
    ) -> tuple[NDArray[np.intp] | None, NDArray[np.intp] | None]:
        """Return the rows to train on and those to judge by; None, None where all are trained on."""
        if options.early_stopping is None:
            return None, None
        counts = np.bincount(codes)
        held = int(np.ceil(self.validation_fraction * len(codes)))
        alike = counts.min() > 1 and min(held, len(codes) - held) >= len(counts)
        train, judged = train_test_split(
            np.arange(len(codes)), test_size=self.validation_fraction, stratify=codes if alike else None,
            random_state=options.seed % 2**32,
        )  # fmt: skip
        return np.sort(train), np.sort(judged)

    def _step(self, values: NDArray[Any], train: Any, weights: Any) -> Preprocessing:
        if not self.standardize:
            return Preprocessing(values.shape[1])
        return rows.step_for(values, train, weights)

    def _network(self, features: int, seed: int, before: Run | None) -> Network:
        """Return a new network, or a copy of the one of the run before."""
        hidden = (self.hidden,) if isinstance(self.hidden, Integral) else tuple(self.hidden)
        sizes = (features, *hidden, len(self.classes_))
        described = Specification.parse(sizes, self.activation, self.dropout)
        if before is None:
            return Network(described, seed=seed)
        assert isinstance(before.network, Network), "from_run() takes no other"
        if before.network.specification != described:
            raise UsageError("classifier-warm", given=described, known=before.network.specification)
        return copy.deepcopy(before.network)

    def _columns(self) -> tuple[str, ...] | None:
        names = getattr(self, "feature_names_in_", None)
        return None if names is None or len(set(names)) < len(names) else tuple(map(str, names))

    def _listener(self, plan: Plan, step: Preprocessing, data: Mapping[str, Any]) -> Epochs | None:
        context = self._init_callback_context(max_subtasks=plan.options.epochs)
        if not getattr(self, "_skl_callbacks", None):
            return None
        context.call_on_fit_task_begin(estimator=self, **data)

        def attributes(epoch: int) -> dict[str, Any]:
            network = copy.deepcopy(plan.network).eval()
            return {"run_": self._run(replace(plan, network=network), step, History()), "n_iter_": epoch}

        return Epochs(context, self, data, attributes)

    def _run(self, plan: Plan, step: Preprocessing, history: History) -> Run:
        data: Dataset = plan.dataset
        return Run(
            network=plan.network.eval(),
            preprocessing=step,
            classes=data.classes,
            history=history,
            options=plan.options,
            name=data.name,
            data=data.name,
            fingerprint=data.fingerprint,
            columns=data.columns,
        )

    def _keep(self, run: Run, state: dict[str, Tensor], passes: int) -> None:
        kept = keeping.document(self, run)
        self.run_, self._state, self.n_iter_ = replace(run, estimator=kept), state, passes
        self.loss_curve_ = list(run.history["train_loss"])


def _numbers(values: NDArray[Any]) -> NDArray[Any]:
    """Return numbers as such: what is true is 1."""
    return values.astype(np.float32) if values.dtype.kind == "b" else values


def _weights(given: ArrayLike, values: NDArray[Any]) -> NDArray[np.float64]:
    checked: NDArray[np.float64] = _check_sample_weight(given, values, dtype=np.float64, ensure_non_negative=True)
    return checked


def _two_classes(classes: NDArray[Any]) -> None:
    if len(classes) < 2:
        raise DataError("classifier-one-class", given=listed(classes.tolist()))
