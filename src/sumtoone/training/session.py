"""One training from where it stands to its end, whichever engine computes the steps."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from sumtoone.description import describe_task
from sumtoone.errors import TrainingError
from sumtoone.history import History
from sumtoone.options import TrainingOptions
from sumtoone.runs import Run, environment, write_run
from sumtoone.training.checkpoints import Checkpoints, remove_checkpoints
from sumtoone.training.fused import FusedEngine
from sumtoone.training.plain import PlainEngine
from sumtoone.training.process import Surroundings, fuses
from sumtoone.training.progress import Listener
from sumtoone.training.state import Plan, Progress, keep_best

# An epoch of hours is saved in between; one of seconds is not slowed down.
_SECONDS_BETWEEN_SAVES = 60.0


def train(
    plan: Plan,
    state: Progress,
    tensors: dict[str, torch.Tensor],
    folder: Path | None,
    listeners: Sequence[Listener],
    around: Surroundings,
) -> Run:
    """Train from ``state`` to the end, saving into ``folder``, and return the run."""
    options, dataset = plan.options, plan.dataset
    fingerprint = dataset.fingerprint
    checkpoints = None if folder is None else Checkpoints(folder, _task(plan, fingerprint))
    engine = FusedEngine(plan, around.threads) if fuses(plan) else PlainEngine(plan)
    try:
        if tensors:
            engine.restore(tensors)

        def save() -> None:
            if checkpoints is not None:
                checkpoints.save(state, _finite(engine.state(), state, options))

        save()
        while state.epoch < options.epochs and not _stops_early(state, options):
            for _ in _epoch(engine, state, listeners, save):
                if around.interrupted():
                    save()
                    raise KeyboardInterrupt
    finally:
        engine.finish()
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
        columns=dataset.columns,
        environment=environment(around.threads),
    )
    if folder is not None:
        write_run(run, folder)
        remove_checkpoints(folder)
    return run


def _epoch(
    engine: PlainEngine, state: Progress, listeners: Sequence[Listener], save: Callable[[], None]
) -> Iterator[None]:
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


def _tell(listeners: Sequence[Listener], **event: Any) -> None:
    for listener in listeners:
        listener(event)


def _stops_early(state: Progress, options: TrainingOptions) -> bool:
    return options.early_stopping is not None and state.epoch - state.best_epoch >= options.early_stopping


def _finite(tensors: dict[str, torch.Tensor], state: Progress, options: TrainingOptions) -> dict[str, torch.Tensor]:
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


def _task(plan: Plan, fingerprint: str) -> dict[str, Any]:
    """Return what a checkpoint remembers of the task, as plain values."""
    return {
        "options": plan.options.to_json(),
        "preprocessing": plan.preprocessing.to_json(),
        **describe_task(plan.network),
        "frozen": [name for name, parameter in plan.network.named_parameters() if not parameter.requires_grad],
        "source": plan.dataset.source or plan.dataset.name,
        "label": plan.dataset.label,
        "fingerprint": fingerprint,
        "columns": plan.dataset.columns,
    }
