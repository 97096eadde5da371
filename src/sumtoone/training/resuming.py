"""The way back into an unfinished training: the newest whole checkpoint, held against what it says it is of."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sumtoone.data import Dataset, Preprocessing, load
from sumtoone.data.names import checked_columns, checked_weight
from sumtoone.description import load_size, needed, restored, specification_of
from sumtoone.errors import DataError, RunError, SumtooneError
from sumtoone.language import text
from sumtoone.options import TrainingOptions
from sumtoone.run_folder import MOST_JSON, exists, held, read_file
from sumtoone.runs import Run, open_run
from sumtoone.storage import json_from_bytes
from sumtoone.training.checkpoints import read_document, read_state, remove_checkpoints, stems
from sumtoone.training.checks import row_weights
from sumtoone.training.engines import under, wide
from sumtoone.training.state import Plan, Progress, device_of, fingerprint_of

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# The network, the optimizer's two moments, the average and the best weights; and the states of random generators.
_COPIES, _RANDOM = 5, 2**16


@dataclass(frozen=True, eq=False)
class Unfinished:
    """A training that can go on: its task, where it stands, and the tensors that the next step depends on."""

    plan: Plan
    progress: Progress
    tensors: dict[str, Tensor]


def finished(folder: Path, network: nn.Module | None) -> Run | None:
    """Return the run in a folder if it is finished and whole, and only then let its checkpoints go; else None."""
    if not exists(folder / "run.json"):
        return None
    run = open_run(folder, network)
    if exists(folder / "checkpoints"):
        # It is only tidying: a folder that may not be written, or is somebody else's at the moment, stays.
        with suppress(RunError), held(folder):
            remove_checkpoints(folder)
    return run


def kept_task(folder: Path) -> dict[str, Any] | None:
    """Return the options, the network and the data that a run began with; None where they cannot be read."""
    try:
        if exists(folder / "run.json"):
            document = read_file(folder / "run.json", MOST_JSON, json_from_bytes)
            data, options, described = document["data"], document["options"], document["specification"]
        else:
            document = read_document(folder, stems(folder)[0])["task"]
            data, options, described = document, document["options"], document["specification"]
        # Of old a run had fewer options: it goes on without those that came later.
        options = {**TrainingOptions().to_json(), **options}
        kept = {**options, "data": data["source"], "label": data["label"], "weight": data.get("weight")}
        return kept if described is None else {**kept, **_sizes(described)}
    except (RunError, OSError, ValueError, LookupError, TypeError):
        # Whoever takes the run up says what is wrong with it.
        return None


def _sizes(described: Any) -> dict[str, Any]:
    specification = specification_of(described)
    names = {"network": str(specification), "activation": specification.activation}
    return {**names, "dropout": specification.dropout}


def unfinished(
    folder: Path, dataset: Dataset | None, network: nn.Module | None, weights: ArrayLike | None = None
) -> Unfinished:
    """Return the newest checkpoint that is whole, with a warning for each damaged one.

    Raises
    ------
    RunError
        If there is none, its module or data set is another, or a module is needed.
    """
    found = stems(folder)
    for stem in found:
        try:
            document = read_document(folder, stem)
            with _only_value_errors():
                task = _Task.from_json(document["task"])
            rows = _same_rows(folder, task, dataset, network)
            counts = row_weights(weights, rows, task.options)
            if fingerprint_of(counts) != task.weights:
                raise RunError("run-data-changed", path=str(folder), source="weights=")
            with _only_value_errors():
                return _assembled(folder, stem, document, task, rows, network, counts)
        except (RunError, SumtooneError):
            raise
        except (OSError, ValueError) as error:
            warnings.warn(text("training.damaged-checkpoint", name=f"{stem}.json", why=str(error)), stacklevel=3)
    raise RunError("run-no-checkpoint", path=str(folder), count=len(found))


@dataclass(frozen=True, eq=False)
class _Task:
    """What a checkpoint remembers of the task."""

    described: Mapping[str, Any]
    options: TrainingOptions
    preprocessing: Preprocessing
    frozen: tuple[str, ...]
    source: str
    label: str
    fingerprint: str
    columns: tuple[str, ...] | None
    weights: str | None
    weight: str | None

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> _Task:
        texts = [document[name] for name in ("source", "label", "fingerprint")]
        frozen = tuple(document.get("frozen", ()))
        if not all(isinstance(value, str) for value in (*texts, *frozen)):
            raise ValueError("a name that is no text")
        described = {"specification": document["specification"], "module": document.get("module", {"class": "?"})}
        if described["specification"] is not None:
            specification_of(described["specification"])
        elif not isinstance(described["module"]["class"], str):
            raise ValueError("a class without a name")
        options = TrainingOptions.from_json(document["options"])
        preprocessing, columns = Preprocessing.from_json(document["preprocessing"]), document.get("columns")
        source, label, fingerprint = texts
        return cls(
            described,
            options,
            preprocessing,
            frozen,
            source,
            label,
            fingerprint,
            columns=None if columns is None else checked_columns(columns, preprocessing.features),
            weights=document.get("weights"),
            weight=checked_weight(document.get("weight")),
        )


@contextmanager
def _only_value_errors() -> Iterator[None]:
    """Let whatever comes of a file whose digest somebody put right be a ``ValueError``: it is open-ended."""
    try:
        yield
    except (OSError, MemoryError, RunError):
        raise
    except Exception as error:
        raise ValueError((str(error) or type(error).__name__).splitlines()[0]) from None


def _same_rows(folder: Path, task: _Task, dataset: Dataset | None, network: nn.Module | None) -> Dataset:
    """Return the rows that the training began with; :class:`RunError` if they, or the module, are not there."""
    if task.described["specification"] is None:
        needed(task.described["module"]["class"], network, str(folder))
    rows = load(task.source, label=task.label, weight=task.weight) if dataset is None else dataset
    with suppress(DataError):
        rows = rows.in_order(task.columns)
    if rows.fingerprint != task.fingerprint:
        raise RunError("run-data-changed", path=str(folder), source=rows.source or rows.name)
    return rows


def _assembled(
    folder: Path,
    stem: str,
    document: Mapping[str, Any],
    task: _Task,
    rows: Dataset,
    network: nn.Module | None,
    counts: Tensor | None,
) -> Unfinished:
    most = _COPIES * load_size(task.described, network) + _RANDOM
    progress, tensors = read_state(folder, stem, document, most)
    weights = under("network.", tensors)
    whole = restored(task.described, weights, network, task.preprocessing.features, str(folder))
    for name, parameter in whole.named_parameters():
        if parameter.is_floating_point():
            parameter.requires_grad_(name not in task.frozen)
    plan = Plan(whole, rows, task.preprocessing, task.options, device_of(task.options), counts)
    tensors = _with_names(plan, tensors)
    if counts is None:
        # What checkpoints of old leave out.
        progress.weight = float(min(progress.step * plan.options.batch_size, len(rows.train)))
    _check_progress(plan, progress, weights)
    _check_tensors(plan, tensors)
    _check_average(plan, progress, under("average.", tensors))
    return Unfinished(plan, progress, tensors)


def _with_names(plan: Plan, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors with the optimizer's named by parameter: older checkpoints counted them."""
    names = list(plan.trained())
    counted = {
        f"optimizer.{place}.": f"optimizer.{name}." for place, name in enumerate(names) if str(place) not in names
    }
    renamed = {}
    for key, tensor in tensors.items():
        head, dot, entry = key.rpartition(".")
        renamed[counted.get(head + dot, head + dot) + entry] = tensor
    return renamed


def _check_progress(plan: Plan, progress: Progress, weights: Mapping[str, Tensor]) -> None:
    """Raise ``ValueError`` where training cannot stand."""
    epochs, steps = plan.options.epochs, plan.steps_per_epoch
    ended = progress.epoch == epochs
    # All steps of an epoch may be done, and its validation not.
    if not (progress.epoch <= epochs and progress.step <= (0 if ended else steps)):
        raise ValueError(f"epoch {progress.epoch}, step {progress.step} of {epochs} epochs of {steps} steps")
    if len(progress.rows) != progress.epoch or progress.best_epoch > progress.epoch:
        raise ValueError(f"{len(progress.rows)} rows of history for {progress.epoch} epochs")
    if progress.correct > progress.weight:
        raise ValueError(f"{progress.correct:g} rows right in {progress.step} steps")
    if progress.best and {name: _kind(each) for name, each in progress.best.items()} != {
        name: _kind(each) for name, each in weights.items()
    }:
        raise ValueError("the best weights are another network's")


def _check_tensors(plan: Plan, tensors: Mapping[str, Tensor]) -> None:
    """Raise ``ValueError`` for a tensor that the engines would not have written: they believe what they get."""
    trained, entries = plan.trained(), plan.optimizer_entries()
    seen: dict[str, set[str]] = {}
    for key, tensor in tensors.items():
        kind, _, rest = key.partition(".")
        name, _, entry = rest.rpartition(".")
        if kind == "optimizer" and entry in entries.get(name, ()):
            seen.setdefault(name, set()).add(entry)
            fits = _counts(tensor, plan.steps) if entry == "step" else _kind(tensor) == _kind(trained[name])
        else:
            of_others = kind in ("network", "average")
            fits = of_others or (kind == "random" and tensor.dtype == torch.uint8 and tensor.ndim == 1)
        if not fits:
            raise ValueError(f"{key}: {_kind(tensor)}")
    if any(found != set(entries[name]) for name, found in seen.items()):
        raise ValueError("a part of the optimizer's state is missing")
    if "random.cpu" in tensors:
        torch.Generator().set_state(tensors["random.cpu"])


def _check_average(plan: Plan, progress: Progress, average: Mapping[str, Tensor]) -> None:
    """Raise ``ValueError`` for an average that is not of these weights; in the first epoch there may be none yet."""
    if plan.options.averaging is None or not (progress.epoch or average):
        wanted = {}
    else:
        wanted = {name: _kind(wide(parameter)) for name, parameter in plan.trained().items()}
    if {name: _kind(tensor) for name, tensor in average.items()} != wanted:
        raise ValueError("the average is another network's")


def _counts(tensor: Tensor, most: int) -> bool:
    return tensor.numel() == 1 and tensor.is_floating_point() and 0 <= float(tensor) <= most and float(tensor) % 1 == 0


def _kind(tensor: Tensor) -> tuple[torch.dtype, tuple[int, ...]]:
    return tensor.dtype, tuple(tensor.shape)
