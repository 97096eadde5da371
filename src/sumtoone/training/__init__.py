"""``fit`` turns a network and a data set into a run; ``resume`` goes on where a killed one stopped."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sumtoone.data import Dataset, Preprocessing, load
from sumtoone.errors import DataError, RunError, ShapeError, TrainingError, UnavailableError, UsageError
from sumtoone.network import Network
from sumtoone.options import TrainingOptions
from sumtoone.runs import History, Run, new_folder, open_run, write_run
from sumtoone.specification import Specification
from sumtoone.training.checkpoints import newest_checkpoint, remove_checkpoints, save_checkpoint
from sumtoone.training.fused import FusedEngine
from sumtoone.training.fused import takes as fused_takes
from sumtoone.training.interruption import interruptible
from sumtoone.training.plain import PlainEngine
from sumtoone.training.progress import ProgressBar
from sumtoone.training.state import Plan, Progress, keep_best

__all__ = ["TrainingOptions", "fit", "resume"]

Listener = Callable[[Mapping[str, Any]], None]

# An epoch of hours is saved in between; one of seconds is not slowed down.
_SECONDS_BETWEEN_SAVES = 60.0

# Below this many products in a forward pass a second thread gains a sixth at best, and where another process wants
# the core it costs fifteen times as much: the threads wait for each other at every one of a step's small operations.
_PRODUCTS_FOR_ONE_THREAD = 2**25


def fit(
    network: nn.Module,
    dataset: Dataset,
    options: TrainingOptions | None = None,
    *,
    out: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    progress: bool = False,
    on_event: Listener | None = None,
    **given: Any,
) -> Run:
    """Train ``network`` in place on ``dataset.train`` and return the run.

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
    out
        A folder that must not hold anything yet. Checkpoints go there after every epoch, and the finished
        run; without it nothing is written.
    preprocessing
        From raw rows to network input; None fits one on the training rows alone.
    progress
        Show a bar on standard error, if that is a terminal.
    on_event
        Called with ``{"event": "step", …}`` now and then and ``{"event": "epoch", …}`` after each epoch.

    Raises
    ------
    UsageError
        For wrong options, all at once.
    ShapeError, DataError
        If network and data set do not fit.
    RunError
        If ``out`` cannot be used.
    TrainingError
        If the loss is no longer finite; the last good checkpoint stays.
    UnavailableError
        If the device or engine is not there.
    KeyboardInterrupt
        On Ctrl-C, after saving a checkpoint where ``out`` is given.

    Examples
    --------
    >>> import sumtoone as s1
    >>> run = s1.fit(s1.Network("784-32-10"), s1.load("digits"), epochs=2)
    >>> len(run.history), run.network.training
    (2, False)
    """
    options = TrainingOptions.of(**{**(options.to_json() if options else {}), **given})
    preprocessing = preprocessing or Preprocessing.fitted(dataset.train.inputs)
    plan = Plan(network, dataset, preprocessing, options, _device(options.device))
    _check_fit(plan)
    folder = new_folder(Path(out)) if out is not None else None
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
    """Train from ``state`` to the end, saving into ``folder``, and return the run."""
    options, dataset = plan.options, plan.dataset
    fingerprint = dataset.fingerprint
    task = _task(plan, fingerprint)
    with ExitStack() as stack:
        bar = stack.enter_context(ProgressBar(plan.steps_per_epoch, options.epochs)) if show else None
        listeners = [listener for listener in (bar, on_event) if listener is not None]
        stack.enter_context(torch.random.fork_rng(devices=[plan.device] if plan.device.type == "cuda" else []))
        threads = stack.enter_context(_threads(plan))
        interrupted = stack.enter_context(interruptible())
        engine = FusedEngine(plan, threads) if _fuses(plan) else PlainEngine(plan)
        stack.callback(engine.finish)
        if tensors:
            engine.restore(tensors)

        def save() -> None:
            if folder is not None:
                save_checkpoint(folder, state, _finite(engine.state(), state, options), task)

        save()
        while state.epoch < options.epochs and not _stops_early(state, options):
            for _ in _epoch(engine, state, listeners, save):
                if interrupted():
                    save()
                    raise KeyboardInterrupt
    if options.early_stopping is not None and state.best:
        plan.network.load_state_dict(state.best)
    run = Run(
        network=plan.network.eval(),
        preprocessing=plan.preprocessing,
        classes=dataset.classes,
        history=History(tuple(state.rows)),
        options=options,
        name=folder.resolve().name if folder is not None else dataset.name,
        data=dataset.source or dataset.name,
        label=dataset.label,
        fingerprint=fingerprint,
        image_shape=dataset.image_shape,
    )
    if folder is not None:
        write_run(run, folder)
        remove_checkpoints(folder)
    return run


def _epoch(engine: PlainEngine, state: Progress, listeners: list[Listener], save: Callable[[], None]) -> Iterator[None]:
    """Finish the epoch under way and save it; yield between steps and at its end."""
    plan = engine.plan
    started = saved = time.perf_counter()
    before = state.seconds
    for _ in engine.train_epoch(state):
        state.seconds = before + time.perf_counter() - started
        rows = min(state.step * plan.options.batch_size, len(plan.dataset.train))
        _tell(listeners, event="step", epoch=state.epoch + 1, step=state.step, **_means(state, rows))
        if time.perf_counter() - saved > _SECONDS_BETWEEN_SAVES:
            save()
            saved = time.perf_counter()
        yield
    validation_loss, validation_accuracy = engine.validate()
    if len(plan.dataset.validation) and not math.isfinite(validation_loss):
        raise _diverged(validation_loss, state, plan.options)
    state.seconds = before + time.perf_counter() - started
    row = {
        "epoch": state.epoch + 1,
        **_means(state, len(plan.dataset.train)),
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "seconds": state.seconds,
    }
    state.rows.append(row)
    state.epoch, state.step, state.loss_sum, state.correct, state.seconds = state.epoch + 1, 0, 0.0, 0, 0.0
    if plan.options.early_stopping is not None:
        keep_best(state, engine.network, validation_loss)
    save()
    _tell(listeners, event="epoch", **row)
    yield


def _means(state: Progress, rows: int) -> dict[str, float]:
    return {"train_loss": state.loss_sum / rows, "train_accuracy": state.correct / rows}


def _tell(listeners: list[Listener], **event: Any) -> None:
    for listener in listeners:
        listener(event)


def _stops_early(state: Progress, options: TrainingOptions) -> bool:
    return options.early_stopping is not None and state.epoch - state.best_epoch >= options.early_stopping


def _finite(tensors: dict[str, torch.Tensor], state: Progress, options: TrainingOptions) -> dict[str, torch.Tensor]:
    """Return the tensors if the weights are finite: a checkpoint must be one that training can go on from."""
    weights = [tensor for name, tensor in tensors.items() if name.startswith("network.")]
    if not all(bool(torch.isfinite(weight).all()) for weight in weights):
        raise _diverged(math.nan, state, options)
    return tensors


def _diverged(loss: float, state: Progress, options: TrainingOptions) -> TrainingError:
    place = {"epoch": state.epoch + 1, "step": state.step}
    return TrainingError("training-diverged", loss=loss, lr=options.learning_rate, **place)


def _task(plan: Plan, fingerprint: str) -> dict[str, Any]:
    """Return what a checkpoint remembers of the task, as plain values."""
    specification = getattr(plan.network, "specification", None)
    described = None
    if isinstance(specification, Specification):
        described = [str(specification), specification.activation, specification.dropout]
    return {
        "options": plan.options.to_json(),
        "preprocessing": plan.preprocessing.to_json(),
        "specification": described,
        "source": plan.dataset.source or plan.dataset.name,
        "label": plan.dataset.label,
        "fingerprint": fingerprint,
    }


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


def _fuses(plan: Plan) -> bool:
    """Whether the fused engine computes the steps: wherever it can, unless the plain one was asked for."""
    return plan.options.engine != "plain" and fused_takes(plan)


def _device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise UnavailableError("device-unavailable", device=name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device("cuda", torch.cuda.current_device()) if name == "cuda" else torch.device(name)


@contextmanager
def _threads(plan: Plan) -> Iterator[int]:
    """Compute with ``options.threads``, ``SUMTOONE_THREADS``, or what suits the network's size, inside the block.

    Gives the number for an engine that decides by itself what suits the network.
    """
    wanted, named = plan.options.threads, os.environ.get("SUMTOONE_THREADS", "")
    if wanted is None and named:
        if not (named.isascii() and named.isdigit() and int(named) > 0):
            raise UsageError("training-count", name="SUMTOONE_THREADS", given=repr(named), low=1)
        wanted = int(named)
    before = torch.get_num_threads()
    most = wanted or before
    products = plan.options.batch_size * sum(parameter.numel() for parameter in plan.network.parameters())
    if wanted is None and products <= _PRODUCTS_FOR_ONE_THREAD:
        wanted = 1
    torch.set_num_threads(wanted or before)
    try:
        yield most
    finally:
        torch.set_num_threads(before)
