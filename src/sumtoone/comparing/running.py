"""A comparison from its grid to its rows: learning rates first, then every contender from every seed."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sumtoone.comparing import listing
from sumtoone.comparing.comparison import Comparison, row_of
from sumtoone.comparing.grid import Contender, Training, tuning_seed
from sumtoone.comparing.sending import send, shares_disk
from sumtoone.comparing.working import FILES, Arrays, Material, Neighbours, Outcome, planned
from sumtoone.data import Dataset
from sumtoone.errors import RunError, TrainingError
from sumtoone.language import text
from sumtoone.run_folder import held, told
from sumtoone.storage import json_line, write_atomically
from sumtoone.training.checks import check_fit
from sumtoone.training.process import surroundings
from sumtoone.training.progress import Listener
from sumtoone.training.rows import fitted
from sumtoone.training.state import fingerprint_of

ROWS = "rows.jsonl"

_Rows = Sequence[Mapping[str, Any]]


@dataclass
class _Books:
    """What is known of the trainings of a comparison, by their keys: their histories, none for one that diverged."""

    dataset: Dataset
    folder: Path | None
    total: int
    hear: Listener
    advance: Callable[[str | None, int], None]
    found: dict[str, _Rows] = field(default_factory=dict)

    def look(self, key: str, training: Training) -> bool:
        """Return whether a training is over already, here or in its folder."""
        if key in self.found:
            return True
        if self.folder is None:
            return False
        place = self.folder / key
        kept = listing.finished_history(place)
        if kept is not None:
            document, history = kept
            known = document.get("options"), document.get("data", {}).get("fingerprint")
            if known != (training.options.to_json(), self.dataset.fingerprint):
                raise RunError("run-damaged", given=f"{place}: another training's")
            self.note(key, training, tuple(history), kept=True)
        elif listing.read_diverged(place) is not None:
            self.note(key, training, (), kept=True)
        return key in self.found

    def receive(self, training: Training, outcome: Outcome) -> None:
        """Write down what came back, into its folder too where that was not the worker's."""
        rows: _Rows = outcome.rows
        if isinstance(outcome.error, TrainingError):
            rows = ()
            if self.folder is not None:
                listing.write_diverged(self.folder / outcome.key, self._task(training, outcome.error))
        elif outcome.error is not None:
            raise outcome.error
        elif outcome.files and self.folder is not None:
            _keep(self.folder / outcome.key, outcome.files)
        self.note(outcome.key, training, rows, kept=False)

    def note(self, key: str, training: Training, rows: _Rows, *, kept: bool) -> None:
        """Write down a history, and say so."""
        self.found[key] = rows
        self.advance(key, training.options.epochs)
        event = {"event": "run", "key": key, **training.contender.to_json(), "seed": training.seed}
        event |= {"tuning": training.tuning, "diverged": not rows, "kept": kept}
        event["validation_accuracy"] = rows[-1]["validation_accuracy"] if rows else None
        self.hear({**event, "done": len(self.found), "total": self.total})

    def _task(self, training: Training, error: TrainingError) -> dict[str, Any]:
        specification = training.contender.specification
        sizes = {"sizes": str(specification), "activation": specification.activation}
        return {
            "specification": {**sizes, "dropout": specification.dropout},
            "options": training.options.to_json(),
            "source": self.dataset.source or self.dataset.name,
            "fingerprint": self.dataset.fingerprint,
            **{name: error.fields[name] for name in ("epoch", "step")},
        }


def compared(
    dataset: Dataset,
    contenders: Sequence[Contender],
    seeds: Sequence[int],
    reach: float,
    out: Path | None,
    workers: int | None,
    arrays: Arrays,
    show: bool,
    on_event: Listener | None,
) -> Comparison:
    """Train whatever is not there yet and return what was found; the backend is the one in force.

    Raises
    ------
    RunError, UsageError, ShapeError, DataError, UnavailableError, KeyboardInterrupt
        As :func:`sumtoone.compare`.
    """
    preprocessing = fitted(dataset, contenders[0].options)
    facts = {name: getattr(dataset, name) for name in ("name", "classes", "image_shape", "source", "label", "weight")}
    facts |= {"handwriting": dataset.handwriting}
    material = Material(
        facts,
        dataset.fingerprint,
        dataset.marks,
        dataset.columns,
        None if dataset.weights is None else dataset.weights.numpy(),
        preprocessing,
        # A process that is there from before may stand in another folder.
        None if out is None else out.absolute(),
        keeps=out is not None,
        caller=os.getpid(),
    )
    fused = {_fits(contender, material, arrays) for contender in contenders} == {True}
    epochs = contenders[0].options.epochs
    trainings = sum(len(seeds) + len(contender.tried) for contender in contenders)
    with _held(out), _bar(trainings * epochs, show) as advance:
        books = _Books(dataset, out, trainings, on_event or (lambda event: None), advance)
        if not shares_disk(threads=fused):
            material = replace(material, folder=None, caller=None)

        def train(wanted: Sequence[Training]) -> list[_Rows]:
            keys = [training.key(known_by(dataset)) for training in wanted]
            named = dict(zip(keys, wanted, strict=True))
            left = {key: training for key, training in named.items() if not books.look(key, training)}
            hears = Neighbours(lambda event: advance(event["run"], 0) if event["event"] == "epoch" else None)

            def receive(outcome: Outcome) -> None:
                books.receive(left[outcome.key], outcome)

            send(left, material, arrays, workers, hears, receive, threads=fused)
            return [books.found[key] for key in keys]

        seed = tuning_seed(seeds)
        tuning = [Training(each.at(lr), seed, tuning=True) for each in contenders for lr in each.tried]
        tried = dict(zip(tuning, train(tuning), strict=True))
        chosen = tuple(_chosen(contender, seed, tried) for contender in contenders)
        final = [Training(contender, seed) for contender in chosen for seed in seeds]
        trained = dict(zip(final, train(final), strict=True))
        rows = [_row(training, history, dataset, reach) for training, history in {**tried, **trained}.items()]
        if out is not None:
            with told(out):
                write_atomically(out / ROWS, "".join(json_line(row) + "\n" for row in rows).encode())
    return Comparison(chosen, tuple(seeds), epochs, reach, tuple(rows), dataset.name, out)


def known_by(dataset: Dataset) -> str:
    """Return what stands for all that a training sees of a data set."""
    weights = fingerprint_of(dataset.weights)
    return dataset.fingerprint if weights is None else f"{dataset.fingerprint} {weights}"


def _row(training: Training, history: _Rows, dataset: Dataset, reach: float) -> dict[str, Any]:
    key = training.key(known_by(dataset))
    return row_of(training.contender, training.seed, key, history, reach, tuning=training.tuning)


def _chosen(contender: Contender, seed: int, tried: Mapping[Training, _Rows]) -> Contender:
    """Return a contender at the learning rate that ends with the highest validation accuracy, or the lowest loss.

    Where all of them diverge it is the lowest.
    """

    def merit(lr: float) -> tuple[float, float]:
        history = tried[Training(contender.at(lr), seed, tuning=True)]
        if not history:
            return -1.0, -math.inf
        return history[-1]["validation_accuracy"], -history[-1]["validation_loss"]

    # Of equal ones the first.
    return contender.at(max(contender.tried, key=merit)) if contender.tried else contender


def _fits(contender: Contender, material: Material, arrays: Arrays) -> bool:
    """Return whether the fused engine trains a contender; raise where nothing does."""
    plan = planned(Training(contender, 0), material, arrays)
    with surroundings(plan) as around:
        check_fit(plan, fused=around.fused)
        return around.fused


@contextmanager
def _held(out: Path | None) -> Iterator[None]:
    """Hold the lock of a comparison's folder, which is made where it is missing."""
    if out is not None:
        with told(out):
            out.mkdir(parents=True, exist_ok=True)
    with nullcontext() if out is None else held(out):
        yield


def _keep(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a run that was trained elsewhere, that last which makes it one."""
    with told(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with held(folder, wait=True), told(folder):
        for name in FILES:
            write_atomically(folder / name, files[name], last=name == FILES[-1])


@contextmanager
def _bar(total: int, show: bool) -> Iterator[Callable[[str | None, int], None]]:
    """Give what moves one bar over the epochs of all trainings: by one, or to the end of one of so many."""
    if not (show and sys.stderr.isatty()):
        yield lambda key, epochs: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=None), TextColumn("{task.percentage:>3.0f}%"), TimeRemainingColumn())
    bar = Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True), transient=True)
    done: dict[str | None, int] = {}
    over: set[str | None] = set()

    def advance(key: str | None, epochs: int) -> None:
        done[key] = epochs or done.get(key, 0) + 1
        if epochs:
            over.add(key)
        bar.update(task, completed=sum(done.values()), description=text("compare.bar", done=len(over)))

    with bar:
        task = bar.add_task(text("compare.bar", done=0), total=total)
        yield advance
