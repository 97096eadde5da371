"""The mathematics: softmax, log_softmax, cross_entropy, sigmoid, tanh and relu.

Each takes floating-point tensors of any width and any memory layout, gives PyTorch's shape, dtype and
NaN behaviour, never overflows on the way, and can be differentiated, compiled and vmapped.
Half-width types are computed in float32 and rounded once.

Shape suffixes: N rows, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from sumtoone import composed
from sumtoone.arguments import (
    check_classes,
    check_dimension,
    check_floating,
    check_options,
    check_out,
    check_range,
)
from sumtoone.native import autograd
from sumtoone.specification import ACTIVATIONS

# The six activations of a network, by their names.
ACTIVATION_FUNCTIONS: Mapping[str, Callable[[Tensor], Tensor]] = dict(
    zip(
        ACTIVATIONS,
        (torch.sigmoid, torch.tanh, torch.relu, F.gelu, F.leaky_relu, lambda x: x),
        strict=True,
    )
)


def softmax(x: Tensor, dim: int = -1, *, out: Tensor | None = None) -> Tensor:
    """Return positive numbers that sum to one along ``dim``: the probabilities that the logits ``x`` stand for.

    ``p_k = exp(x_k - m) / sum_j exp(x_j - m)`` with ``m = max_j x_j``. Shifting by ``m`` changes nothing in
    exact arithmetic and keeps every exponential in [0, 1], so that none overflows.

    Shape: (*), floating point, to the same shape and dtype.

    Parameters
    ----------
    x
        The logits.
    dim
        The dimension along which the result sums to one.
    out
        Where the result goes, and what is returned: a tensor like ``x``, or ``x`` itself. Memory that is there costs no
        page faults, which for a new tensor of many megabytes are most of the time. Records no graph.

    Raises
    ------
    DtypeError
        If ``x`` is not a tensor of floating-point numbers, or ``out`` not one of the same dtype and device.
    ShapeError
        If ``x`` has no dimension ``dim``, or ``out`` not its shape.
    UsageError
        If ``out`` is given where a gradient is wanted.

    Examples
    --------
    >>> softmax(torch.tensor([[1000.0, 1000.0], [0.0, -torch.inf]]))
    tensor([[0.5000, 0.5000],
            [1.0000, 0.0000]])

    Without the shift, ``exp(1000)`` is infinite and the quotient is not a number:

    >>> e = torch.tensor([[1000.0, 1000.0]]).exp()
    >>> e / e.sum(dim=1, keepdim=True)
    tensor([[nan, nan]])

    By hand, the sums must keep their axis: (64, 10) / (64, 1) divides each row by its own sum,
    while (64,) is taken for a row of 64 columns.

    >>> e = torch.zeros(64, 10).exp()
    >>> (e / e.sum(dim=1).view(64, 1)).shape
    torch.Size([64, 10])
    >>> e / e.sum(dim=1)
    Traceback (most recent call last):
    RuntimeError: The size of tensor a (10) must match the size of tensor b (64) at non-singleton dimension 1

    Notes
    -----
    Source: the lesson's softmax exercise; the shift and its error bounds are those of P. Blanchard, D. J. Higham
    and N. J. Higham, "Accurately computing the log-sum-exp and softmax functions", IMA Journal of Numerical
    Analysis 41 (2021).
    """
    check_dimension("softmax", x, dim)
    if out is not None:
        return _write("softmax", x, dim, out)
    computed = autograd.softmax(x, dim)
    return composed.softmax(x, dim) if computed is None else computed


def log_softmax(x: Tensor, dim: int = -1, *, out: Tensor | None = None) -> Tensor:
    """Return the logarithm of :func:`softmax`, precise also where a probability is almost 0 or almost 1.

    ``log p_k = (x_k - m) - log1p(sum_{j != i} exp(x_j - m))`` where ``m = x_i`` is the maximum. Neither term is
    positive, so nothing cancels; leaving the maximum's own 1 to ``log1p`` keeps the digits of small sums.

    Shape: (*), floating point, to the same shape and dtype. Parameters as for :func:`softmax`.

    Raises
    ------
    DtypeError, ShapeError, UsageError
        As :func:`softmax`.

    Examples
    --------
    A probability too small to hold still has a logarithm, and one next to 1 has a loss above 0:

    >>> log_softmax(torch.tensor([0.0, -200.0])), softmax(torch.tensor([0.0, -200.0])).log()
    (tensor([   0., -200.]), tensor([0., -inf]))
    >>> f"{log_softmax(torch.tensor([0.0, -20.0]))[0]:.4g}"
    '-2.061e-09'

    Notes
    -----
    Source: Blanchard, Higham and Higham (2021), as :func:`softmax`; the sum without its largest term is theirs.
    """
    check_dimension("log_softmax", x, dim)
    if out is not None:
        return _write("log_softmax", x, dim, out)
    computed = autograd.log_softmax(x, dim)
    return composed.log_softmax(x, dim) if computed is None else computed


def cross_entropy(
    logits: Tensor,
    target: Tensor,
    *,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    """Return how unlikely the logits hold the true classes: ``-log_softmax(logits)`` at each target.

    With smoothing s, each row's loss is ``(1 - s) * -log p_target + s * mean_k(-log p_k)``. It is computed from
    the logits, as :func:`log_softmax` is, so that no probability is rounded to 0 before its logarithm is taken.

    Shape: ``logits`` (N, K) with ``target`` (N,), or (K,) with (). The result is a scalar, or for
    ``reduction="none"`` of the target's shape; its dtype is that of ``logits``, at least float32 under autocast.

    Parameters
    ----------
    logits
        What a network returns: no softmax before.
    target
        The true classes, integers in [0, K). No value means "ignore this row".
    reduction
        ``"mean"`` (of no rows: NaN), ``"sum"`` or ``"none"``.
    label_smoothing
        The share of the target spread evenly over all classes, in [0, 1].

    Raises
    ------
    DtypeError
        If ``logits`` are not floating point, or ``target`` holds no integers or lies on another device.
    ShapeError
        If the shapes do not fit, or a target is outside [0, K). Values are not read while a graph is
        traced, under vmap, or on devices without values.
    UsageError
        If ``reduction`` or ``label_smoothing`` is none that there is.

    Examples
    --------
    >>> logits, target = torch.tensor([[0.0, 200.0], [3.0, 3.0]]), torch.tensor([0, 1])
    >>> cross_entropy(logits, target, reduction="none")
    tensor([200.0000,   0.6931])

    Taking the logarithm after the softmax loses the first row, and with it the gradient:

    >>> -softmax(logits)[torch.arange(2), target].log()
    tensor([   inf, 0.6931])

    Notes
    -----
    Source: the lesson's loss, ``nn.CrossEntropyLoss``; C. Szegedy et al., "Rethinking the Inception Architecture for
    Computer Vision" (2016), section 7, for the smoothing.
    """
    check_options(reduction, label_smoothing)
    check_floating("cross_entropy", "logits", logits)
    check_classes(logits, target)
    logits_NK, target_N = (logits, target.long()) if logits.ndim == 2 else (logits[None], target.long()[None])
    loss = autograd.cross_entropy(logits_NK, target_N, float(label_smoothing), reduction)
    if loss is None:
        # The kernels look at the values themselves, and take no wrong ones.
        check_range(target_N, logits_NK, single=logits.ndim == 1)
        loss = composed.cross_entropy(logits_NK, target_N, float(label_smoothing), reduction)
    if reduction == "none" and logits.ndim == 1:
        loss = loss.reshape(())
    return loss if loss.dtype is logits.dtype or _autocasts(logits.device.type) else loss.to(logits.dtype)


def sigmoid(x: Tensor) -> Tensor:
    """Return ``1 / (1 + exp(-x))`` of each element: the first of ``softmax([x, 0])``.

    Shape: (*), floating point, to the same shape and dtype. Raises :class:`DtypeError` for anything else.
    The form ``exp(x) / (1 + exp(x))``, equal on paper, overflows:

    >>> x = torch.tensor([-1000.0, 0.0, 1000.0])
    >>> sigmoid(x), x.exp() / (1 + x.exp())
    (tensor([0.0000, 0.5000, 1.0000]), tensor([0.0000, 0.5000,    nan]))

    Source: the lesson's first activation.
    """
    check_floating("sigmoid", "x", x)
    return torch.sigmoid(x)


def tanh(x: Tensor) -> Tensor:
    """Return ``(exp(x) - exp(-x)) / (exp(x) + exp(-x))`` of each element, which is ``2 sigmoid(2 x) - 1``.

    Shape: (*), floating point, to the same shape and dtype. Raises :class:`DtypeError` for anything else.
    The formula as written overflows for large x and loses every digit of small x:

    >>> x = torch.tensor([1e-8, 1000.0])
    >>> tanh(x), (x.exp() - (-x).exp()) / (x.exp() + (-x).exp())
    (tensor([1.0000e-08, 1.0000e+00]), tensor([0., nan]))

    Source: the lesson's activations.
    """
    check_floating("tanh", "x", x)
    return torch.tanh(x)


def relu(x: Tensor) -> Tensor:
    """Return ``max(x, 0)`` of each element; its slope at 0 is taken as 0.

    Shape: (*), floating point, to the same shape and dtype. Raises :class:`DtypeError` for anything else.
    A mask, ``x * (x > 0)``, turns minus infinity into NaN:

    >>> x = torch.tensor([-torch.inf, -1.0, 2.0])
    >>> relu(x), x * (x > 0)
    (tensor([0., 0., 2.]), tensor([nan, -0., 2.]))

    Source: the lesson's activation for hidden layers.
    """
    check_floating("relu", "x", x)
    return torch.relu(x)


def _autocasts(device: str) -> bool:
    return torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device)


def _write(name: str, x: Tensor, dim: int, out: object) -> Tensor:
    """Compute softmax or log_softmax into ``out``."""
    destination, logarithm = check_out(name, x, out), name == "log_softmax"
    if not autograd.into(destination, x, dim, logarithm=logarithm):
        destination.copy_(log_softmax(x, dim) if logarithm else softmax(x, dim))
    return destination
