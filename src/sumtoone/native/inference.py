"""A forward pass through linear layers on the kernels: for rows whose gradient nobody wants.

The kernels read the weights where the layers keep them, at every call: nothing is packed, so nothing can be stale.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, is_autocast_enabled, nn

from sumtoone.native import kernels
from sumtoone.private import HOOKS, function_modes, has_global_hook, tensor_exchange, watched
from sumtoone.specification import ACTIVATIONS, Specification

Step = tuple[Tensor, Tensor]

_PLAIN = (Tensor, nn.Parameter)


def forward(
    x: Tensor, network: nn.Module, described: Specification, step: Step | None, softmax: bool, threads: int = 0
) -> Tensor | None:
    """Return what ``network.layers`` with an activation between them give for rows (..., D); None if they cannot.

    The kernels can where the layers are linear, calling them and the network would do nothing else than their classes'
    ``forward``, no gradient is wanted, and everything is float32 on the CPU. With a ``step``, ``x * scale + shift``
    before the first layer, x may also hold uint8. Rows and results are as wide as ``described`` says: logits, or their
    softmax. Computed with torch's threads where ``threads`` is 0.
    """
    tensors = _tensors()
    if tensors is None or type(x) not in _PLAIN or watched() or _is_changed(x):
        return None
    if torch.is_grad_enabled() and (x.requires_grad or any(one.requires_grad for one in network.parameters())):
        return None
    out = torch.empty((*x.shape[:-1], described.outputs), dtype=torch.float32)
    # Types, layouts, shapes and hooks are looked at there: whatever an address is taken of.
    activation, threads = ACTIVATIONS.index(described.activation), threads or torch.get_num_threads()
    done = tensors.predict(x.contiguous(), network, described.inputs, activation, step, out, softmax, threads)
    return out if done else None


@cache
def _tensors() -> Any | None:
    """Return what reads tensors and predicts; None without kernels, or where PyTorch lacks DLPack's C exchange."""
    module = kernels()
    if module is None or tensor_exchange is None:
        return None
    return module.Tensors(Tensor, nn.Parameter, nn.Linear, nn.ModuleList, tensor_exchange, list(HOOKS))


def _is_changed(x: Tensor) -> bool:
    """Whether somebody wants other operations, or numbers that are not the ones in memory.

    A mode of functions, autocast, hooks of all modules; a tensor that is sparse, or negated only when read.
    """
    return bool(
        function_modes()
        or is_autocast_enabled("cpu")
        or has_global_hook()
        or x.is_neg()
        or x.layout is not torch.strided
    )
