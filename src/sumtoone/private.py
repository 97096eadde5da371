"""What is taken from PyTorch's inside, where its public interface has no word for it: each name stands here alone.

A PyTorch without one of them costs speed, never an answer: where a name of ``watched`` or of a forward pass is
missing, the kernels step aside (:attr:`missing` says why), and everything runs on PyTorch's operations.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from torch import Tensor
from torch.autograd import forward_ad
from torch.compiler import is_compiling

missing: list[str] = []


def _there(place: str) -> Any:
    """Return what PyTorch has at a place, None where it has nothing."""
    module, _, name = place.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError):
        return None


def _found(place: str) -> Any:
    """Return what PyTorch has at a place; where it has nothing, the place is noted as missing."""
    found = _there(place)
    if found is None:
        missing.append(place)
    return found


# A tracer; dispatch modes; transforms of torch.func.
_tracing_state = _found("torch._C._get_tracing_state")
_dispatch_modes = _found("torch._C._len_torch_dispatch_stack")
_interpreter = _found("torch._C._functorch.peek_interpreter_stack")
# How deep forward differentiation is at this moment: read there at each call.
_found("torch.autograd.forward_ad._current_level")

# Modes of functions, and hooks of all modules: what a forward pass on the kernels would not heed.
function_modes = _found("torch._C._len_torch_function_stack")
has_global_hook = _found("torch.nn.modules.module._has_any_global_hook")
# Whether a backward pass leaves its graph for another one: without it, gradients are copied.
keeps_graph = _found("torch._C._autograd._get_current_graph_task_keep_graph")

# Where every module keeps its hooks, and what torch.compile puts into its place. The kernels look for the first four,
# and step aside from a module that lacks one.
HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
_COMPILED = "_compiled_call_impl"

# Without DLPack's C exchange (PyTorch 2.9 has it) predictions run on PyTorch's operations.
tensor_exchange = getattr(Tensor, "__dlpack_c_exchange_api__", None)

# What sees every operation of a module. Without it no module is taken over, and ``adoption`` says so.
DISPATCH_MODE = "torch.utils._python_dispatch.TorchDispatchMode"
DispatchMode = _there(DISPATCH_MODE)


def watched() -> bool:
    """Whether there is a compiler, a tracer, a dispatch mode, a transform of torch.func or forward differentiation.

    Then PyTorch's operations are not merely computed: somebody wants to see each of them. To be asked first: a compiler
    follows every line after it.
    """
    return bool(
        is_compiling()
        or missing
        or _tracing_state() is not None
        or _dispatch_modes()
        or _interpreter() is not None
        or forward_ad._current_level >= 0
    )


def is_rewired(module: Any) -> bool:
    """Whether calling a module does more than its class's ``forward``; what only watches takes it off the kernels."""
    own = vars(module)
    return "forward" in own or own.get(_COMPILED) is not None or any(own.get(hooks) for hooks in HOOKS)


def has_gradient_hooks(parameter: Tensor) -> bool:
    """Whether somebody wants to see, or change, a parameter's gradient."""
    return bool(getattr(parameter, "_backward_hooks", None))
