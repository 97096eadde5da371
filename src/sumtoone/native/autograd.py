"""softmax, log_softmax and cross entropy on the kernels, as autograd knows them.

The kernels take addresses, so everything about a tensor is checked here: float32, on the CPU, with memory
of its own, and not while something else than its values is asked for (a graph, a batch of vmap, a tangent).
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from sumtoone.native import kernels

_PLAIN = (Tensor, torch.nn.Parameter)
# Numbers below which one thread is enough, and asking for their count not worth the time.
_SMALL = 32768
# As kernels.h numbers them.
_OPERATIONS = {"SOFTMAX": 0, "LOG_SOFTMAX": 1, "SOFTMAX_BACKWARD": 2, "LOG_SOFTMAX_BACKWARD": 3}


def takes(x: Tensor, *others: object) -> bool:
    """Whether the kernels can compute this call: float32 on the CPU, every tensor plain, eagerly."""
    # First, for a compiler follows every line after it.
    if torch.compiler.is_compiling() or x.dtype is not torch.float32 or kernels() is None or not _is_plain(x):
        return False
    return all(_is_plain(other) for other in others if isinstance(other, Tensor))


def _is_plain(x: Tensor) -> bool:
    """Whether this is a tensor on the CPU with memory of its own, and nothing else than its values is asked for."""
    if not x.is_cpu or type(x) not in _PLAIN or x.layout is not torch.strided or x.is_neg():
        return False
    # A tracer, a dispatch mode (fake tensors), a transform of torch.func or of autograd.grad and a level of forward
    # differentiation want to see every operation.
    if torch._C._get_tracing_state() is not None or torch._C._len_torch_dispatch_stack():
        return False
    if torch._C._functorch.peek_interpreter_stack() is not None or torch._C._functorch.is_legacy_batchedtensor(x):
        return False
    # Memory that was taken away leaves a tensor with numbers and no address.
    return forward_ad._current_level < 0 and (x.data_ptr() != 0 or x.numel() == 0)


def softmax(x: Tensor, dim: int) -> Tensor:
    """Return the softmax of a tensor that :func:`takes` accepts."""
    if x.requires_grad and torch.is_grad_enabled():
        result: Tensor = _Softmax.apply(x, dim)  # type: ignore[no-untyped-call]
        return result
    return _forward("SOFTMAX", x, dim)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """Return the log_softmax of a tensor that :func:`takes` accepts."""
    if x.requires_grad and torch.is_grad_enabled():
        result: Tensor = _LogSoftmax.apply(x, dim)  # type: ignore[no-untyped-call]
        return result
    return _forward("LOG_SOFTMAX", x, dim)


def cross_entropy(logits_NK: Tensor, target_N: Tensor, label_smoothing: float, reduction: str) -> Tensor:
    """Return the loss, reduced, of logits that :func:`takes` accepts, for targets in [0, K)."""
    if logits_NK.requires_grad and torch.is_grad_enabled():
        loss: Tensor = _CrossEntropy.apply(logits_NK, target_N, label_smoothing, reduction)  # type: ignore[no-untyped-call]
        return loss
    return reduced(_entropy(logits_NK, target_N, label_smoothing, with_gradient=False)[0], reduction)


def reduced(loss_N: Tensor, reduction: str) -> Tensor:
    """Return the mean, the sum, or the losses as they are."""
    if reduction == "none":
        return loss_N
    return loss_N.mean() if reduction == "mean" else loss_N.sum()


def all_classes(target_N: Tensor, classes: int) -> bool:
    """Whether the kernels could look and found every target in [0, classes)."""
    module = kernels()
    if module is None or not _is_plain(target_N) or target_N.dtype is not torch.int64:
        return False
    target = target_N.contiguous()
    inside: bool = module.all_classes(target.data_ptr(), len(target), classes)
    return inside


def _entropy(
    logits_NK: Tensor, target_N: Tensor, label_smoothing: float, *, with_gradient: bool
) -> tuple[Tensor, Tensor]:
    """Return losses (N,) and, if asked for, their gradients (N, K), else an empty tensor."""
    x, target = logits_NK.contiguous(), target_N.contiguous()
    rows, classes = x.shape
    loss_N = x.new_empty(rows)
    gradient = torch.empty_like(x) if with_gradient else x.new_empty(0)
    if x.numel():
        module = kernels()
        assert module is not None, "takes() was asked"
        assert (target.dtype, target.shape) == (torch.int64, (rows,)), "checked by functional"
        threads = torch.get_num_threads() if x.numel() > _SMALL else 1
        where = gradient.data_ptr() if with_gradient else 0
        addresses = (x.data_ptr(), target.data_ptr(), label_smoothing, loss_N.data_ptr(), where)
        module.entropy(*addresses, rows, classes, threads)
    return loss_N, gradient


def _forward(operation: str, x: Tensor, dim: int, gradient: Tensor | None = None) -> Tensor:
    x = x.contiguous()
    out = torch.empty_like(x)
    numbers, shape = x.numel(), x.shape or (1,)
    if not numbers:
        return out
    axes = len(shape)
    count = shape[dim]
    inner = 1 if dim in (-1, axes - 1) else math.prod(shape[dim % axes + 1 :])
    threads = torch.get_num_threads() if numbers > _SMALL else 1
    module = kernels()
    assert module is not None, "takes() was asked"
    other = 0
    if gradient is not None:
        gradient = gradient.contiguous()
        other = gradient.data_ptr()
    outer = numbers // (count * inner)
    module.compute(_OPERATIONS[operation], x.data_ptr(), other, out.data_ptr(), outer, count, inner, threads)
    return out


class _Softmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        p = _forward("SOFTMAX", x, dim)
        ctx.save_for_backward(p)
        return p

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (p,), (g,) = ctx.saved_tensors, gradients
        if torch.is_grad_enabled() or not takes(g):
            return p * (g - (p * g).sum(ctx.dim, keepdim=True)), None
        return _forward("SOFTMAX_BACKWARD", p, ctx.dim, g), None


class _LogSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        logarithms = _forward("LOG_SOFTMAX", x, dim)
        ctx.save_for_backward(logarithms)
        return logarithms

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (logarithms,), (g,) = ctx.saved_tensors, gradients
        if torch.is_grad_enabled() or not takes(g):
            return g - logarithms.exp() * g.sum(ctx.dim, keepdim=True), None
        return _forward("LOG_SOFTMAX_BACKWARD", logarithms, ctx.dim, g), None


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits_NK: Tensor, target_N: Tensor, label_smoothing: float, reduction: str) -> Tensor:
        ctx.label_smoothing, ctx.reduction = label_smoothing, reduction
        loss_N, gradient_NK = _entropy(logits_NK, target_N, label_smoothing, with_gradient=True)
        ctx.save_for_backward(logits_NK, target_N, gradient_NK)
        return reduced(loss_N, reduction)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (logits_NK, target_N, gradient_NK), (g,) = ctx.saved_tensors, gradients
        if torch.is_grad_enabled():
            # Someone will differentiate this again: it must hang on the logits.
            wanted_NK = torch.zeros_like(logits_NK).scatter_(1, target_N[:, None], 1 - ctx.label_smoothing)
            gradient_NK = softmax(logits_NK, 1) - wanted_NK - ctx.label_smoothing / logits_NK.shape[1]
        if ctx.reduction == "none":
            g = g[:, None]
        elif ctx.reduction == "mean":
            g = g / len(target_N)
        return gradient_NK * g, None, None, None
