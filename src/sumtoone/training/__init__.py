"""``fit`` turns a network and a data set into a run; ``resume`` goes on where a killed one stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

import torch
from torch import nn

from sumtoone.data import Dataset, Preprocessing, load
from sumtoone.errors import DataError, RunError, ShapeError, UnavailableError, UsageError
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.runs import Run, new_folder, open_run
from sumtoone.specification import Specification
from sumtoone.training.checkpoints import newest_checkpoint, remove_checkpoints
from sumtoone.training.fused import takes as fused_takes
from sumtoone.training.progress import Listener, listening
from sumtoone.training.seeds import checked, train_seeds
from sumtoone.training.session import surroundings, train
from sumtoone.training.state import Plan, Progress

__all__ = ["TrainingOptions", "fit", "resume"]


@overload
def fit(
    network: nn.Module,
    dataset: Dataset,
    options: TrainingOptions | None = None,
    *,
    seeds: None = None,
    out: str | Path | None = None,
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
    preprocessing
        From raw rows to network input; None fits one on the training rows alone.
    progress
        Show a bar on standard error, if that is a terminal.
    on_event
        Called with ``{"event": "step", …}`` now and then and ``{"event": "epoch", …}`` after each epoch; with
        ``seeds`` the events name their ``"seed"``, and come one at a time from the threads that train.

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
        If the device or engine is not there.
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
    options = TrainingOptions.of(**{**(options.to_json() if options else {}), **given})
    if seeds is not None:
        chosen, network = checked(seeds, network)
    preprocessing = preprocessing or Preprocessing.fitted(dataset.train.inputs)
    plan = Plan(network, dataset, preprocessing, options, _device(options.device))
    _check_fit(plan)
    folder = new_folder(Path(out)) if out is not None else None
    if seeds is not None:
        return train_seeds(plan, chosen, folder, progress, on_event)
    return _train(plan, Progress(), {}, folder, progress, on_event)


def resume(
    path: str | Path,
    dataset: Dataset | None = None,
    network: nn.Module | None = None,
    *,
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

    Raises
    ------
    RunError
        If there is nothing to resume, every checkpoint is damaged, or the data set has changed.
    """
    folder = Path(path)
    if (folder / "run.json").is_file():
        remove_checkpoints(folder)
        return open_run(folder)
    if not (folder / "checkpoints").is_dir():
        raise RunError("run-missing", path=str(path))
    state, tensors, task = newest_checkpoint(folder)
    try:
        options = TrainingOptions.from_json(task["options"])
        preprocessing = Preprocessing.from_json(task["preprocessing"])
        described = task["specification"]
        specification = None if described is None else Specification.parse(*described)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError("run-damaged", path=str(folder / "checkpoints"), why=str(error)) from None
    if specification is not None:
        network = Network(specification)
    if network is None:
        raise UsageError("resume-module", path=str(path))
    dataset = dataset or load(task["source"], label=task["label"])
    if dataset.fingerprint != task["fingerprint"]:
        raise RunError("run-data-changed", path=str(path), source=dataset.source or dataset.name)
    plan = Plan(network, dataset, preprocessing, options, _device(options.device))
    _check_fit(plan)
    return _train(plan, state, tensors, folder, progress, on_event)


def _train(
    plan: Plan,
    state: Progress,
    tensors: dict[str, torch.Tensor],
    folder: Path | None,
    show: bool,
    on_event: Listener | None,
) -> Run:
    with listening(plan, show, on_event) as listeners, surroundings(plan) as around:
        return train(plan, state, tensors, folder, listeners, around)


def _check_fit(plan: Plan) -> None:
    """Raise unless the network takes this data set's rows to one logit for each class."""
    dataset = plan.dataset
    if not len(dataset.train):
        raise DataError("training-no-rows", name=dataset.name)
    if plan.options.engine == "fused" and not fused_takes(plan):
        raise UnavailableError("engine-unavailable", engine="fused")
    if plan.preprocessing.features != dataset.features:
        raise ShapeError("training-features", network=plan.preprocessing.features, data=dataset.features)
    if isinstance(plan.network, Network) and plan.network.specification.inputs != dataset.features:
        raise ShapeError("training-features", network=plan.network.specification.inputs, data=dataset.features)
    first = plan.preprocessing(dataset.train.inputs[:2])
    was_training = plan.network.training
    try:
        with torch.inference_mode():
            logits = plan.network.eval()(first.to(next(plan.network.parameters()).device))
    except (RuntimeError, TypeError, ValueError, IndexError, StopIteration) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise ShapeError("training-module", shape=tuple(first.shape), why=why) from None
    finally:
        plan.network.train(was_training)
    shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
    if shape != (len(first), len(dataset.classes)):
        raise ShapeError("training-classes", shape=shape, rows=len(first), classes=len(dataset.classes))


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("device-unavailable", device=name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)
