"""``fit`` turns a network and a data set into a run; ``resume`` goes on where a killed one stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from torch import nn

from sumtoone.data import Dataset, Preprocessing
from sumtoone.errors import RunError, UsageError
from sumtoone.memory import enough_memory
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.run_folder import as_path, exists, held, new_folder
from sumtoone.runs import Run
from sumtoone.training.checks import check_arguments, check_fit, row_weights
from sumtoone.training.many import checked_seeds, jobs_for, train_many
from sumtoone.training.process import surroundings
from sumtoone.training.progress import Listener, listening
from sumtoone.training.resuming import Unfinished, finished, unfinished
from sumtoone.training.rows import fitted
from sumtoone.training.session import train
from sumtoone.training.state import Plan, Progress, device_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

__all__ = ["TrainingOptions", "fit", "resume"]


@overload
def fit(
    network: nn.Module,
    dataset: Dataset,
    options: TrainingOptions | None = None,
    *,
    seeds: None = None,
    out: str | Path | None = None,
    weights: ArrayLike | None = None,
    preprocessing: Preprocessing | None = None,
    progress: bool = False,
    on_event: Listener | None = None,
    **given: Any,
) -> Run: ...


@overload
def fit(
    network: Network,
    dataset: Dataset,
    options: TrainingOptions | None = None,
    *,
    seeds: Sequence[int],
    out: str | Path | None = None,
    weights: ArrayLike | None = None,
    preprocessing: Preprocessing | None = None,
    progress: bool = False,
    on_event: Listener | None = None,
    **given: Any,
) -> list[Run]: ...


def fit(
    network: nn.Module,
    dataset: Dataset,
    options: TrainingOptions | None = None,
    *,
    seeds: Sequence[int] | None = None,
    out: str | Path | None = None,
    weights: ArrayLike | None = None,
    preprocessing: Preprocessing | None = None,
    progress: bool = False,
    on_event: Listener | None = None,
    **given: Any,
) -> Run | list[Run]:
    """Train ``network`` in place on ``dataset.train`` and return the run, or one run for each of ``seeds``.

    The validation rows are looked at after every epoch; the test rows never. One seed, machine and
    number of threads give the same weights to the bit.

    Parameters
    ----------
    network
        A :class:`Network` or any module from (N, D) inputs to (N, K) logits.
    dataset
        Its ``train`` and ``validation`` splits are used.
    options
        As a value; keywords such as ``epochs=5`` add to it or replace it. See :class:`TrainingOptions`.
    seeds
        Train so many networks of ``network``'s description, which itself is left as it is: each run equals, to the
        bit, ``fit(Network(network.specification, seed=s), dataset, options, seed=s)``. The fused engine computes
        ``threads`` of them at a time, each on a thread of its own; the plain one, one after another.
    out
        A folder that must not hold anything yet. Checkpoints go there after every epoch, and the finished
        run; without it nothing is written. With ``seeds`` it holds a run folder ``seed-…`` for each.
    weights
        How much each training row counts, (N,) numbers from 0 on: the loss of a batch is the mean of its rows so
        weighted, as ``CrossEntropyLoss(weight=…)`` takes it over classes. None: as the data set says, else all alike.
        The options' ``class_weight`` comes on top. Validation rows have neither: their numbers are plain means.
    preprocessing
        From raw rows to network input; None fits one on the training rows alone, as they are. Where pictures of floats
        are deformed, all pixels of a channel share one mean and one deviation.
    progress
        Show a bar on standard error, if that is a terminal.
    on_event
        Called with ``{"event": "step", …}`` now and then and ``{"event": "epoch", …}`` after each epoch; with
        ``seeds`` the events name their ``"seed"`` and ``"run"``, and come one at a time from the threads that train.

    Raises
    ------
    UsageError
        For wrong options, all at once; for seeds that are not different whole numbers; for seeds and a network that
        is no :class:`Network`.
    ShapeError, DataError
        If network and data set do not fit.
    RunError
        If ``out`` cannot be used.
    TrainingError
        If the loss is no longer finite; the last good checkpoint stays.
    UnavailableError
        If the device or engine is not there, or not enough memory.
    KeyboardInterrupt
        On Ctrl-C, after saving a checkpoint where ``out`` is given. What ends one of several runs ends all.

    Examples
    --------
    >>> import sumtoone as s1
    >>> run = s1.fit(s1.Network("784-32-10"), s1.load("digits"), epochs=2)
    >>> len(run.history), run.network.training
    (2, False)
    >>> runs = s1.fit(s1.Network("784-32-10"), s1.load("digits"), epochs=2, seeds=[0, 1, 2])
    >>> [run.options.seed for run in runs], runs[0].history["train_loss"] == run.history["train_loss"]
    ([0, 1, 2], True)
    """
    check_arguments(
        "fit", network=network, dataset=dataset, options=options, preprocessing=preprocessing, on_event=on_event
    )
    options = TrainingOptions.of(**given) if options is None else options.changed(**given)
    if options.snapshots and out is None:
        raise UsageError("training-snapshots")
    chosen = None if seeds is None else checked_seeds(seeds, network)
    with new_folder(out) as folder, enough_memory():
        preprocessing = preprocessing or fitted(dataset, options)
        counts = row_weights(weights, dataset, options)
        plan = Plan(network, dataset, preprocessing, options, device_of(options), counts)
        if chosen is not None:
            return train_many(jobs_for(plan, chosen), folder, progress, on_event)
        return train_plan(Unfinished(plan, Progress(), {}), folder, progress, on_event)


def resume(
    path: str | Path,
    dataset: Dataset | None = None,
    network: nn.Module | None = None,
    *,
    weights: ArrayLike | None = None,
    progress: bool = False,
    on_event: Listener | None = None,
) -> Run:
    """Continue the unfinished run in a folder with its own options; a finished one is returned as it is.

    The final weights equal those of a run that was never interrupted, to the bit, on the same machine
    and number of threads.

    Parameters
    ----------
    path
        The folder that ``fit(…, out=path)`` was writing.
    dataset
        The same rows; None loads them by the name or path that the run remembers.
    network
        Needed only if the run did not train a :class:`Network`.
    weights
        The same as ``fit`` was given.

    Raises
    ------
    RunError
        If there is nothing to resume, every checkpoint is damaged, or the data set has changed.
    """
    check_arguments("resume", network=network, dataset=dataset, on_event=on_event)
    folder = as_path(path)
    run = finished(folder, network)
    if run is not None:
        return run
    if not exists(folder / "checkpoints"):
        raise RunError("run-missing", given=str(path))
    with held(folder), enough_memory():
        # Another process may have finished it meanwhile.
        run = finished(folder, network)
        return run or train_plan(unfinished(folder, dataset, network, weights), folder, progress, on_event)


def train_plan(begun: Unfinished, folder: Path | None, show: bool, on_event: Listener | None) -> Run:
    """Train from where a training stands, into a folder whose lock is held, and return the run; errors as ``fit``."""
    with listening({None: begun.plan}, show, on_event) as listeners, surroundings(begun.plan) as around:
        check_fit(begun.plan, fused=around.fused)
        return train(begun.plan, begun.progress, begun.tensors, folder, listeners, around)
