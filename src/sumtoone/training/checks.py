"""What must hold before the first step: a network, a data set and options that fit each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sumtoone.adoption.failing import first_line, reason
from sumtoone.data import Dataset, Preprocessing, conversion
from sumtoone.description import check_keepable
from sumtoone.errors import DataError, DtypeError, ShapeError, SumtooneError, UnavailableError, UsageError, raise_all
from sumtoone.language import text
from sumtoone.language.lines import listed
from sumtoone.network import Network, evaluating, input_kind
from sumtoone.options import TrainingOptions
from sumtoone.specification import did_you_mean
from sumtoone.training.state import Plan

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

# Rows whose outputs tell logits from probabilities.
_ROWS = 64
_SUM_TOLERANCE = 1e-3
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


def check_arguments(verb: str, **given: Any) -> None:
    """Raise :class:`DtypeError` for every argument of ``fit`` or ``resume`` that is of another kind than it takes.

    None stands for an argument that was left out, unless it is the network or the data set of ``fit``.
    """
    kinds: Mapping[str, tuple[type, ...]] = {
        "network": (nn.Module,),
        "dataset": (Dataset,),
        "options": (TrainingOptions,),
        "preprocessing": (Preprocessing,),
    }
    needed = ("network", "dataset") if verb == "fit" else ()
    problems: list[SumtooneError] = []
    for name, value in given.items():
        if value is None and name not in needed:
            continue
        right = callable(value) if name == "on_event" else isinstance(value, kinds[name])
        if not right:
            wanted, hint = text(f"training.takes-{name}"), text(f"training.write-{_slip(name, value)}")
            what = {"function": verb, "name": name, "wanted": wanted, "given": _kind(value), "hint": hint}
            problems.append(DtypeError("argument-type", **what))
    raise_all(problems)


def _slip(name: str, value: object) -> str:
    """Return what most likely was meant, as the end of a key of the texts."""
    if name == "dataset" and isinstance(value, str):
        return "load"
    if name == "dataset" and isinstance(value, nn.Module):
        return "order"
    return name


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def check_fit(plan: Plan, *, fused: bool) -> None:
    """Raise unless the network takes this data set's rows to one logit for each class, learns, and can be kept."""
    dataset, network = plan.dataset, plan.network
    if not len(dataset.train):
        raise DataError("split-empty", given=f"{dataset.name}: train")
    if plan.options.early_stopping is not None:
        dataset.need("validation", "early_stopping")
    if plan.options.deformation is not None and dataset.image_shape is None:
        raise UsageError("training-deformation", given=plan.options.deformation, data=dataset.name)
    if plan.options.engine == "fused" and not fused:
        raise UnavailableError("engine-unavailable", given="fused")
    if plan.preprocessing.features != dataset.features:
        raise ShapeError("training-features", given=plan.preprocessing.features, data=dataset.features)
    if isinstance(network, Network) and network.specification.inputs != dataset.features:
        raise ShapeError("training-features", given=network.specification.inputs, data=dataset.features)
    for split in (dataset.train, dataset.validation):
        plan.preprocessing.rows(split.inputs)  # whole: the engines see parts, and look at none
    check_keepable(network)
    _check_logits(plan)
    if not plan.trained():
        raise UsageError("training-frozen", kind=type(network).__name__)
    if plan.options.optimizer == "muon" and not plan.orthogonalised():
        raise UsageError("training-muon-matrices", kind=type(network).__name__)
    if type(network) is not Network:
        _check_step(plan)


def _check_logits(plan: Plan) -> None:
    """Let the network answer some rows in evaluation mode; layers whose sizes were open have them then."""
    if type(plan.network) is Network and plan.network.specification.outputs == len(plan.dataset.classes):
        # It is as it was built: so check_keepable() has found. What it answers is known.
        return
    with evaluating(plan.network), torch.no_grad():
        logits = _answer(plan, _ROWS)
    classes = len(plan.dataset.classes)
    rows = min(_ROWS, len(plan.dataset.train))
    shape = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
    if shape != (rows, classes):
        raise ShapeError("training-classes", given=shape, rows=rows, classes=classes)
    if not logits.is_floating_point():
        raise DtypeError("training-logits", given=str(logits.dtype))
    axis = _sums_to_one(logits.double())
    if axis is not None:
        raise UsageError("training-softmax", kind=type(plan.network).__name__, axis=axis)


def _sums_to_one(outputs_NK: Tensor) -> int | None:
    """Return the axis along which outputs are probabilities, or None; logits are not so by chance."""
    if not bool((outputs_NK >= 0).all()):
        return None
    for axis in (1, 0):
        sums = outputs_NK.sum(dim=axis)
        if outputs_NK.shape[axis] > 1 and bool(((sums - 1).abs() < _SUM_TOLERANCE).all()):
            return axis
    return None


def _check_step(plan: Plan) -> None:
    """Go through a step of every batch size that will come, changing nothing: a module may count on its rows."""
    network, rows = plan.network, len(plan.dataset.train)
    size = min(plan.options.batch_size, rows)
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    modes = [(part, part.training) for part in network.modules()]
    try:
        network.train()
        for last in sorted({size, rows % size or size}, reverse=True):
            _go_through(plan, last, whole=last == size)
        if plan.options.averaging is not None:
            _check_still(plan, buffers)
    finally:
        for part, mode in modes:
            part.training = mode
        for name, buffer in network.named_buffers():
            buffer.data.copy_(buffers[name])


def _check_still(plan: Plan, before: Mapping[str, Tensor]) -> None:
    """Refuse a module that counts as it trains: what it counted belongs to the last weights, not to their average."""
    for name, buffer in plan.network.named_buffers():
        if buffer.is_floating_point() and not torch.equal(buffer, before[name]):
            raise UsageError("training-averaging", kind=type(plan.network).__name__, given=name)


def _go_through(plan: Plan, rows: int, *, whole: bool) -> None:
    before = {name: parameter.grad for name, parameter in plan.trained().items()}
    try:
        with torch.enable_grad():
            logits = _answer(plan, rows, last=not whole)
            if not (isinstance(logits, Tensor) and logits.requires_grad):
                raise UsageError("training-detached", kind=type(plan.network).__name__)
            labels = plan.dataset.train.labels[:rows].to(logits.device)
            try:
                F.cross_entropy(logits.double(), labels).backward()
            except Exception as error:
                raise _unfit(plan, rows, error, last=not whole) from None
            for name, parameter in plan.trained().items():
                if parameter.grad is not None and parameter.grad.layout is not torch.strided:
                    raise UsageError("training-sparse", given=name)
    finally:
        for name, parameter in plan.trained().items():
            parameter.grad = before[name]


def _answer(plan: Plan, rows: int, *, last: bool = False) -> Any:
    device, dtype = input_kind(plan.network)
    inputs = plan.preprocessing.applied(plan.dataset.train.inputs[:rows]).to(device, dtype)
    try:
        return plan.network(inputs)
    except Exception as error:
        # What somebody's own forward raises is open-ended.
        raise _unfit(plan, len(inputs), error, last=last) from None


def _unfit(plan: Plan, rows: int, error: Exception, *, last: bool) -> ShapeError:
    why = first_line(error)
    if last:
        fields = {"rows": len(plan.dataset.train), "batch": plan.options.batch_size, "last": rows}
        return ShapeError("training-last-batch", given=why, smaller=_whole_batches(plan), **fields)
    shape, image = (rows, plan.dataset.features), plan.dataset.image_shape
    if image is None or not any(isinstance(part, _CONVOLUTIONS) for part in plan.network.modules()):
        why, hint = reason(error, text("training.flatten"))
        return ShapeError("module-forward", shape=shape, given=why, hint=hint)
    unflatten = f"nn.Unflatten(1, {(1, *image)})"
    if len(image) == 3:
        unflatten = f"x.unflatten(1, {image}).movedim(-1, 1)"
    return ShapeError("training-convolution", shape=shape, given=why, image=image, unflatten=unflatten)


def _whole_batches(plan: Plan) -> int:
    """Return a batch size near the one wanted whose last batch is no single row."""
    rows, size = len(plan.dataset.train), plan.options.batch_size
    return next((smaller for smaller in range(size - 1, 1, -1) if rows % smaller != 1), rows)


def row_weights(weights: ArrayLike | None, dataset: Dataset, options: TrainingOptions) -> Tensor | None:
    """Return how much each training row counts, (N,) float32: its own weight times its class's; None where all alike.

    Without ``weights`` its own is what the data set says. Balanced classes count alike: a class's weight is the mean of
    all classes' (weighted) rows over its own, as scikit-learn has it. Classes without rows take no part.

    Raises
    ------
    DataError
        If the weights are none, or leave no row that counts.
    UsageError
        If a class is named that the data set does not have.
    """
    own = checked_weights(dataset.weights if weights is None else weights, len(dataset.train))
    if options.class_weight is None:
        return own
    labels = dataset.train.labels.numpy()
    each = np.ones(len(labels)) if own is None else own.numpy().astype(np.float64)
    if options.class_weight == "balanced":
        counts = np.bincount(labels, each, len(dataset.classes))
        of_class = np.divide(
            counts.sum(), counts * np.count_nonzero(counts), out=np.zeros_like(counts), where=counts > 0
        )
    else:
        assert isinstance(options.class_weight, tuple), "as the options keep them"
        named = dict(options.class_weight)
        unknown = [name for name in named if name not in dataset.classes]
        if unknown:
            hint = did_you_mean(unknown[0], dataset.classes)
            raise UsageError("training-class-unknown", given=listed(unknown), known=listed(dataset.classes), hint=hint)
        of_class = np.array([named.get(name, 1.0) for name in dataset.classes])
    return checked_weights(each * of_class[labels], len(labels))


def checked_weights(weights: ArrayLike | None, rows: int) -> Tensor | None:
    """Return the weights of ``rows`` rows as float32, (N,); :class:`DataError` if they are none."""
    if weights is None:
        return None
    array = conversion.plain(weights)
    if array.dtype.kind not in "biuf" or array.shape != (rows,):
        raise DataError("training-weights", rows=rows, given=f"{array.dtype}, shape {array.shape}")
    with np.errstate(over="ignore"):
        found = array.astype(np.float32)
    if not (np.isfinite(found).all() and (found >= 0).all() and (found > 0).any()):
        raise DataError("training-weights", rows=rows, given=f"{array.min()} … {array.max()}")
    return torch.from_numpy(found)
