"""A progress bar for training: accuracy on training and validation rows, and time left; nothing in a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from types import TracebackType
from typing import Any

from sumtoone.language import text
from sumtoone.training.state import Plan

# In a narrower terminal there is no room for the time that is left.
_WIDE = 70

Listener = Callable[[Mapping[str, Any]], None]


class EnoughTrained(Exception):  # noqa: N818 - it is no error
    """What a listener raises at the end of an epoch to end the training there, as if no more had been asked for."""


@contextmanager
def listening(plans: Mapping[str | None, Plan], show: bool, on_event: Listener | None) -> Iterator[list[Listener]]:
    """Give who is told of the events of runs, by the names that these bear: a bar to be shown, and ``on_event``."""
    with ProgressBar(plans) if show and sys.stderr.isatty() else nullcontext() as bar:
        yield [listener for listener in (bar, on_event) if listener is not None]


class ProgressBar:
    """A bar on standard error that takes the events of ``fit``; use it as a context manager.

    Of several runs it shows the steps of all, and the words of the one that was heard of last.
    """

    def __init__(self, plans: Mapping[str | None, Plan]) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            TextColumn("{task.percentage:>3.0f}%"),
            *([TimeRemainingColumn()] if console.width >= _WIDE else []),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._plans = plans
        self._task = self._bar.add_task("", total=sum(plan.steps for plan in plans.values()))
        self._finished: dict[object, int] = {}
        self._validation = ""

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Move the bar to where the event says training is."""
        if event.get("validation_accuracy") is not None and event["validation_accuracy"] >= 0:
            self._validation = text("training.bar-validation", accuracy=f"{event['validation_accuracy']:.2%}")
        plan = self._plans[event.get("run")]
        each = plan.steps_per_epoch
        self._finished[event.get("run")] = (event["epoch"] - 1) * each + event.get("step", each)
        words = text(
            "training.bar",
            epoch=event["epoch"],
            epochs=plan.options.epochs,
            accuracy=f"{event['train_accuracy']:.2%}",
            validation=self._validation,
        )
        self._bar.update(self._task, completed=sum(self._finished.values()), description=words)
