"""softmax, log_softmax and cross entropy on the kernels, as autograd knows them.

The kernels take addresses, so everything about a tensor is checked here: float32, on the CPU, with memory
of its own, and not while something else than its values is asked for (a graph, a batch of vmap, a tangent).
Calls on a few numbers are won or lost in this file, so it asks each question once, the cheapest way there is.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import increment_version

from sumtoone.native import kernels
from sumtoone.private import keeps_graph, watched

_PLAIN = (Tensor, torch.nn.Parameter)
# Numbers below which one thread is enough, and asking for their count not worth the time. Beyond, the kernels give the
# interpreter away (kNumbersPerThread in binding.cpp), and other threads may give a tensor other memory meanwhile: they
# are given its `data`, a tensor of our own that holds the memory. (`detach` lets others run before it holds anything.)
_SMALL = 32768
_CPU = torch.device("cpu")
# As kernels.h and binding.cpp number them.
_SOFTMAX, _LOG_SOFTMAX, _SOFTMAX_BACKWARD, _LOG_SOFTMAX_BACKWARD = range(4)
_REDUCTIONS = {"none": 0, "mean": 1, "sum": 2}


def is_plain(x: Tensor, dtype: torch.dtype = torch.float32) -> bool:
    """Whether the kernels can read this: on the CPU, with memory of its own, nothing but its numbers."""
    if x.dtype is not dtype or type(x) not in _PLAIN or not x.is_cpu or x.is_neg() or kernels() is None:
        return False
    try:
        # Memory that was taken away leaves a tensor with numbers and no address.
        return x.data_ptr() != 0 or x.numel() == 0
    except RuntimeError:
        return False  # sparse, or batched by autograd.grad


def softmax(x: Tensor, dim: int) -> Tensor | None:
    """Return the softmax, or None where the kernels cannot compute this call: then PyTorch must."""
    return _along(_SOFTMAX, x, dim)


def log_softmax(x: Tensor, dim: int) -> Tensor | None:
    """Return the log_softmax, or None as :func:`softmax` does."""
    return _along(_LOG_SOFTMAX, x, dim)


def cross_entropy(logits_NK: Tensor, target_N: Tensor, label_smoothing: float, reduction: str) -> Tensor | None:
    """Return the loss, reduced, or None as :func:`softmax` does, or if a target is outside [0, K)."""
    if watched() or not (is_plain(logits_NK) and is_plain(target_N, torch.int64)):
        return None
    if not _wants_gradient(logits_NK):
        return _entropy(logits_NK, target_N, label_smoothing, reduction, None)
    gradient_NK = torch.empty_like(logits_NK, memory_format=torch.contiguous_format)
    loss = _entropy(logits_NK, target_N, label_smoothing, reduction, gradient_NK)
    if loss is None:
        return None
    computed = loss, gradient_NK
    recorded: Tensor = _CrossEntropy.apply(logits_NK, target_N, computed, label_smoothing, reduction)  # type: ignore[no-untyped-call]
    return recorded


def into(out: Tensor, x: Tensor, dim: int, *, logarithm: bool) -> bool:
    """Write the softmax of ``x``, or its logarithm, into ``out``, or return False as :func:`softmax` returns None.

    ``out`` is of the shape of ``x``; nothing records a graph.
    """
    if watched() or not (is_plain(x) and is_plain(out) and out.is_contiguous()):
        return False
    if out is not x and out.untyped_storage().data_ptr() == x.untyped_storage().data_ptr():
        return False  # they may overlap
    large = x.numel() > _SMALL
    to = out.data if large else out
    _compute(_LOG_SOFTMAX if logarithm else _SOFTMAX, (x.data if large else x).contiguous(), dim, to)
    if not out.is_inference():
        increment_version(out)
    return True


def _wants_gradient(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled() and not x.is_inference()


def _along(operation: int, x: Tensor, dim: int) -> Tensor | None:
    if watched() or not is_plain(x):
        return None
    if _wants_gradient(x):
        result: Tensor = _Normalised.apply(x, dim, operation)  # type: ignore[no-untyped-call]
        return result
    return _forward(operation, x, dim)


def _forward(operation: int, x: Tensor, dim: int, gradient: Tensor | None = None) -> Tensor:
    if x.numel() > _SMALL:
        x = x.data
    x = x.contiguous()
    out = torch.empty_like(x)
    _compute(operation, x, dim, out, gradient)
    return out


def _compute(operation: int, x: Tensor, dim: int, out: Tensor, gradient: Tensor | None = None) -> None:
    """Compute on contiguous ``x`` and ``out``, and a gradient of the same shape."""
    numbers, shape = x.numel(), x.shape or (1,)
    if not numbers:
        return
    inner = 1 if dim in (-1, len(shape) - 1) else math.prod(shape[dim % len(shape) + 1 :])
    count = shape[dim]
    threads = torch.get_num_threads() if numbers > _SMALL else 1
    other = 0
    if gradient is not None:
        gradient = (gradient.data if numbers > _SMALL else gradient).contiguous()
        other = gradient.data_ptr()
    module = kernels()
    assert module is not None, "is_plain() was asked"
    outer = numbers // (count * inner)
    module.compute(operation, x.data_ptr(), other, out.data_ptr(), outer, count, inner, threads)


def _entropy(
    logits_NK: Tensor, target_N: Tensor, label_smoothing: float, reduction: str, gradient: Tensor | None
) -> Tensor | None:
    """Return the loss and fill ``gradient`` with that of what is returned, if it is asked for; None as above."""
    x, threads = logits_NK, 1
    if x.numel() > _SMALL:
        x, target_N, threads = x.data, target_N.data, torch.get_num_threads()
    x, target_N = x.contiguous(), target_N.contiguous()
    rows, classes = x.shape
    assert target_N.shape == (rows,), "checked by functional"
    loss = torch.empty((rows,) if reduction == "none" else (), dtype=torch.float32, device=_CPU)
    module = kernels()
    assert module is not None, "is_plain() was asked"
    inside = module.entropy(
        x.data_ptr(),
        target_N.data_ptr(),
        label_smoothing,
        _REDUCTIONS[reduction],
        loss.data_ptr(),
        gradient.data_ptr() if gradient is not None else 0,
        rows,
        classes,
        threads,
    )
    return loss if inside else None


class _Normalised(torch.autograd.Function):
    """softmax or log_softmax; the backward pass needs the result alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int, operation: int) -> Tensor:
        ctx.dim, ctx.operation = dim, operation
        result = _forward(operation, x, dim)
        ctx.save_for_backward(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (result,), (g,) = ctx.saved_tensors, gradients
        logarithm = ctx.operation == _LOG_SOFTMAX
        if not (torch.is_grad_enabled() or watched()) and is_plain(g):
            return _forward(_LOG_SOFTMAX_BACKWARD if logarithm else _SOFTMAX_BACKWARD, result, ctx.dim, g), None, None
        if logarithm:
            return g - result.exp() * g.sum(ctx.dim, keepdim=True), None, None
        return result * (g - (result * g).sum(ctx.dim, keepdim=True)), None, None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        logits_NK: Tensor,
        target_N: Tensor,
        computed: tuple[Tensor, Tensor],
        label_smoothing: float,
        reduction: str,
    ) -> Tensor:
        ctx.label_smoothing, ctx.reduction = label_smoothing, reduction
        # Beside the saved tensors: logits that change between loss and backward pass are none of its business.
        loss, ctx.gradient_NK = computed
        ctx.save_for_backward(logits_NK, target_N)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None, None]:
        (g,) = gradients
        if ctx.reduction == "none":
            g = g[:, None]
        if torch.is_grad_enabled() or ctx.gradient_NK is None:
            return _differentiable_gradient(ctx) * g, None, None, None, None
        gradient_NK: Tensor = ctx.gradient_NK
        if keeps_graph() or watched() or not is_plain(g):
            return gradient_NK * g, None, None, None, None
        ctx.gradient_NK = None  # nobody asks for it again: no copy
        if ctx.reduction == "none" or float(g) != 1.0:
            gradient_NK.mul_(g)
        return gradient_NK, None, None, None, None


def _differentiable_gradient(ctx: Any) -> Tensor:
    """Return the gradient as an expression of the logits, which someone will differentiate again.

    The saved tensors raise PyTorch's own error where the graph is gone.
    """
    logits_NK, target_N = ctx.saved_tensors
    rows, classes = logits_NK.shape
    wanted_NK = torch.zeros_like(logits_NK).scatter_(1, target_N[:, None], 1 - ctx.label_smoothing)
    gradient_NK: Tensor = torch.softmax(logits_NK, 1) - wanted_NK - ctx.label_smoothing / classes
    return gradient_NK / rows if ctx.reduction == "mean" else gradient_NK
