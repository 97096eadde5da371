"""One training from where it stands to its end, whichever engine computes the steps."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from sumtoone.errors import TrainingError, UsageError
from sumtoone.options import TrainingOptions
from sumtoone.runs import History, Run, write_run
from sumtoone.specification import Specification
from sumtoone.training.checkpoints import remove_checkpoints, save_checkpoint
from sumtoone.training.fused import FusedEngine
from sumtoone.training.fused import takes as fused_takes
from sumtoone.training.interruption import interruptible
from sumtoone.training.plain import PlainEngine
from sumtoone.training.progress import Listener
from sumtoone.training.state import Plan, Progress, keep_best

# An epoch of hours is saved in between; one of seconds is not slowed down.
_SECONDS_BETWEEN_SAVES = 60.0

# Below this many products in a forward pass a second thread gains a sixth at best, and where another process wants
# the core it costs fifteen times as much: the threads wait for each other at every one of a step's small operations.
_PRODUCTS_FOR_ONE_THREAD = 2**25


@dataclass(frozen=True)
class Surroundings:
    """What training finds set up around it: threads for an engine that shares work out itself, and Ctrl-C."""

    threads: int
    interrupted: Callable[[], bool]


@contextmanager
def surroundings(plan: Plan) -> Iterator[Surroundings]:
    """Set torch's threads, keep its random state, and hold Ctrl-C back to the end of a step, inside the block."""
    with ExitStack() as stack:
        stack.enter_context(torch.random.fork_rng(devices=[plan.device] if plan.device.type == "cuda" else []))
        yield Surroundings(stack.enter_context(_threads(plan)), stack.enter_context(interruptible()))


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
    task = _task(plan, fingerprint)
    engine = FusedEngine(plan, around.threads) if fuses(plan) else PlainEngine(plan)
    try:
        if tensors:
            engine.restore(tensors)

        def save() -> None:
            if folder is not None:
                save_checkpoint(folder, state, _finite(engine.state(), state, options), task)

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


def fuses(plan: Plan) -> bool:
    """Whether the fused engine computes the steps: wherever it can, unless the plain one was asked for."""
    return plan.options.engine != "plain" and fused_takes(plan)


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
