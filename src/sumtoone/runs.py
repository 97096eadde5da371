"""The run: a trained network with everything needed to use it, and the way into its folder and back.

A finished folder holds ``model.safetensors``, ``history.jsonl`` and ``run.json``; the last is written
last and carries the digests of the others, so that a folder with a ``run.json`` is whole.
"""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sumtoone.data import conversion
from sumtoone.data.dataset import checked_columns
from sumtoone.data.preprocessing import Preprocessing
from sumtoone.description import check_keepable, describe, load_size, needed, restored, specification_of
from sumtoone.errors import RunError, ShapeError, SumtooneError, UsageError
from sumtoone.functional import softmax
from sumtoone.history import MOST_ROW, History
from sumtoone.memory import enough_memory
from sumtoone.network import Network, evaluating, fused, input_kind
from sumtoone.options import TrainingOptions
from sumtoone.run_folder import MOST_JSON, as_path, exists, held, new_folder, read_file, remove_parts, told
from sumtoone.storage import json_from_bytes, json_to_bytes, tensors_from_bytes, tensors_to_bytes, write_atomically
from sumtoone.version import __version__

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FORMAT = 1
# Rows sent through the network at once: enough to fill the processor, little enough to stay in its caches.
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with its preprocessing, its classes and its story.

    Parameters
    ----------
    network
        Gives logits (N, K): a :class:`Network`, or a module of your own; left in evaluation mode.
    preprocessing
        Takes raw inputs to the network's.
    classes
        The name of each output.
    history, options
        How it was trained.
    name
        What to call it: the folder's name, or the data set's.
    data, label, fingerprint, image_shape
        What it was trained on: ``load(run.data, label=run.label)`` gives it back.
    columns
        The names of the D values of a row, where the data set had them: names decide, never positions.
    metrics
        Plain numbers measured when it was made, such as ``{"test": {"accuracy": 0.94, …}}``.
    """

    network: nn.Module
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    history: History
    options: TrainingOptions
    name: str
    data: str
    fingerprint: str
    image_shape: tuple[int, ...] | None = None
    metrics: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=lambda: environment())  # noqa: PLW0108 - defined below
    label: str = "label"
    columns: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        if type(self.network) is Network:
            # As a file gives them back: where weights lie otherwise in memory, sums are rounded otherwise.
            for parameter in self.network.parameters():
                parameter.data = parameter.data.contiguous()

    def probabilities(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return probabilities (N, K), float32 on the CPU, for raw inputs as the data set holds them.

        On the CPU, the preprocessing, the network and the softmax are one pass through the compiled kernels, a few
        rows at a time: to the bit what ``network.probabilities(preprocessing(inputs))`` gives, and promised as there.
        The network answers as it does in evaluation mode and outside autocast, whatever the caller's own is.

        A frame's columns are brought into the order of :attr:`columns`; that of the labels is left out.

        Raises
        ------
        ShapeError, DtypeError
            If the inputs hold no rows of the size the network was trained on, or pictures with their channels first.
        DataError
            If a frame lacks a column, or has one that the run does not know.
        UnavailableError
            If this machine's memory does not hold the result.
        """
        inputs = conversion.in_order(inputs, self.columns, (self.label, "split"))
        shape = tuple(getattr(inputs, "shape", ()))
        if self.image_shape is not None and len(self.image_shape) == 3 and shape[-3:] != self.image_shape:
            height, width, channels = self.image_shape
            if shape[-3:] == (channels, height, width):
                raise ShapeError("run-channels", shape=shape, wanted=self.image_shape)
        with enough_memory():
            return self.probabilities_of(self.preprocessing.rows(inputs))

    def probabilities_of(self, rows: Tensor) -> Tensor:
        """Return :meth:`probabilities` of some of what ``preprocessing.rows`` gave, which is looked at no more."""
        with torch.inference_mode():
            computed = fused(self.network, *self.preprocessing.prepared(rows), softmax=True)
            if computed is not None:
                return computed
            device, dtype = input_kind(self.network)
            with evaluating(self.network), torch.autocast(device.type, enabled=False):
                applied = self.preprocessing.applied
                parts = (applied(part.to(device)).to(dtype) for part in rows.split(_ROWS_AT_ONCE))
                return torch.cat([self._probabilities(part) for part in parts])

    def _probabilities(self, x: Tensor) -> Tensor:
        computed = fused(self.network, x, softmax=True)
        return softmax(self.network(x), dim=-1).float().cpu() if computed is None else computed

    def save(self, path: str | Path) -> Path:
        """Write the run folder; an existing run is refused, never overwritten.

        Raises
        ------
        RunError
            If there is something at ``path`` already, it cannot be written, or the network has a part that a file
            cannot give back.
        """
        check_keepable(self.network)
        with new_folder(as_path(path)) as folder:
            assert folder is not None, "a path was given"
            write_run(self, folder)
        return folder


def environment(threads: int | None = None) -> dict[str, Any]:
    """Return what the numbers of a run may depend on: versions, machine, and the threads it was computed with."""
    return {
        "sumtoone": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads() if threads is None else threads,
    }


def write_run(run: Run, folder: Path) -> None:
    """Write the three files of a finished run into a folder whose lock is held, ``run.json`` last."""
    check_keepable(run.network)
    try:
        History.from_json(run.history.to_json())
    except ValueError as error:
        raise RunError("run-history", why=str(error)) from None
    with told(folder):
        digests = {
            "model.safetensors": write_atomically(
                folder / "model.safetensors", tensors_to_bytes(run.network.state_dict())
            ),
            "history.jsonl": write_atomically(folder / "history.jsonl", run.history.to_bytes()),
        }
        document = {
            "format": FORMAT,
            **describe(run.network, run.preprocessing.features),
            "preprocessing": run.preprocessing.to_json(),
            "classes": list(run.classes),
            "options": run.options.to_json(),
            "data": {
                "source": run.data,
                "label": run.label,
                "fingerprint": run.fingerprint,
                "image_shape": run.image_shape,
                "columns": run.columns,
            },
            "metrics": dict(run.metrics),
            "environment": dict(run.environment),
            "digests": digests,
        }
        write_atomically(folder / "run.json", json_to_bytes(document))
        remove_parts(folder)


def add_metrics(run: Run, folder: Path, metrics: Mapping[str, Any]) -> Run:
    """Return the run with more measured numbers, and keep them in its folder beside those that are there."""
    with held(folder, wait=True):
        document = _read_document(folder)
        document["metrics"] = {**document["metrics"], **metrics}
        with told(folder):
            write_atomically(folder / "run.json", json_to_bytes(document))
    return replace(run, metrics={**run.metrics, **document["metrics"]})


def open_run(path: str | Path, network: nn.Module | None = None) -> Run:
    """Return the run in a folder, its files checked against their digests.

    Parameters
    ----------
    path
        The folder that ``fit(…, out=path)`` or ``run.save(path)`` wrote.
    network
        Needed where the run trained a module of your own: one built as the trained one was. It is given the run's
        tensors, and held against what the trained one answered.

    Raises
    ------
    RunError
        If there is no run, it is unfinished, from a newer sumtoone, or damaged; if it needs a module, or another one.

    Examples
    --------
    >>> open_run("runs/none")
    Traceback (most recent call last):
        ...
    sumtoone.errors.RunError: There is no run here [run-missing]
      expected: a folder with run.json in it
      got: runs/none
      try: name the folder that 'sumtoone train' printed
    """
    folder = as_path(path)
    if network is not None and not isinstance(network, nn.Module):
        raise UsageError("run-network", kind=type(network).__name__)
    if not exists(folder / "run.json"):
        code = "run-unfinished" if exists(folder / "checkpoints") else "run-missing"
        raise RunError(code, path=str(path))
    document = _read_document(folder)
    if document.get("format") != FORMAT:
        raise RunError("run-format", path=str(path), given=document.get("format"), known=FORMAT)
    try:
        return _assemble(folder, document, network)
    except RunError:
        raise
    except SumtooneError as error:
        raise RunError("run-damaged", path=str(folder / "run.json"), why=error.message) from None
    except MemoryError:
        raise
    except Exception as error:
        # Whatever is in a file whose digest somebody put right: what reading it raises is open-ended.
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError("run-damaged", path=str(folder / "run.json"), why=why) from None


def _read_document(folder: Path) -> dict[str, Any]:
    return read_file(folder / "run.json", MOST_JSON, json_from_bytes)


def _assemble(folder: Path, document: Mapping[str, Any], network: nn.Module | None) -> Run:
    options = TrainingOptions.from_json(document["options"])
    preprocessing = Preprocessing.from_json(document["preprocessing"])
    classes = tuple(document["classes"])
    if not all(isinstance(name, str) for name in classes) or len(set(classes)) < len(classes):
        raise ValueError("classes without a name of their own")
    digests, data = document["digests"], document["data"]
    if document["specification"] is None:
        needed(document["module"]["class"], network, str(folder))
    else:
        sizes = specification_of(document["specification"])
        if (preprocessing.features, len(classes)) != (sizes.inputs, sizes.outputs):
            raise ValueError(f"{len(classes)} classes and {preprocessing.features} features for {sizes}")
    most = load_size(document, network)
    tensors = read_file(folder / "model.safetensors", most, tensors_from_bytes, str(digests["model.safetensors"]))
    most = MOST_ROW * options.epochs
    history = read_file(folder / "history.jsonl", most, History.from_bytes, str(digests["history.jsonl"]))
    metrics, measured_on = document["metrics"], document["environment"]
    if not (isinstance(metrics, dict) and isinstance(measured_on, dict)):
        raise ValueError("metrics or environment without names")
    image_shape = None if data["image_shape"] is None else _image_shape(data["image_shape"], preprocessing.features)
    texts = [data["source"], data["label"], data["fingerprint"]]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("data without a name")
    # Runs of old have no such names.
    columns = data.get("columns")
    return Run(
        network=restored(document, tensors, network, preprocessing.features, str(folder)).eval(),
        preprocessing=preprocessing,
        classes=classes,
        history=history,
        options=options,
        name=folder.resolve().name,
        data=data["source"],
        label=data["label"],
        fingerprint=data["fingerprint"],
        image_shape=image_shape,
        columns=None if columns is None else checked_columns(columns, preprocessing.features),
        metrics=metrics,
        environment=measured_on,
    )


def _image_shape(given: Any, features: int) -> tuple[int, ...]:
    shape = tuple(given)
    sizes = all(type(size) is int and size > 0 for size in shape)
    if not sizes or len(shape) not in (2, 3) or math.prod(shape) != features:
        raise ValueError(f"images of {shape} for {features} features")
    return shape
