"""One training from where it stands to its end, whichever engine computes the steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sumtoone import snapshots
from sumtoone.description import describe_task
from sumtoone.errors import TrainingError
from sumtoone.history import History
from sumtoone.options import TrainingOptions
from sumtoone.runs import Run, environment
from sumtoone.training.averaging import Average
from sumtoone.training.checkpoints import Checkpoints, remove_checkpoints
from sumtoone.training.engines import Engine, Steps
from sumtoone.training.process import Surroundings
from sumtoone.training.progress import EnoughTrained, Listener
from sumtoone.training.state import Plan, Progress, fingerprint_of, keep_best

# An epoch of hours is saved in between; one of seconds is not slowed down.
_SECONDS_BETWEEN_SAVES = 60.0


def train(
    plan: Plan,
    state: Progress,
    tensors: Mapping[str, Tensor],
    folder: Path | None,
    listeners: Sequence[Listener],
    around: Surroundings,
    apart: float = 0.0,
) -> Run:
    """Train from ``state`` to the end, saving into ``folder``, and return the run.

    ``tensors`` are what an engine's ``state()`` gave: to go on as if nothing had happened. Checkpoints are at least
    ``apart`` seconds apart, unless Ctrl-C asks for one: a training of seconds is begun anew sooner than it is saved.
    """
    saved = time.perf_counter()
    options, dataset = plan.options, plan.dataset
    checkpoints = None if folder is None else Checkpoints(folder, _task(plan))
    engine, average = _engine(plan, around), Average(plan)
    try:
        if tensors:
            engine.restore(tensors)
            average.restore(tensors)

        def save(apart: float = apart) -> None:
            nonlocal saved
            if folder is None or checkpoints is None or time.perf_counter() - saved < apart:
                return
            tensors = _finite(engine.state(), state, options)
            if options.snapshots and state.step == 0:
                # Before the checkpoint that says that the epoch is over: a kill in between leaves none out.
                with average.in_network():
                    snapshots.write(folder, state.epoch, plan.network)
            checkpoints.save(state, {**tensors, **average.state()})
            saved = time.perf_counter()

        save()
        with suppress(EnoughTrained):
            while state.epoch < options.epochs and not _stops_early(state, options):
                for _ in _epoch(engine, average, plan, state, listeners, save):
                    if around.interrupted():
                        save(0.0)
                        raise KeyboardInterrupt
    finally:
        engine.finish()
    average.leave()
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
        fingerprint=dataset.fingerprint,
        image_shape=dataset.image_shape,
        columns=dataset.columns,
        handwriting=dataset.handwriting,
        splits=dataset.marks,
        weight=dataset.weight,
        environment=environment(around.threads),
    )
    if folder is not None:
        run.write(folder)
        remove_checkpoints(folder)
    return run


def one_epoch(
    plan: Plan, epoch: int, tensors: Mapping[str, Tensor], around: Surroundings
) -> tuple[Mapping[str, Any], dict[str, Tensor]]:
    """Go once over the training rows, in the order of ``epoch``; return what came of it, and the engine's state.

    ``tensors`` are the state that the pass before returned, or nothing: the optimizer then begins anew. The rows may be
    others than before.
    """
    engine, state = _engine(plan, around), Progress(epoch=epoch)
    try:
        if tensors:
            engine.restore(tensors)
        for _ in _epoch(engine, Average(plan), plan, state, (), lambda: None):
            if around.interrupted():
                raise KeyboardInterrupt
    finally:
        engine.finish()
    return state.rows[-1], _finite(engine.state(), state, plan.options)


def _engine(plan: Plan, around: Surroundings) -> Engine:
    """Return the engine that computes the steps; PyTorch's optimizers are imported where they are used."""
    if around.fused:
        from sumtoone.training.fused import FusedEngine

        return FusedEngine(plan, around.threads)
    from sumtoone.training.plain import PlainEngine

    return PlainEngine(plan)


def _epoch(
    engine: Engine,
    average: Average,
    plan: Plan,
    state: Progress,
    listeners: Sequence[Listener],
    save: Callable[[], None],
) -> Iterator[None]:
    """Finish the epoch under way and save it; yield between steps and at its end."""
    started = saved = time.perf_counter()
    before = state.seconds
    while state.step < plan.steps_per_epoch:
        count = min(engine.at_once, average.before_a_look(state.step))
        _note(state, engine.train(state.epoch, state.step, count), plan.options)
        if average.wants_a_look(state.step):
            engine.finish()
            average.look(state.epoch, state.step)
        state.seconds = before + time.perf_counter() - started
        _tell(listeners, event="step", epoch=state.epoch + 1, step=state.step, **_means(state))
        if time.perf_counter() - saved > _SECONDS_BETWEEN_SAVES:
            save()
            saved = time.perf_counter()
        yield
    with average.in_network():
        validation_loss, validation_accuracy = engine.validate()
        if len(plan.dataset.validation) and not math.isfinite(validation_loss):
            raise _diverged(validation_loss, state, plan.options)
        state.epoch += 1
        if plan.options.early_stopping is not None:
            keep_best(state, plan.network, validation_loss)
    state.seconds = before + time.perf_counter() - started
    row = {
        "epoch": state.epoch,
        **_means(state),
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "seconds": state.seconds,
    }
    state.rows.append(row)
    state.step, state.seconds = 0, 0.0
    state.loss_sum = state.correct = state.weight = 0.0
    save()
    _tell(listeners, event="epoch", **row)
    yield


def _note(state: Progress, steps: Steps, options: TrainingOptions) -> None:
    """Write down what came of some steps; :class:`TrainingError` where a loss is not finite, which names the step."""
    for loss in steps.losses:
        state.step += 1
        if not math.isfinite(loss):
            raise _diverged(loss, state, options)
        state.loss_sum += loss
    state.correct += steps.hits
    state.weight += steps.weight


def _means(state: Progress) -> dict[str, float]:
    # Rows may all have weight 0 so far.
    seen = state.weight or math.nan
    return {"train_loss": state.loss_sum / seen, "train_accuracy": state.correct / seen}


def _tell(listeners: Sequence[Listener], **event: Any) -> None:
    for listener in listeners:
        listener(event)


def _stops_early(state: Progress, options: TrainingOptions) -> bool:
    return options.early_stopping is not None and state.epoch - state.best_epoch >= options.early_stopping


def _finite(tensors: dict[str, Tensor], state: Progress, options: TrainingOptions) -> dict[str, Tensor]:
    """Return the tensors if the weights are finite: a checkpoint must be one that training can go on from."""
    weights = [tensor for name, tensor in tensors.items() if name.startswith("network.")]
    # The largest magnitude is NaN where one is, and is found without a copy.
    largest = [float(torch.linalg.vector_norm(weight, math.inf)) for weight in weights if weight.is_floating_point()]
    if not all(map(math.isfinite, largest)):
        raise _diverged(math.nan, state, options)
    return tensors


def _diverged(loss: float, state: Progress, options: TrainingOptions) -> TrainingError:
    place = {"epoch": state.epoch + 1, "step": state.step}
    return TrainingError("training-diverged", loss=loss, lr=options.learning_rate, **place)


def _task(plan: Plan) -> dict[str, Any]:
    """Return what a checkpoint remembers of the task, as plain values."""
    return {
        "options": plan.options.to_json(),
        "preprocessing": plan.preprocessing.to_json(),
        **describe_task(plan.network),
        "frozen": [name for name, parameter in plan.network.named_parameters() if not parameter.requires_grad],
        "source": plan.dataset.source or plan.dataset.name,
        "label": plan.dataset.label,
        "weight": plan.dataset.weight,
        "fingerprint": plan.dataset.fingerprint,
        "columns": plan.dataset.columns,
        "weights": fingerprint_of(plan.weights),
    }
