"""Each name that is taken from PyTorch's inside may go: the kernels step aside, and every answer stays."""

from __future__ import annotations

import pytest

import warm
from sumtoone import native

# Where a name is hidden after PyTorch is loaded and before sumtoone is: as in a version that does not have it.
PROGRAM = """
import sys
import torch, torch.func
module, _, name = sys.argv[1].rpartition(".")
place = sys.modules[module] if module in sys.modules else getattr(torch, module.removeprefix("torch."))
held = getattr(place, name)
delattr(place, name)
import sumtoone as s1
from sumtoone import native, private
# PyTorch itself may not do without it.
setattr(place, name, held)
x, target = torch.randn(6, 5, generator=torch.Generator().manual_seed(0)), torch.arange(6) % 5
assert torch.allclose(s1.softmax(x), torch.softmax(x, 1))
assert torch.allclose(s1.log_softmax(x), torch.log_softmax(x, 1))
leaf, other = x.clone().requires_grad_(), x.clone().requires_grad_()
s1.cross_entropy(leaf, target).backward()
torch.nn.functional.cross_entropy(other, target).backward()
assert torch.allclose(leaf.grad, other.grad, atol=1e-6)
network = s1.Network("5-4-5")
with torch.no_grad():
    assert torch.allclose(network.probabilities(x), network(x).softmax(1), atol=1e-6)
print(native.status().path, native.status().missing)
"""

HIDDEN = [
    "torch._C._get_tracing_state",
    "torch._C._len_torch_dispatch_stack",
    "torch._C._functorch.peek_interpreter_stack",
    "torch.autograd.forward_ad._current_level",
    "torch._C._len_torch_function_stack",
    "torch.nn.modules.module._has_any_global_hook",
    "torch._C._autograd._get_current_graph_task_keep_graph",
]


def without(name: str) -> str:
    done = warm.run(PROGRAM, name)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", HIDDEN)
def test_without_a_name_the_kernels_step_aside(name: str) -> None:
    if native.kernels() is None:
        pytest.skip("no compiled kernels here")
    assert without(name) == f"pytorch {name}"


def test_without_dlpacks_exchange_predictions_are_pytorchs() -> None:
    assert without("torch.Tensor.__dlpack_c_exchange_api__") == native.status().path


def test_without_dispatch_modes_no_module_is_taken_over() -> None:
    program = (
        PROGRAM
        + """
try:
    s1.Network.from_module(torch.nn.Linear(5, 5), x)
except s1.UnavailableError as error:
    print(error.code, error.exit_code, error.got == f"PyTorch {torch.__version__}", error.expected)
"""
    )
    name = "torch.utils._python_dispatch.TorchDispatchMode"
    done = warm.run(program, name)
    assert done.returncode == 0, done.stderr
    path, told = done.stdout.splitlines()
    assert path.strip() == native.status().path
    assert told == f"adopt-pytorch 4 True {name}, as PyTorch 2.13 has it"
