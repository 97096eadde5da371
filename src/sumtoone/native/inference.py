"""A forward pass through linear layers on the kernels: for rows whose gradient nobody wants.

The kernels read the weights where the layers keep them, at every call: nothing is packed, so nothing can be stale.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as everywhere

from sumtoone.native import autograd, kernels

Step = tuple[Tensor, Tensor]

# As predicting.h numbers them.
_ACTIVATIONS = {"identity": 0, "sigmoid": 1, "tanh": 2, "relu": 3, "leaky-relu": 4, "gelu": 5}


def forward(
    x: Tensor, layers: nn.Module | None, activation: str, step: Step | None = None, *, classes: int, softmax: bool
) -> Tensor | None:
    """Return what linear layers with an activation between them give for rows (..., D); None if the kernels cannot.

    They can where calling the layers would do nothing else than PyTorch's own linear function, no gradient is wanted,
    and everything is float32 on the CPU. With a ``step``, ``x * scale + shift`` before the first layer, x may also
    hold uint8. The last layer gives ``classes`` numbers: logits, or their softmax.
    """
    tensors = _tensors()
    if tensors is None or torch.compiler.is_compiling() or not isinstance(x, Tensor) or not autograd._is_plain(x):
        return None
    if torch._C._len_torch_function_stack() or torch.is_autocast_enabled("cpu"):
        return None
    parameters = _parameters(layers)
    if not parameters or (torch.is_grad_enabled() and any(one.requires_grad for one in (x, *parameters))):
        return None
    out = torch.empty(*x.shape[:-1], classes, dtype=torch.float32)
    # Addresses, types and shapes are looked at there.
    done = tensors.predict(
        x.contiguous(), parameters, _ACTIVATIONS[activation], step, out, softmax, torch.get_num_threads()
    )
    return out if done else None


@cache
def _tensors() -> Any | None:
    """Return what reads tensors and predicts; None without kernels, or where PyTorch lacks DLPack's C exchange."""
    module, exchange = kernels(), getattr(Tensor, "__dlpack_c_exchange_api__", None)
    return None if module is None or exchange is None else module.Tensors(Tensor, nn.Parameter, exchange)


def is_as_written(module: nn.Module) -> bool:
    """Whether calling this module calls its class's ``forward`` and nothing else."""
    own = module.__dict__
    return not (
        own["_forward_hooks"]
        or own["_forward_pre_hooks"]
        or own["_backward_hooks"]
        or own["_backward_pre_hooks"]
        or "forward" in own
        or "_compiled_call_impl" in own
    )


def _parameters(layers: nn.Module | None) -> list[Tensor] | None:
    """Return weight and bias of each layer, in turn; None unless each is a linear layer as it was written."""
    if type(layers) is not nn.ModuleList or everywhere._has_any_global_hook():  # type: ignore[no-untyped-call]
        return None
    found = []
    for layer in layers._modules.values():
        if type(layer) is not nn.Linear or not is_as_written(layer):
            return None
        own = layer._parameters
        weight, bias = own.get("weight"), own.get("bias")
        if weight is None or bias is None:
            return None
        found += (weight, bias)
    return found
