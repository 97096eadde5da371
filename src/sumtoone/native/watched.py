"""Whether PyTorch's operations are merely computed, or somebody wants to see each of them."""

from __future__ import annotations

from torch._C import _get_tracing_state, _len_torch_dispatch_stack
from torch._C._functorch import peek_interpreter_stack
from torch.autograd import forward_ad
from torch.compiler import is_compiling


def watched() -> bool:
    """Whether there is a compiler, a tracer, a dispatch mode, a transform of torch.func or forward differentiation.

    To be asked first: a compiler follows every line after it.
    """
    return bool(
        is_compiling()
        or _get_tracing_state() is not None
        or _len_torch_dispatch_stack()
        or peek_interpreter_stack() is not None
        or forward_ad._current_level >= 0
    )
