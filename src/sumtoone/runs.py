"""The run: a trained network with everything needed to use it, and its folder on disk.

A finished folder holds ``model.safetensors``, ``history.jsonl`` and ``run.json``; the last is written
last and carries the digests of the others, so that a folder with a ``run.json`` is whole.
"""

from __future__ import annotations

import hashlib
import json
import math
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from sumtoone import __version__
from sumtoone.data.preprocessing import Preprocessing
from sumtoone.errors import RunError, SumtooneError
from sumtoone.functional import softmax
from sumtoone.network import Network, fused
from sumtoone.options import TrainingOptions
from sumtoone.specification import Specification
from sumtoone.storage import json_from_bytes, json_to_bytes, tensors_from_bytes, tensors_to_bytes, write_atomically

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

FORMAT = 1
# Rows sent through the network at once: enough to fill the processor, little enough to stay in its caches.
_ROWS_AT_ONCE = 4096

_Parsed = TypeVar("_Parsed")


@dataclass(frozen=True)
class History:
    """What happened in each epoch, as rows of plain values.

    >>> history = History(({"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.25}))
    >>> history["train_loss"], len(history)
    ((0.5, 0.25), 2)
    """

    rows: tuple[Mapping[str, Any], ...] = ()

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        return tuple(row[name] for row in self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Mapping[str, Any]]:
        return iter(self.rows)


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with its preprocessing, its classes and its story.

    Parameters
    ----------
    network
        Gives logits (N, K); left in evaluation mode.
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

    def probabilities(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return probabilities (N, K), float32 on the CPU, for raw inputs as the data set holds them.

        On the CPU, the preprocessing, the network and the softmax are one pass through the compiled kernels, a few
        rows at a time: to the bit what ``network.probabilities(preprocessing(inputs))`` gives, and promised as there.

        Raises
        ------
        ShapeError, DtypeError
            If the inputs do not hold rows of the size the network was trained on.
        """
        rows = self.preprocessing.rows(inputs)
        with torch.inference_mode():
            computed = fused(self.network, rows, self.preprocessing.step, softmax=True)
            if computed is not None:
                return computed
            return torch.cat([self._probabilities(part) for part in rows.split(_ROWS_AT_ONCE)])

    def _probabilities(self, rows: Tensor) -> Tensor:
        device = next(self.network.parameters()).device
        x = self.preprocessing(rows.to(device))
        computed = fused(self.network, x, softmax=True)
        return softmax(self.network(x), dim=-1).cpu() if computed is None else computed

    def save(self, path: str | Path) -> Path:
        """Write the run folder; an existing run is refused, never overwritten.

        Raises
        ------
        RunError
            If there is something at ``path`` already, it cannot be written, or the network is not a :class:`Network`.
        """
        folder = new_folder(Path(path))
        write_run(self, folder)
        return folder


def environment() -> dict[str, Any]:
    """Return what the numbers of a run may depend on: versions, machine, threads."""
    return {
        "sumtoone": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "threads": torch.get_num_threads(),
    }


def new_folder(folder: Path) -> Path:
    """Make an empty folder for a run; :class:`RunError` if something is there or it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        occupied = any(folder.iterdir())
    except OSError as error:
        raise RunError("run-folder", path=str(folder), why=error.strerror or str(error)) from None
    if occupied:
        raise RunError("run-exists", path=str(folder))
    return folder


def write_run(run: Run, folder: Path) -> None:
    """Write the three files of a finished run into a folder that exists, ``run.json`` last."""
    if not isinstance(run.network, Network):
        raise RunError("run-module", kind=type(run.network).__name__)
    specification = run.network.specification
    try:
        digests = {
            "model.safetensors": write_atomically(
                folder / "model.safetensors", tensors_to_bytes(run.network.state_dict())
            ),
            "history.jsonl": write_atomically(folder / "history.jsonl", _rows_to_bytes(run.history)),
        }
        document = {
            "format": FORMAT,
            "specification": {
                "sizes": str(specification),
                "activation": specification.activation,
                "dropout": specification.dropout,
            },
            "preprocessing": run.preprocessing.to_json(),
            "classes": list(run.classes),
            "options": run.options.to_json(),
            "data": {
                "source": run.data,
                "label": run.label,
                "fingerprint": run.fingerprint,
                "image_shape": run.image_shape,
            },
            "metrics": dict(run.metrics),
            "environment": dict(run.environment),
            "digests": digests,
        }
        write_atomically(folder / "run.json", json_to_bytes(document))
    except OSError as error:
        raise RunError("run-folder", path=str(folder), why=error.strerror or str(error)) from None


def add_metrics(run: Run, folder: Path, metrics: Mapping[str, Any]) -> Run:
    """Return the run with more measured numbers, and keep them in its folder."""
    richer = replace(run, metrics={**run.metrics, **metrics})
    write_run(richer, folder)
    return richer


def open_run(path: str | Path) -> Run:
    """Return the run in a folder, its files checked against their digests.

    Raises
    ------
    RunError
        If there is no run, it is unfinished, from a newer sumtoone, or damaged.

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
    folder = Path(path)
    if not (folder / "run.json").is_file():
        code = "run-unfinished" if (folder / "checkpoints").is_dir() else "run-missing"
        raise RunError(code, path=str(path))
    document = _read(folder, "run.json", json_from_bytes)
    if document.get("format") != FORMAT:
        raise RunError("run-format", path=str(path), given=document.get("format"), known=FORMAT)
    digests = document.get("digests")
    if not isinstance(digests, dict):
        raise RunError("run-damaged", path=str(folder / "run.json"), why="digests")
    tensors = _read(folder, "model.safetensors", tensors_from_bytes, str(digests.get("model.safetensors")))
    history = _read(folder, "history.jsonl", _rows_from_bytes, str(digests.get("history.jsonl")))
    try:
        return _assemble(folder, document, tensors, history)
    except SumtooneError as error:
        raise RunError("run-damaged", path=str(folder / "run.json"), why=error.message) from None
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise RunError("run-damaged", path=str(folder / "run.json"), why=str(error).splitlines()[0]) from None


def _assemble(folder: Path, document: Mapping[str, Any], tensors: dict[str, Tensor], history: History) -> Run:
    described = document["specification"]
    specification = Specification.parse(described["sizes"], described["activation"], described["dropout"])
    if sum(tensor.numel() for tensor in tensors.values()) != specification.parameters:
        raise ValueError(f"{specification} does not have the weights in model.safetensors")
    network = Network(specification)
    network.load_state_dict(tensors)
    classes = tuple(map(str, document["classes"]))
    preprocessing = Preprocessing.from_json(document["preprocessing"])
    if (preprocessing.features, len(classes)) != (specification.inputs, specification.outputs):
        raise ValueError(f"{len(classes)} classes and {preprocessing.features} features for {specification}")
    image_shape = document["data"]["image_shape"]
    if image_shape is not None and math.prod(image_shape) != specification.inputs:
        raise ValueError(f"images of {image_shape} for {specification}")
    return Run(
        network=network.eval(),
        preprocessing=preprocessing,
        classes=classes,
        history=history,
        options=TrainingOptions.from_json(document["options"]),
        name=folder.resolve().name,
        data=str(document["data"]["source"]),
        label=str(document["data"]["label"]),
        fingerprint=str(document["data"]["fingerprint"]),
        image_shape=None if image_shape is None else tuple(map(int, image_shape)),
        metrics=dict(document["metrics"]),
        environment=dict(document["environment"]),
    )


def _read(folder: Path, name: str, parse: Callable[[bytes], _Parsed], digest: str | None = None) -> _Parsed:
    """Return a file of the run, parsed; ``digest`` is the sha256 it must have, or None where it carries its own."""
    path = folder / name
    try:
        content = path.read_bytes()
        if digest is not None and hashlib.sha256(content).hexdigest() != digest:
            raise ValueError("digest does not match")
        return parse(content)
    except OSError as error:
        raise RunError("run-damaged", path=str(path), why=error.strerror or str(error)) from None
    except ValueError as error:
        raise RunError("run-damaged", path=str(path), why=str(error)) from None


def _rows_to_bytes(history: History) -> bytes:
    return "".join(json.dumps(dict(row)) + "\n" for row in history).encode()


def _rows_from_bytes(content: bytes) -> History:
    return History(tuple(json.loads(line) for line in content.splitlines()))
