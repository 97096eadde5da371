"""The parameters of a classifier: as options of training, as what a run keeps, and the way back from a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from sumtoone.errors import RunError, UsageError
from sumtoone.estimator.labels import described, restored
from sumtoone.language.display import quoted
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.specification import plain_number

if TYPE_CHECKING:
    from sumtoone.estimator import Classifier
    from sumtoone.runs import Run

# Epochs without a lower validation loss, for early_stopping=True: as many as scikit-learn's networks wait.
_PATIENCE = 10
# The parameters that are options of training as they stand.
OPTIONS = (
    *("epochs", "batch_size", "optimizer", "lr", "nesterov", "weight_decay", "label_smoothing", "schedule"),
    *("engine", "precision", "threads", "device"),
)
# Those that a run says otherwise, and those that a mapping of options may not name.
_BESIDES = ("momentum", "class_weight", "early_stopping", "seed")
_OTHERS = ("early_stopping", "validation_fraction", "warm_start", "verbose", "standardize")


def options_of(classifier: Classifier) -> TrainingOptions:
    """Return the options of training that the parameters are, but for the seed and the weights of classes.

    Raises
    ------
    UsageError
        For what a parameter cannot be.
    """
    for name in ("standardize", "warm_start", "verbose"):
        value = getattr(classifier, name)
        if not isinstance(value, bool | np.bool_ | int):
            raise UsageError("choice", name=name, given=quoted(value), known="True, False", hint=f"{name}=True")
    share = classifier.validation_fraction
    if not isinstance(share, float | int | np.number) or not 0 < share < 1:
        fields: dict[str, Any] = {"name": "validation_fraction", "given": quoted(share)}
        raise UsageError("number-range", **fields, wanted="0 < x < 1", example=0.1)
    given = {name: getattr(classifier, name) for name in OPTIONS}
    if given["epochs"] is None:
        del given["epochs"]
    patience = classifier.early_stopping
    if patience is not None and patience is not False:
        given["early_stopping"] = _PATIENCE if patience is True else patience
    if classifier.momentum is not None:
        given["momentum"] = classifier.momentum
    options = TrainingOptions.of(**given, **further(classifier.options))
    if options.snapshots:
        # They are kept in a folder, which a classifier has only once it is saved.
        raise UsageError("training-snapshots")
    return options


def hidden_sizes(given: Any) -> tuple[int, ...]:
    """Return the sizes of the hidden layers; :class:`UsageError` for what is neither a whole number nor some."""
    sizes = [given] if isinstance(given, Integral) else given.tolist() if isinstance(given, np.ndarray) else given
    if not isinstance(sizes, list | tuple) or not all(isinstance(size, Integral) for size in sizes):
        raise UsageError("classifier-hidden", given=quoted(given))
    return tuple(map(int, sizes))


def document(classifier: Classifier, run: Run) -> dict[str, Any]:
    """Return the labels, None where a file cannot give them back, and the parameters as plain values.

    A random state that is no number is kept as the seed that it gave.
    """
    parameters: dict[str, Any] = {name: plain_number(getattr(classifier, name)) for name in (*OPTIONS, *_OTHERS)}
    weights: Any = run.options.class_weight
    if isinstance(weights, tuple):
        weights = [[run.classes.index(name), weight] for name, weight in weights]
    return {
        "labels": described(classifier.classes_),
        "parameters": {
            **{name: bool(value) if isinstance(value, np.bool_) else value for name, value in parameters.items()},
            "momentum": plain_number(classifier.momentum),
            "options": None if classifier.options is None else further(classifier.options),
            "class_weight": weights,
            "random_state": None if classifier.random_state is None else run.options.seed,
        },
    }


def further(options: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the options that are no parameters of a classifier; :class:`UsageError` for what are, or no mapping."""
    free = [field.name for field in fields(TrainingOptions) if field.name not in (*OPTIONS, *_BESIDES)]
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise UsageError("classifier-options", given=type(options).__name__, known=", ".join(free))
    taken = [name for name in options if name in (*OPTIONS, *_BESIDES)]
    if taken:
        raise UsageError("classifier-options", given=", ".join(taken), known=", ".join(free))
    return dict(options)


def of_run(run: Run) -> tuple[dict[str, Any], NDArray[Any]]:
    """Return the parameters of the classifier that a run is of, or could be of, and its labels.

    Raises
    ------
    UsageError
        If the run is of another network than a :class:`Network`, or of labels that a file does not give back.
    RunError
        If what is kept is damaged.
    """
    if type(run.network) is not Network:
        raise UsageError("classifier-module", given=type(run.network).__name__)
    described_as = run.network.specification
    shape = {
        "hidden": tuple(described_as.sizes[1:-1]),
        "activation": described_as.activation,
        "dropout": described_as.dropout,
    }
    if not run.estimator:
        return {**shape, **_of_options(run.options)}, np.array(run.classes)
    if run.estimator.get("labels", 0) is None:
        raise UsageError("classifier-labels", given="?")
    try:
        labels = restored(run.estimator.get("labels"), len(run.classes))
        kept = run.estimator.get("parameters")
        names = {*OPTIONS, *_OTHERS, "momentum", "options", "class_weight", "random_state"}
        if not isinstance(kept, Mapping) or set(kept) != names:
            raise ValueError("no parameters")
        return {**shape, **kept, "class_weight": _class_weight(kept["class_weight"], labels)}, labels
    except ValueError as error:
        raise RunError("run-damaged", given=f"run.json: estimator: {error}") from None


def _of_options(options: TrainingOptions) -> dict[str, Any]:
    further = {
        field.name: getattr(options, field.name)
        for field in fields(TrainingOptions)
        if field.name not in (*OPTIONS, *_BESIDES) and getattr(options, field.name) != field.default
    }
    weights = options.class_weight
    return {
        **{name: getattr(options, name) for name in OPTIONS},
        "momentum": options.momentum if options.optimizer == "sgd" else None,
        "early_stopping": options.early_stopping,
        "random_state": options.seed,
        "class_weight": dict(weights) if isinstance(weights, tuple) else weights,
        "options": further or None,
    }


def _class_weight(kept: Any, labels: NDArray[Any]) -> Any:
    if kept is None or kept == "balanced":
        return kept
    values, weights = labels.tolist(), {}
    if not isinstance(kept, list):
        raise ValueError("class_weight")
    for pair in kept:
        if not isinstance(pair, list) or [type(each) for each in pair[:1]] != [int] or len(pair) != 2:
            raise ValueError("class_weight")
        place, weight = pair
        if not 0 <= place < len(values) or not isinstance(weight, int | float) or not math.isfinite(weight):
            raise ValueError("class_weight")
        weights[values[place]] = weight
    return weights
