"""The mathematics composed of PyTorch's operations, for whatever the kernels do not take; arguments are checked.

Shape suffixes: N rows, K classes.
"""

from __future__ import annotations

import torch
from torch import Tensor


def softmax(x: Tensor, dim: int) -> Tensor:
    """Return ``exp(x - m) / sum(exp(x - m))``."""
    if x.numel() == 0:
        return x.clone()
    wide = _wide(x)
    # The quotient does not depend on the shift, so no gradient is lost by detaching it.
    e = (wide - wide.detach().amax(dim, keepdim=True)).exp_()
    total = e.sum(dim, keepdim=True)
    # exp keeps its result for the backward pass: only without one may it be overwritten.
    return (e / total if torch.is_grad_enabled() else e.div_(total)).to(x.dtype)


def log_softmax(x: Tensor, dim: int) -> Tensor:
    """Return ``(x - m) - log(sum(exp(x - m)))``."""
    shifted, log_total = _shifted_and_log_total(_wide(x), dim)
    return (shifted - log_total).to(x.dtype)


def cross_entropy(logits_NK: Tensor, target_N: Tensor, label_smoothing: float, reduction: str) -> Tensor:
    """Return the loss, reduced, for targets in [0, K)."""
    shifted_NK, log_total_N1 = _shifted_and_log_total(_wide(logits_NK), 1)
    loss_N = (log_total_N1 - shifted_NK.gather(1, target_N[:, None])).squeeze(1)
    if label_smoothing:
        uniform_N = log_total_N1.squeeze(1) - shifted_NK.mean(1)
        loss_N = (1 - label_smoothing) * loss_N + label_smoothing * uniform_N
    if reduction == "none":
        return loss_N
    return loss_N.mean() if reduction == "mean" else loss_N.sum()


def _shifted_and_log_total(x: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return ``x - m`` and ``log(sum(exp(x - m)))``, the axis of the latter kept at length 1."""
    if x.numel() == 0:
        return x.clone(), x.sum(dim, keepdim=True)
    maximum, place = x.detach().max(dim, keepdim=True)
    shifted = x - maximum
    e = shifted.exp()
    # The maximum's exponential is exactly 1; without it, what is left is not rounded to the digits of 1.
    # Subtracting (rather than overwriting) leaves its slope, and the NaN of an infinite maximum, in place.
    others = e.scatter_add(dim, place, torch.full_like(maximum, -1)).sum(dim, keepdim=True)
    return shifted, others.log1p()


def _wide(x: Tensor) -> Tensor:
    return x.float() if x.dtype.itemsize < 4 else x
