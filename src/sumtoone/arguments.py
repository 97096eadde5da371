"""What the mathematics accepts: every wrong argument is one of our errors, with what came and what to write instead."""

from __future__ import annotations

import torch
from torch import Tensor

from sumtoone.errors import DtypeError, ShapeError, SumtooneError, UsageError, raise_all
from sumtoone.language import text
from sumtoone.specification import not_among

REDUCTIONS = ("mean", "sum", "none")


def check_floating(function: str, argument: str, x: object) -> None:
    """Raise unless ``x`` is a tensor of floating-point numbers."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        given = x.dtype if isinstance(x, Tensor) else type(x).__name__
        raise DtypeError("functional-tensor", function=function, argument=argument, given=given)


def check_dimension(function: str, x: Tensor, dim: object) -> None:
    """Raise unless ``x`` is floating point and has a dimension ``dim``."""
    if not isinstance(x, Tensor) or not x.is_floating_point():
        check_floating(function, "x", x)
    axes = x.ndim or 1  # a scalar counts as one axis, as in PyTorch
    if not isinstance(dim, int) or isinstance(dim, bool) or not -axes <= dim < axes:
        fields = {"low": -axes, "high": axes - 1, "shape": tuple(x.shape), "dim": repr(dim)[:60]}
        raise ShapeError("functional-dimension", function=function, **fields)


def check_options(reduction: object, label_smoothing: object) -> None:
    """Raise unless there is such a reduction and such a share of smoothing."""
    if reduction in REDUCTIONS and type(label_smoothing) is float and 0.0 <= label_smoothing <= 1.0:
        return
    problems: list[SumtooneError] = []
    if reduction not in REDUCTIONS:
        problems.append(not_among("reduction", reduction, REDUCTIONS))
    number = isinstance(label_smoothing, int | float) and not isinstance(label_smoothing, bool)
    if not (number and 0 <= label_smoothing <= 1):  # type: ignore[operator]
        fields = {"given": repr(label_smoothing)[:60], "wanted": "0 <= x <= 1", "example": 0.1}
        problems.append(UsageError("number-range", name="label_smoothing", **fields))
    raise_all(problems)


def check_classes(logits: Tensor, target: object) -> None:
    """Raise unless the targets are integers, one for each row of logits."""
    if not isinstance(target, Tensor):
        raise DtypeError("cross-entropy-target-dtype", given=type(target).__name__)
    if logits.ndim == 2 and target.dtype is torch.int64 and target.shape == logits.shape[:1] and logits.shape[1]:
        return
    if target.is_floating_point() or target.is_complex() or target.dtype == torch.bool:
        raise DtypeError("cross-entropy-target-dtype", given=target.dtype)
    shape = tuple(logits.shape)
    if len(shape) not in (1, 2) or (shape[-1] == 0 and shape != (0, 0)):
        raise ShapeError("cross-entropy-logits", shape=shape)
    wanted, given = shape[:-1], tuple(target.shape)
    if given != wanted:
        hint = text(f"functional.{_target_hint(given, shape)}", shape=wanted)
        raise ShapeError("cross-entropy-target-shape", logits=shape, wanted=wanted, given=given, hint=hint)


def _target_hint(target: tuple[int, ...], logits: tuple[int, ...]) -> str:
    if target == logits:
        return "one-hot"
    if target == (*logits[:-1], 1):
        return "column"
    return "rows" if target and len(logits) == 2 else "reshape"


def check_range(target_N: Tensor, logits_NK: Tensor, *, single: bool) -> None:
    """Raise unless every target lies where the logits do and is in [0, K), where its value can be read."""
    if torch.compiler.is_compiling():
        return
    if target_N.device != logits_NK.device:
        raise DtypeError("cross-entropy-target-device", wanted=logits_NK.device, given=target_N.device)
    classes = logits_NK.shape[1]
    if target_N.numel() == 0:
        return
    lowest, highest = target_N.aminmax()
    try:
        if int(lowest) >= 0 and int(highest) < classes:
            return
    except RuntimeError:
        return  # vmap, fake and meta tensors have no values to read
    wrong = ((target_N < 0) | (target_N >= classes)).nonzero().flatten()
    place = int(wrong[0])
    where = "target" if single else f"target[{place}]"
    fields = {"classes": classes, "last": classes - 1, "where": where, "value": int(target_N[place])}
    raise ShapeError("cross-entropy-target-range", count=len(wrong), rows=len(target_N), **fields)


def check_out(name: str, x: Tensor, out: object) -> Tensor:
    """Return ``out`` if a result like ``x`` can be written into it, and nobody wants its gradient."""
    if not isinstance(out, Tensor) or (out.dtype, out.device) != (x.dtype, x.device):
        given = f"{out.dtype}, {out.device}" if isinstance(out, Tensor) else type(out).__name__
        raise DtypeError("functional-out", function=name, wanted=f"{x.dtype}, {x.device}", given=given)
    if out.shape != x.shape:
        raise ShapeError("functional-out", function=name, wanted=tuple(x.shape), given=tuple(out.shape))
    if torch.is_grad_enabled() and (x.requires_grad or out.requires_grad):
        raise UsageError("functional-out-gradient", function=name)
    return out
