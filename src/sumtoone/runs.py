"""The run: a trained network with everything needed to use it. ``run_format`` writes it down and reads it."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from sumtoone import run_format
from sumtoone.calibration import Calibration, check_sets
from sumtoone.data import conversion
from sumtoone.data.preprocessing import Preprocessing
from sumtoone.description import check_keepable, class_name
from sumtoone.errors import DataError, RunError, UsageError
from sumtoone.functional import softmax
from sumtoone.history import History
from sumtoone.language import html, text
from sumtoone.memory import enough_memory
from sumtoone.network import Network, evaluating, forward_pass, input_kind
from sumtoone.options import TrainingOptions
from sumtoone.run_folder import as_path, new_folder
from sumtoone.temperature import tempered
from sumtoone.version import __version__

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# Rows sent through the network at once: enough to fill the processor, little enough to stay in its caches.
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class Run:
    """A trained network with its preprocessing, its classes and its story.

    Parameters
    ----------
    network
        Gives logits (N, K): a :class:`Network`, or a module of your own; left in evaluation mode, and as it was trained
        also where the run is calibrated: :attr:`answering` is what answers.
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
    handwriting
        Whether the images were cut out and centred as MNIST's are: then a photo must be, too.
    weight
        The name of the column that said how much each training row counts, which is none of ``columns``.
    metrics
        Plain numbers measured when it was made, such as ``{"test": {"accuracy": 0.94, …}}``.
    estimator
        What a :class:`sumtoone.Classifier` keeps with its run, as plain values: its labels and its parameters.
    calibration
        What :func:`sumtoone.calibrate` found; None where nobody asked.
    splits
        How many rows the splits of its data had, and digests to know them by; empty for runs of old.
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
    handwriting: bool = False
    weight: str | None = None
    estimator: Mapping[str, Any] = field(default_factory=dict)
    calibration: Calibration | None = None
    splits: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if type(self.network) is Network:
            # As a file gives them back: where weights lie otherwise in memory, sums are rounded otherwise.
            for parameter in self.network.parameters():
                parameter.data = parameter.data.contiguous()

    def __repr__(self) -> str:
        return "\n  ".join(self._lines)

    def _repr_html_(self) -> str:
        return html.shown(self._lines, *self.history.table)

    @property
    def _lines(self) -> list[str]:
        network = self.network
        kind = class_name(network)
        if type(network) is Network:
            kind = f"{network.specification} ({network.specification.activation})"
        options = {name: getattr(self.options, name) for name in ("optimizer", "batch_size", "seed")}
        return [
            text("shown.run", name=self.name, network=kind, data=self.data),
            text("shown.options", epochs=len(self.history), **options),
            self.history.summary[1],
        ]

    @property
    def answering(self) -> nn.Module:
        """What every answer comes from, here, on the page and in exported files: the network with its temperature.

        Without a calibration it is :attr:`network` itself. Else it is made once, and what is done to the network later
        does not change it.
        """
        return self.network if self.calibration is None else self._answering

    @cached_property
    def _answering(self) -> nn.Module:
        return self.tempered(self.network)

    def tempered(self, network: nn.Module) -> nn.Module:
        """Return what answers with this run's temperature where ``network`` gives the logits, such as a snapshot."""
        return network if self.calibration is None else tempered(network, self.calibration.temperature)

    def probabilities(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return probabilities (N, K), float32 on the CPU, for raw inputs as the data set holds them.

        On the CPU, the preprocessing, the network and the softmax are one pass through the compiled kernels, a few
        rows at a time: to the bit what ``answering.probabilities(preprocessing(inputs))`` gives, and promised as there.
        The network answers as it does in evaluation mode and outside autocast, whatever the caller's own is.

        A frame's columns are brought into the order of :attr:`columns`; that of the labels is left out.

        Raises
        ------
        ShapeError, DtypeError
            If the inputs hold no rows of the size the network was trained on, or pictures with their axes in another
            order.
        DataError
            If a frame lacks a column, or has one that the run does not know.
        UnavailableError
            If this machine's memory does not hold the result.
        """
        with enough_memory():
            return self.probabilities_of(self._rows(inputs))

    def logits(self, inputs: Tensor | ArrayLike) -> Tensor:
        """Return what the softmax of :meth:`probabilities` is taken of, (N, K); all else is as there."""
        with enough_memory():
            return self.logits_of(self._rows(inputs))

    def predict(self, inputs: Tensor | ArrayLike) -> list[str]:
        """Return the name of the most probable class of each row, the first of them if several are; errors as there.

        And :class:`DataError` for rows whose probabilities are no numbers: no class is the most probable one.
        """
        return [self.classes[place] for place in answered(self.probabilities(inputs)).argmax(dim=1).tolist()]

    def prediction_sets(self, inputs: Tensor | ArrayLike, coverage: float = 0.95, method: str = "lac") -> Tensor:
        """Return which classes (N, K) are in the set of each row: the true one is, with a probability of ``coverage``.

        That is exact for new rows of the same kind as the validation rows that the run was calibrated on, on average
        over both. A set may be empty: a network that is right more often than that can say so of no class.

        Parameters
        ----------
        coverage
            Between 0 and 1. Where there were too few validation rows for it, every class is in every set.
        method
            ``"lac"``: the smallest sets on average. ``"aps"``: larger ones, whose size says how hard a row is; each
            row draws by a hash of its values how far its last class counts.

        Raises
        ------
        RunError
            If the run is not calibrated.
        UsageError
            If there is no such coverage or method.

        References
        ----------
        Sadinle, Lei and Wasserman 2019, arXiv:1609.00451; Romano, Sesia and Candès 2020, arXiv:2006.02544.
        """
        coverage = check_sets(coverage, method)
        if self.calibration is None:
            raise RunError("run-uncalibrated", given=self.name)
        raw = replace(self, calibration=None)
        with enough_memory():
            rows = raw._rows(inputs)
            return self.calibration.sets(rows, raw._computed(rows, probabilities=False), coverage, method)

    def probabilities_of(self, rows: Tensor) -> Tensor:
        """Return :meth:`probabilities` of some of what ``preprocessing.rows`` gave, which is looked at no more."""
        return self._computed(rows, probabilities=True)

    def logits_of(self, rows: Tensor) -> Tensor:
        """Return :meth:`logits` of some of what ``preprocessing.rows`` gave, which is looked at no more."""
        return self._computed(rows, probabilities=False)

    def _rows(self, inputs: Tensor | ArrayLike) -> Tensor:
        inputs = conversion.in_order(
            inputs, self.columns, (self.label, "split", *([] if self.weight is None else [self.weight]))
        )
        shape = tuple(getattr(inputs, "shape", ()))
        if self.image_shape is not None:
            conversion.check_picture(shape, self.image_shape)
        return self.preprocessing.rows(inputs)

    def _computed(self, rows: Tensor, *, probabilities: bool) -> Tensor:
        with torch.inference_mode():
            network = self.answering
            computed = forward_pass(network, *self.preprocessing.prepared(rows), softmax=probabilities)
            if computed is not None:
                return computed
            device, dtype = input_kind(network)
            with evaluating(network), torch.autocast(device.type, enabled=False):
                applied = self.preprocessing.applied
                parts = (applied(part.to(device)).to(dtype) for part in rows.split(_ROWS_AT_ONCE))
                return torch.cat([self._part(part, probabilities) for part in parts])

    def _part(self, x: Tensor, probabilities: bool) -> Tensor:
        computed = forward_pass(self.answering, x, softmax=probabilities)
        if computed is not None:
            return computed
        logits: Tensor = self.answering(x)
        return (softmax(logits, dim=-1) if probabilities else logits).float().cpu()

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
            self.write(folder)
        return folder

    def write(self, folder: Path) -> None:
        """Write the files into a folder whose lock is held."""
        run_format.write(self, folder)

    def with_metrics(self, folder: Path, metrics: Mapping[str, Any]) -> Run:
        """Return the run with more measured numbers, and keep them in its folder beside those that are there."""
        return replace(self, metrics={**self.metrics, **run_format.add_metrics(folder, metrics)})


def answered(outputs_NK: Tensor) -> Tensor:
    """Return probabilities or logits; :class:`DataError` where some are no numbers, of which none is the largest."""
    check_finite(outputs_NK.numpy())
    return outputs_NK


def check_finite(outputs_NK: NDArray[Any]) -> None:
    """Raise :class:`DataError` where probabilities or logits are no numbers."""
    # NumPy, in a fifth of PyTorch's time for one row.
    if not np.isfinite(outputs_NK).all():
        raise DataError("serve-no-answer")


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
        what = {"function": "open_run", "name": "network", "wanted": text("training.takes-network")}
        hint = "open_run(path, network=MyNetwork())"
        raise UsageError("argument-type", **what, given=type(network).__name__, hint=hint)
    return Run(**run_format.read(folder, network))
