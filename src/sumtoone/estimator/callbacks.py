"""scikit-learn's callbacks, told of every epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sumtoone.training.progress import EnoughTrained


class Epochs:
    """A listener of a training that has each epoch as a task below the task of fitting.

    Parameters
    ----------
    context
        scikit-learn's, of the task of fitting.
    estimator
        Which is being fitted.
    data
        X, y and the metadata that hooks may ask for.
    attributes
        What makes a copy of the estimator ready to predict, as of the epoch that has just ended; asked only if a hook
        wants one.
    """

    def __init__(
        self, context: Any, estimator: Any, data: Mapping[str, Any], attributes: Callable[[int], dict[str, Any]]
    ) -> None:
        self._context, self._estimator, self._data, self._attributes = context, estimator, data, attributes
        self._task: Any = None

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Begin an epoch's task at its first steps, and end it with the epoch; end the training if a hook wants it."""
        if self._task is None:
            self._task = self._context.subcontext(task_name="epoch")
            self._task.call_on_fit_task_begin(estimator=self._estimator, **self._data)
        if event["event"] != "epoch":
            return
        task, self._task = self._task, None
        if task.call_on_fit_task_end(
            estimator=self._estimator,
            **self._data,
            reconstruction_attributes=lambda: self._attributes(event["epoch"]),
        ):
            raise EnoughTrained
