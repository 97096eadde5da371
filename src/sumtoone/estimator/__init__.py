"""A scikit-learn estimator over the same engines: the only room that knows scikit-learn."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.callback import CallbackSupportMixin, with_callbacks
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import _check_partial_fit_first_call
from sklearn.utils.validation import _check_sample_weight, validate_data
from torch import Tensor

from sumtoone.data import Preprocessing
from sumtoone.errors import UsageError
from sumtoone.estimator import labels, parameters, rows
from sumtoone.estimator.answers import Answers
from sumtoone.estimator.callbacks import Epochs
from sumtoone.history import History
from sumtoone.language.display import quoted
from sumtoone.memory import enough_memory
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.runs import Run
from sumtoone.specification import Specification
from sumtoone.training import train_plan
from sumtoone.training.checks import check_fit, checked_weights, row_weights
from sumtoone.training.process import surroundings
from sumtoone.training.resuming import Unfinished
from sumtoone.training.session import one_epoch
from sumtoone.training.state import Plan, Progress, device_of

__all__ = ["Classifier"]

# The epochs that suit thousands of rows; the steps and the epochs that fewer rows want.
_EPOCHS, _STEPS, _MOST_EPOCHS = 12, 2_000, 200


class Classifier(Answers, CallbackSupportMixin, ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A dense softmax classifier for scikit-learn: in pipelines, searches and cross-validation.

    The engines, the optimizers and their defaults are those of :func:`sumtoone.fit`, and what was fitted is a
    :class:`sumtoone.Run`.

    Parameters
    ----------
    hidden
        The sizes of the hidden layers; ``()`` is softmax regression.
    activation, dropout
        As :class:`sumtoone.Network` has them.
    epochs
        Passes over the training rows. None: 12, or more of few rows, as many as make 2,000 steps, but 200 at most.
    batch_size, optimizer, lr, momentum, nesterov, weight_decay, label_smoothing, schedule, engine, \
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
    >>> bool(cross_val_score(Classifier(hidden=(16,), random_state=0), x, y).mean() > 0.9)
    True
    """

    def __init__(
        self,
        hidden: int | Sequence[int] = (128, 64),
        activation: str = "relu",
        *,
        dropout: float = 0.0,
        epochs: int | None = None,
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
        options, seed = parameters.options_of(self), self._seed()
        before = self.run_ if self.warm_start and hasattr(self, "run_") else None
        values, targets = self._checked(X, y, before)
        if before is None:
            self.classes_, codes = labels.numbered(targets)
        else:
            codes = labels.numbers_among(targets, self.classes_)
        given = rows.Given(values, codes, self._weights(sample_weight, values))
        given = given.parted(options, self.validation_fraction).in_order(options.batch_size)
        with enough_memory():
            plan, step = self._plan(given, options.changed(seed=seed, epochs=self._epochs(given)), before)
            data = {"X": X, "y": y, "metadata": None if sample_weight is None else {"sample_weight": sample_weight}}
            listener = self._listener(plan, step, data)
            run = train_plan(Unfinished(plan, Progress(), {}), None, bool(self.verbose), listener)
        self._keep(replace(run, preprocessing=step), {}, len(run.history))
        judged = len(plan.dataset.validation)
        self.validation_scores_ = list(run.history["validation_accuracy"]) if judged else None
        if listener is not None:
            self._callback_fit_ctx.call_on_fit_task_end(estimator=self, **data, reconstruction_attributes={})
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
        labels.check_classes(self.classes_)
        if isinstance(self.class_weight, str):
            raise UsageError("classifier-balanced", given=quoted(self.class_weight))
        values, targets = self._checked(X, y, before)
        given = rows.Given(values, labels.numbers_among(targets, self.classes_), self._weights(sample_weight, values))
        passes, seed = (0, self._seed()) if before is None else (self.n_iter_, before.options.seed)
        now = {"seed": seed, "schedule": "constant", "epochs": passes + 1, "early_stopping": None}
        with enough_memory():
            options = parameters.options_of(self)
            if options.averaging is not None:
                raise UsageError("classifier-averaging", given=options.averaging)
            plan, step = self._plan(given, options.changed(**now), before)
            with surroundings(plan) as around:
                check_fit(plan, fused=around.fused)
                row, state = one_epoch(plan, passes, getattr(self, "_state", {}), around)
        history = History((*(() if before is None else before.history.rows), row))
        self._keep(self._run(plan, step, history), state, passes + 1)
        self.validation_scores_ = None
        return self

    # --- parts of fitting

    def _seed(self) -> int:
        if isinstance(self.random_state, Integral | int):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _epochs(self, given: rows.Given) -> int:
        """Return the epochs that were asked for, or enough for few rows."""
        if self.epochs is not None:
            return self.epochs
        steps = -(-given.rows // self.batch_size)
        return max(_EPOCHS, min(_MOST_EPOCHS, -(-_STEPS // steps)))

    def _checked(self, X: Any, y: Any, before: Run | None) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the rows and their labels as arrays, in which scikit-learn finds nothing wrong."""
        values, targets = validate_data(self, X, y, dtype="numeric", reset=before is None)
        labels.check_targets(targets)
        return rows.numbers(values), targets

    def _weights(self, given: ArrayLike | None, values: NDArray[Any]) -> rows.Weights | None:
        if given is None:
            return None
        weights: rows.Weights = _check_sample_weight(given, values, dtype=np.float64, ensure_non_negative=True)
        checked_weights(weights, len(values))
        return weights

    def _plan(self, given: rows.Given, options: TrainingOptions, before: Run | None) -> tuple[Plan, Preprocessing]:
        """Return the task, and the step from raw rows to the network, of which the task may have taken its part."""
        names = labels.names_of(self.classes_)
        options = options.changed(class_weight=labels.weights_by_name(self.class_weight, self.classes_, names))
        if before is not None:
            step = before.preprocessing
        else:
            step = given.step() if self.standardize else Preprocessing(given.features)
        columns = tuple(map(str, getattr(self, "feature_names_in_", ())))
        data, rest = given.dataset(step, names, columns if 0 < len(set(columns)) == len(columns) else None)
        network = self._network(given.features, options.seed, before)
        weights = row_weights(given.counts, data, options)
        return Plan(network, data, rest, options, device_of(options), weights), step

    def _network(self, features: int, seed: int, before: Run | None) -> Network:
        """Return a new network, or a copy of the one of the run before."""
        sizes = (features, *parameters.hidden_sizes(self.hidden), len(self.classes_))
        described = Specification.parse(sizes, self.activation, self.dropout)
        if before is None:
            return Network(described, seed=seed)
        assert isinstance(before.network, Network), "from_run() takes no other"
        if before.network.specification != described:
            raise UsageError("classifier-warm", given=described, known=before.network.specification)
        return copy.deepcopy(before.network)

    def _listener(self, plan: Plan, step: Preprocessing, data: Mapping[str, Any]) -> Epochs | None:
        context = self._init_callback_context(max_subtasks=plan.options.epochs)
        if not getattr(self, "_skl_callbacks", None):
            return None
        context.call_on_fit_task_begin(estimator=self, **data)

        def attributes(epoch: int) -> dict[str, Any]:
            now = replace(plan, network=copy.deepcopy(plan.network))
            return {"run_": self._run(now, step, History()), "n_iter_": epoch}

        return Epochs(context, self, data, attributes)

    def _run(self, plan: Plan, step: Preprocessing, history: History) -> Run:
        data = plan.dataset
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
        self.run_, self._state = replace(run, estimator=parameters.document(self, run)), state
        self.n_iter_, self.loss_curve_ = passes, list(run.history["train_loss"])
