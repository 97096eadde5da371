"""One training, wherever it runs: in a thread here, in a process beside, on another machine.

A worker is handed plain values and the rows as arrays, and nothing of the machine it was handed them from. Where it
shares the caller's disk it trains in the run's own folder, so that whoever is killed goes on from a checkpoint; where
it does not, it trains in memory, and the files of the run come back as bytes.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from sumtoone.comparing.grid import Training
from sumtoone.data import Dataset, Preprocessing, Split
from sumtoone.errors import RunError, TrainingError
from sumtoone.memory import enough_memory
from sumtoone.network import Network
from sumtoone.run_folder import held
from sumtoone.runs import Run
from sumtoone.training.checkpoints import remove_checkpoints, stems
from sumtoone.training.checks import row_weights
from sumtoone.training.process import surroundings
from sumtoone.training.progress import Listener
from sumtoone.training.resuming import Unfinished, finished, unfinished
from sumtoone.training.session import train
from sumtoone.training.state import Plan, Progress, device_of

# The one that makes a folder a run comes last.
FILES = ("model.safetensors", "history.jsonl", "run.json")
# Of hundreds of short trainings, most would spend longer on their checkpoints than on their steps.
_SECONDS_BETWEEN_SAVES = 10.0
_SECONDS_TO_LEAVE = 10.0
_SECONDS_BETWEEN_LOOKS = 1.0
# The rows as they travel: joblib hands large arrays on once, whatever else a task holds.
Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]

# Held while a process trains for the one that began it.
_busy = threading.Lock()


@dataclass(frozen=True)
class Material:
    """What all trainings of a comparison share, but for the rows themselves.

    Parameters
    ----------
    facts
        Of the data set: what :class:`Dataset` takes besides its splits.
    fingerprint
        Of the whole data set, test rows included, which stay where they are; as are the ``marks`` of its splits.
    weights
        How much each training row counts; None where the data set does not say.
    folder
        Where the runs are kept, for workers that share the disk; None for those that do not.
    keeps
        Whether the files of a run are wanted.
    caller
        The process whose end is that of its trainings; None where it is on another machine.
    """

    facts: Mapping[str, Any]
    fingerprint: str
    marks: Mapping[str, Any]
    columns: tuple[str, ...] | None
    weights: NDArray[Any] | None
    preprocessing: Preprocessing
    folder: Path | None
    keeps: bool
    caller: int | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """What became of a training: the rows of its history, or the error with which it ended."""

    key: str
    rows: tuple[Mapping[str, Any], ...] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)
    error: Exception | None = None


class Stopped(Exception):  # noqa: N818 - nothing went wrong
    """A training that was told to stop; its checkpoint is there."""


class Neighbours:
    """What trainings in threads of one process share with who waits for them: an end, and an ear."""

    def __init__(self, listener: Listener) -> None:
        self.stop = threading.Event()
        self._listener, self._changed, self._running = listener, threading.Condition(), 0
        self._threads: set[threading.Thread] = set()

    def hear(self, event: Mapping[str, Any]) -> None:
        """Pass an event on, one at a time."""
        with self._changed:
            self._listener(event)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Be waited for inside the block; ``KeyboardInterrupt`` where it is over before it begins."""
        with self._changed:
            if self.stop.is_set():
                raise KeyboardInterrupt
            self._running += 1
            self._threads.add(threading.current_thread())
        try:
            yield
        finally:
            with self._changed:
                self._running -= 1
                self._changed.notify_all()

    def end(self) -> None:
        """Let all trainings save and stop, and wait until they have."""
        self.stop.set()
        with self._changed:
            self._changed.wait_for(lambda: self._running == 0)
        # A thread that still takes its tensors apart when the interpreter does so ends the process with an abort.
        for thread in self._threads - {threading.current_thread()}:
            thread.join(_SECONDS_TO_LEAVE)


def arrays_of(dataset: Dataset) -> Arrays:
    """Return the rows that trainings see, (N, D), (N,), (V, D), (V,), without a copy."""
    parts = (*dataset.train, *dataset.validation)
    train, labels, validation, others = (part.contiguous().numpy() for part in parts)
    return train, labels, validation, others


def work(
    key: str,
    training: Training,
    material: Material,
    neighbours: Neighbours | None,
    train_inputs: NDArray[Any],
    train_labels: NDArray[Any],
    validation_inputs: NDArray[Any],
    validation_labels: NDArray[Any],
) -> Outcome:
    """Train, or go on, and return what became of it; an error of the training is an outcome, not an end."""
    listeners = [] if neighbours is None else [_told(neighbours.hear, key)]
    try:
        with enough_memory():
            arrays = (train_inputs, train_labels, validation_inputs, validation_labels)
            plan = planned(training, material, arrays)
            stopped = _stopped(neighbours, material.caller)
            # Several at a time where a cluster's process has several threads; whoever leaves with its caller waits.
            around: AbstractContextManager[object] = nullcontext() if neighbours is None else neighbours.counted()
            if neighbours is None and material.caller is not None:
                if material.caller == os.getppid():
                    _leave_with(material.caller)
                around = _busy
            with around:
                return _trained(key, plan, material, listeners, stopped)
    except Exception as error:
        # Whoever gets it raises it: it is told apart from what a backend raises.
        return Outcome(key, error=error)
    except KeyboardInterrupt:
        # Where there is one job alone, it runs where the caller itself is interrupted.
        if os.getpid() == material.caller and threading.current_thread() is threading.main_thread():
            raise
        return Outcome(key, error=Stopped())


def planned(training: Training, material: Material, arrays: Arrays) -> Plan:
    """Return the plan of a training on rows as they travel."""
    train_ND, train_N, validation_ND, validation_N = map(_tensor, arrays)
    empty = Split(train_ND[:0], train_N[:0], material.columns)
    dataset = Dataset(
        train=Split(train_ND, train_N, material.columns),
        validation=Split(validation_ND, validation_N, material.columns),
        test=empty,
        weights=None if material.weights is None else _tensor(material.weights),
        **material.facts,
    )
    # Where a cached property keeps it: the rows here are not all that it was taken of.
    vars(dataset).update(fingerprint=material.fingerprint, marks=material.marks)
    options = training.options
    network = Network(training.contender.specification, seed=training.seed)
    counts = row_weights(None, dataset, options)
    return Plan(network, dataset, material.preprocessing, options, device_of(options), counts)


def _trained(
    key: str, plan: Plan, material: Material, listeners: list[Listener], stopped: Callable[[], bool]
) -> Outcome:
    if material.folder is None:
        run = _to_the_end(Unfinished(plan, Progress(), {}), None, listeners, stopped)
        return Outcome(key, run.history.rows, _files(run) if material.keeps else {})
    folder = material.folder / key
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder, wait=True):
        run = finished(folder, None) or _to_the_end(_begun(folder, plan), folder, listeners, stopped)
    return Outcome(key, run.history.rows)


def _begun(folder: Path, plan: Plan) -> Unfinished:
    """Return where the training in a folder stands: at its start, where no checkpoint is whole."""
    if stems(folder):
        try:
            return unfinished(folder, plan.dataset, None)
        except RunError as error:
            if error.code != "run-no-checkpoint":
                raise
    remove_checkpoints(folder)
    return Unfinished(plan, Progress(), {})


def _to_the_end(begun: Unfinished, folder: Path | None, listeners: list[Listener], stopped: Callable[[], bool]) -> Run:
    with surroundings(begun.plan) as around:
        either = replace(around, interrupted=lambda: around.interrupted() or stopped())
        try:
            return train(begun.plan, begun.progress, begun.tensors, folder, listeners, either, _SECONDS_BETWEEN_SAVES)
        except TrainingError:
            # It diverges again whenever it is begun.
            if folder is not None:
                remove_checkpoints(folder)
            raise


def _stopped(neighbours: Neighbours | None, caller: int | None) -> Callable[[], bool]:
    """Return what tells a training that nobody waits for it any more."""
    if neighbours is not None:
        return neighbours.stop.is_set
    # A process whose parent was killed belongs to another one.
    return lambda: caller is not None and caller not in (os.getppid(), os.getpid())


@cache
def _leave_with(caller: int) -> None:
    """End this process when the one that began it is gone: nobody would hand it anything, or tell it to go."""

    def watch() -> None:
        while os.getppid() == caller:
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        with _busy:
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _told(hear: Listener, key: str) -> Listener:
    return lambda event: hear({**event, "run": key})


def _files(run: Run) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as place:
        run.write(Path(place))
        return {name: (Path(place) / name).read_bytes() for name in FILES}


def _tensor(array: NDArray[Any]) -> Tensor:
    """Return an array as a tensor on the same memory; a copy of what may not be written, of which PyTorch warns."""
    return torch.from_numpy(array if array.flags.writeable else np.array(array))
